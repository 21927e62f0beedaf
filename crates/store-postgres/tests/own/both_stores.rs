//! Both databases give the same answers: one random plan on each, word for word.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_domain::random::{Random, SeededRandom};
use tidings_store::{EncryptionKey, Store, StoreMetrics};
use tidings_store_conformance::{Harness, plan};
use tidings_store_sqlite::{SqliteOptions, SqliteStore};

use crate::{
    directory::Directory,
    harness::{PostgresHarness, opened},
};

/// How many operations each plan has.
const OPERATIONS: usize = 500;

struct SqliteHarness {
    directory: Mutex<Directory>,
    random: Arc<dyn Random>,
}

impl SqliteHarness {
    fn new() -> Self {
        Self {
            directory: Mutex::new(Directory::new()),
            random: Arc::new(SeededRandom::new(1)),
        }
    }

    fn open(&self) -> Arc<dyn Store> {
        let options = SqliteOptions {
            path: self.directory.lock().database(),
            encryption_key: EncryptionKey::new([7; 32]),
            random: Arc::clone(&self.random),
            now: opened(),
            metrics: StoreMetrics::default(),
            writer_queue_max: 10_000,
            readers: 2,
        };
        Arc::new(SqliteStore::open(options).expect("the database opens"))
    }
}

#[async_trait]
impl Harness for SqliteHarness {
    async fn fresh(&self) -> Arc<dyn Store> {
        self.open()
    }

    async fn reopen(&self, store: Arc<dyn Store>, cleanly: bool) -> Arc<dyn Store> {
        if cleanly {
            store.close().await.expect("it closes");
        } else {
            let copy = self.directory.lock().copy_of_database();
            drop(store);
            *self.directory.lock() = copy;
        }
        self.open()
    }

    async fn at_rest(&self) -> Vec<u8> {
        std::fs::read(self.directory.lock().database()).expect("the file can be read")
    }
}

async fn agree(seed: u64) {
    let on_postgres = plan::follow(&PostgresHarness::default(), seed, OPERATIONS).await;
    let on_sqlite = plan::follow(&SqliteHarness::new(), seed, OPERATIONS).await;
    for (step, lines) in on_sqlite.iter().zip(&on_postgres).enumerate() {
        let (sqlite, postgres) = lines;
        assert_eq!(sqlite, postgres, "seed {seed}, step {step}");
    }
    assert_eq!(on_sqlite.len(), on_postgres.len(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_is_answered_alike() {
    agree(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_77_is_answered_alike() {
    agree(77).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4711_is_answered_alike() {
    agree(4711).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_20_261_125_is_answered_alike() {
    agree(20_261_125).await;
}
