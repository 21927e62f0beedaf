//! Appending: events, what is owed for them, and the promise not to do it twice.
//!
//! Matching and the rows themselves are staged in [`crate::batch`]; this is the use case around
//! them.

use std::sync::Arc;

use rusqlite::{Connection, Row, Rows};
use tidings_domain::{company::CompanyId, event::Event, time::UtcMillis};
use tidings_store::{Appended, Idempotency, Position, Publication};

use crate::{batch::Batch, database::first_of, event_rows, failure::Failure};

/// What a key was used for; [`read_used`] reads it.
const USED: &str = "SELECT seq, request_hash, first_position, events, expires_ms FROM idempotency
     WHERE company_id = ? AND key = ?";

/// What a key was used for.
struct Used {
    seq: i64,
    request_hash: [u8; 32],
    first: Position,
    events: i64,
    expires_ms: i64,
}

/// Appends a publication, unless its key was used before.
pub(crate) fn append<'b>(
    batch: &mut Batch<'_, 'b>,
    publication: &'b Publication,
) -> Result<Appended, Failure> {
    if let Some(idempotency) = &publication.idempotency
        && let Some(appended) = reserve(batch, publication, idempotency)?
    {
        return Ok(appended);
    }
    let memory = batch.memory;
    let book = memory.book.read();
    for event in &publication.events {
        batch.append(&book, event, publication.now);
    }
    batch.announce(&publication.company);
    Ok(Appended::Stored)
}

/// Takes a key for the events that are about to be appended; or says what it was used for.
fn reserve(
    batch: &mut Batch<'_, '_>,
    publication: &Publication,
    idempotency: &Idempotency,
) -> Result<Option<Appended>, Failure> {
    let db = batch.db()?;
    let company = publication.company.as_str();
    let used = db.first(USED, (company, &idempotency.key), read_used)?;
    match used {
        Some(used) if used.expires_ms <= publication.now.as_millis() => {
            db.execute("DELETE FROM idempotency WHERE seq = ?", [used.seq])?;
        }
        Some(used) if used.request_hash != idempotency.request_hash => {
            return Ok(Some(Appended::KeyReused));
        }
        Some(used) => return replay(batch, &used).map(Some),
        None => {}
    }
    let events = i64::try_from(publication.events.len()).expect("a bounded publication");
    db.execute(
        "INSERT INTO idempotency
             (company_id, key, request_hash, first_position, events, expires_ms)
         VALUES (?, ?, ?, ?, ?, ?)",
        (
            company,
            &idempotency.key,
            &idempotency.request_hash,
            batch.head() + 1,
            events,
            idempotency.expires.as_millis(),
        ),
    )?;
    Ok(None)
}

/// What [`append`] would answer because the key was used before.
pub(crate) fn replayed(
    conn: &Connection,
    company: &CompanyId,
    promise: &Idempotency,
    now: UtcMillis,
) -> Result<Option<Appended>, Failure> {
    let mut statement = conn.prepare_cached(USED)?;
    let found = first_of(&mut statement, (company.as_str(), &promise.key), read_used)?;
    match found.filter(|used| used.expires_ms > now.as_millis()) {
        None => Ok(None),
        Some(used) if used.request_hash != promise.request_hash => Ok(Some(Appended::KeyReused)),
        Some(used) => {
            let mut statement = conn.prepare_cached(&events_between())?;
            first_answer(statement.query([used.first, used.events])?).map(Some)
        }
    }
}

fn replay(batch: &mut Batch<'_, '_>, used: &Used) -> Result<Appended, Failure> {
    // The first use may be in this very transaction.
    batch.flush()?;
    let mut statement = batch.db()?.statement(&events_between())?;
    first_answer(statement.query([used.first, used.events])?)
}

fn read_used(row: &Row<'_>) -> Result<Used, Failure> {
    Ok(Used {
        seq: row.get(0)?,
        request_hash: row.get(1)?,
        first: row.get(2)?,
        events: row.get(3)?,
        expires_ms: row.get(4)?,
    })
}

/// Selects the events that were stored under a key. They have positions in a row, and retention
/// leaves them alone as long as the key lives.
fn events_between() -> String {
    let columns = event_rows::COLUMNS;
    format!(
        "SELECT {columns} FROM events e WHERE e.position >= ?1 AND e.position < ?1 + ?2
         ORDER BY e.position"
    )
}

fn first_answer(mut rows: Rows<'_>) -> Result<Appended, Failure> {
    let mut events: Vec<Arc<Event>> = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(Arc::new(event_rows::read(row, 0)?));
    }
    Ok(Appended::Replayed(events))
}
