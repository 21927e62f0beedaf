//! Ports: what the API needs from the rest of the program and does not know by name.
//!
//! The server implements them over the delivery side.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_domain::{attempt::Attempt, event::Event, subscription::Endpoint, target::TargetUrl};

/// Why deliveries may not go to a URL, as a sentence that the caller gets to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRefusal(pub String);

/// Looking at targets and making one attempt by hand.
#[async_trait]
pub trait Outbound: Send + Sync + 'static {
    /// Whether deliveries may go there now: resolves the name and judges its addresses.
    async fn check_target(&self, url: &TargetUrl) -> Result<(), TargetRefusal>;

    /// Makes one signed attempt, now, and leaves no trace of it. The attempt fails, with its
    /// error, where the URL is refused; its number is 1 and there is no next one.
    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt;
}

/// Whether the rest of the program does its work, for `/readyz`.
pub trait Health: Send + Sync + 'static {
    /// Whether the dispatcher has stopped turning.
    fn dispatcher_stalled(&self) -> bool;
}
