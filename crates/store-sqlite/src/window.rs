//! The events of a replay's window, found by the index alone and step by step.

use rusqlite::Connection;
use tidings_domain::{company::CompanyId, subscription::EventTypes, time::UtcMillis};
use tidings_store::Position;

use crate::{
    failure::Failure,
    poll::{self, LOOK_MAX},
    redelivery::REPLAY_STEP_MAX,
};

/// What to look for, and between which positions.
pub(crate) struct Window {
    pub(crate) company: CompanyId,
    pub(crate) types: EventTypes,
    pub(crate) since: UtcMillis,
    pub(crate) until: Option<UtcMillis>,
    /// Exclusive.
    pub(crate) after: Position,
    /// Inclusive.
    pub(crate) up_to: Position,
}

/// One step through a window.
pub(crate) struct Step {
    pub(crate) positions: Vec<Position>,
    /// Where the next step begins; none where nothing is left.
    pub(crate) after: Option<Position>,
}

/// Looks at a bounded number of index entries, and finds a bounded number of events.
pub(crate) fn step(conn: &Connection, window: &Window) -> Result<Step, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT position, type, created_ms FROM events INDEXED BY events_by_company
         WHERE company_id = ? AND position > ? AND position <= ? ORDER BY position",
    )?;
    let mut rows = statement.query((window.company.as_str(), window.after, window.up_to))?;
    let mut step = Step {
        positions: Vec::new(),
        after: None,
    };
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        looked += 1;
        let position = row.get(0)?;
        let created = UtcMillis::from_millis(row.get(2)?);
        let inside = window.since <= created && window.until.is_none_or(|until| created < until);
        if inside && poll::wants(window.types.patterns(), row.get_ref(1)?.as_str().ok())? {
            step.positions.push(position);
        }
        if looked == LOOK_MAX || step.positions.len() == REPLAY_STEP_MAX {
            step.after = Some(position);
            break;
        }
    }
    Ok(step)
}
