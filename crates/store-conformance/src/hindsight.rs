//! Hindsight: what the trace and the delivery log say once something has happened.

use tidings_domain::{attempt::Attempt, cursor::Order, event::Event, id::SubscriptionId};
use tidings_store::{AttemptFilter, DeliveryState, DeliveryTrace};

use crate::scenario::{EVERYTHING, Scenario, WORKS};

impl Scenario<'_> {
    /// The lines of an event's trace.
    pub(crate) async fn trace(&self, event: &Event) -> Vec<DeliveryTrace> {
        let trace = self.store().trace(None, event.id()).await.expect(WORKS);
        trace.expect("the event is there")
    }

    /// The line of an event's trace about one subscription.
    pub(crate) async fn trace_at(&self, event: &Event, at: SubscriptionId) -> DeliveryTrace {
        let trace = self.trace(event).await;
        let mut lines = trace.into_iter().filter(|line| line.subscription == at);
        let line = lines.next().expect("the subscription is in the trace");
        assert_eq!(lines.next(), None, "each subscription has one line");
        assert!(!line.reason.is_empty(), "each line says why");
        line
    }

    pub(crate) async fn state(&self, event: &Event, at: SubscriptionId) -> DeliveryState {
        self.trace_at(event, at).await.state
    }

    /// All attempts of a subscription, newest first.
    pub(crate) async fn attempts(&self, of: SubscriptionId) -> Vec<Attempt> {
        let page = self
            .store()
            .attempts(None, attempts_of(of))
            .await
            .expect(WORKS);
        let page = page.expect("there is or was such a subscription");
        assert!(!page.has_more, "everything fits on one page");
        page.attempts
    }
}

/// Every attempt of a subscription, newest first, in one page.
pub(crate) fn attempts_of(subscription: SubscriptionId) -> AttemptFilter {
    AttemptFilter {
        subscription,
        outcome: None,
        event_type: None,
        event: None,
        order: Order::Descending,
        after: None,
        limit: EVERYTHING,
    }
}
