//! What was done: the delivery log.

use async_trait::async_trait;
use tidings_domain::{
    attempt::Attempt,
    company::CompanyId,
    cursor::Order,
    event_type::{EventType, EventTypePattern},
    id::{EventId, SubscriptionId},
    time::UtcMillis,
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

/// Which statuses to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// This one.
    Exactly(u16),
    /// All of a hundred: 4 for 400 to 499.
    Class(u8),
    /// Attempts without any answer.
    NoAnswer,
}

/// What to look for in the log of all of a company's subscriptions.
#[derive(Clone, Debug)]
pub struct AttemptSearch {
    /// Whose.
    pub company: CompanyId,
    /// Only of this one, deleted ones included.
    pub subscription: Option<SubscriptionId>,
    /// Only with this outcome.
    pub outcome: Option<OutcomeFilter>,
    /// Only with such a status.
    pub status: Option<StatusFilter>,
    /// Any of these types; empty for all.
    pub types: Vec<EventTypePattern>,
    /// Only of this event.
    pub event: Option<EventId>,
    /// Only attempted from here on.
    pub since: Option<UtcMillis>,
    /// Only attempted before.
    pub until: Option<UtcMillis>,
    /// Newest first is descending.
    pub order: Order,
    /// Only beyond this place in the order.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
    /// At most so many rows are looked at, so that a search for something rare takes no longer
    /// than another one.
    pub look_at_max: usize,
}

/// An attempt and its place in the log.
#[derive(Clone, Debug)]
pub struct PlacedAttempt {
    /// Its place, by which [`AttemptLog::attempt`] finds it.
    pub place: Position,
    /// 0 for the delivery that publishing made; redelivery and replay count up.
    pub round: u32,
    /// The attempt.
    pub attempt: Attempt,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct AttemptsFound {
    /// In the search's order.
    pub attempts: Vec<PlacedAttempt>,
    /// Where to go on; none where everything was looked at.
    pub next: Option<Position>,
    /// The time of the last attempt that was looked at, where the search ended before it had
    /// found as many as were asked for and looked at everything.
    pub looked_up_to: Option<UtcMillis>,
}

/// Append-only: what was done.
#[async_trait]
pub trait AttemptLog: Send + Sync + 'static {
    /// Searches the log of all of a company's subscriptions, deleted ones included.
    async fn search_attempts(&self, search: AttemptSearch) -> Result<AttemptsFound, StoreError>;

    /// The attempt at a place, if it is the company's.
    async fn attempt(
        &self,
        company: &CompanyId,
        place: Position,
    ) -> Result<Option<PlacedAttempt>, StoreError>;

    /// All attempts made for an event at a subscription, of every round, oldest first, at most
    /// `limit`.
    async fn attempts_of_delivery(
        &self,
        company: &CompanyId,
        event: EventId,
        subscription: SubscriptionId,
        limit: usize,
    ) -> Result<Vec<PlacedAttempt>, StoreError>;

    /// For each subscription of the company, its newest attempt.
    async fn newest_attempts(
        &self,
        company: &CompanyId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Vec<Option<PlacedAttempt>>, StoreError>;

    /// A page of a subscription's attempts; none where there never was such a subscription (of
    /// the company, where one is named).
    async fn attempts(
        &self,
        company: Option<&CompanyId>,
        filter: AttemptFilter,
    ) -> Result<Option<AttemptPage>, StoreError>;
}
