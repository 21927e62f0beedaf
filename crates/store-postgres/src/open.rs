//! Opening a database: where it is, the checks, the migration, and why it may fail.

use std::sync::{Arc, atomic::AtomicI64};

use deadpool_postgres::{Object, Pool};
use rustls::RootCertStore;
use tidings_domain::{clock::Clock, random::Random, time::UtcMillis};
use tidings_store::{EncryptionKey, Sealer, StoreMetrics};
use tokio_postgres::{
    Config,
    config::Host,
    error::{Error, SqlState},
};

use crate::{
    beside::KeysBeside,
    clock::ClockWatch,
    copy_target,
    database::{self, Connector, Database},
    failure::{Failure, words_of},
    memory::Memory,
    partitions, refresh,
    schema::{self, Found},
    watch::Watch,
    writer::Writer,
};

/// The name of the setting that opens with the right key only. Its value is also this database's
/// identity: no two have the same.
pub(crate) const KEY_CHECK: &str = "encryption_check";
const KEY_CHECK_TEXT: &str = "tidings";
/// The oldest PostgreSQL that will do, as it numbers itself.
const SERVER_VERSION_MIN: i32 = 140_000;
/// Connections that are not in the pool: the writer's and the watch's.
const CONNECTIONS_APART: usize = 2;
/// Where PostgreSQL listens when nobody says otherwise.
const PORT: u16 = 5432;
/// The fewest connections in the pools.
const CONNECTIONS_POOLED_MIN: usize = 2;
/// The most of them that are kept for what deliveries depend on; half of them where there are few.
/// A claim that takes over what a lost node held has one for long, and what comes meanwhile is
/// short.
const CONNECTIONS_DISPATCH_MAX: usize = 2;

/// How to open a store.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where it is: `postgres://user:password@host:5432/database`.
    pub url: String,
    /// Whom to trust where TLS is spoken.
    pub roots: RootCertStore,
    /// Seals signing secrets. A database keeps to the key that it was first opened with.
    pub encryption_key: EncryptionKey,
    /// Nonces come from here.
    pub random: Arc<dyn Random>,
    /// The present.
    pub now: UtcMillis,
    /// The machine's clock, to be compared with the database's.
    pub clock: Arc<dyn Clock>,
    /// How far the database's clock is ahead of the machine's, in milliseconds. The store keeps it
    /// up to date; every time that the store is given should take it into account, so that all
    /// nodes go by one clock.
    pub clock_offset_ms: Arc<AtomicI64>,
    /// Figures are counted here.
    pub metrics: StoreMetrics,
    /// The most commands that may wait for the writer; beyond it the store is overloaded.
    pub writer_queue_max: usize,
    /// The most connections of this node, at least 4.
    pub connections_max: usize,
}

/// Why a database does not open, as a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with another key.
    #[error(
        "{database} was written with another encryption key; give the key that it was made with \
         (TIDINGS_ENCRYPTION_KEY)"
    )]
    WrongKey {
        /// Which database.
        database: String,
    },
    /// A copy into it was begun and not finished.
    #[error(
        "{database} holds an unfinished copy; run the same `tidings copy` again until it says that \
         it is done, and start servers after that"
    )]
    UnfinishedCopy {
        /// Which database.
        database: String,
    },
    /// A newer program wrote it.
    #[error("{database} has schema {found}, and this program knows {newest}; use a newer program")]
    NewerSchema {
        /// Which database.
        database: String,
        /// Its schema.
        found: u32,
        /// The newest that this program knows.
        newest: u32,
    },
    /// It belongs to something else.
    #[error("{database} holds tables that are not Tidings'; name a database of its own")]
    NotTidings {
        /// Which database.
        database: String,
    },
    /// There is no way to it, or no way in.
    #[error("{database} cannot be used: {why}; check the URL, the server and the permissions")]
    Unreachable {
        /// Which database.
        database: String,
        /// The server's or the system's words.
        why: String,
    },
    /// The server is too old, or stores text in another encoding.
    #[error("{database} will not do: {why}")]
    Unsupported {
        /// Which database.
        database: String,
        /// What is wrong and what is needed.
        why: String,
    },
    /// The URL does not read. It is not repeated, since there may be a password in it.
    #[error("the database's URL {why}; it should be like postgres://user:password@host:5432/name")]
    BadUrl {
        /// What is wrong.
        why: String,
    },
    /// Anything else.
    #[error("{database} does not open: {why}")]
    Broken {
        /// Which database.
        database: String,
        /// The library's words.
        why: String,
    },
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The schema before; 0 for an empty database.
    pub from: u32,
    /// The schema now.
    pub to: u32,
}

/// An open database, and the tasks that are yet to be started.
pub(crate) struct Opened {
    pub(crate) memory: Arc<Memory>,
    pub(crate) pool: Pool,
    pub(crate) dispatch_pool: Pool,
    pub(crate) writer: Writer,
    pub(crate) watch: Watch,
    pub(crate) writer_queue_max: usize,
}

