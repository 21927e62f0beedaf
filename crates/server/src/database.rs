//! The two databases that there are, behind one door: the only place that names either.
//!
//! [`open`] gives a node its store; [`migrate`] and [`beside`] are the short work of commands
//! beside servers that may be running, and [`open_copy`] is for the one that moves from one database
//! to the other. What else differs between the two is decided here as well: where the encryption key
//! comes from, and which clock a node goes by.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tidings_delivery::trust_roots;
use tidings_domain::{clock::Clock, cursor::CursorKey, random::Random, time::UtcMillis};
use tidings_store::{
    EncryptionKey, KeyRing, People, Store, StoreMetrics,
    copy::{CopySource, CopyTarget},
};
use tidings_store_postgres::{PostgresCopyTarget, PostgresOptions, PostgresStore};
use tidings_store_sqlite::{SqliteOptions, SqliteSource, SqliteStore};

use crate::{
    clock::FollowingClock,
    config::{ConnectionsConfig, DatabaseConfig, DatabaseUrl, PostgresUrl, SecretText},
    encryption_key,
    node::Surroundings,
};

/// Commands that may wait for the store's writer; beyond that the API answers 503.
const WRITER_QUEUE_MAX: usize = 4096;
/// Threads that read from the embedded database.
const READERS: usize = 4;

/// A store that is open, and what belongs to its installation.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cursor_key: CursorKey,
    /// What the node goes by: the machine's clock, or the one that all nodes share.
    pub(crate) clock: Arc<dyn Clock>,
    /// How the database is called, without secrets.
    pub(crate) name: String,
}

/// What [`migrate`] did.
pub(crate) struct Migrated {
    /// How the database is called, without secrets.
    pub(crate) name: String,
    /// The schema it had; 0 where it was just made.
    pub(crate) from: u32,
    /// The schema it has.
    pub(crate) to: u32,
}

/// Opens the database for a server.
pub(crate) async fn open(
    config: &DatabaseConfig,
    connections: &ConnectionsConfig,
    surroundings: &Surroundings,
    metrics: StoreMetrics,
) -> anyhow::Result<Opened> {
    let url = config.url()?;
    let name = url.to_string();
    match &url {
        DatabaseUrl::Sqlite(path) => open_sqlite(path, name, config, surroundings, metrics).await,
        DatabaseUrl::Postgres(url) => {
            let most = connections.database_connections.0;
            open_postgres(url, name, config, most, surroundings, metrics).await
        }
    }
}

/// From where to where a copy goes, and how to get there.
pub(crate) struct CopyEnds {
    /// The embedded database.
    pub(crate) from: PathBuf,
    pub(crate) to: PostgresUrl,
    /// None where it is in the file beside the embedded database.
    pub(crate) encryption_key: Option<SecretText>,
    /// Whom to trust beside the system's authorities.
    pub(crate) root_ca: Option<PathBuf>,
}

/// Opens both ends of a copy: the embedded database for this command alone, and PostgreSQL's.
pub(crate) async fn open_copy(
    ends: CopyEnds,
    now: UtcMillis,
    random: Arc<dyn Random>,
) -> anyhow::Result<(impl CopySource, Box<dyn CopyTarget>)> {
    let CopyEnds { from, to, .. } = ends;
    if !encryption_key::is_database_at(&from) {
        bail!(
            "there is no database {}; name the file with --from",
            from.display()
        );
    }
    let roots = roots(ends.root_ca.as_deref())?;
    let given = ends.encryption_key.as_ref();
    let key = encryption_key::resolve(given, &from, random.as_ref())?.key;
    let (key_of_source, random_of_source) = (key.clone(), Arc::clone(&random));
    let opened = tokio::task::spawn_blocking(move || {
        SqliteSource::open(&from, &key_of_source, random_of_source)
    });
    let source = opened.await.context("opening the database broke off")??;
    let target = PostgresCopyTarget::open(to.expose(), roots, &key, random, now).await?;
    Ok((source, Box::new(target)))
}

/// Brings the database to this program's schema.
pub(crate) async fn migrate(
    config: &DatabaseConfig,
    random: &dyn Random,
) -> anyhow::Result<Migrated> {
    let url = config.url()?;
    let name = url.to_string();
    let (from, to) = match &url {
        DatabaseUrl::Sqlite(path) => {
            ensure_key_of_new(path, config, random)?;
            let report = SqliteStore::migrate_only(path)?;
            (report.from, report.to)
        }
        DatabaseUrl::Postgres(url) => {
            let report = PostgresStore::migrate_only(
                url.expose(),
                roots(config.database_root_ca.as_deref())?,
            )
            .await?;
            (report.from, report.to)
        }
    };
    Ok(Migrated { name, from, to })
}

