//! Opening a database file: the server's lock, the checks, the migration, and why it may fail.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, ErrorCode, OptionalExtension};
use tidings_domain::{random::Random, time::UtcMillis};
use tidings_store::{EncryptionKey, Sealer, StoreMetrics};

use crate::{
    database,
    schema::{self, Found},
};

/// The name of the setting that opens with the right key only. Its value is also this database's
/// identity: no two have the same.
const KEY_CHECK: &str = "encryption_check";
const KEY_CHECK_TEXT: &str = "tidings";

/// How to open a store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The database file; made where it is missing. Its log stands beside it (`-wal`, `-shm`),
    /// and the lock that keeps a second server out (`.lock`).
    pub path: PathBuf,
    /// Seals signing secrets. A database keeps to the key that it was first opened with.
    pub encryption_key: EncryptionKey,
    /// Nonces come from here.
    pub random: Arc<dyn Random>,
    /// The present.
    pub now: UtcMillis,
    /// Figures are counted here.
    pub metrics: StoreMetrics,
    /// The most commands that may wait for the writer; beyond it the store is overloaded.
    pub writer_queue_max: usize,
    /// Threads that read, at least 1.
    pub readers: usize,
}

/// Why a database does not open, as a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("there is no database {path}; name the file that the server used")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another server has it.
    #[error("{path} is in use by another server; stop it first, or give this one its own database")]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// It was sealed with another key.
    #[error(
        "{path} was written with another encryption key; give the key that it was made with \
         (TIDINGS_ENCRYPTION_KEY, or the key file beside the database)"
    )]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{path} has schema {found}, and this program knows {newest}; use a newer program")]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that this program knows.
        newest: u32,
    },
    /// The file belongs to something else.
    #[error("{path} is not a Tidings database; name another file")]
    NotTidings {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be written.
    #[error("{path} cannot be written: {why}; check the directory and its permissions")]
    NotWritable {
        /// The database.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// Anything else.
    #[error("{path} does not open: {why}")]
    Broken {
        /// The database.
        path: PathBuf,
        /// The library's words.
        why: String,
    },
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The schema before; 0 for a new file.
    pub from: u32,
    /// The schema now.
    pub to: u32,
}

/// The server's lock on a database. Dropping it lets the next server in.
#[derive(Debug)]
pub(crate) struct ServerLock {
    file: File,
}

impl Drop for ServerLock {
    fn drop(&mut self) {
        // The lock belongs to the open file, which a program that is being started at this moment
        // shares until it has begun: closing the file alone might leave the lock with it. Where it
        // cannot be given back, it ends with the file.
        let _ = self.file.unlock();
    }
}

/// An open, migrated file, and the check that names it.
pub(crate) struct Opened {
    pub(crate) conn: Connection,
    pub(crate) report: MigrationReport,
}

/// Takes the server's lock. The file is left where it is when the lock ends: removing it would
/// let two servers lock two files of the same name.
pub(crate) fn lock(path: &Path) -> Result<ServerLock, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| not_writable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(ServerLock { file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(not_writable(path, &error)),
    }
}

/// Opens the file, checks that it is ours, and brings it to the newest schema.
pub(crate) fn open_and_migrate(path: &Path) -> Result<Opened, OpenError> {
    let fail = |error| open_error(path, &error);
    make_private(path);
    let mut conn = database::create(path).map_err(fail)?;
    let from = check(path, schema::look(&conn).map_err(fail)?)?;
    if conn.is_readonly("main").map_err(fail)? {
        return Err(not_writable(
            path,
            &io::ErrorKind::ReadOnlyFilesystem.into(),
        ));
    }
    let mode = database::make_durable(&conn).map_err(fail)?;
    if mode != "wal" {
        return Err(OpenError::Broken {
            path: path.to_owned(),
            why: "its file system cannot hold SQLite's write-ahead log".to_owned(),
        });
    }
    if from < schema::newest() {
        if from > 0 {
            tracing::info!(
                "bringing {} from schema {from} to {}; that of a large database takes a while",
                path.display(),
                schema::newest(),
            );
        }
        schema::migrate(&mut conn).map_err(fail)?;
        // What that wrote is moved into the file now, and not while somebody waits.
        database::move_all(&conn).map_err(fail)?;
    }
    // Somebody else may have migrated meanwhile, and further than this program can.
    let to = check(path, schema::look(&conn).map_err(fail)?)?;
    Ok(Opened {
        conn,
        report: MigrationReport { from, to },
    })
}

/// Makes the file where there is none, for its owner alone: it holds what companies publish. SQLite
/// gives its log the same mode. Where that fails, opening the file will say why.
fn make_private(path: &Path) {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

/// Makes sure that the key is the database's own; a new database takes it on. Returns the check
/// value, which no other database has.
pub(crate) fn check_key(
    path: &Path,
    conn: &Connection,
    sealer: &Sealer,
) -> Result<Vec<u8>, OpenError> {
    let stored = identity(conn).map_err(|error| open_error(path, &error))?;
    let Some(stored) = stored else {
        let value = sealer.seal(KEY_CHECK.as_bytes(), KEY_CHECK_TEXT);
        conn.execute(
            "INSERT INTO settings (name, value) VALUES (?, ?)",
            (KEY_CHECK, &value),
        )
        .map_err(|error| open_error(path, &error))?;
        return Ok(value);
    };
    match sealer.open(KEY_CHECK.as_bytes(), &stored) {
        Ok(text) if text.as_str() == KEY_CHECK_TEXT => Ok(stored),
        _ => Err(OpenError::WrongKey {
            path: path.to_owned(),
        }),
    }
}

/// The value that tells this database from every other.
pub(crate) fn identity(conn: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.query_row(
        "SELECT value FROM settings WHERE name = ?",
        [KEY_CHECK],
        |row| row.get(0),
    )
    .optional()
}

fn check(path: &Path, found: Found) -> Result<u32, OpenError> {
    let newest = schema::newest();
    let path = path.to_owned();
    match found {
        Found::Foreign => Err(OpenError::NotTidings { path }),
        Found::Schema(found) if found > newest => Err(OpenError::NewerSchema {
            path,
            found,
            newest,
        }),
        Found::Schema(found) => Ok(found),
    }
}

fn not_writable(path: &Path, error: &io::Error) -> OpenError {
    OpenError::NotWritable {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

/// Says what a failing statement means while a file is being opened.
pub(crate) fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotTidings { path },
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure,
        ) => OpenError::NotWritable { path, why },
        _ => OpenError::Broken { path, why },
    }
}

/// The schema of a file that a server is using.
pub(crate) fn schema_of(path: &Path) -> Result<u32, OpenError> {
    let fail = |error| open_error(path, &error);
    let conn = database::open_existing(path).map_err(fail)?;
    check(path, schema::look(&conn).map_err(fail)?)
}
