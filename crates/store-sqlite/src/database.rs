//! Connections: how they are set up, and the counted way to a statement.
//!
//! The writer, the checkpointer and each reader own one. What they are used for is not this
//! module's business.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use rusqlite::{CachedStatement, Connection, OpenFlags, Params, Row, config::DbConfig};
use tidings_store::StoreMetrics;

use crate::failure::Failure;

/// The size of a page in new files, in bytes: a little quicker than the default for rows of a
/// kilobyte.
const PAGE_BYTES: u32 = 8192;
/// How long another program's lock is waited for, in milliseconds.
const BUSY_TIMEOUT_MS: u64 = 2000;
/// Prepared statements kept per connection; more than there are different ones.
const STATEMENTS_MAX: usize = 128;
/// Page cache of the writer and of each reader, in KiB.
const WRITER_CACHE_KIB: i32 = 32 * 1024;
const READER_CACHE_KIB: i32 = 8 * 1024;
/// The log file is cut to this size when it is started afresh, in bytes.
const LOG_BYTES_KEPT: i64 = 128 << 20;

/// The writer's connection: its statements are counted, and it knows how long the log is.
pub(crate) struct Database {
    conn: Connection,
    metrics: StoreMetrics,
    log_pages: Arc<AtomicI32>,
}

/// A statement that is looked up once and executed for many rows.
pub(crate) struct Prepared<'d> {
    statement: CachedStatement<'d>,
    metrics: &'d StoreMetrics,
}

/// Opens the file for writing, and makes it where it is missing.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    // Says nothing to a file that has pages already.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    Ok(conn)
}

/// Opens a file that exists for writing. A missing one is an error: an empty database in its
/// place would answer wrongly.
pub(crate) fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens a file that exists for reading alone.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(conn)
}

/// Sets up what every writing connection needs. Returns the journal mode, `wal` if all is well.
pub(crate) fn make_durable(conn: &Connection) -> rusqlite::Result<String> {
    let mode = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    // FULL syncs the log at every commit: what was answered survives a power cut.
    conn.pragma_update(None, "synchronous", "full")?;
    // Checkpoints have a thread of their own.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    Ok(mode)
}

/// Moves the whole log into the file, as far as nobody reads in it.
pub(crate) fn move_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection stays with one thread, so SQLite need not lock; and a path is a path, not
    // a URI.
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // A plan does not depend on the values bound to it. Without this, statements that could use
    // the partial index (and most that have statistics) are compiled anew at every execution.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(conn)
}

impl Database {
    /// Takes over a writing connection.
    pub(crate) fn new(mut conn: Connection, metrics: StoreMetrics) -> Result<Self, Failure> {
        make_durable(&conn)?;
        conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&log_pages);
        conn.wal_hook(Some(move |_: &mut _, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            conn,
            metrics,
            log_pages,
        })
    }

    /// The connection itself, for what is no statement.
    pub(crate) fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Pages in the log after the last commit.
    pub(crate) fn log_pages(&self) -> i32 {
        self.log_pages.load(Ordering::Relaxed)
    }

    /// A prepared statement for one execution.
    pub(crate) fn statement(&self, sql: &str) -> Result<CachedStatement<'_>, Failure> {
        self.metrics.statements.inc();
        Ok(self.conn.prepare_cached(sql)?)
    }

    /// A prepared statement for many executions.
    pub(crate) fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Failure> {
        Ok(Prepared {
            statement: self.conn.prepare_cached(sql)?,
            metrics: &self.metrics,
        })
    }

    /// Executes a statement; returns how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Failure> {
        self.prepare(sql)?.execute(params)
    }

    /// The first row of a query, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let mut statement = self.statement(sql)?;
        first_of(&mut statement, params, read)
    }

    /// Writes a number down in `settings`, to be read with [`setting`].
    pub(crate) fn set(&self, name: &str, value: i64) -> Result<(), Failure> {
        self.execute(
            "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)",
            (name, value),
        )
        .map(drop)
    }

    /// Begins a writing transaction.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        self.execute("BEGIN IMMEDIATE", []).map(drop)
    }

    /// Commits it; durable when this returns.
    pub(crate) fn commit(&self) -> Result<(), Failure> {
        self.execute("COMMIT", []).map(drop)
    }

    /// Undoes what is open. False where the connection is still in a transaction afterwards.
    pub(crate) fn roll_back(&self) -> bool {
        if !self.conn.is_autocommit() {
            // SQLite may have rolled back by itself already; what counts is the state after.
            let _ = self.execute("ROLLBACK", []);
        }
        self.conn.is_autocommit()
    }
}

impl Prepared<'_> {
    /// Executes it; returns how many rows it changed.
    pub(crate) fn execute(&mut self, params: impl Params) -> Result<usize, Failure> {
        self.metrics.statements.inc();
        Ok(self.statement.execute(params)?)
    }
}

/// A number in `settings`, by its name; 0 where there is none.
pub(crate) fn setting(conn: &Connection, name: &str) -> Result<i64, Failure> {
    let mut statement = conn.prepare_cached("SELECT value FROM settings WHERE name = ?")?;
    let value = first_of(&mut statement, [name], |row| Ok(row.get(0)?))?;
    Ok(value.unwrap_or(0))
}

/// The first row of a prepared query, if there is one.
pub(crate) fn first_of<T>(
    statement: &mut rusqlite::Statement<'_>,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}
