//! Delivering: from a leased delivery to a settled attempt.
//!
//! The dispatcher decides when which attempt is made and settles what came of it in the store; the
//! [`Courier`] makes one: it judges the target, resolves its name, judges every address, dials one
//! of those it judged, sends the signed event and reads what comes back, all within one deadline.
//! They meet in the [`Transport`] trait. This crate knows the store as a trait and the API not at
//! all.

mod claims;
mod connect;
mod courier;
mod dispatcher;
mod endpoints;
mod exchange;
mod failure;
mod flight;
mod guard;
mod health;
mod lane_bounds;
mod lanes;
mod leases;
mod metrics;
mod notice;
mod outgoing;
mod pause;
mod pool;
mod recent_names;
mod releases;
mod resolver;
mod retry_after;
mod run;
#[cfg(test)]
mod sample_endpoint;
mod settler;
mod signers;
mod tls;
mod transport;
mod wire;

pub use connect::RESPONSE_HEAD_BYTES_MAX;
pub use courier::{Courier, CourierOptions};
pub use dispatcher::{Dispatcher, DispatcherOptions};
pub use exchange::RESPONSE_BODY_BYTES_MAX;
pub use guard::TargetRefusal;
pub use health::DispatcherHealth;
pub use metrics::DeliveryMetrics;
pub use outgoing::USER_AGENT_VALUE;
pub use pool::PoolLimits;
pub use resolver::{Resolve, ResolveError, ResolverSetupError, SystemResolver};
pub use tls::{ExtraRootError, trust_roots};
pub use transport::{AttemptReport, AttemptRequest, Transport};
