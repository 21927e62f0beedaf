//! Rows that are copied away: where each table's stand, in which order, and how they are read.
//!
//! The rows of what belongs to the portal are in [`crate::portal_copy_rows`].
//!
//! A company's id is added where only the subscription or the event has it; a row without either
//! can be reached by nobody and is left behind.

use rusqlite::{Result, Row, types::ValueRef};
use tidings_store::copy::{
    AttemptRow, CopyTable, EventRow, HistoryRow, KeyRow, Place, PromiseRow, QueueRow,
    SubscriptionRow,
};

use crate::{copy_source::Pulled, portal_copy_rows};

/// About how many bytes a row has beside its long texts.
pub(crate) const FIXED_BYTES: usize = 200;

/// The rows of a table, to select from.
pub(crate) fn source(table: CopyTable) -> &'static str {
    match table {
        CopyTable::Keys => "api_keys",
        CopyTable::Subscriptions => "subscriptions",
        CopyTable::History => {
            "subscription_history t JOIN subscriptions s ON s.seq = t.subscription"
        }
        CopyTable::Events => "events",
        CopyTable::Promises => "idempotency",
        CopyTable::Queue => "queue t JOIN events e ON e.position = t.position",
        CopyTable::Attempts => "attempts t JOIN subscriptions s ON s.seq = t.subscription",
        CopyTable::Users => "users",
        CopyTable::Links => "links",
        CopyTable::Sessions => "sessions",
        CopyTable::Audit => "audit_log",
        CopyTable::Figures => "figures",
        CopyTable::EventTypes => "event_types",
    }
}

/// The column that its rows are numbered by first.
pub(crate) fn number(table: CopyTable) -> &'static str {
    match table {
        CopyTable::Keys
        | CopyTable::Subscriptions
        | CopyTable::Promises
        | CopyTable::Users
        | CopyTable::Links
        | CopyTable::Sessions
        | CopyTable::Audit
        | CopyTable::EventTypes => "seq",
        CopyTable::Figures => "start_ms",
        CopyTable::Attempts => "t.seq",
        CopyTable::History => "t.subscription",
        CopyTable::Events => "position",
        CopyTable::Queue => "t.position",
    }
}

/// A statement that reads a table beyond a place, in order. `CROSS JOIN` keeps the order of the
/// tables, so that the first is walked along its key.
pub(crate) fn select(table: CopyTable) -> &'static str {
    match table {
        CopyTable::Keys => {
            "SELECT seq, id, hash, name, company_id, scopes, expires_ms, created_ms, last_used_ms,
                 revoked_ms
             FROM api_keys WHERE seq > ? ORDER BY seq"
        }
        CopyTable::Subscriptions => {
            "SELECT seq, id, company_id, url, event_types, description, enabled, disabled_reason,
                 managed_by, created_ms, updated_ms, version, epoch, secret, previous_secret,
                 previous_until_ms, deleted_ms, max_per_second, breaker, open_until_ms,
                 failing_since_ms
             FROM subscriptions WHERE seq > ? ORDER BY seq"
        }
        CopyTable::History => {
            "SELECT t.subscription, t.after_position, s.company_id, t.event_types, t.enabled,
                 t.epoch
             FROM subscription_history t CROSS JOIN subscriptions s ON s.seq = t.subscription
             WHERE (t.subscription, t.after_position) > (?, ?)
             ORDER BY t.subscription, t.after_position"
        }
        CopyTable::Events => {
            "SELECT position, id, company_id, type, created_ms, stored_ms, payload, metadata
             FROM events WHERE position > ? ORDER BY position"
        }
        CopyTable::Promises => {
            "SELECT seq, company_id, key, request_hash, first_position, events, expires_ms
             FROM idempotency WHERE seq > ? ORDER BY seq"
        }
        CopyTable::Queue => {
            "SELECT t.position, t.subscription, t.round, e.id, e.company_id, t.due_ms,
                 t.holder < 0, t.epoch, t.attempts, t.first_attempt_ms, t.owed_since_ms
             FROM queue t CROSS JOIN events e ON e.position = t.position
             WHERE (t.position, t.subscription, t.round) > (?, ?, ?)
             ORDER BY t.position, t.subscription, t.round"
        }
        CopyTable::Attempts => {
            "SELECT t.seq, t.id, s.company_id, t.subscription, t.position, t.event_id, t.round,
                 t.event_type, t.number, t.attempted_ms, t.elapsed_ms, t.error, t.status,
                 t.next_attempt_ms, t.ended, t.url, t.user_agent, t.signatures,
                 t.response_headers, t.body_truncated, t.response_body
             FROM attempts t CROSS JOIN subscriptions s ON s.seq = t.subscription
             WHERE t.seq > ? ORDER BY t.seq"
        }
        CopyTable::Users => portal_copy_rows::SELECT_USERS,
        CopyTable::Links => portal_copy_rows::SELECT_LINKS,
        CopyTable::Sessions => portal_copy_rows::SELECT_SESSIONS,
        CopyTable::Audit => portal_copy_rows::SELECT_AUDIT,
        CopyTable::Figures => portal_copy_rows::SELECT_FIGURES,
        CopyTable::EventTypes => portal_copy_rows::SELECT_EVENT_TYPES,
    }
}

