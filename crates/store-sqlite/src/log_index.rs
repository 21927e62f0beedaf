//! The delivery log by subscription: an index that is kept up in large pieces.
//!
//! Lines are filed [`FILE_EVERY`] at a time, in the order of the index, so that a page of it is
//! written once for many lines, and not once for each where many subscriptions take turns. What is
//! not filed yet is the [`Tail`], which is kept in memory.
//!
//! A read takes a copy of the tail first and its snapshot of the database afterwards. So whatever
//! is not filed in the snapshot is in the copy, but for lines that are newer than the copy; and of
//! the copy's lines, those that are filed in the snapshot are passed over.

use std::collections::{HashMap, HashSet};

use rusqlite::{CachedStatement, Connection, params};
use tidings_domain::cursor::Order;
use tidings_store::{Position, Seq};

use crate::{
    batch::Batch,
    database::{first_of, setting},
    failure::Failure,
};

/// The setting that says up to which line everything is filed.
const FILED: &str = "attempts_filed";
/// So many lines are filed at a time.
pub(crate) const FILE_EVERY: usize = 4096;
/// A line of nobody: it has left the log.
const NOBODY: Seq = 0;

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

/// The end of the log that is not filed: whose each line is. Lines are numbered without a gap, and
/// where one has left the log meanwhile, it is found missing there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    /// The number of the line before its first.
    before: Position,
    subscriptions: Vec<Seq>,
}

impl Tail {
    /// What is not filed of a database in which no line has a higher number than `last`.
    pub(crate) fn load(conn: &Connection, last: Position) -> Result<Self, Failure> {
        // What has left the log takes no room: however many lines that were, it begins behind them.
        let mut tail = Self {
            before: last,
            subscriptions: Vec::new(),
        };
        let mut statement =
            conn.prepare("SELECT seq, subscription FROM attempts WHERE seq > ? ORDER BY seq")?;
        let mut rows = statement.query([setting(conn, FILED)?])?;
        while let Some(row) = rows.next()? {
            let before: Position = row.get::<_, Position>(0)? - 1;
            if tail.subscriptions.is_empty() {
                tail.before = before;
            }
            tail.fill(before);
            tail.subscriptions.push(row.get(1)?);
        }
        tail.fill(last);
        Ok(tail)
    }

    /// Adds the next lines.
    pub(crate) fn extend(&mut self, subscriptions: impl Iterator<Item = Seq>) {
        self.subscriptions.extend(subscriptions);
    }

    /// Everything up to a line has been filed.
    pub(crate) fn file(&mut self, up_to: Position) {
        let filed = usize::try_from(up_to - self.before).unwrap_or(0);
        self.subscriptions
            .drain(..filed.min(self.subscriptions.len()));
        self.before = up_to;
    }

    /// How many lines are not filed.
    pub(crate) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether it has a line of this subscription.
    pub(crate) fn mentions(&self, subscription: Seq) -> bool {
        self.subscriptions.contains(&subscription)
    }

    /// The lines of wanted subscriptions that are not filed in this snapshot, oldest first.
    pub(crate) fn places(
        &self,
        conn: &Connection,
        between: Between,
        wanted: &HashSet<Seq>,
    ) -> Result<Vec<Position>, Failure> {
        let above = between.above.max(setting(conn, FILED)?);
        let lines = self.lines();
        let lines = lines.filter(|(place, _)| (above + 1..between.below).contains(place));
        let lines = lines.filter(|(_, subscription)| wanted.contains(subscription));
        Ok(lines.map(|(place, _)| place).collect())
    }

    fn lines(&self) -> impl Iterator<Item = (Position, Seq)> {
        (self.before + 1..).zip(self.subscriptions.iter().copied())
    }

    /// Goes on to `last` with lines of nobody.
    fn fill(&mut self, last: Position) {
        let missing = usize::try_from(last - self.before).unwrap_or(0);
        if missing > self.subscriptions.len() {
            self.subscriptions.resize(missing, NOBODY);
        }
    }
}

