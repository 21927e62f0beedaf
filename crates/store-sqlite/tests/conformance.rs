//! The conformance suite on a SQLite file of each case's own.

mod directory;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_domain::{
    random::{Random, SeededRandom},
    time::UtcMillis,
};
use tidings_store::{EncryptionKey, Store, StoreMetrics};
use tidings_store_conformance::Harness;
use tidings_store_sqlite::{SqliteOptions, SqliteStore};

use directory::Directory;

/// Where the database is now: a crash moves on to a copy.
struct SqliteHarness {
    directory: Mutex<Directory>,
    random: Arc<dyn Random>,
}

impl Default for SqliteHarness {
    fn default() -> Self {
        Self {
            directory: Mutex::new(Directory::new()),
            random: Arc::new(SeededRandom::new(1)),
        }
    }
}

impl SqliteHarness {
    fn open(&self) -> Arc<dyn Store> {
        let options = SqliteOptions {
            path: self.directory.lock().database(),
            encryption_key: EncryptionKey::new([7; 32]),
            random: Arc::clone(&self.random),
            now: UtcMillis::from_millis(1_700_000_000_000),
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
            // What a crash leaves behind: the files as they are while everything runs.
            let copy = self.directory.lock().copy_of_database();
            drop(store);
            *self.directory.lock() = copy;
        }
        self.open()
    }

    async fn at_rest(&self) -> Vec<u8> {
        let database = self.directory.lock().database();
        let log = database.with_file_name("tidings.db-wal");
        let read = |file| std::fs::read(file).expect("the file can be read");
        [database, log]
            .into_iter()
            .filter(|file| file.exists())
            .flat_map(read)
            .collect()
    }
}

tidings_store_conformance::suite!(SqliteHarness);
