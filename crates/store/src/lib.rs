//! What Tidings asks of a database, as traits: one method is one use case is one transaction.
//!
//! A crash between two methods loses nothing; a crash inside one changes nothing. [`Store`] is the
//! sum of its parts: [`EventLog`] appends and reads events, [`DeliveryQueue`] holds what is still
//! owed, [`AttemptLog`] what was done, [`SubscriptionBook`] who wants what, [`KeyRing`] who may
//! call, [`People`] who may use the portal, [`AuditLog`] who changed what, [`Catalog`] which
//! event types there are, [`Dashboards`] what people look at, [`Upkeep`] everything that keeps it healthy. The crates `store-sqlite` and (for many
//! nodes) `store-postgres` implement them; `store-conformance` says what every implementation
//! must do. [`Handover`] is the one thing that the publishing side and the dispatcher share.

mod attempt_log;
pub mod audit_log;
mod book;
mod catalog;
pub mod copy;
mod dashboards;
mod delivery_queue;
mod error;
mod event_log;
mod figure_counts;
mod handover;
mod key_ring;
mod metrics;
mod people;
mod rounds;
mod sealing;
mod signals;
mod stored_forms;
mod stored_subscription;
mod subscription_book;
mod telling;
mod upkeep;

pub use attempt_log::{
    AttemptFilter, AttemptLog, AttemptPage, AttemptSearch, AttemptsFound, OutcomeFilter,
    PlacedAttempt, StatusFilter,
};
pub use audit_log::{AuditLog, AuditPage, AuditQuery, AuditScope};
pub use book::{Book, BookEntry, Seq};
pub use catalog::{Catalog, TypeSaved};
pub use dashboards::{CompanyBacklog, Dashboards, FigureRow, FigureScope};
pub use delivery_queue::{
    Claimed, Delivery, DeliveryKey, DeliveryQueue, LeaseId, Redelivered, Renewal, ReplayCount,
    ReplayProgress, ReplayScope, ReplayWindow, Replayed, Settled, Settlement,
};
pub use error::StoreError;
pub use event_log::{
    Appended, DeliveryState, DeliveryTrace, EventLog, EventPage, EventQuery, Idempotency, Position,
    Publication,
};
pub use figure_counts::{CountedScope, FigureCounts, FigureSum};
pub use handover::{Bound, Handover, HandoverLimits, Place};
pub use key_ring::{KeyRing, NewApiKey};
pub use metrics::StoreMetrics;
pub use people::{Link, LinkPurpose, People, Session, SessionsOf, User, UserDeleted, UserMade};
pub use rounds::{Again, QueuedRound, Rounds};
pub use sealing::{EncryptionKey, Sealed, Sealer, SealingError};
pub use signals::Arrivals;
pub use stored_forms::{
    StoredFormError, changes_from_json, changes_to_json, headers_from_json, headers_to_json,
    outcome_from_word, outcome_to_word, scopes_from_json, scopes_to_json, signatures_from_bytes,
    types_from_json, types_to_json,
};
pub use stored_subscription::StoredSubscription;
pub use subscription_book::{
    Deleted, NewSubscription, Rotated, SubscriptionBook, SubscriptionChange, SubscriptionPage,
    Updated,
};
pub use telling::{LastAttempt, LastAttempts, OwedRound, Traced, Wish};
pub use upkeep::{Backlog, Retention, Upkeep};

/// A database that can do everything Tidings needs.
pub trait Store:
    EventLog
    + DeliveryQueue
    + AttemptLog
    + SubscriptionBook
    + KeyRing
    + Upkeep
    + Catalog
    + People
    + AuditLog
    + Dashboards
{
}

impl<T> Store for T where
    T: EventLog
        + DeliveryQueue
        + AttemptLog
        + SubscriptionBook
        + KeyRing
        + Upkeep
        + Catalog
        + People
        + AuditLog
        + Dashboards
{
}
