//! What a node keeps in memory of the committed state: endpoints, who matches what, keys.
//!
//! [`crate::refresh`] alone changes the book and the keys, from what the database says; everybody
//! else reads. Other nodes change the database too, so memory can be behind: whoever must not be
//! wrong compares versions inside a transaction.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicI64, AtomicUsize},
    },
};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{Arrivals, Book, Handover, LeaseId, Sealer, StoreMetrics};
use tokio::time::Instant;
use uuid::Uuid;

use crate::figures::Counted;

/// Shared by everything that works on one store.
pub(crate) struct Memory {
    pub(crate) book: RwLock<Book>,
    pub(crate) keys: RwLock<HashMap<KeyHash, ApiKey>>,
    /// The `log_heads.book_version` up to which `book` and `keys` are known.
    pub(crate) book_version: AtomicI64,
    /// Held by whoever brings `book` and `keys` up to date.
    pub(crate) refreshing: tokio::sync::Mutex<()>,
    /// When keys were last used, where that is yet to be written.
    pub(crate) touched: Mutex<Touched>,
    /// Figures that are yet to be written.
    pub(crate) figures: Counted,
    /// How far housekeeping got.
    pub(crate) tidied: Mutex<Tidied>,
    /// Who takes fresh work.
    pub(crate) attached: Mutex<Option<(LeaseId, Arc<Handover>)>>,
    /// Leases that this node has taken and not ended.
    pub(crate) own_leases: Mutex<BTreeSet<LeaseId>>,
    /// The process of PostgreSQL that works for the writer, 0 for none: what it tells others is no
    /// news here.
    pub(crate) writer_process: AtomicI32,
    pub(crate) arrivals: Arrivals,
    /// Other nodes that hold a lease, as of the last look: without any, nobody needs to be told.
    pub(crate) peers: AtomicUsize,
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

/// How far this node's housekeeping got.
#[derive(Default)]
pub(crate) struct Tidied {
    /// Where the look at old events goes on, by table: what is owed stays behind.
    pub(crate) events_after: HashMap<String, Uuid>,
    /// When partitions could last not be made or dropped, because somebody read them.
    pub(crate) partitions_busy: Option<UtcMillis>,
}

impl Memory {
    pub(crate) fn new(sealer: Sealer, metrics: StoreMetrics) -> Self {
        Self {
            book: RwLock::default(),
            keys: RwLock::default(),
            book_version: AtomicI64::new(0),
            refreshing: tokio::sync::Mutex::default(),
            touched: Mutex::default(),
            figures: Counted::default(),
            tidied: Mutex::default(),
            attached: Mutex::default(),
            own_leases: Mutex::default(),
            writer_process: AtomicI32::new(0),
            arrivals: Arrivals::default(),
            peers: AtomicUsize::new(0),
            last_commit: Mutex::new(None),
            sealer,
            metrics,
        }
    }

    /// Tells who takes work here that there is something to look for in the table.
    pub(crate) fn wake(&self) {
        let attached = self.attached.lock();
        if let Some((_, handover)) = &*attached {
            handover.wake();
        }
    }

    /// The numbers of this node's leases.
    pub(crate) fn own_leases(&self) -> Vec<i64> {
        let own = self.own_leases.lock();
        own.iter().map(|lease| lease.0).collect()
    }
}
