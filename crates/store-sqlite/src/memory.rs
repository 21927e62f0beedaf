//! What the store keeps in memory of the committed state: endpoints, who matches what, keys,
//! leases, the head of the log.
//!
//! The writer alone changes it, after a commit; everybody else reads. What only the writer needs
//! (which deliveries wait, how many are owed) is in [`crate::waiting`] and [`crate::writer`].

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
};

use parking_lot::{Mutex, RwLock};
use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::{ApiKeyId, SubscriptionId},
    matching::MatchIndex,
    subscription::{Endpoint, EventTypes},
    time::UtcMillis,
};
use tidings_store::{Arrivals, Handover, LeaseId, Sealer, StoreMetrics};
use tokio::time::Instant;

/// The number of a subscription inside this database: `subscriptions.seq`.
pub(crate) type Seq = i64;

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
    /// When the last commit succeeded; none since one failed.
    pub(crate) last_commit: Mutex<Option<Instant>>,
    pub(crate) sealer: Sealer,
    pub(crate) metrics: StoreMetrics,
}

/// Every subscription that exists.
#[derive(Default)]
pub(crate) struct Book {
    by_id: HashMap<SubscriptionId, Arc<Entry>>,
    by_seq: HashMap<Seq, Arc<Entry>>,
    matching: HashMap<CompanyId, MatchIndex<Seq>>,
}

/// A subscription as publishing and dispatching need it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: Seq,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) event_types: EventTypes,
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
            last_commit: Mutex::new(None),
            sealer,
            metrics,
        }
    }
}

impl Book {
    /// Adds a subscription, or replaces what was known of it.
    pub(crate) fn put(&mut self, entry: Arc<Entry>) {
        self.remove(entry.seq);
        let endpoint = &entry.endpoint;
        if endpoint.enabled {
            self.matching
                .entry(endpoint.company.clone())
                .or_default()
                .insert(&entry.seq, entry.event_types.patterns());
        }
        self.by_id.insert(endpoint.id, Arc::clone(&entry));
        self.by_seq.insert(entry.seq, entry);
    }

    /// Forgets a subscription.
    pub(crate) fn remove(&mut self, seq: Seq) {
        let Some(entry) = self.by_seq.remove(&seq) else {
            return;
        };
        self.by_id.remove(&entry.endpoint.id);
        let company = &entry.endpoint.company;
        if let Some(index) = self.matching.get_mut(company) {
            index.remove(&seq, entry.event_types.patterns());
            if index.is_empty() {
                self.matching.remove(company);
            }
        }
    }

    /// By its id.
    pub(crate) fn by_id(&self, id: SubscriptionId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    /// By its number.
    pub(crate) fn by_seq(&self, seq: Seq) -> Option<&Arc<Entry>> {
        self.by_seq.get(&seq)
    }

    /// Who wants what in a company; none where nobody wants anything.
    pub(crate) fn matching(&self, company: &CompanyId) -> Option<&MatchIndex<Seq>> {
        self.matching.get(company)
    }
}
