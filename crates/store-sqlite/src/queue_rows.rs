//! Rows of the queue: who holds one, and how a dead one leaves.

use crate::{
    database::{Database, Prepared},
    failure::Failure,
    memory::Seq,
};

/// The holder of a row that nobody works on.
pub(crate) const FREE: i64 = 0;

/// A row by its primary key, and who holds it, or is to.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) position: i64,
    pub(crate) subscription: Seq,
    pub(crate) round: u32,
    pub(crate) holder: i64,
}

/// The statement of [`Deletion`].
pub(crate) const DELETE: &str =
    "DELETE FROM queue WHERE position = ? AND subscription = ? AND round = ? AND holder = ?";
/// The statement of [`Leasing`].
pub(crate) const LEASE: &str =
    "UPDATE queue SET holder = ? WHERE position = ? AND subscription = ? AND round = ?";

/// Gives rows to holders, one after the other.
pub(crate) struct Leasing<'d>(Prepared<'d>);

/// Drops rows that somebody holds, one after the other.
pub(crate) struct Deletion<'d>(Prepared<'d>);

impl<'d> Leasing<'d> {
    pub(crate) fn begin(db: &'d Database) -> Result<Self, Failure> {
        Ok(Self(db.prepare(LEASE)?))
    }

    /// Gives a row to its holder.
    pub(crate) fn lease(&mut self, row: Held) -> Result<(), Failure> {
        let params = (row.holder, row.position, row.subscription, row.round);
        self.0.execute(params).map(drop)
    }
}

impl<'d> Deletion<'d> {
    pub(crate) fn begin(db: &'d Database) -> Result<Self, Failure> {
        Ok(Self(db.prepare(DELETE)?))
    }

    /// Drops a row; false where its holder does not hold it.
    pub(crate) fn delete(&mut self, row: Held) -> Result<bool, Failure> {
        let params = (row.position, row.subscription, row.round, row.holder);
        Ok(self.0.execute(params)? == 1)
    }
}

/// Drops a dead row that somebody holds, or keeps it for the trace alone.
pub(crate) fn end(db: &Database, row: Held) -> Result<(), Failure> {
    let kept = db.execute(
        "UPDATE queue SET holder = -1
         WHERE position = ? AND subscription = ? AND round = ? AND holder = ?
             AND round > 0 AND attempts = 0",
        (row.position, row.subscription, row.round, row.holder),
    )?;
    if kept == 0 {
        Deletion::begin(db)?.delete(row)?;
    }
    Ok(())
}

/// Ends at most `limit` waiting rows of an ended epoch, or drops those of a deleted subscription,
/// whose trace nobody can ask for; returns how many.
pub(crate) fn end_waiting(
    db: &Database,
    subscription: Seq,
    epoch: u32,
    limit: i64,
) -> Result<usize, Failure> {
    let kept = db.execute(
        "UPDATE queue SET holder = -1
         WHERE (position, subscription, round) IN (
             SELECT position, subscription, round FROM queue
             WHERE holder = 0 AND subscription = ?1 AND epoch = ?2
                 AND round > 0 AND attempts = 0
                 AND EXISTS (SELECT 1 FROM subscriptions s
                     WHERE s.seq = ?1 AND s.deleted_ms IS NULL)
             LIMIT ?3)",
        (subscription, epoch, limit),
    )?;
    let left = limit - i64::try_from(kept).unwrap_or(limit);
    let deleted = db.execute(
        "DELETE FROM queue WHERE (position, subscription, round) IN (
             SELECT position, subscription, round FROM queue
             WHERE holder = 0 AND subscription = ?1 AND epoch = ?2
                 AND NOT (round > 0 AND attempts = 0
                     AND EXISTS (SELECT 1 FROM subscriptions s
                         WHERE s.seq = ?1 AND s.deleted_ms IS NULL))
             LIMIT ?3)",
        (subscription, epoch, left),
    )?;
    Ok(kept + deleted)
}
