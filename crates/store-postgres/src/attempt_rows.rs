//! Rows of the delivery log, read back as attempts.

use tidings_domain::{
    attempt::{Attempt, ReceivedResponse, SentRequest},
    event_type::EventType,
    id::{AttemptId, EventId, SubscriptionId},
};
use tidings_store::{headers_from_json, outcome_from_word, signatures_from_bytes};
use tokio_postgres::Row;

use crate::{columns, failure::Failure};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "event_id, event_type, error, id, number, attempted_ms, \
     elapsed_ms, status, next_attempt_ms, url, user_agent, signatures, response_headers, \
     body_truncated, response_body";

/// Reads the columns of [`COLUMNS`] from column `at` on.
pub(crate) fn read(row: &Row, at: usize, subscription: SubscriptionId) -> Result<Attempt, Failure> {
    let elapsed: i64 = row.get(at + 6);
    Ok(Attempt {
        event: EventId::from_bytes(columns::id(row, at)),
        event_type: EventType::parse(row.get(at + 1)).map_err(|_| unreadable())?,
        outcome: outcome_from_word(row.get(at + 2))?,
        id: AttemptId::from_bytes(columns::id(row, at + 3)),
        subscription,
        number: columns::number(row, at + 4)?,
        attempted: columns::time(row, at + 5),
        elapsed_ms: u32::try_from(elapsed).map_err(|_| unreadable())?,
        next_attempt: columns::time_or_none(row, at + 8),
        request: SentRequest {
            url: row.get::<_, String>(at + 9).into(),
            user_agent: row.get::<_, String>(at + 10).into(),
            signatures: signatures_from_bytes(row.get(at + 11))?,
        },
        response: ReceivedResponse {
            status: read_status(row, at + 7)?,
            headers: headers_from_json(columns::text_or_none(row, at + 12)?)?,
            body_truncated: row.get(at + 13),
            body: columns::text(row, at + 14)?.to_owned(),
        },
    })
}

/// Reads the column `status`.
pub(crate) fn read_status(row: &Row, column: usize) -> Result<Option<u16>, Failure> {
    let status: Option<i32> = row.get(column);
    status
        .map(|status| u16::try_from(status).map_err(|_| unreadable()))
        .transpose()
}

fn unreadable() -> Failure {
    Failure::unreadable("attempt")
}
