//! Housekeeping: retention, expired idempotency keys, dead rows, when keys were last used; and what
//! is over in the portal ([`crate::portal_chores`]).
//!
//! A reader looks first, so an idle server writes nothing. What it finds is deleted in one
//! transaction of at most [`ROWS_MAX`] rows per table; the caller comes back as long as more
//! remains.

use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension};
use tidings_domain::{id::ApiKeyId, time::UtcMillis};
use tidings_store::{Position, Retention};

use crate::{
    batch::Batch,
    failure::Failure,
    load::{ATTEMPT_FLOOR, POSITION_FLOOR},
    log_index::{self, Tail},
    memory::{Memory, Seq},
    portal_chores::PortalChores,
    queue_rows,
};

/// Rows of one table that one step looks at and deletes.
const ROWS_MAX: i64 = 1000;
/// When keys were last used is written at most this often, in milliseconds.
const KEYS_WRITTEN_EVERY_MS: i64 = 60_000;

/// What a step finds to do.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// Idempotency keys up to this one have expired.
    idempotency_up_to: Option<i64>,
    /// Events in this range of positions (exclusive, inclusive) are past retention.
    events: Option<(Position, Position)>,
    /// Attempts up to this one are past retention.
    attempts_up_to: Option<i64>,
    /// Subscriptions and an ended epoch of theirs that has rows.
    dead: Vec<(Seq, u32)>,
    /// Deleted subscriptions that nothing refers to.
    subscriptions: Vec<Seq>,
    /// What of the portal is over.
    portal: PortalChores,
    /// When keys were last used.
    keys: HashMap<ApiKeyId, UtcMillis>,
    /// Where the look at events goes on next time; 0 for the beginning.
    events_next: Position,
    /// More may be left than one step does.
    more: bool,
}

impl Chores {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.idempotency_up_to.is_none()
            && self.events.is_none()
            && self.attempts_up_to.is_none()
            && self.dead.is_empty()
            && self.subscriptions.is_empty()
            && self.portal.is_empty()
            && self.keys.is_empty()
    }

    /// Where the look at events goes on.
    pub(crate) fn events_next(&self) -> Position {
        self.events_next
    }

    /// Whether more may be left than one step does.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// The uses of keys that this step writes.
    pub(crate) fn keys(&self) -> HashMap<ApiKeyId, UtcMillis> {
        self.keys.clone()
    }

    /// Adds uses of keys, where they are to be written now.
    pub(crate) fn add_keys(&mut self, memory: &Memory, now: UtcMillis) {
        let touched = memory.touched.lock();
        let fresh = |written: UtcMillis| now.since(written) < KEYS_WRITTEN_EVERY_MS;
        if !touched.written.is_some_and(fresh) {
            self.keys.clone_from(&touched.keys);
        }
    }
}

/// Looks for something to do. `events_after` is where the last look at events ended.
pub(crate) fn look(
    conn: &Connection,
    tail: &Tail,
    now: UtcMillis,
    retention: Retention,
    events_after: Position,
) -> Result<Chores, Failure> {
    let mut chores = Chores::default();
    look_at_idempotency(conn, now, &mut chores)?;
    if let Some(events_ms) = retention.events_ms {
        look_at_events(conn, now.plus_millis(-events_ms), events_after, &mut chores)?;
    }
    if let Some(attempts_ms) = retention.attempts_ms {
        let before = now.plus_millis(-attempts_ms);
        look_at_attempts(conn, before, &mut chores)?;
        look_at_deleted(conn, tail, before, &mut chores)?;
    }
    look_at_dead(conn, &mut chores)?;
    chores.portal = PortalChores::look(conn, now, ROWS_MAX)?;
    chores.more |= chores.portal.has_more();
    Ok(chores)
}

