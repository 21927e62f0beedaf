//! How much waits, and since when.

use rusqlite::Connection;
use tidings_domain::time::UtcMillis;

use crate::{failure::Failure, memory::Seq};

/// Rows among which the oldest is looked for.
const LOOK_MAX: i64 = 1000;

/// When the oldest delivery that is owed became so: the oldest among those of the oldest events.
/// Only a redelivery of an old event can be owed for a shorter time than a newer event's.
pub(crate) fn oldest(conn: &Connection) -> Result<Option<UtcMillis>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT min(owed_since_ms) FROM (
             SELECT q.owed_since_ms FROM queue q
             JOIN subscriptions s ON s.seq = q.subscription AND s.epoch = q.epoch
             WHERE s.deleted_ms IS NULL ORDER BY q.position LIMIT ?)",
    )?;
    let oldest: Option<i64> = statement.query_row([LOOK_MAX], |row| row.get(0))?;
    Ok(oldest.map(UtcMillis::from_millis))
}

/// The same for some subscriptions, each of which is owed something. Those that wait for their time
/// are looked for in the index, where the longest due come first; those in flight among the oldest
/// events and the newest ones. Only a retry that is due late can be older than what is found.
pub(crate) fn oldest_of(
    conn: &Connection,
    subscriptions: &[Seq],
) -> Result<Option<UtcMillis>, Failure> {
    let mut oldest: Option<i64> = None;
    let mut note = |found: Option<i64>| oldest = found.into_iter().chain(oldest).min();
    let mut waiting = conn.prepare_cached(
        "SELECT min(owed_since_ms) FROM (
             SELECT q.owed_since_ms FROM queue q INDEXED BY queue_waiting
             JOIN subscriptions s ON s.seq = q.subscription
             WHERE q.holder = 0 AND q.subscription = ?1 AND q.epoch = s.epoch AND s.seq = ?1
             ORDER BY q.due_ms LIMIT ?2)",
    )?;
    let mut looks_left = LOOK_MAX;
    let each = LOOK_MAX / i64::try_from(subscriptions.len().max(1)).unwrap_or(LOOK_MAX);
    for subscription in subscriptions {
        if looks_left == 0 {
            break;
        }
        let looks = each.max(1);
        looks_left -= looks.min(looks_left);
        note(waiting.query_row((subscription, looks), |row| row.get(0))?);
    }
    for direction in ["", "DESC"] {
        let mut statement = conn.prepare_cached(&format!(
            "SELECT q.subscription, q.owed_since_ms FROM queue q
             JOIN subscriptions s ON s.seq = q.subscription AND s.epoch = q.epoch
             WHERE s.deleted_ms IS NULL ORDER BY q.position {direction} LIMIT ?"
        ))?;
        let mut rows = statement.query([LOOK_MAX])?;
        while let Some(row) = rows.next()? {
            if subscriptions.contains(&row.get(0)?) {
                note(Some(row.get(1)?));
            }
        }
    }
    Ok(oldest.map(UtcMillis::from_millis))
}
