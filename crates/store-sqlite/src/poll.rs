//! Reading events back: by position for polling, by id for one.

use std::sync::Arc;

use rusqlite::Connection;
use tidings_domain::{
    company::CompanyId, cursor::Order, event::Event, event_type::EventType,
    event_type::EventTypePattern, id::EventId,
};
use tidings_store::{EventPage, EventQuery, Position};

use crate::{database::first_of, event_rows, failure::Failure};

/// Index entries that one read looks at.
pub(crate) const LOOK_MAX: usize = 20_000;
/// A page takes no further event beyond so many bytes.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// What the index said.
struct Found {
    positions: Vec<Position>,
    /// The last position that was looked at.
    looked_at: Option<Position>,
    /// Whether there is something wanted beyond it, or may be beyond [`LOOK_MAX`].
    has_more: bool,
}

/// A page of a company's events.
pub(crate) fn read_events(conn: &Connection, query: &EventQuery) -> Result<EventPage, Failure> {
    let found = look(conn, query)?;
    let columns = event_rows::COLUMNS;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {columns} FROM events e WHERE e.position = ?"
    ))?;
    let mut events = Vec::with_capacity(found.positions.len());
    let mut bytes = 0;
    let mut last = None;
    for &position in &found.positions {
        if bytes > PAGE_BYTES_MAX {
            // Cut short: the next page begins behind the last event of this one.
            return Ok(EventPage {
                positions: found.positions[..events.len()].to_vec(),
                events,
                next: last.or(query.after).unwrap_or(0),
                has_more: true,
            });
        }
        let event = first_of(&mut statement, [position], |row| event_rows::read(row, 0))?;
        let event = event.ok_or_else(|| {
            Failure::Broken(format!(
                "event {position} is in the index but not in the log"
            ))
        })?;
        bytes += event.json().len();
        last = Some(position);
        events.push(Arc::new(event));
    }
    Ok(EventPage {
        positions: found.positions,
        events,
        next: found.looked_at.or(query.after).unwrap_or(0),
        has_more: found.has_more,
    })
}

/// One event; `company` none for whoever's it is.
pub(crate) fn event(
    conn: &Connection,
    company: Option<&CompanyId>,
    id: EventId,
) -> Result<Option<Arc<Event>>, Failure> {
    let columns = event_rows::COLUMNS;
    let mut statement =
        conn.prepare_cached(&format!("SELECT {columns} FROM events e WHERE e.id = ?"))?;
    let event = first_of(&mut statement, [id.as_bytes()], |row| {
        event_rows::read(row, 0)
    })?;
    Ok(event
        .filter(|event| company.is_none_or(|company| company == event.company()))
        .map(Arc::new))
}

/// Finds the positions of a page by the index alone.
fn look(conn: &Connection, query: &EventQuery) -> Result<Found, Failure> {
    let (sql, from) = match query.order {
        Order::Ascending => (
            "SELECT position, type FROM events INDEXED BY events_by_company
             WHERE company_id = ? AND position > ? ORDER BY position",
            query.after.unwrap_or(0),
        ),
        Order::Descending => (
            "SELECT position, type FROM events INDEXED BY events_by_company
             WHERE company_id = ? AND position < ? ORDER BY position DESC",
            query.after.unwrap_or(Position::MAX),
        ),
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((query.company.as_str(), from))?;
    let mut found = Found {
        positions: Vec::new(),
        looked_at: None,
        has_more: false,
    };
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        let is_wanted = looked < LOOK_MAX
            && (query.types.is_empty() || wants(&query.types, row.get_ref(1)?.as_str().ok())?);
        // A full page is not the last one only if something follows that is wanted.
        if looked == LOOK_MAX || is_wanted && found.positions.len() == query.limit {
            found.has_more = true;
            break;
        }
        looked += 1;
        let position = row.get(0)?;
        found.looked_at = Some(position);
        if is_wanted {
            found.positions.push(position);
        }
    }
    Ok(found)
}

/// Whether any pattern wants a stored type.
pub(crate) fn wants(patterns: &[EventTypePattern], stored: Option<&str>) -> Result<bool, Failure> {
    let event_type = stored.and_then(|text| EventType::parse(text).ok());
    let event_type = event_type.ok_or_else(|| Failure::unreadable("event type"))?;
    Ok(patterns.iter().any(|pattern| pattern.matches(&event_type)))
}
