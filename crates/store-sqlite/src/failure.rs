//! What goes wrong inside, and the sentence it becomes outside.

use rusqlite::ErrorCode;
use tidings_store::{StoreError, StoredFormError};

/// An error between a statement and the answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQLite says no.
    Sql(rusqlite::Error),
    /// The database is not usable at all right now.
    Unavailable(String),
    /// Something that should not happen.
    Broken(String),
}

/// Whom a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Perhaps one command only: its neighbours may well succeed without it.
    Command,
    /// Every command, but the connection is sound.
    Database,
    /// Every command, and the connection cannot be trusted any more.
    Connection,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoredFormError> for Failure {
    fn from(error: StoredFormError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Failure {
    /// A stored value that does not read back.
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::Broken(format!("a stored {what} does not read back"))
    }

    /// Whom it concerns.
    pub(crate) fn blame(&self) -> Blame {
        match self {
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(
                    ErrorCode::ReadOnly
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory,
                ) => Blame::Database,
                Some(
                    ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::PermissionDenied
                    | ErrorCode::FileLockingProtocolFailed,
                ) => Blame::Connection,
                // A full disk may still have room for a smaller neighbour.
                _ => Blame::Command,
            },
            Self::Unavailable(_) => Blame::Connection,
            Self::Broken(_) => Blame::Command,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Sql(error) => error,
            Failure::Unavailable(why) => return Self::Unavailable(why),
            Failure::Broken(why) => return Self::Broken(why),
        };
        let why = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk or the database file is full".to_owned(),
            Some(ErrorCode::ReadOnly) => "the database is read-only".to_owned(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "the database is locked by another program".to_owned()
            }
            Some(ErrorCode::CannotOpen) => "the database file cannot be opened".to_owned(),
            Some(ErrorCode::OutOfMemory) => "SQLite ran out of memory".to_owned(),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed,
            ) => format!("reading or writing the database file failed ({error})"),
            _ => return Self::Broken(error.to_string()),
        };
        Self::Unavailable(why)
    }
}
