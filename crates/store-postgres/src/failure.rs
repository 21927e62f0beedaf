//! What goes wrong inside, and the sentence it becomes outside.

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use tidings_store::{StoreError, StoredFormError};
use tokio_postgres::error::SqlState;

/// An error between a statement and the answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// PostgreSQL or the way to it says no.
    Sql(tokio_postgres::Error),
    /// The database is not usable at all right now.
    Unavailable(String),
    /// More waits than there are connections for.
    Overloaded,
    /// Something that should not happen.
    Broken(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Sql(error),
            PoolError::Timeout(TimeoutType::Wait) => Self::Overloaded,
            PoolError::Timeout(_) => Self::Unavailable("PostgreSQL does not answer".to_owned()),
            PoolError::Closed => Self::Unavailable("the store is closed".to_owned()),
            other => Self::Unavailable(other.to_string()),
        }
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

    /// Whether trying the same again may well succeed: two transactions stood in each other's way.
    pub(crate) fn is_conflict(&self) -> bool {
        let state = match self {
            Self::Sql(error) => error.code(),
            _ => None,
        };
        matches!(
            state,
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
        )
    }

    /// Whether a statement divided by zero, as one does that must not go on.
    pub(crate) fn is_division_by_zero(&self) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO))
    }

    /// Whether it may be due to what one of several jobs in a statement asked for, so that the
    /// others would succeed without it.
    pub(crate) fn blames_statement(&self) -> bool {
        match self {
            Self::Sql(error) => error.code().is_some_and(|state| {
                // Data exceptions, violated constraints, limits of the program.
                matches!(&state.code()[..2], "22" | "23" | "54")
            }),
            Self::Broken(_) => true,
            Self::Unavailable(_) | Self::Overloaded => false,
        }
    }

    /// Whether the connection cannot be used any more, so that what was sent over it may have been
    /// done or not.
    pub(crate) fn is_disconnect(&self) -> bool {
        match self {
            Self::Sql(error) => match error.code() {
                None => true,
                Some(state) => {
                    let class = &state.code()[..2];
                    // 08: connection exceptions; 57P: the server stops or throws us out.
                    class == "08" || state.code().starts_with("57P")
                }
            },
            Self::Unavailable(_) => true,
            Self::Overloaded | Self::Broken(_) => false,
        }
    }
}

/// The server's own words, or what the system says, with its reasons.
pub(crate) fn words_of(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut words = error.to_string();
    let mut reason = error.source();
    while let Some(error) = reason {
        // Some errors repeat the one below.
        let more = error.to_string();
        if !words.ends_with(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        reason = error.source();
    }
    words
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Sql(error) => error,
            Failure::Unavailable(why) => return Self::Unavailable(why),
            Failure::Overloaded => return Self::Overloaded,
            Failure::Broken(why) => return Self::Broken(why),
        };
        let Some(state) = error.code() else {
            let words = words_of(&error);
            return Self::Unavailable(format!("no connection to PostgreSQL ({words})"));
        };
        // Source: PostgreSQL documentation, appendix A, error codes.
        match &state.code()[..2] {
            "25" if *state == SqlState::READ_ONLY_SQL_TRANSACTION => {
                Self::Unavailable("PostgreSQL is read-only".to_owned())
            }
            // Connections, resources, operator intervention, system errors; and transactions that
            // kept getting in each other's way.
            "08" | "40" | "53" | "55" | "57" | "58" => {
                Self::Unavailable(format!("PostgreSQL says: {}", words_of(&error)))
            }
            _ => Self::Broken(format!("PostgreSQL says: {}", words_of(&error))),
        }
    }
}
