//! Places in time: where in a log that is numbered in the order of time something was, found by
//! halving the numbers, so in the same time however long the log is. Retention leaves gaps.

use rusqlite::Connection;
use tidings_domain::time::UtcMillis;
use tidings_store::Position;

use crate::{database::first_of, failure::Failure};

/// How much earlier than the line above it an attempt may have begun, in milliseconds: its line is
/// written when it has ended. Who looks for attempts of a time looks so much further.
pub(crate) const LOGGED_LATE_MAX_MS: i64 = 60_000;

/// How far an event may be stored behind others of a later time, in milliseconds: its time is
/// taken before it waits for the writer.
const STORED_LATE_MAX_MS: i64 = 60_000;
/// Events that are looked at for the first one of a time, from where that margin begins. Where it
/// is not among them, its place is taken to be behind them.
const LOOK_MAX: i64 = 20_000;

const EVENTS: Log = Log {
    highest: "SELECT max(position) FROM events",
    next: "SELECT position, stored_ms FROM events WHERE position >= ? ORDER BY position LIMIT 1",
};
const ATTEMPTS: Log = Log {
    highest: "SELECT max(seq) FROM attempts",
    next: "SELECT seq, attempted_ms FROM attempts WHERE seq >= ? ORDER BY seq LIMIT 1",
};

/// A log, and how to look into it.
struct Log {
    highest: &'static str,
    /// The first row from a number on, with its time.
    next: &'static str,
}

/// A position behind which everything lies that was stored at `time` or later: that of the last
/// event before the first of these, or of one that is less than the margin earlier; 0 where there
/// is none.
pub(crate) fn position_before(conn: &Connection, time: UtcMillis) -> Result<Position, Failure> {
    let mut last = EVENTS.last_before(conn, time.plus_millis(-STORED_LATE_MAX_MS))?;
    let mut next = conn.prepare_cached(
        "SELECT position, stored_ms FROM events WHERE position > ? ORDER BY position LIMIT ?",
    )?;
    let mut rows = next.query((last, LOOK_MAX))?;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= time.as_millis() {
            break;
        }
        last = row.get(0)?;
    }
    Ok(last)
}

/// A number in the log of attempts at and below which all began before `time`.
pub(crate) fn attempts_before(conn: &Connection, time: UtcMillis) -> Result<Position, Failure> {
    ATTEMPTS.last_before(conn, time.plus_millis(-LOGGED_LATE_MAX_MS))
}

/// A number in the log of attempts above which none began before `time`.
pub(crate) fn attempts_up_to(conn: &Connection, time: UtcMillis) -> Result<Position, Failure> {
    ATTEMPTS.last_before(conn, time.plus_millis(LOGGED_LATE_MAX_MS))
}

impl Log {
    /// The number of the last row before `time`, where rows are in the order of time. Where they
    /// are so but for a margin, it is the number of a row before `time`, and no row above it is
    /// further before `time` than that margin.
    fn last_before(&self, conn: &Connection, time: UtcMillis) -> Result<i64, Failure> {
        let mut highest = conn.prepare_cached(self.highest)?;
        let highest: Option<i64> = highest.query_row([], |row| row.get(0))?;
        let mut next = conn.prepare_cached(self.next)?;
        // `below` is 0 or a row before the time; from `above` on there is none.
        let (mut below, mut above) = (0, highest.unwrap_or(0) + 1);
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            let found: Option<(i64, i64)> =
                first_of(&mut next, [middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
            match found {
                Some((number, at)) if number < above && at < time.as_millis() => below = number,
                _ => above = middle,
            }
        }
        Ok(below)
    }
}
