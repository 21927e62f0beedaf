//! Appending events and reading them back in order.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_domain::{
    attempt::AttemptError,
    company::CompanyId,
    cursor::Order,
    event::Event,
    event_type::EventTypePattern,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};

use crate::{Arrivals, StoreError};

/// The place of an event in the log: given in commit order, without gaps that fill later, so a
/// reader past position P never misses one below P. The first is 1; 0 is before every event.
pub type Position = i64;

/// Events of one company to append in one transaction, all or nothing, with their queue rows.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Whose events; every one of them is this company's.
    pub company: CompanyId,
    /// At least one, in the order in which they get their positions.
    pub events: Vec<Arc<Event>>,
    /// The promise not to do it twice, where the publisher asked for it.
    pub idempotency: Option<Idempotency>,
    /// When it was accepted; idempotency and queue ages count from here.
    pub now: UtcMillis,
}

/// An `Idempotency-Key` and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 255 printable ASCII characters, unquoted.
    pub key: String,
    /// SHA-256 over what was asked.
    pub request_hash: [u8; 32],
    /// A key counts as unused again from this time on.
    pub expires: UtcMillis,
}

/// What became of a publication. All of these are durable when they are returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Stored, with everything that is owed for it.
    Stored,
    /// The key was used for the same request before: these are the events it stored then.
    Replayed(Vec<Arc<Event>>),
    /// The key was used for another request.
    KeyReused,
}

/// Which events to read.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Whose.
    pub company: CompanyId,
    /// Any of these; empty for all.
    pub types: Vec<EventTypePattern>,
    /// Oldest or newest first.
    pub order: Order,
    /// Only beyond this position in the query's order; none from the beginning (or the end).
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// A page of events.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// In the query's order.
    pub events: Vec<Arc<Event>>,
    /// The position of each: where to go on behind it.
    pub positions: Vec<Position>,
    /// Where to go on: everything up to here has been looked at, whether it matched or not. Not
    /// beyond the head of the log at the time of reading, and never beyond an event that is yet
    /// to be read.
    pub next: Position,
    /// Whether more may follow at once. A page can be short, even empty, and still have more, as
    /// one read looks at a bounded number of events.
    pub has_more: bool,
}

/// What became of an event at one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Owed, not yet attempted.
    Pending,
    /// Owed, attempted before.
    Retrying,
    /// Delivered.
    Succeeded,
    /// Given up.
    Failed,
    /// The subscription did not want this type when the event was published, or did not exist.
    NotMatched,
    /// The subscription was disabled when the event was published, or disabling it ended the
    /// delivery.
    Disabled,
}

/// One line of an event's trace: the newest delivery to one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryTrace {
    /// To whom.
    pub subscription: SubscriptionId,
    /// What became of it.
    pub state: DeliveryState,
    /// A sentence that says why.
    pub reason: String,
    /// Attempts of the newest delivery so far.
    pub attempts: u32,
    /// When the next is due.
    pub next_attempt: Option<UtcMillis>,
    /// The last attempt's status.
    pub last_status: Option<u16>,
    /// The last attempt's error.
    pub last_error: Option<AttemptError>,
}

/// Append-only: what happened.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends events and one queue row for each subscription that wants one, in one transaction
    /// that is durable when this returns.
    ///
    /// The store matches inside the transaction, so that every subscription change that was
    /// answered before the call began is seen. Rows of subscriptions with room in the attached
    /// [`crate::Handover`] are leased to this node and handed over; the others wait for a claim.
    async fn append(&self, publication: Publication) -> Result<Appended, StoreError>;

    /// What [`EventLog::append`] would answer because the promise's key was used before: the first
    /// answer again, or that it was for another request. None where the key is unused at `now`.
    async fn replayed(
        &self,
        company: &CompanyId,
        promise: &Idempotency,
        now: UtcMillis,
    ) -> Result<Option<Appended>, StoreError>;

    /// A page of a company's events.
    async fn read_events(&self, query: EventQuery) -> Result<EventPage, StoreError>;

    /// The highest position that has been given out: where `cursor=now` starts.
    async fn head(&self) -> Result<Position, StoreError>;

    /// A position behind which every event lies, of whichever company, that was stored at `time` or
    /// later; 0 where there is none. It is that of the last event before the first of these, and
    /// where many were stored around that time, of one up to a minute earlier. Answers by
    /// searching, so in the same time however long the log is.
    async fn position_before(&self, time: UtcMillis) -> Result<Position, StoreError>;

    /// One event; `company` none for whoever's it is.
    async fn event(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Arc<Event>>, StoreError>;

    /// What became of an event at every subscription of its company, oldest subscription first;
    /// none where there is no such event.
    async fn trace(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Vec<DeliveryTrace>>, StoreError>;

    /// The signal that wakes long polls: notified for a company after each commit that appended
    /// to it.
    fn arrivals(&self) -> &Arrivals;
}
