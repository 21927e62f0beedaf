//! The book: every subscription as publishing and dispatching need it, in a store's memory.
//!
//! It holds committed state alone; who changes it, and when, is the store's affair.

use std::{collections::BTreeSet, sync::Arc};

use hashbrown::HashMap;
use tidings_domain::{
    breaker::BreakerState,
    company::CompanyId,
    id::SubscriptionId,
    matching::MatchIndex,
    subscription::{Endpoint, EventTypes},
};

/// The number of a subscription inside a database. Small, so that rows and indexes are small.
pub type Seq = i64;

/// Every subscription that exists.
#[derive(Default)]
pub struct Book {
    by_id: HashMap<SubscriptionId, Arc<BookEntry>>,
    by_seq: HashMap<Seq, Arc<BookEntry>>,
    matching: HashMap<CompanyId, MatchIndex<Seq>>,
    /// Those whose breaker was noted to be anything but closed.
    left_alone: BTreeSet<Seq>,
}

/// A subscription as publishing and dispatching need it.
#[derive(Debug)]
pub struct BookEntry {
    /// Its number.
    pub seq: Seq,
    /// Where its deliveries go, and whether it is owed any.
    pub endpoint: Arc<Endpoint>,
    /// What it wants.
    pub event_types: EventTypes,
}

impl Book {
    /// Adds a subscription, or replaces what was known of it.
    pub fn put(&mut self, entry: Arc<BookEntry>) {
        self.remove(entry.seq);
        let endpoint = &entry.endpoint;
        if endpoint.enabled {
            self.matching
                .entry(endpoint.company.clone())
                .or_default()
                .insert(&entry.seq, entry.event_types.patterns());
            if endpoint.health.breaker != BreakerState::Closed {
                self.left_alone.insert(entry.seq);
            }
        }
        self.by_id.insert(endpoint.id, Arc::clone(&entry));
        self.by_seq.insert(entry.seq, entry);
    }

    /// Forgets a subscription.
    pub fn remove(&mut self, seq: Seq) {
        let Some(entry) = self.by_seq.remove(&seq) else {
            return;
        };
        self.by_id.remove(&entry.endpoint.id);
        self.left_alone.remove(&seq);
        let company = &entry.endpoint.company;
        if let Some(index) = self.matching.get_mut(company) {
            index.remove(&seq, entry.event_types.patterns());
            if index.is_empty() {
                self.matching.remove(company);
            }
        }
    }

    /// By its id.
    #[must_use]
    pub fn by_id(&self, id: SubscriptionId) -> Option<&Arc<BookEntry>> {
        self.by_id.get(&id)
    }

    /// By its number.
    #[must_use]
    pub fn by_seq(&self, seq: Seq) -> Option<&Arc<BookEntry>> {
        self.by_seq.get(&seq)
    }

    /// Enabled endpoints of whichever company whose breaker was noted to be anything but closed, at
    /// most `limit`, in the order of their numbers.
    #[must_use]
    pub fn left_alone(&self, limit: usize) -> Vec<Arc<Endpoint>> {
        let entries = self.left_alone.iter().filter_map(|seq| self.by_seq(*seq));
        entries
            .take(limit)
            .map(|entry| Arc::clone(&entry.endpoint))
            .collect()
    }

    /// Who wants what in a company; none where nobody wants anything.
    #[must_use]
    pub fn matching(&self, company: &CompanyId) -> Option<&MatchIndex<Seq>> {
        self.matching.get(company)
    }
}
