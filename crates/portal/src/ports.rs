//! Ports: what the portal needs from the rest of the program and does not know by name.
//!
//! The server implements them over the delivery side.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_domain::{attempt::Attempt, event::Event, subscription::Endpoint, target::TargetUrl};

/// Why deliveries may not go to a URL, as a sentence that the visitor gets to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRefusal(pub String);

/// Looking at targets and making one attempt by hand.
#[async_trait]
pub trait Outbound: Send + Sync + 'static {
    /// Whether deliveries may go there now: resolves the name and judges its addresses.
    async fn check_target(&self, url: &TargetUrl) -> Result<(), TargetRefusal>;

    /// Makes one signed attempt, now, and leaves no trace of it.
    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt;
}
