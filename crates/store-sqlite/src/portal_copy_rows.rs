//! Rows of what belongs to the portal, read to be copied away; see [`crate::copy_rows`].

use rusqlite::{Result, Row};
use tidings_domain::figures::ELAPSED_CLASSES;
use tidings_store::copy::{AuditRow, EventTypeRow, FigureRow, LinkRow, Place, SessionRow, UserRow};

use crate::{copy_rows::FIXED_BYTES, copy_source::Pulled};

/// Statements that read a table beyond a place, in order.
pub(crate) const SELECT_USERS: &str =
    "SELECT seq, id, email, password_hash, created_ms, last_sign_in_ms
     FROM users WHERE seq > ? ORDER BY seq";
pub(crate) const SELECT_LINKS: &str = "SELECT seq, hash, purpose, company_id, role, expires_ms
     FROM links WHERE seq > ? ORDER BY seq";
pub(crate) const SELECT_SESSIONS: &str =
    "SELECT seq, hash, user_id, company_id, role, created_ms, expires_ms
     FROM sessions WHERE seq > ? ORDER BY seq";
pub(crate) const SELECT_AUDIT: &str =
    "SELECT seq, at_ms, company_id, actor_kind, actor_id, actor_name, address, action, target,
         changes
     FROM audit_log WHERE seq > ? ORDER BY seq";
pub(crate) const SELECT_EVENT_TYPES: &str =
    "SELECT seq, name, description, sample_payload, schema, deprecated
     FROM event_types WHERE seq > ? ORDER BY seq";
/// Here a place says how many rows of its stretch of time have been read.
pub(crate) const SELECT_FIGURES: &str =
    "SELECT resolution, start_ms, subscription, company_id, published, succeeded, failed,
         elapsed_2, elapsed_5, elapsed_10, elapsed_25, elapsed_50, elapsed_100, elapsed_250,
         elapsed_500, elapsed_1000, elapsed_2500, elapsed_5000, elapsed_10000, elapsed_30000,
         elapsed_more
     FROM figures INDEXED BY figures_by_time WHERE (resolution, start_ms) >= (?, ?)
     ORDER BY resolution, start_ms, subscription, company_id LIMIT -1 OFFSET ?";

pub(crate) fn user(row: &Row<'_>) -> Result<Pulled<UserRow>> {
    let row = UserRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        email: row.get(2)?,
        password_hash: row.get(3)?,
        created_ms: row.get(4)?,
        last_sign_in_ms: row.get(5)?,
    };
    Ok(numbered(row.seq, 0, row))
}

pub(crate) fn link(row: &Row<'_>) -> Result<Pulled<LinkRow>> {
    let row = LinkRow {
        seq: row.get(0)?,
        hash: row.get(1)?,
        purpose: row.get(2)?,
        company: row.get(3)?,
        role: row.get(4)?,
        expires_ms: row.get(5)?,
    };
    Ok(numbered(row.seq, 0, row))
}

pub(crate) fn session(row: &Row<'_>) -> Result<Pulled<SessionRow>> {
    let row = SessionRow {
        seq: row.get(0)?,
        hash: row.get(1)?,
        user: row.get(2)?,
        company: row.get(3)?,
        role: row.get(4)?,
        created_ms: row.get(5)?,
        expires_ms: row.get(6)?,
    };
    Ok(numbered(row.seq, 0, row))
}

pub(crate) fn audit(row: &Row<'_>) -> Result<Pulled<AuditRow>> {
    let row = AuditRow {
        seq: row.get(0)?,
        at_ms: row.get(1)?,
        company: row.get(2)?,
        actor_kind: row.get(3)?,
        actor_id: row.get(4)?,
        actor_name: row.get(5)?,
        address: row.get(6)?,
        action: row.get(7)?,
        target: row.get(8)?,
        changes: row.get(9)?,
    };
    let bytes = row.target.len() + row.changes.len();
    Ok(numbered(row.seq, bytes, row))
}

pub(crate) fn event_type(row: &Row<'_>) -> Result<Pulled<EventTypeRow>> {
    let row = EventTypeRow {
        seq: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        sample_payload: row.get(3)?,
        schema: row.get(4)?,
        deprecated: row.get(5)?,
    };
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let bytes = row.description.len() + length(&row.sample_payload) + length(&row.schema);
    Ok(numbered(row.seq, bytes, row))
}

/// Reads a row of figures; `before` is the place where the row before it ended.
pub(crate) fn figure(row: &Row<'_>, before: Place) -> Result<Pulled<FigureRow>> {
    const FIRST_CLASS: usize = 7;
    let mut elapsed = [0; ELAPSED_CLASSES];
    for (class, attempts) in elapsed.iter_mut().enumerate() {
        *attempts = row.get(FIRST_CLASS + class)?;
    }
    let row = FigureRow {
        resolution: row.get(0)?,
        start_ms: row.get(1)?,
        subscription: row.get(2)?,
        company: row.get(3)?,
        published: row.get(4)?,
        succeeded: row.get(5)?,
        failed: row.get(6)?,
        elapsed,
    };
    let [resolution, start, read] = before.0;
    let stretch = (i64::from(row.resolution), row.start_ms);
    let read = if stretch == (resolution, start) {
        read
    } else {
        0
    };
    Ok(Pulled {
        place: Place([stretch.0, stretch.1, read + 1]),
        bytes: FIXED_BYTES,
        row,
    })
}

fn numbered<R>(seq: i64, long_bytes: usize, row: R) -> Pulled<R> {
    Pulled {
        place: Place([seq, 0, 0]),
        bytes: FIXED_BYTES + long_bytes,
        row,
    }
}