/// Does it. True where more may be left.
pub(crate) fn work(
    batch: &mut Batch<'_, '_>,
    (chores, now): &(Chores, UtcMillis),
) -> Result<bool, Failure> {
    let mut more = chores.more;
    let db = batch.db()?;
    if let Some(up_to) = chores.idempotency_up_to {
        db.execute(
            "DELETE FROM idempotency WHERE seq <= ? AND expires_ms <= ?",
            (up_to, now.as_millis()),
        )?;
    }
    let mut left = ROWS_MAX;
    for (subscription, epoch) in &chores.dead {
        if left == 0 {
            break;
        }
        let deleted = queue_rows::end_waiting(db, *subscription, *epoch, left)?;
        left -= i64::try_from(deleted).unwrap_or(left);
    }
    // What has ended keeps no event any more: the next step will see that.
    more |= !chores.dead.is_empty();
    if let Some(range) = chores.events {
        keep_floor(batch, POSITION_FLOOR, batch.head())?;
        db.execute(
            "DELETE FROM events WHERE position > ? AND position <= ?
                 AND NOT EXISTS (SELECT 1 FROM queue
                     WHERE queue.position = events.position AND queue.holder >= 0)",
            range,
        )?;
        db.execute(
            "DELETE FROM queue WHERE position > ? AND position <= ? AND holder < 0
                 AND NOT EXISTS (SELECT 1 FROM events WHERE events.position = queue.position)",
            range,
        )?;
    }
    if let Some(up_to) = chores.attempts_up_to {
        keep_floor(batch, ATTEMPT_FLOOR, batch.last_attempt())?;
        log_index::remove(batch, up_to)?;
        db.execute("DELETE FROM attempts WHERE seq <= ?", [up_to])?;
    }
    for seq in &chores.subscriptions {
        db.execute(
            "DELETE FROM subscription_history WHERE subscription = ?",
            [seq],
        )?;
        db.execute("DELETE FROM subscriptions WHERE seq = ?", [seq])?;
    }
    chores.portal.work(db, *now, ROWS_MAX)?;
    for (id, used) in &chores.keys {
        db.execute(
            "UPDATE api_keys SET last_used_ms = ? WHERE id = ?",
            (used.as_millis(), id.as_bytes()),
        )?;
    }
    Ok(more)
}

/// Notes after the commit which uses of keys have been written.
pub(crate) fn keys_written(
    memory: &Memory,
    written: &HashMap<ApiKeyId, UtcMillis>,
    now: UtcMillis,
) {
    if written.is_empty() {
        return;
    }
    for key in memory.keys.write().values_mut() {
        if let Some(used) = written.get(&key.id) {
            key.last_used = Some(*used);
        }
    }
    let mut touched = memory.touched.lock();
    touched.written = Some(now);
    touched
        .keys
        .retain(|id, used| written.get(id) != Some(used));
}

/// Keeps a number from being given out again when the rows that show it are gone.
fn keep_floor(batch: &mut Batch<'_, '_>, name: &str, highest: i64) -> Result<(), Failure> {
    batch.db()?.set(name, highest)
}

