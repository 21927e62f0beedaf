//! How much waits, and since when.

use rusqlite::Connection;
use tidings_domain::time::UtcMillis;

use crate::failure::Failure;

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
