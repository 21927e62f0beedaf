//! What the store keeps in memory of the committed state: endpoints, who matches what, keys,
//! leases, the head of the log, how many deliveries are owed, figures that are yet to be written, the
//! end of the delivery log.
//!
//! The writer alone changes it, after a commit; everybody else reads. What only the writer needs
//! (which deliveries wait, the next numbers) is in [`crate::state`].

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64},
};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{Arrivals, Handover, LeaseId, Sealer, StoreMetrics};
pub(crate) use tidings_store::{Book, BookEntry as Entry, Seq};
use tokio::time::Instant;

use crate::{figure_memory::FigureMemory, log_index::Tail};

/// Shared by the writer, the readers and the callers.
pub(crate) struct Memory {
    pub(crate) book: RwLock<Book>,
    pub(crate) keys: RwLock<HashMap<KeyHash, ApiKey>>,
    /// When keys were last used, where that is yet to be written.
    pub(crate) touched: Mutex<Touched>,
    /// Leases that stand, and until when.
    pub(crate) leases: Mutex<HashMap<LeaseId, UtcMillis>>,
    /// Who takes fresh work.
    pub(crate) attached: Mutex<Option<(LeaseId, Arc<Handover>)>>,
    pub(crate) arrivals: Arrivals,
    /// The highest position given out and committed.
    pub(crate) head: AtomicI64,
    /// Deliveries owed.
    pub(crate) owed: AtomicU64,
    /// The same per subscription; dead rows do not count.
    pub(crate) owed_by_subscription: Mutex<HashMap<Seq, u64>>,
    /// The end of the delivery log.
    pub(crate) tail: Mutex<Tail>,
    pub(crate) figures: FigureMemory,
    /// When the last commit succeeded; none since one failed.
    pub(crate) last_commit: Mutex<Option<Instant>>,
    pub(crate) sealer: Sealer,
    pub(crate) metrics: StoreMetrics,
}

/// Uses of keys that are yet to be written.
#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) keys: HashMap<ApiKeyId, UtcMillis>,
    pub(crate) written: Option<UtcMillis>,
}

impl Memory {
    pub(crate) fn new(sealer: Sealer, metrics: StoreMetrics) -> Self {
        Self {
            book: RwLock::default(),
            keys: RwLock::default(),
            touched: Mutex::default(),
            leases: Mutex::default(),
            attached: Mutex::default(),
            arrivals: Arrivals::default(),
            head: AtomicI64::new(0),
            owed: AtomicU64::new(0),
            owed_by_subscription: Mutex::default(),
            tail: Mutex::default(),
            figures: FigureMemory::default(),
            last_commit: Mutex::new(None),
            sealer,
            metrics,
        }
    }
}
