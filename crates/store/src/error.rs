//! What can go wrong with any store. Expected outcomes are no errors; they are enums of their own.

/// Why a use case did not happen, or is not known to have happened. After [`StoreError::Overloaded`]
/// nothing has changed. After the others it may have: a connection can break during a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be used right now: unreachable, locked, full, read-only. Worth another
    /// try; the API answers 503.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// More work is waiting than the store takes on; the API answers 503.
    #[error("the store is overloaded")]
    Overloaded,
    /// Something that should not happen: a broken file, a row that does not read back.
    #[error("the store failed: {0}")]
    Broken(String),
}
