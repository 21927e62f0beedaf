//! What Tidings is about, and nothing else: events, subscriptions, matching, signing, verdicts and
//! the rules for target addresses.
//!
//! Everything here is a type that cannot be made wrong or a pure function. There is no tokio, no
//! SQL, no socket, and no call of the machine's clock or random source: both are passed in as
//! [`clock::Clock`] and [`random::Random`].

pub mod address;
pub mod api_key;
pub mod attempt;
pub mod breaker;
pub mod clock;
pub mod company;
pub mod cursor;
pub mod event;
pub mod event_type;
pub mod id;
pub mod json_object;
pub mod matching;
pub mod random;
pub mod secret;
pub mod signing;
pub mod subscription;
pub mod target;
pub mod time;
pub mod verdict;