/// Where a database is, and how it is called in errors.
struct Place {
    connector: Connector,
    name: String,
}

/// Opens a database for a node.
pub(crate) async fn open(options: PostgresOptions) -> Result<Opened, OpenError> {
    let place = Place::parse(&options.url, options.roots)?;
    let clock = ClockWatch {
        machine: options.clock,
        offset_ms: options.clock_offset_ms,
    };
    let pooled = options.connections_max.saturating_sub(CONNECTIONS_APART);
    let pooled = pooled.max(CONNECTIONS_POOLED_MIN);
    let for_dispatch = CONNECTIONS_DISPATCH_MAX.min(pooled / 2);
    let pool = place.pool(pooled - for_dispatch)?;
    let dispatch_pool = place.pool(for_dispatch)?;
    let mut client = place.connect(&pool).await?;
    measure_clock(&client, &clock)
        .await
        .map_err(|failure| place.failed(failure))?;
    place.migrate(&mut client).await?;
    place.refuse_unfinished_copy(&client).await?;
    let sealer = Sealer::new(&options.encryption_key, Arc::clone(&options.random));
    place.check_key(&client, &sealer).await?;
    let memory = Arc::new(Memory::new(sealer, options.metrics));
    prepare(&mut client, &memory, options.now)
        .await
        .map_err(|failure| place.failed(failure))?;
    drop(client);
    Ok(Opened {
        writer: Writer::new(place.pool(1)?, Arc::clone(&memory)),
        watch: Watch::new(
            place.connector,
            dispatch_pool.clone(),
            Arc::clone(&memory),
            clock,
        ),
        memory,
        pool,
        dispatch_pool,
        writer_queue_max: options.writer_queue_max,
    })
}

/// Brings a database to the newest schema.
pub(crate) async fn migrate_only(
    url: &str,
    roots: RootCertStore,
) -> Result<MigrationReport, OpenError> {
    let place = Place::parse(url, roots)?;
    let pool = place.pool(1)?;
    let mut client = place.connect(&pool).await?;
    place.migrate(&mut client).await
}

/// Opens the keys of a database, beside whatever nodes there are.
pub(crate) async fn open_beside(url: &str, roots: RootCertStore) -> Result<KeysBeside, OpenError> {
    let place = Place::parse(url, roots)?;
    let pool = place.pool(CONNECTIONS_POOLED_MIN)?;
    let mut client = place.connect(&pool).await?;
    place.migrate(&mut client).await?;
    place.refuse_unfinished_copy(&client).await?;
    drop(client);
    Ok(KeysBeside::new(pool))
}

/// Connects to a database that is to be copied into, and brings it to the newest schema. `set_up`
/// is what the connection shall differ in from a node's.
pub(crate) async fn connect_for_copy(
    url: &str,
    roots: RootCertStore,
    set_up: &str,
) -> Result<Object, OpenError> {
    let place = Place::parse(url, roots)?;
    let pool = place.pool(1)?;
    let mut client = place.connect(&pool).await?;
    place.migrate(&mut client).await?;
    let prepared = client.batch_execute(set_up).await;
    prepared.map_err(|error| place.failed(error.into()))?;
    Ok(client)
}

/// Whether a value is the check of the sealer's key.
pub(crate) fn is_key_check(sealer: &Sealer, value: &[u8]) -> bool {
    sealer
        .open(KEY_CHECK.as_bytes(), value)
        .is_ok_and(|text| text.as_str() == KEY_CHECK_TEXT)
}

/// Asks the database for its time.
async fn measure_clock(client: &Object, clock: &ClockWatch) -> Result<(), Failure> {
    let began = clock.begin();
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let row = client.query_one(sql, &[]).await?;
    clock.measured(began, row.get(0));
    Ok(())
}

/// Makes partitions for the events to come, and reads what memory holds.
async fn prepare(client: &mut Object, memory: &Memory, now: UtcMillis) -> Result<(), Failure> {
    partitions::make_ahead(client, &memory.metrics, now).await?;
    let db = Database::new(&*client, &memory.metrics);
    refresh::refresh(&db, memory, &memory.refreshing)
        .await
        .map(drop)
}

