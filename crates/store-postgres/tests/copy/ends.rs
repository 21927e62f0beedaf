//! The two ends of a copy: a file of a test's own, and a database in the shared cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use rustls::RootCertStore;
use tidings_domain::{
    clock::{Clock, ManualClock},
    random::{Random, SeededRandom},
    time::UtcMillis,
};
use tidings_store::{
    EncryptionKey, StoreError, StoreMetrics,
    copy::{
        self, Batch, CopyError, CopyOutcome, CopyTarget, PerTable, Progress, Start, Survey, Tally,
    },
};
use tidings_store_postgres::{OpenError, PostgresCopyTarget, PostgresOptions, PostgresStore};
use tidings_store_sqlite::{SqliteOptions, SqliteSource, SqliteStore};

/// The moment at which the conformance suite's clock begins.
pub(crate) fn now() -> UtcMillis {
    UtcMillis::from_millis(1_767_225_600_000)
}

/// A directory with a database in it, removed at the end.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

/// A target that breaks at a write, and says nothing before it is dropped.
pub(crate) struct Breaking {
    pub(crate) target: PostgresCopyTarget,
    pub(crate) writes_left: usize,
}

pub(crate) fn key(byte: u8) -> EncryptionKey {
    EncryptionKey::new([byte; 32])
}

pub(crate) fn open_sqlite(path: &Path, random: &Arc<dyn Random>) -> SqliteStore {
    let options = SqliteOptions {
        path: path.to_owned(),
        encryption_key: key(7),
        random: Arc::clone(random),
        now: now(),
        metrics: StoreMetrics::default(),
        writer_queue_max: 10_000,
        readers: 2,
    };
    SqliteStore::open(options).expect("the file opens")
}

pub(crate) async fn open_postgres(
    url: &str,
    random: &Arc<dyn Random>,
) -> Result<PostgresStore, OpenError> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    PostgresStore::open(PostgresOptions {
        url: url.to_owned(),
        roots: RootCertStore::empty(),
        encryption_key: key(7),
        random: Arc::clone(random),
        now: now(),
        clock,
        clock_offset_ms: Arc::new(AtomicI64::new(0)),
        metrics: StoreMetrics::default(),
        writer_queue_max: 10_000,
        connections_max: 4,
    })
    .await
}

pub(crate) fn source(path: &Path) -> SqliteSource {
    let random = Arc::new(SeededRandom::new(11));
    SqliteSource::open(path, &key(7), random).expect("the file opens")
}

pub(crate) async fn target(url: &str, key_byte: u8) -> PostgresCopyTarget {
    let random = Arc::new(SeededRandom::new(12));
    PostgresCopyTarget::open(url, RootCertStore::empty(), &key(key_byte), random, now())
        .await
        .expect("the database opens")
}

/// Copies the whole file.
pub(crate) async fn copy_all(path: &Path, url: &str) -> Result<CopyOutcome, CopyError> {
    copy::run(source(path), &mut target(url, 7).await, |_, _| {}).await
}

/// Copies with a break after so many writes.
pub(crate) async fn copy_some(path: &Path, url: &str, writes: usize) -> CopyError {
    let mut breaking = Breaking {
        target: target(url, 7).await,
        writes_left: writes,
    };
    let copied = copy::run(source(path), &mut breaking, |_, _| {}).await;
    copied.map(drop).expect_err("it breaks before the end")
}

#[async_trait]
impl CopyTarget for Breaking {
    async fn begin(&mut self, survey: &Survey) -> Result<(Start, PerTable<Progress>), CopyError> {
        self.target.begin(survey).await
    }

    async fn write(&mut self, batch: Batch, progress: Progress) -> Result<(), CopyError> {
        if self.writes_left == 0 {
            return Err(StoreError::Unavailable("broken on purpose".to_owned()).into());
        }
        self.writes_left -= 1;
        self.target.write(batch, progress).await
    }

    async fn tally(&mut self) -> Result<Tally, CopyError> {
        Err(StoreError::Unavailable("broken at the latest".to_owned()).into())
    }

    async fn seal(&mut self, survey: &Survey) -> Result<(), CopyError> {
        self.target.seal(survey).await
    }
}

impl Directory {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidings-copy-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        // A process of the same number may have left one behind.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Self(path)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("tidings.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left to the system's own tidying where it does not work.
        let _ = fs::remove_dir_all(&self.0);
    }
}