/// What commands change in a database, whether servers are running on it or not.
pub(crate) trait Beside: KeyRing + People {}

impl<T: KeyRing + People> Beside for T {}

/// Opens the database for a command.
pub(crate) async fn beside(
    config: &DatabaseConfig,
    random: &dyn Random,
) -> anyhow::Result<Box<dyn Beside>> {
    match config.url()? {
        DatabaseUrl::Sqlite(path) => {
            ensure_key_of_new(&path, config, random)?;
            Ok(Box::new(SqliteStore::open_beside(&path)?))
        }
        DatabaseUrl::Postgres(url) => {
            let beside = PostgresStore::open_beside(
                url.expose(),
                roots(config.database_root_ca.as_deref())?,
            )
            .await?;
            Ok(Box::new(beside))
        }
    }
}

async fn open_sqlite(
    path: &Path,
    name: String,
    config: &DatabaseConfig,
    surroundings: &Surroundings,
    metrics: StoreMetrics,
) -> anyhow::Result<Opened> {
    let encryption_key = key_beside(path, config, surroundings.random.as_ref())?;
    let cursor_key = cursor_key(&encryption_key);
    let options = SqliteOptions {
        path: path.to_owned(),
        encryption_key,
        random: Arc::clone(&surroundings.random),
        now: surroundings.clock.now(),
        metrics,
        writer_queue_max: WRITER_QUEUE_MAX,
        readers: READERS,
    };
    // A migration may take a while.
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await;
    let store = opened.context("opening the database broke off")??;
    Ok(Opened {
        store: Arc::new(store),
        cursor_key,
        clock: Arc::clone(&surroundings.clock),
        name,
    })
}

async fn open_postgres(
    url: &PostgresUrl,
    name: String,
    config: &DatabaseConfig,
    connections_max: usize,
    surroundings: &Surroundings,
    metrics: StoreMetrics,
) -> anyhow::Result<Opened> {
    let encryption_key = encryption_key::shared(config.encryption_key.as_ref())?;
    let cursor_key = cursor_key(&encryption_key);
    // Nodes compare each other's times, so they all go by the one clock that they share.
    let clock = FollowingClock::new(Arc::clone(&surroundings.clock));
    let options = PostgresOptions {
        url: url.expose().to_owned(),
        roots: roots(config.database_root_ca.as_deref())?,
        encryption_key,
        random: Arc::clone(&surroundings.random),
        now: clock.now(),
        clock: Arc::clone(&surroundings.clock),
        clock_offset_ms: clock.ahead_ms(),
        metrics,
        writer_queue_max: WRITER_QUEUE_MAX,
        connections_max,
    };
    let store = PostgresStore::open(options).await?;
    Ok(Opened {
        store: Arc::new(store),
        cursor_key,
        clock: Arc::new(clock),
        name,
    })
}

/// A command needs no key; but a file that it makes is given one, as the server would.
fn ensure_key_of_new(
    path: &Path,
    config: &DatabaseConfig,
    random: &dyn Random,
) -> anyhow::Result<()> {
    if !encryption_key::is_database_at(path) {
        key_beside(path, config, random)?;
    }
    Ok(())
}

/// The key of the embedded database; says so where it was just made.
fn key_beside(
    path: &Path,
    config: &DatabaseConfig,
    random: &dyn Random,
) -> anyhow::Result<EncryptionKey> {
    let resolved = encryption_key::resolve(config.encryption_key.as_ref(), path, random)?;
    if let Some(file) = resolved.made {
        tracing::warn!(
            file = %file.display(),
            "made the encryption key: back it up together with the database; without it the \
             signing secrets in the database cannot be read"
        );
    }
    Ok(resolved.key)
}

fn cursor_key(encryption_key: &EncryptionKey) -> CursorKey {
    CursorKey::new(&encryption_key.derive("cursors"))
}

/// Whom to trust where PostgreSQL speaks TLS.
fn roots(extra: Option<&Path>) -> anyhow::Result<rustls::RootCertStore> {
    trust_roots(extra).context("--database-root-ca is not usable")
}
