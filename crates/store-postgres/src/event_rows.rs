//! Rows of the event log, read back as envelopes.

use tidings_domain::{company::CompanyId, event::Event, event_type::EventType, id::EventId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{columns, failure::Failure};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "id, company_id, type, created_ms, payload, metadata";

/// Reads the columns of [`COLUMNS`] from column `at` on.
pub(crate) fn read(row: &Row, at: usize) -> Result<Event, Failure> {
    Ok(Event::from_stored(
        EventId::from_bytes(columns::id(row, at)),
        EventType::parse(row.get(at + 2)).map_err(|_| unreadable())?,
        columns::time(row, at + 3),
        CompanyId::parse(row.get(at + 1)).map_err(|_| unreadable())?,
        columns::text(row, at + 4)?,
        columns::text_or_none(row, at + 5)?.unwrap_or("{}"),
    ))
}

/// An id as its column has it.
pub(crate) fn uuid_of(id: EventId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn unreadable() -> Failure {
    Failure::unreadable("event")
}
