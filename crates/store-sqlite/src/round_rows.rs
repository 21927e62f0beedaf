//! The rounds of a delivery, read from the queue and the log: what delivering it again would do.

use rusqlite::CachedStatement;
use tidings_store::{Again, Position, QueuedRound, ReplayScope, Rounds};

use crate::{database::first_of, failure::Failure, memory::Entry, queue_rows};

/// How a statement is prepared: the writer counts its own, readers do not.
pub(crate) type Prepare<'p, 'c> = &'p dyn Fn(&str) -> Result<CachedStatement<'c>, Failure>;

/// What a replay would do with the event at a position.
pub(crate) fn replayed(
    prepare: Prepare<'_, '_>,
    entry: &Entry,
    position: Position,
    scope: ReplayScope,
) -> Result<Again, Failure> {
    let succeeded = scope == ReplayScope::Failed && has_succeeded(prepare, entry, position)?;
    Ok(rounds_of(prepare, entry, position)?.replayed(scope, succeeded))
}

/// The rounds of an event at a subscription.
pub(crate) fn rounds_of(
    prepare: Prepare<'_, '_>,
    entry: &Entry,
    position: Position,
) -> Result<Rounds, Failure> {
    let mut rounds = Rounds::default();
    let mut statement =
        prepare("SELECT max(round) FROM attempts WHERE position = ? AND subscription = ?")?;
    let attempted: Option<u32> = statement.query_row((position, entry.seq), |row| row.get(0))?;
    if let Some(round) = attempted {
        rounds.note_attempted(round);
    }
    let mut statement = prepare(
        "SELECT round, holder, epoch, attempts FROM queue
         WHERE position = ? AND subscription = ?",
    )?;
    let mut rows = statement.query((position, entry.seq))?;
    while let Some(row) = rows.next()? {
        let (holder, epoch): (i64, u32) = (row.get(1)?, row.get(2)?);
        rounds.note_queued(QueuedRound {
            round: row.get(0)?,
            free: holder == queue_rows::FREE,
            live: epoch == entry.endpoint.epoch,
            attempts: row.get(3)?,
        });
    }
    Ok(rounds)
}

fn has_succeeded(
    prepare: Prepare<'_, '_>,
    entry: &Entry,
    position: Position,
) -> Result<bool, Failure> {
    let mut statement = prepare(
        "SELECT 1 FROM attempts WHERE position = ? AND subscription = ? AND error IS NULL",
    )?;
    let found = first_of(&mut statement, (position, entry.seq), |_| Ok(()))?;
    Ok(found.is_some())
}