pub(crate) fn key(row: &Row<'_>) -> Result<Pulled<KeyRow>> {
    let row = KeyRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        hash: row.get(2)?,
        name: row.get(3)?,
        company: row.get(4)?,
        scopes: row.get(5)?,
        expires_ms: row.get(6)?,
        created_ms: row.get(7)?,
        last_used_ms: row.get(8)?,
        revoked_ms: row.get(9)?,
    };
    Ok(Pulled {
        place: Place([row.seq, 0, 0]),
        bytes: FIXED_BYTES,
        row,
    })
}

pub(crate) fn subscription(row: &Row<'_>) -> Result<Pulled<SubscriptionRow>> {
    let row = SubscriptionRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        company: row.get(2)?,
        url: row.get(3)?,
        event_types: row.get(4)?,
        description: row.get(5)?,
        enabled: row.get(6)?,
        disabled_reason: row.get(7)?,
        managed_by: row.get(8)?,
        created_ms: row.get(9)?,
        updated_ms: row.get(10)?,
        version: row.get(11)?,
        epoch: row.get(12)?,
        secret: row.get(13)?,
        previous_secret: row.get(14)?,
        previous_until_ms: row.get(15)?,
        deleted_ms: row.get(16)?,
        max_per_second: row.get(17)?,
        breaker: row.get(18)?,
        open_until_ms: row.get(19)?,
        failing_since_ms: row.get(20)?,
    };
    let description = row.description.as_ref().map_or(0, String::len);
    Ok(Pulled {
        place: Place([row.seq, 0, 0]),
        bytes: FIXED_BYTES + row.url.len() + row.event_types.len() + description,
        row,
    })
}

pub(crate) fn history(row: &Row<'_>) -> Result<Pulled<HistoryRow>> {
    let row = HistoryRow {
        subscription: row.get(0)?,
        after_position: row.get(1)?,
        company: row.get(2)?,
        event_types: row.get(3)?,
        enabled: row.get(4)?,
        epoch: row.get(5)?,
    };
    Ok(Pulled {
        place: Place([row.subscription, row.after_position, 0]),
        bytes: FIXED_BYTES + row.event_types.len(),
        row,
    })
}

pub(crate) fn event(row: &Row<'_>) -> Result<Pulled<EventRow>> {
    let row = EventRow {
        position: row.get(0)?,
        id: row.get(1)?,
        company: row.get(2)?,
        event_type: row.get(3)?,
        created_ms: row.get(4)?,
        stored_ms: row.get(5)?,
        payload: text(row, 6)?.unwrap_or_default(),
        metadata: text(row, 7)?,
    };
    let metadata = row.metadata.as_ref().map_or(0, Vec::len);
    Ok(Pulled {
        place: Place([row.position, 0, 0]),
        bytes: FIXED_BYTES + row.payload.len() + metadata,
        row,
    })
}

pub(crate) fn promise(row: &Row<'_>) -> Result<Pulled<PromiseRow>> {
    let row = PromiseRow {
        seq: row.get(0)?,
        company: row.get(1)?,
        key: row.get(2)?,
        request_hash: row.get(3)?,
        first_position: row.get(4)?,
        events: row.get(5)?,
        expires_ms: row.get(6)?,
    };
    Ok(Pulled {
        place: Place([row.seq, 0, 0]),
        bytes: FIXED_BYTES,
        row,
    })
}

pub(crate) fn queue(row: &Row<'_>) -> Result<Pulled<QueueRow>> {
    let row = QueueRow {
        position: row.get(0)?,
        subscription: row.get(1)?,
        round: row.get(2)?,
        event: row.get(3)?,
        company: row.get(4)?,
        due_ms: row.get(5)?,
        dead: row.get(6)?,
        epoch: row.get(7)?,
        attempts: row.get(8)?,
        first_attempt_ms: row.get(9)?,
        owed_since_ms: row.get(10)?,
    };
    Ok(Pulled {
        place: Place([row.position, row.subscription, row.round.into()]),
        bytes: FIXED_BYTES,
        row,
    })
}

pub(crate) fn attempt(row: &Row<'_>) -> Result<Pulled<AttemptRow>> {
    let row = AttemptRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        company: row.get(2)?,
        subscription: row.get(3)?,
        position: row.get(4)?,
        event: row.get(5)?,
        round: row.get(6)?,
        event_type: row.get(7)?,
        number: row.get(8)?,
        attempted_ms: row.get(9)?,
        elapsed_ms: row.get(10)?,
        error: row.get(11)?,
        status: row.get(12)?,
        next_attempt_ms: row.get(13)?,
        ended: row.get(14)?,
        url: row.get(15)?,
        user_agent: row.get(16)?,
        signatures: row.get(17)?,
        response_headers: text(row, 18)?,
        body_truncated: row.get(19)?,
        response_body: text(row, 20)?.unwrap_or_default(),
    };
    let headers = row.response_headers.as_ref().map_or(0, Vec::len);
    Ok(Pulled {
        place: Place([row.seq, 0, 0]),
        bytes: FIXED_BYTES + row.url.len() + headers + row.response_body.len(),
        row,
    })
}

/// A text as its bytes.
fn text(row: &Row<'_>, column: usize) -> Result<Option<Vec<u8>>> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) => Ok(Some(bytes.to_vec())),
        _ => Ok(None),
    }
}
