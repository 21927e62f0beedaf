//! Copying everything from one database into an empty one of another kind, so that users can move
//! from one store to another and take everything along.
//!
//! A [`CopySource`] reads, a [`CopyTarget`] writes, and [`run()`] sits between them. Numbers are
//! kept: positions, the order of subscriptions and of the delivery log, so that cursors which were
//! handed out before stay good. The target keeps in the same transaction as the rows how far it
//! is, so a copy that was interrupted goes on where it was. Which databases these are, and who is
//! told of the progress, is decided elsewhere.

mod note;
mod portal_rows;
mod rows;
mod run;
mod table;

use async_trait::async_trait;

pub use note::CopyNote;
pub use portal_rows::{AuditRow, EventTypeRow, FigureRow, LinkRow, SessionRow, UserRow};
pub use rows::{
    AttemptRow, EventRow, HistoryRow, KeyRow, PromiseRow, QueueRow, Rows, SubscriptionRow,
};
pub use run::{CopyOutcome, CopyStep, run};
pub use table::{CopyTable, PerTable};

use crate::StoreError;

/// A place in a table: behind the row with these numbers, and before the next one. The default is
/// the beginning, since every table's first number is at least 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub [i64; 3]);

/// How many rows to read at once: whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// At most so many.
    pub rows: usize,
    /// None after they have so many bytes together.
    pub bytes: u64,
}

/// Rows of one table that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The rows; none at the table's end.
    pub rows: Rows,
    /// The place behind the last one.
    pub end: Place,
    /// About how many bytes they have.
    pub bytes: u64,
}

/// What a database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many rows.
    pub rows: PerTable<u64>,
    /// The highest number that any of them has, 0 without rows.
    pub highest: PerTable<i64>,
}

/// The highest numbers that were ever given out; their rows may be gone. 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floors {
    /// Positions of events.
    pub position: i64,
    /// Numbers of the delivery log.
    pub attempt: i64,
    /// Numbers of subscriptions.
    pub subscription: i64,
    /// Numbers of API keys.
    pub key: i64,
    /// Numbers of idempotency keys.
    pub promise: i64,
    /// Numbers of leases.
    pub lease: i64,
}

/// What a source is and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// What tells it from every other database. It is the value that opens with its encryption
    /// key only.
    pub identity: Vec<u8>,
    /// A text that is another one after any change.
    pub state: String,
    /// What it holds.
    pub tally: Tally,
    /// What was given out.
    pub floors: Floors,
}

/// How far the copy of one table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where to go on.
    pub place: Place,
    /// Rows that are there.
    pub rows: u64,
    /// About how many bytes they had.
    pub bytes: u64,
}

/// How a copy starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With nothing.
    Afresh,
    /// Where it was interrupted.
    GoingOn,
    /// With nothing again, as the source has changed since it was interrupted.
    Over,
    /// Not at all: it was finished before, and the source has not changed since.
    Finished,
}

/// Why a copy cannot be made, as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// Something else is there.
    #[error(
        "the target is not empty ({0}); a copy needs an empty database: name another one, or make \
         one with CREATE DATABASE"
    )]
    NotEmpty(String),
    /// It was copied, and then the source went on.
    #[error(
        "the target holds a finished copy of this source, and the source has changed since; copy \
         it into another, empty database, or go on with the target as it is"
    )]
    CopiedBefore,
    /// A copy of something else is there.
    #[error(
        "the target holds an unfinished copy of another database; go on with that one, or name an \
         empty target"
    )]
    OtherSource,
    /// It was set up with another key.
    #[error(
        "the target was set up with another encryption key than the source; name a target that no \
         server was started on"
    )]
    OtherKey,
    /// A node is running on it.
    #[error("a server is using the target; stop it first")]
    InUse,
    /// Somebody else is copying into it.
    #[error("another copy into the target is running; wait for it, or stop it first")]
    Busy,
    /// It is not the same at the end.
    #[error(
        "the copy does not hold what the source does: {table} has {found} where the source has \
         {expected}; the target is not usable, start again with an empty one"
    )]
    Differs {
        /// Which table, and what of it.
        table: String,
        /// What the source has.
        expected: i64,
        /// What the target has.
        found: i64,
    },
    /// A database says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a copy comes from: a database that nobody else changes as long as this lives. Calls block.
pub trait CopySource: Send + 'static {
    /// What there is to copy.
    fn survey(&mut self) -> Result<Survey, StoreError>;

    /// The rows of a table beyond a place, in the order of their numbers.
    fn read(
        &mut self,
        table: CopyTable,
        after: Place,
        limit: BatchLimit,
    ) -> Result<Batch, StoreError>;
}

/// Where a copy goes: a database that nobody else uses until it is sealed.
#[async_trait]
pub trait CopyTarget: Send {
    /// Makes sure that this source may be copied here, and says how far that is. From here on, and
    /// until it is sealed, no server starts on the target.
    async fn begin(&mut self, survey: &Survey) -> Result<(Start, PerTable<Progress>), CopyError>;

    /// Writes rows and how far the copy of their table is then, in one transaction.
    async fn write(&mut self, batch: Batch, progress: Progress) -> Result<(), CopyError>;

    /// Counts what is there.
    async fn tally(&mut self) -> Result<Tally, CopyError>;

    /// Declares the copy finished: numbers go on beyond the floors, and servers may start.
    async fn seal(&mut self, survey: &Survey) -> Result<(), CopyError>;
}

impl Batch {
    /// Which table's rows they are.
    #[must_use]
    pub fn table(&self) -> CopyTable {
        match self.rows {
            Rows::Keys(_) => CopyTable::Keys,
            Rows::Subscriptions(_) => CopyTable::Subscriptions,
            Rows::History(_) => CopyTable::History,
            Rows::Events(_) => CopyTable::Events,
            Rows::Promises(_) => CopyTable::Promises,
            Rows::Queue(_) => CopyTable::Queue,
            Rows::Attempts(_) => CopyTable::Attempts,
            Rows::Users(_) => CopyTable::Users,
            Rows::Links(_) => CopyTable::Links,
            Rows::Sessions(_) => CopyTable::Sessions,
            Rows::Audit(_) => CopyTable::Audit,
            Rows::Figures(_) => CopyTable::Figures,
            Rows::EventTypes(_) => CopyTable::EventTypes,
        }
    }
}

impl Survey {
    /// How many rows there are to copy.
    #[must_use]
    pub fn rows(&self) -> u64 {
        CopyTable::ALL
            .iter()
            .map(|&table| self.tally.rows[table])
            .sum()
    }
}
