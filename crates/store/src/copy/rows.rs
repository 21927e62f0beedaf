//! Rows on their way from one database to another: what both keep, in the form in which every
//! database keeps it.
//!
//! Times are milliseconds since the Unix epoch, ids the 16 bytes behind the shown form. Nothing is
//! parsed or opened on the way: sealed secrets stay sealed, and bytes stay as they are.

use super::portal_rows::{AuditRow, EventTypeRow, FigureRow, LinkRow, SessionRow, UserRow};
use crate::Seq;

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// API keys.
    Keys(Vec<KeyRow>),
    /// Subscriptions.
    Subscriptions(Vec<SubscriptionRow>),
    /// What subscriptions wanted, and when.
    History(Vec<HistoryRow>),
    /// Events.
    Events(Vec<EventRow>),
    /// Idempotency keys.
    Promises(Vec<PromiseRow>),
    /// What is owed.
    Queue(Vec<QueueRow>),
    /// The delivery log.
    Attempts(Vec<AttemptRow>),
    /// Users of the portal.
    Users(Vec<UserRow>),
    /// Links that are good once.
    Links(Vec<LinkRow>),
    /// Sessions of the portal.
    Sessions(Vec<SessionRow>),
    /// The audit log.
    Audit(Vec<AuditRow>),
    /// Figures.
    Figures(Vec<FigureRow>),
    /// The catalog of event types.
    EventTypes(Vec<EventTypeRow>),
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its number, in the order of making.
    pub seq: i64,
    /// Its id.
    pub id: [u8; 16],
    /// How it is found.
    pub hash: [u8; 32],
    /// A name by and for people.
    pub name: String,
    /// None for the platform's own.
    pub company: Option<String>,
    /// A list as JSON.
    pub scopes: String,
    /// When it ends.
    pub expires_ms: Option<i64>,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last used.
    pub last_used_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
}

/// A subscription, deleted ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Its number, in the order of making.
    pub seq: Seq,
    /// Its id.
    pub id: [u8; 16],
    /// Whose.
    pub company: String,
    /// Where its deliveries go.
    pub url: String,
    /// A list of patterns as JSON.
    pub event_types: String,
    /// A text by and for people.
    pub description: Option<String>,
    /// Whether it is owed anything.
    pub enabled: bool,
    /// Why the server disabled it.
    pub disabled_reason: Option<String>,
    /// By whom.
    pub managed_by: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last changed.
    pub updated_ms: i64,
    /// How often it was changed.
    pub version: i64,
    /// How often it was ended.
    pub epoch: i32,
    /// Sealed; none once deleted.
    pub secret: Option<Vec<u8>>,
    /// Sealed.
    pub previous_secret: Option<Vec<u8>>,
    /// Until when the previous secret signs too.
    pub previous_until_ms: Option<i64>,
    /// When it was deleted.
    pub deleted_ms: Option<i64>,
    /// Its delivery rate.
    pub max_per_second: Option<i32>,
    /// Its circuit breaker.
    pub breaker: String,
    /// Until when the breaker is open.
    pub open_until_ms: Option<i64>,
    /// Since when there was nothing but failures.
    pub failing_since_ms: Option<i64>,
}

/// What a subscription wanted, from which position (exclusive) on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Whose wish.
    pub subscription: Seq,
    /// Where it begins.
    pub after_position: i64,
    /// The company of the subscription.
    pub company: String,
    /// A list of patterns as JSON.
    pub event_types: String,
    /// Whether it was owed anything.
    pub enabled: bool,
    /// In which epoch.
    pub epoch: i32,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the log.
    pub position: i64,
    /// Its id.
    pub id: [u8; 16],
    /// Whose.
    pub company: String,
    /// Its type.
    pub event_type: String,
    /// When it happened.
    pub created_ms: i64,
    /// When it was stored.
    pub stored_ms: i64,
    /// The publisher's bytes.
    pub payload: Vec<u8>,
    /// The publisher's bytes; none for an empty object.
    pub metadata: Option<Vec<u8>>,
}

/// A promise not to publish twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseRow {
    /// Its number, in the order in which promises were given and so end.
    pub seq: i64,
    /// To whom.
    pub company: String,
    /// The idempotency key.
    pub key: String,
    /// What was asked.
    pub request_hash: [u8; 32],
    /// The first event that it stored.
    pub first_position: i64,
    /// How many events it stored.
    pub events: i64,
    /// When it ends.
    pub expires_ms: i64,
}

/// A delivery that is owed, or a dead one that is kept for the trace. Nobody holds one that is on
/// its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Of which event.
    pub position: i64,
    /// To whom.
    pub subscription: Seq,
    /// How often it was asked for again.
    pub round: i32,
    /// The event's id.
    pub event: [u8; 16],
    /// The event's company.
    pub company: String,
    /// When it is due.
    pub due_ms: i64,
    /// Whether it ended before its first attempt and is kept for the trace alone.
    pub dead: bool,
    /// The epoch of the subscription in which it became owed.
    pub epoch: i32,
    /// Attempts so far.
    pub attempts: i32,
    /// When the first one was.
    pub first_attempt_ms: Option<i64>,
    /// Since when it is owed.
    pub owed_since_ms: i64,
}

/// A line of the delivery log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number, in the order of the log.
    pub seq: i64,
    /// Its id.
    pub id: [u8; 16],
    /// The subscription's company.
    pub company: String,
    /// To whom.
    pub subscription: Seq,
    /// The event's place in the log.
    pub position: i64,
    /// The event's id.
    pub event: [u8; 16],
    /// The round of the delivery.
    pub round: i32,
    /// The event's type.
    pub event_type: String,
    /// Which attempt of the delivery it was.
    pub number: i32,
    /// When it was made.
    pub attempted_ms: i64,
    /// How long it took.
    pub elapsed_ms: i64,
    /// The word for what went wrong; none where it succeeded.
    pub error: Option<String>,
    /// The status of the response.
    pub status: Option<i32>,
    /// When the next one was to be.
    pub next_attempt_ms: Option<i64>,
    /// Whether a retry was due but the delivery had been ended.
    pub ended: bool,
    /// Where it went.
    pub url: String,
    /// Who it said it was.
    pub user_agent: String,
    /// The signatures, packed.
    pub signatures: Option<Vec<u8>>,
    /// Pairs as JSON; none for none.
    pub response_headers: Option<Vec<u8>>,
    /// Whether more of the response was not kept.
    pub body_truncated: bool,
    /// The response's beginning.
    pub response_body: Vec<u8>,
}

impl Rows {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Keys(rows) => rows.len(),
            Self::Subscriptions(rows) => rows.len(),
            Self::History(rows) => rows.len(),
            Self::Events(rows) => rows.len(),
            Self::Promises(rows) => rows.len(),
            Self::Queue(rows) => rows.len(),
            Self::Attempts(rows) => rows.len(),
            Self::Users(rows) => rows.len(),
            Self::Links(rows) => rows.len(),
            Self::Sessions(rows) => rows.len(),
            Self::Audit(rows) => rows.len(),
            Self::Figures(rows) => rows.len(),
            Self::EventTypes(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