impl Place {
    fn parse(url: &str, roots: RootCertStore) -> Result<Self, OpenError> {
        let bad = |why: &str| OpenError::BadUrl {
            why: why.to_owned(),
        };
        if url.contains("sslmode=verify") {
            return Err(bad(
                "has an sslmode other than disable, prefer and require (certificates are checked \
                 wherever TLS is spoken)",
            ));
        }
        let config: Config = url.parse().map_err(|_| bad("does not read"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(bad("names no host"));
        }
        Ok(Self {
            name: name_of(&config),
            connector: Connector::new(config, roots),
        })
    }

    fn pool(&self, connections_max: usize) -> Result<Pool, OpenError> {
        self.connector
            .pool(connections_max)
            .map_err(|failure| self.failed(failure))
    }

    /// Connects and makes sure that the server will do.
    async fn connect(&self, pool: &Pool) -> Result<Object, OpenError> {
        let client = database::borrow(pool)
            .await
            .map_err(|failure| self.failed(failure))?;
        let sql = "SELECT current_setting('server_version_num')::int,
                 current_setting('server_version'), current_setting('server_encoding'),
                 pg_is_in_recovery(), current_setting('fsync')::bool";
        let row = client
            .query_one(sql, &[])
            .await
            .map_err(|error| self.failed(error.into()))?;
        let (number, version, encoding): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if number < SERVER_VERSION_MIN {
            return Err(self.unsupported(format!(
                "the server is PostgreSQL {version}, and 14 or newer is needed"
            )));
        }
        if encoding != "UTF8" {
            return Err(self.unsupported(format!(
                "its text is encoded as {encoding}; make one with ENCODING 'UTF8'"
            )));
        }
        if row.get(3) {
            return Err(OpenError::Unreachable {
                database: self.name.clone(),
                why: "the server is a standby and takes no writes".to_owned(),
            });
        }
        if !row.get::<_, bool>(4) {
            tracing::warn!(
                "the PostgreSQL server runs with fsync = off: a crash of its machine loses events"
            );
        }
        Ok(client)
    }

    async fn migrate(&self, client: &mut Object) -> Result<MigrationReport, OpenError> {
        let fail = |failure| self.failed(failure);
        let from = self.check(schema::look(&*client).await.map_err(fail)?)?;
        if from < schema::newest() {
            schema::migrate(client).await.map_err(fail)?;
        }
        // Somebody else may have migrated meanwhile, and further than this program can.
        let to = self.check(schema::look(&*client).await.map_err(fail)?)?;
        Ok(MigrationReport { from, to })
    }

    fn check(&self, found: Found) -> Result<u32, OpenError> {
        let newest = schema::newest();
        let database = self.name.clone();
        match found {
            Found::Foreign => Err(OpenError::NotTidings { database }),
            Found::Schema(found) if found > newest => Err(OpenError::NewerSchema {
                database,
                found,
                newest,
            }),
            Found::Schema(found) => Ok(found),
        }
    }

    /// Makes sure that the key is the database's own; a new database takes it on, from whichever
    /// node comes first.
    async fn check_key(&self, client: &Object, sealer: &Sealer) -> Result<(), OpenError> {
        let fail = |error: Error| self.failed(error.into());
        let value = sealer.seal(KEY_CHECK.as_bytes(), KEY_CHECK_TEXT);
        let take_on = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let read = "SELECT value FROM settings WHERE name = $1";
        let mut stored = client.query_opt(read, &[&KEY_CHECK]).await.map_err(fail)?;
        if stored.is_none() {
            client
                .execute(take_on, &[&KEY_CHECK, &value])
                .await
                .map_err(fail)?;
            stored = client.query_opt(read, &[&KEY_CHECK]).await.map_err(fail)?;
        }
        match stored {
            Some(row) if is_key_check(sealer, row.get(0)) => Ok(()),
            _ => Err(OpenError::WrongKey {
                database: self.name.clone(),
            }),
        }
    }

    async fn refuse_unfinished_copy(&self, client: &Object) -> Result<(), OpenError> {
        let unfinished = copy_target::is_unfinished(client).await;
        if unfinished.map_err(|failure| self.failed(failure))? {
            return Err(OpenError::UnfinishedCopy {
                database: self.name.clone(),
            });
        }
        Ok(())
    }

    fn unsupported(&self, why: String) -> OpenError {
        OpenError::Unsupported {
            database: self.name.clone(),
            why,
        }
    }

    /// Says what a failure means while a database is being opened.
    fn failed(&self, failure: Failure) -> OpenError {
        let database = self.name.clone();
        let unreachable = match &failure {
            Failure::Sql(error) => error.code().is_none_or(|state| {
                // No way in, no such database, no permission, no resources, not now, read-only.
                matches!(&state.code()[..2], "08" | "28" | "3D" | "53" | "57")
                    || *state == SqlState::INSUFFICIENT_PRIVILEGE
                    || *state == SqlState::READ_ONLY_SQL_TRANSACTION
            }),
            Failure::Unavailable(_) | Failure::Overloaded => true,
            Failure::Broken(_) => false,
        };
        let why = match failure {
            Failure::Sql(error) => words_of(&error),
            Failure::Unavailable(why) | Failure::Broken(why) => why,
            Failure::Overloaded => "it did not answer in time".to_owned(),
        };
        if unreachable {
            OpenError::Unreachable { database, why }
        } else {
            OpenError::Broken { database, why }
        }
    }
}

/// A database by host and name, without secrets.
fn name_of(config: &Config) -> String {
    // One port for each host, one for all, or the usual one.
    let ports = config.get_ports();
    let port_of = |number| ports.get(number).or(ports.first()).copied();
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(number, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port_of(number).unwrap_or(PORT)),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    let name = config.get_dbname().or(config.get_user()).unwrap_or("");
    format!("the database {name:?} on {}", hosts.join(", "))
}