/// Keys end in the order in which they were given, so only the oldest need a look.
fn look_at_idempotency(
    conn: &Connection,
    now: UtcMillis,
    chores: &mut Chores,
) -> Result<(), Failure> {
    let mut statement =
        conn.prepare_cached("SELECT seq, expires_ms FROM idempotency ORDER BY seq LIMIT ?")?;
    let rows = statement.query_map([ROWS_MAX], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let mut expired = 0;
    for row in rows {
        let (seq, expires_ms) = row?;
        if expires_ms > now.as_millis() {
            break;
        }
        chores.idempotency_up_to = Some(seq);
        expired += 1;
    }
    chores.more |= expired == ROWS_MAX;
    Ok(())
}

/// Old events, but for those that are owed, and those that an idempotency key promises to show
/// again.
fn look_at_events(
    conn: &Connection,
    before: UtcMillis,
    after: Position,
    chores: &mut Chores,
) -> Result<(), Failure> {
    let promised: Option<Position> = conn
        .prepare_cached("SELECT first_position FROM idempotency ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let mut statement = conn.prepare_cached(
        "SELECT position, stored_ms,
             EXISTS (SELECT 1 FROM queue
                 WHERE queue.position = events.position AND queue.holder >= 0)
         FROM events WHERE position > ? AND position < ? ORDER BY position LIMIT ?",
    )?;
    let mut rows = statement.query((after, promised.unwrap_or(Position::MAX), ROWS_MAX))?;
    let (mut looked, mut old, mut last) = (0, 0, after);
    while let Some(row) = rows.next()? {
        let stored: i64 = row.get(1)?;
        if stored > before.as_millis() {
            break;
        }
        looked += 1;
        last = row.get(0)?;
        old += i64::from(!row.get::<_, bool>(2)?);
    }
    let full = looked == ROWS_MAX;
    // Owed ones stay behind: the next look begins after them, and a full round later again.
    chores.events_next = if full { last } else { 0 };
    chores.events = (old > 0).then_some((after, last));
    chores.more |= full;
    Ok(())
}

fn look_at_attempts(
    conn: &Connection,
    before: UtcMillis,
    chores: &mut Chores,
) -> Result<(), Failure> {
    let mut statement =
        conn.prepare_cached("SELECT seq, attempted_ms FROM attempts ORDER BY seq LIMIT ?")?;
    let mut rows = statement.query([ROWS_MAX])?;
    let mut old = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? > before.as_millis() {
            break;
        }
        chores.attempts_up_to = Some(row.get(0)?);
        old += 1;
    }
    chores.more |= old == ROWS_MAX;
    Ok(())
}

/// Subscriptions that were deleted before the log's retention began, and have nothing in it.
fn look_at_deleted(
    conn: &Connection,
    tail: &Tail,
    before: UtcMillis,
    chores: &mut Chores,
) -> Result<(), Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM subscriptions
         WHERE deleted_ms IS NOT NULL AND deleted_ms <= ?
             AND NOT EXISTS (
                 SELECT 1 FROM attempts_filed WHERE attempts_filed.subscription = subscriptions.seq)
             AND NOT EXISTS (
                 SELECT 1 FROM queue
                 WHERE queue.holder = 0 AND queue.subscription = subscriptions.seq)
         ORDER BY seq LIMIT ?",
    )?;
    let rows = statement.query_map((before.as_millis(), ROWS_MAX), |row| row.get(0))?;
    let mut unmentioned: Vec<Seq> = rows.collect::<Result<_, _>>()?;
    unmentioned.retain(|seq| !tail.mentions(*seq));
    chores.subscriptions = unmentioned;
    Ok(())
}

/// Waiting rows of an ended epoch or a deleted subscription; one look per subscription that has
/// anything waiting. Held ones are dropped by whoever holds them.
fn look_at_dead(conn: &Connection, chores: &mut Chores) -> Result<(), Failure> {
    let mut next = conn.prepare_cached(
        "SELECT q.subscription, q.epoch, s.epoch, s.deleted_ms FROM (
             SELECT subscription, epoch FROM queue
             WHERE holder = 0 AND (subscription, epoch) > (?, ?)
             ORDER BY subscription, epoch LIMIT 1) q
         LEFT JOIN subscriptions s ON s.seq = q.subscription",
    )?;
    let mut place: (Seq, i64) = (0, -1);
    let mut pairs = 0;
    loop {
        let found: Option<(Seq, u32, Option<u32>, Option<i64>)> = next
            .query_row(place, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((subscription, epoch, current, deleted)) = found else {
            return Ok(());
        };
        if deleted.is_some() || current != Some(epoch) {
            chores.dead.push((subscription, epoch));
            pairs += 1;
            if pairs == ROWS_MAX {
                chores.more = true;
                return Ok(());
            }
        }
        place = (subscription, i64::from(epoch));
    }
}
