//! Stores under test: each on a database of its own in the cluster that this process shares.

use std::{
    fs,
    sync::{Arc, atomic::AtomicI64},
};

use async_trait::async_trait;
use rustls::RootCertStore;
use tidings_domain::{
    clock::ManualClock,
    random::{Random, SeededRandom},
    time::UtcMillis,
};
use tidings_store::{EncryptionKey, Store, StoreMetrics};
use tidings_store_conformance::Harness;
use tidings_store_postgres::{PostgresOptions, PostgresStore};
use tidings_test_cluster::{Cluster, Database};

/// When the stores of cases are opened, 2033-05-18: years after anything that they do, so that
/// theirs is in no partition until housekeeping makes some.
pub(crate) fn opened() -> UtcMillis {
    UtcMillis::from_millis(2_000_000_000_000)
}

/// One database, for as many stores as are opened on it.
pub(crate) struct PostgresHarness {
    pub(crate) database: Database,
    random: Arc<dyn Random>,
}

impl Default for PostgresHarness {
    fn default() -> Self {
        Self {
            database: Cluster::shared().database(),
            random: Arc::new(SeededRandom::new(1)),
        }
    }
}

impl PostgresHarness {
    /// A store of this database, as one more node.
    pub(crate) async fn open_at(&self, now: UtcMillis) -> Arc<dyn Store> {
        let options = PostgresOptions {
            url: self.database.url().to_owned(),
            roots: RootCertStore::empty(),
            encryption_key: EncryptionKey::new([7; 32]),
            random: Arc::clone(&self.random),
            now,
            clock: Arc::new(ManualClock::at(now)),
            clock_offset_ms: Arc::new(AtomicI64::new(0)),
            metrics: StoreMetrics::default(),
            writer_queue_max: 10_000,
            connections_max: 8,
        };
        let store = PostgresStore::open(options).await;
        Arc::new(store.expect("the database opens"))
    }

    /// What a statement selects, a row per line.
    pub(crate) fn sql(&self, sql: &str) -> String {
        Cluster::shared().sql(self.database.name(), sql)
    }
}

#[async_trait]
impl Harness for PostgresHarness {
    async fn fresh(&self) -> Arc<dyn Store> {
        self.open_at(opened()).await
    }

    async fn reopen(&self, store: Arc<dyn Store>, cleanly: bool) -> Arc<dyn Store> {
        if cleanly {
            store.close().await.expect("it closes");
        }
        drop(store);
        self.open_at(opened()).await
    }

    /// The files of all tables and indexes.
    async fn at_rest(&self) -> Vec<u8> {
        self.sql("CHECKPOINT");
        let files = self.sql(
            "SELECT pg_relation_filepath(oid) FROM pg_class
             WHERE pg_relation_filepath(oid) IS NOT NULL AND relnamespace IN (
                 'public'::regnamespace, 'pg_toast'::regnamespace)",
        );
        let data = Cluster::shared().directory().join("data");
        let read = |file| fs::read(data.join(file)).expect("the file can be read");
        files.lines().flat_map(read).collect()
    }
}
