//! Rows of the event log, read back as envelopes.

use rusqlite::Row;
use tidings_domain::{
    company::CompanyId, event::Event, event_type::EventType, id::EventId, time::UtcMillis,
};

use crate::failure::Failure;

/// The columns that [`read`] expects, in its order; the table is named `e`.
pub(crate) const COLUMNS: &str = "e.id, e.company_id, e.type, e.created_ms, e.payload, e.metadata";

/// Reads the columns of [`COLUMNS`] from column `at` on.
pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Event, Failure> {
    let text = |column: usize| -> Result<Option<&str>, Failure> {
        row.get_ref(at + column)?
            .as_str_or_null()
            .map_err(|_| unreadable())
    };
    let given = |column: usize| text(column)?.ok_or_else(unreadable);
    Ok(Event::from_stored(
        EventId::from_bytes(row.get(at)?),
        EventType::parse(given(2)?).map_err(|_| unreadable())?,
        UtcMillis::from_millis(row.get(at + 3)?),
        CompanyId::parse(given(1)?).map_err(|_| unreadable())?,
        given(4)?,
        text(5)?.unwrap_or("{}"),
    ))
}

fn unreadable() -> Failure {
    Failure::unreadable("event")
}
