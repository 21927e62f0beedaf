//! What was done: the delivery log.

use async_trait::async_trait;
use tidings_domain::{
    attempt::Attempt,
    company::CompanyId,
    cursor::Order,
    event_type::EventType,
    id::{EventId, SubscriptionId},
};

use crate::{Position, StoreError};

/// Which outcomes to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// 2xx.
    Succeeded,
    /// All others.
    Failed,
}

/// Which attempts to list.
#[derive(Clone, Debug)]
pub struct AttemptFilter {
    /// Of which subscription, deleted ones included.
    pub subscription: SubscriptionId,
    /// Only with this outcome.
    pub outcome: Option<OutcomeFilter>,
    /// Only of this event type.
    pub event_type: Option<EventType>,
    /// Only of this event.
    pub event: Option<EventId>,
    /// Newest first is descending.
    pub order: Order,
    /// Only beyond this place in the order.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// A page of the delivery log.
#[derive(Clone, Debug)]
pub struct AttemptPage {
    /// In the filter's order.
    pub attempts: Vec<Attempt>,
    /// Where to go on.
    pub next: Position,
    /// Whether more follow at once.
    pub has_more: bool,
}

/// Append-only: what was done.
#[async_trait]
pub trait AttemptLog: Send + Sync + 'static {
    /// A page of a subscription's attempts; none where there never was such a subscription (of
    /// the company, where one is named).
    async fn attempts(
        &self,
        company: Option<&CompanyId>,
        filter: AttemptFilter,
    ) -> Result<Option<AttemptPage>, StoreError>;
}