/// The last line of each subscription, for as many as are asked for.
pub(crate) struct Newest<'c> {
    in_tail: HashMap<Seq, Position>,
    filed: CachedStatement<'c>,
}

impl<'c> Newest<'c> {
    /// Goes through the tail, once for all of them. A line that is filed meanwhile is as good.
    pub(crate) fn look(conn: &'c Connection, tail: &Tail) -> Result<Self, Failure> {
        let newer = tail
            .lines()
            .map(|(place, subscription)| (subscription, place));
        let filed = "SELECT max(seq) FROM attempts_filed WHERE subscription = ?";
        Ok(Self {
            in_tail: newer.collect(),
            filed: conn.prepare_cached(filed)?,
        })
    }

    /// Its last line; none where it has none.
    pub(crate) fn of(&mut self, subscription: Seq) -> Result<Option<Position>, Failure> {
        let filed = first_of(&mut self.filed, [subscription], |row| Ok(row.get(0)?))?;
        let in_tail = self.in_tail.get(&subscription).copied();
        Ok(in_tail.max(filed.flatten()))
    }
}

/// Files everything that is in the log.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "every use case takes its input by reference"
)]
pub(crate) fn file(batch: &mut Batch<'_, '_>, (): &()) -> Result<(), Failure> {
    batch.flush()?;
    let last = batch.last_attempt();
    let db = batch.db()?;
    db.execute(FILE, (setting(db.connection(), FILED)?, last))?;
    db.set(FILED, last)?;
    batch.filed_up_to(last);
    Ok(())
}

/// Takes lines out that are about to leave the log: all up to `last`.
pub(crate) fn remove(batch: &mut Batch<'_, '_>, last: Position) -> Result<(), Failure> {
    batch.db()?.execute(REMOVE, [last]).map(drop)
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
        Order::Ascending => FILED_ASCENDING,
        Order::Descending => FILED_DESCENDING,
    })?;
    let params = params![subscription, between.above, between.below, limit];
    let places = statement.query_map(params, |row| row.get(0))?;
    Ok(places.collect::<Result<_, _>>()?)
}

pub(crate) const FILE: &str = "
    INSERT OR ROLLBACK INTO attempts_filed (subscription, seq)
    SELECT subscription, seq FROM attempts AS q WHERE seq > ? AND seq <= ?
    ORDER BY subscription, seq";
pub(crate) const REMOVE: &str = "
    DELETE FROM attempts_filed AS q WHERE (subscription, seq) IN
        (SELECT subscription, seq FROM attempts WHERE seq <= ?)";
pub(crate) const FILED_ASCENDING: &str = "
    SELECT seq FROM attempts_filed AS q
    WHERE subscription = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT ?";
pub(crate) const FILED_DESCENDING: &str = "
    SELECT seq FROM attempts_filed AS q
    WHERE subscription = ? AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn a_log_that_retention_emptied_has_no_tail() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn).unwrap();
        let mut tail = Tail::load(&conn, 1_000_000_000_000).unwrap();
        assert_eq!(tail.len(), 0);
        tail.extend([7].into_iter());
        let lines: Vec<_> = tail.lines().collect();
        assert_eq!(lines, [(1_000_000_000_001, 7)]);
    }

    #[test]
    fn a_tail_gives_up_what_is_filed_and_knows_the_rest_by_number() {
        let mut tail = Tail::default();
        tail.extend([7, 8, 7].into_iter());
        tail.file(2);
        tail.extend([8].into_iter());
        assert_eq!(tail.lines().collect::<Vec<_>>(), [(3, 7), (4, 8)]);
        assert_eq!(tail.len(), 2);
        tail.fill(5);
        assert!(tail.mentions(NOBODY) && !tail.mentions(9));
        tail.file(9);
        assert_eq!(tail.len(), 0);
    }
}
