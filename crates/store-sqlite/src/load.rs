//! Loading: what memory holds of the committed state, read from the database when it is opened.

use std::{sync::Arc, sync::atomic::Ordering};

use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension};
use tidings_domain::api_key::{ApiKey, KeyHash};
use tidings_store::{Position, Sealer};

use crate::{
    database::setting,
    failure::Failure,
    figure_rows, key_rows,
    log_index::{FILE_EVERY, Tail},
    memory::{Book, Memory, Seq},
    state::State,
    subscription_rows,
    waiting::Waiting,
};

/// The settings that keep numbers from being given out twice when retention has emptied a table.
pub(crate) const POSITION_FLOOR: &str = "position_floor";
pub(crate) const ATTEMPT_FLOOR: &str = "attempt_floor";

/// Frees what earlier processes held, and reads everything that memory holds. Leases that stood
/// are void.
pub(crate) fn load(conn: &Connection, memory: &Memory) -> Result<State, Failure> {
    memory.leases.lock().clear();
    conn.execute("UPDATE queue SET holder = 0 WHERE holder > 0", [])?;
    let book = read_book(conn, &memory.sealer)?;
    let keys = read_keys(conn)?;
    let mut waiting = Waiting::default();
    for (subscription, due_ms) in self::waiting(conn, &book)? {
        waiting.note(subscription, due_ms);
    }
    let owed = read_owed(conn, &book)?;
    let head = read_highest(conn, "SELECT max(position) FROM events", POSITION_FLOOR)?;
    let attempts = read_highest(conn, "SELECT max(seq) FROM attempts", ATTEMPT_FLOOR)?;
    memory.head.store(head, Ordering::Release);
    memory.owed.store(owed.values().sum(), Ordering::Relaxed);
    *memory.owed_by_subscription.lock() = owed;
    memory.figures.is_written(figure_rows::last_written(conn)?);
    *memory.tail.lock() = Tail::load(conn, attempts)?;
    *memory.book.write() = book;
    *memory.keys.write() = keys;
    Ok(State {
        next_position: head + 1,
        next_attempt: attempts + 1,
        file_at: FILE_EVERY,
        waiting,
    })
}

/// The earliest waiting row of each subscription that exists, in its current epoch. Looks at the
/// partial index once per subscription, not at its rows.
pub(crate) fn waiting(conn: &Connection, book: &Book) -> Result<Vec<(Seq, i64)>, Failure> {
    let mut epochs = conn.prepare_cached(
        "SELECT subscription, epoch, due_ms FROM queue
         WHERE holder = 0 AND (subscription, epoch) > (?, ?)
         ORDER BY subscription, epoch, due_ms LIMIT 1",
    )?;
    let mut found = Vec::new();
    let mut place: (Seq, i64) = (0, -1);
    loop {
        let next: Option<(Seq, i64, i64)> = epochs
            .query_row(place, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((subscription, epoch, due_ms)) = next else {
            return Ok(found);
        };
        let current = book.by_seq(subscription).map(|entry| entry.endpoint.epoch);
        if current.map(i64::from) == Some(epoch) {
            found.push((subscription, due_ms));
        }
        place = (subscription, epoch);
    }
}

fn read_book(conn: &Connection, sealer: &Sealer) -> Result<Book, Failure> {
    let mut book = Book::default();
    let sql = format!(
        "SELECT {} FROM subscriptions WHERE deleted_ms IS NULL",
        subscription_rows::COLUMNS
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stored = subscription_rows::read(row)?;
        book.put(Arc::new(stored.to_entry(sealer)?));
    }
    Ok(book)
}

fn read_keys(conn: &Connection) -> Result<HashMap<KeyHash, ApiKey>, Failure> {
    let sql = format!(
        "SELECT {} FROM api_keys WHERE revoked_ms IS NULL",
        key_rows::COLUMNS
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut keys = HashMap::new();
    while let Some(row) = rows.next()? {
        let (hash, key) = key_rows::read(row)?;
        keys.insert(hash, key);
    }
    Ok(keys)
}

fn read_owed(conn: &Connection, book: &Book) -> Result<HashMap<Seq, u64>, Failure> {
    let mut owed: HashMap<Seq, u64> = HashMap::new();
    let mut statement = conn.prepare("SELECT subscription, epoch FROM queue")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (subscription, epoch): (Seq, u32) = (row.get(0)?, row.get(1)?);
        let current = book.by_seq(subscription).map(|entry| entry.endpoint.epoch);
        if current == Some(epoch) {
            *owed.entry(subscription).or_default() += 1;
        }
    }
    Ok(owed)
}

/// The highest number that was ever given out.
pub(crate) fn read_highest(conn: &Connection, sql: &str, floor: &str) -> Result<Position, Failure> {
    let highest: Option<i64> = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(highest.unwrap_or(0).max(setting(conn, floor)?))
}
