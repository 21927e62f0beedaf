//! Tells the API whether the dispatcher turns: the adapter between two crates that do not know
//! each other.

use std::sync::Arc;

use tidings_api::Health;
use tidings_delivery::DispatcherHealth;
use tidings_domain::clock::Clock;

/// The dispatcher's health as the API asks for it.
pub(crate) struct NodeHealth {
    dispatcher: Arc<DispatcherHealth>,
    clock: Arc<dyn Clock>,
}

impl NodeHealth {
    /// An adapter over the dispatcher's own record.
    pub(crate) fn new(dispatcher: Arc<DispatcherHealth>, clock: Arc<dyn Clock>) -> Self {
        Self { dispatcher, clock }
    }
}

impl Health for NodeHealth {
    fn dispatcher_stalled(&self) -> bool {
        self.dispatcher.is_stalled(self.clock.now())
    }
}
