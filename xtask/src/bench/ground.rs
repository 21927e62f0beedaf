//! What the servers stand on: a SQLite file, or a PostgreSQL of the benchmark's own, with what each
//! costs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use clap::ValueEnum;
use tidings_test_cluster::{Cluster, Options};

use crate::{server_process::Storage, step::output_of};

/// How PostgreSQL is set up, beside its defaults: as docs/operating.md advises for a machine of
/// this size.
const SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_compression", "on"),
];

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatabaseKind {
    /// The embedded one
    Sqlite,
    /// A private PostgreSQL on this machine, started for the benchmark
    Postgres,
}

/// The database that is measured.
#[derive(Debug)]
pub(crate) enum Ground {
    /// A file for each run.
    Sqlite { directory: PathBuf },
    /// A database for each run.
    Postgres {
        cluster: Box<Cluster>,
        runs: AtomicU32,
    },
}

/// What PostgreSQL has used up so far; nothing with SQLite, which is part of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroundUsage {
    /// CPU time of all its processes, in microseconds.
    pub(super) cpu_us: u64,
    /// Bytes that it wrote to its log of changes.
    pub(super) wal_bytes: u64,
}

impl Ground {
    /// Starts what is needed.
    pub(crate) fn prepare(kind: DatabaseKind, directory: &Path) -> Self {
        match kind {
            DatabaseKind::Sqlite => Self::Sqlite {
                directory: directory.to_owned(),
            },
            DatabaseKind::Postgres => {
                let setting = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
                let options = Options {
                    settings: SETTINGS.iter().map(setting).collect(),
                    ..Options::default()
                };
                Self::Postgres {
                    cluster: Box::new(Cluster::start(&options)),
                    runs: AtomicU32::new(0),
                }
            }
        }
    }

    /// A database for one run. With PostgreSQL the one of the run before is dropped, and what it
    /// left to do is done.
    pub(crate) fn fresh(&self) -> anyhow::Result<Storage> {
        match self {
            Self::Sqlite { directory } => {
                fs::create_dir_all(directory)?;
                let path = directory.join("tidings.db");
                for ending in ["db", "db-wal", "db-shm", "db.lock"] {
                    let file = path.with_extension(ending);
                    if file.exists() {
                        fs::remove_file(file)?;
                    }
                }
                Ok(Storage::Sqlite(path))
            }
            Self::Postgres { cluster, runs } => {
                if runs.fetch_add(1, Ordering::Relaxed) > 0 {
                    let former = runs.load(Ordering::Relaxed) - 1;
                    cluster.sql(
                        "postgres",
                        &format!("DROP DATABASE tidings_{former} (FORCE)"),
                    );
                }
                let database = cluster.database();
                cluster.sql("postgres", "CHECKPOINT");
                Ok(Storage::Postgres(database.url().to_owned()))
            }
        }
    }

    /// Has a run's database do at once what it would do in the minutes after many rows were
    /// written, and everything written reach the disk.
    pub(crate) fn come_to_rest(&self, storage: &Storage) -> anyhow::Result<()> {
        if let (Self::Postgres { cluster, .. }, Storage::Postgres(url)) = (self, storage) {
            let (_, name) = url.rsplit_once('/').context("a URL ends in a database")?;
            cluster.sql(name, "VACUUM ANALYZE");
            cluster.sql(name, "CHECKPOINT");
        }
        output_of(&mut Command::new("sync")).map(drop)
    }

    /// What it has used up so far.
    pub(super) fn usage(&self) -> GroundUsage {
        match self {
            Self::Sqlite { .. } => GroundUsage::default(),
            Self::Postgres { cluster, .. } => GroundUsage {
                cpu_us: cluster.cpu_us(),
                wal_bytes: cluster.wal_bytes(),
            },
        }
    }

    /// Bytes that a run's database takes on disk, once its servers have stopped.
    pub(crate) fn bytes(&self, storage: &Storage) -> anyhow::Result<u64> {
        match (self, storage) {
            (Self::Postgres { cluster, .. }, Storage::Postgres(url)) => {
                let (_, name) = url.rsplit_once('/').context("a URL ends in a database")?;
                let size = cluster.sql(name, "SELECT pg_database_size(current_database())");
                size.parse().context("PostgreSQL's size of a database")
            }
            (_, Storage::Sqlite(path)) => sqlite_bytes(path),
            (Self::Sqlite { .. }, Storage::Postgres(_)) => anyhow::bail!("not a file"),
        }
    }
}

/// The file and what has not been moved into it yet.
fn sqlite_bytes(database: &Path) -> anyhow::Result<u64> {
    let log = database.with_extension("db-wal");
    let bytes = fs::metadata(database)
        .with_context(|| format!("cannot see {}", database.display()))?
        .len();
    Ok(bytes + fs::metadata(log).map_or(0, |file| file.len()))
}
