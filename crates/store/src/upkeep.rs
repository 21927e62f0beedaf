//! What keeps a store healthy: retention, checks, figures.

use async_trait::async_trait;
use tidings_domain::time::UtcMillis;

use crate::StoreError;

/// How long things are kept, in milliseconds; none for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events; those that are still owed stay.
    pub events_ms: Option<i64>,
    /// Attempts.
    pub attempts_ms: Option<i64>,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries owed, those in flight included.
    pub owed: u64,
    /// When the oldest of them became owed.
    pub oldest: Option<UtcMillis>,
}

/// What keeps a store healthy.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// One bounded step of housekeeping: drops what retention, expired idempotency keys and ended
    /// deliveries leave behind, and writes when keys were last used. True where more remains to
    /// be done. Writes nothing where there is nothing to do.
    async fn tidy(&self, now: UtcMillis, retention: Retention) -> Result<bool, StoreError>;

    /// Proves that a commit is possible right now. For `/readyz`: cheap, and bounded in time.
    async fn check(&self) -> Result<(), StoreError>;

    /// What waits, from memory or one short read.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// Finishes what was handed in and closes the database.
    async fn close(&self) -> Result<(), StoreError>;
}
