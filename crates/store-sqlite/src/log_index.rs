//! The delivery log by subscription: an index that is kept up in large pieces.
//!
//! Lines are filed [`FILE_EVERY`] at a time, in the order of the index, so that a page of it is
//! written once for many lines, and not once for each where many subscriptions take turns. What is
//! not filed yet, the tail, is found by going through the end of the log.

use std::collections::{HashMap, HashSet};

use rusqlite::{CachedStatement, Connection, params};
use tidings_domain::cursor::Order;
use tidings_store::{Position, Seq};

use crate::{batch::Batch, database::first_of, failure::Failure};

/// The setting that says up to which line everything is filed.
const FILED: &str = "attempts_filed";
/// When so many lines are not filed, all of them are; so a reader goes through hardly more.
pub(crate) const FILE_EVERY: i64 = 4096;

/// Exclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Between {
    pub(crate) above: Position,
    pub(crate) below: Position,
}

impl Between {
    /// The whole log.
    pub(crate) const ALL: Self = Self {
        above: 0,
        below: Position::MAX,
    };

    /// What comes after a place, in an order.
    pub(crate) fn behind(after: Option<Position>, order: Order) -> Self {
        match (after, order) {
            (Some(above), Order::Ascending) => Self { above, ..Self::ALL },
            (Some(below), Order::Descending) => Self { below, ..Self::ALL },
            (None, _) => Self::ALL,
        }
    }
}

/// Up to which line everything is filed.
pub(crate) fn filed_up_to(conn: &Connection) -> Result<Position, Failure> {
    let mut statement = conn.prepare_cached("SELECT value FROM settings WHERE name = ?")?;
    let filed = first_of(&mut statement, [FILED], |row| Ok(row.get(0)?))?;
    Ok(filed.unwrap_or(0))
}

/// Files what is not, where that is much.
pub(crate) fn file(batch: &mut Batch<'_, '_>) -> Result<(), Failure> {
    if batch.unfiled() < FILE_EVERY {
        return Ok(());
    }
    batch.flush()?;
    let (filed, last) = (batch.filed_up_to(), batch.last_attempt());
    let db = batch.db()?;
    db.execute(
        "INSERT OR ROLLBACK INTO attempts_filed (subscription, seq)
         SELECT subscription, seq FROM attempts WHERE seq > ? AND seq <= ?
         ORDER BY subscription, seq",
        (filed, last),
    )?;
    db.execute(
        "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)",
        (FILED, last),
    )?;
    batch.set_filed_up_to(last);
    Ok(())
}

/// Takes lines out that are about to leave the log: all up to `last`.
pub(crate) fn remove(batch: &mut Batch<'_, '_>, last: Position) -> Result<(), Failure> {
    batch
        .db()?
        .execute(
            "DELETE FROM attempts_filed WHERE (subscription, seq) IN
                 (SELECT subscription, seq FROM attempts WHERE seq <= ?)",
            [last],
        )
        .map(drop)
}

/// At most `limit` filed lines of a subscription, in order.
pub(crate) fn filed(
    conn: &Connection,
    subscription: Seq,
    between: Between,
    order: Order,
    limit: i64,
) -> Result<Vec<Position>, Failure> {
    let mut statement = conn.prepare_cached(match order {
        Order::Ascending => {
            "SELECT seq FROM attempts_filed
             WHERE subscription = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT ?"
        }
        Order::Descending => {
            "SELECT seq FROM attempts_filed
             WHERE subscription = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        }
    })?;
    let params = params![subscription, between.above, between.below, limit];
    let places = statement.query_map(params, |row| row.get(0))?;
    Ok(places.collect::<Result<_, _>>()?)
}

/// The lines of the tail that belong to wanted subscriptions, oldest first.
pub(crate) fn tail(
    conn: &Connection,
    between: Between,
    is_wanted: impl Fn(Seq) -> bool,
) -> Result<Vec<Position>, Failure> {
    let mut places = Vec::new();
    walk(conn, between, |subscription, place| {
        if is_wanted(subscription) {
            places.push(place);
        }
    })?;
    Ok(places)
}

/// The subscriptions that have lines in the tail.
pub(crate) fn in_tail(conn: &Connection) -> Result<HashSet<Seq>, Failure> {
    let mut found = HashSet::new();
    walk(conn, Between::ALL, |subscription, _| {
        found.insert(subscription);
    })?;
    Ok(found)
}

/// The last line of each subscription, for as many as are asked for.
pub(crate) struct Newest<'c> {
    in_tail: HashMap<Seq, Position>,
    filed: CachedStatement<'c>,
}

impl<'c> Newest<'c> {
    /// Goes through the tail, once for all of them.
    pub(crate) fn look(conn: &'c Connection) -> Result<Self, Failure> {
        let mut in_tail = HashMap::new();
        walk(conn, Between::ALL, |subscription, place| {
            in_tail.insert(subscription, place);
        })?;
        let filed = "SELECT max(seq) FROM attempts_filed WHERE subscription = ?";
        Ok(Self {
            in_tail,
            filed: conn.prepare_cached(filed)?,
        })
    }

    /// Its last line; none where it has none.
    pub(crate) fn of(&mut self, subscription: Seq) -> Result<Option<Position>, Failure> {
        if let Some(&place) = self.in_tail.get(&subscription) {
            return Ok(Some(place));
        }
        let last = first_of(&mut self.filed, [subscription], |row| Ok(row.get(0)?))?;
        Ok(last.flatten())
    }
}

/// Goes through the tail, oldest first.
fn walk(
    conn: &Connection,
    between: Between,
    mut visit: impl FnMut(Seq, Position),
) -> Result<(), Failure> {
    let above = between.above.max(filed_up_to(conn)?);
    let mut statement = conn.prepare_cached(
        "SELECT subscription, seq FROM attempts WHERE seq > ? AND seq < ? ORDER BY seq",
    )?;
    let mut rows = statement.query([above, between.below])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, row.get(1)?);
    }
    Ok(())
}
