//! What Tidings is about, and nothing else: events, subscriptions, matching, signing, verdicts and
//! the rules for target addresses.
//!
//! Everything here is a type that cannot be made wrong or a pure function. There is no tokio, no
//! SQL, no socket, and no call of the machine's clock or random source: both are passed in as
//! [`clock::Clock`] and [`random::Random`].

pub mod actor;
pub mod address;
pub mod api_key;
pub mod attempt;
pub mod audit;
pub mod breaker;
pub mod catalog;
pub mod clock;
pub mod company;
pub mod cursor;
pub mod email;
pub mod event;
pub mod event_type;
pub mod figures;
pub mod forwarding;
pub mod id;
pub mod json_object;
pub mod matching;
pub mod people_text;
pub mod portal_token;
pub mod random;
pub mod secret;
pub mod signing;
pub mod subscription;
pub mod target;
pub mod test_event;
pub mod time;
pub mod verdict;
pub mod visitor;
pub mod web_origin;
