//! Rows of the delivery log: how an attempt is written and read back.

use std::sync::LazyLock;

use rusqlite::{Row, types::ValueRef};
use tidings_domain::{
    attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
    company::CompanyId,
    event_type::EventType,
    id::{AttemptId, EventId, SubscriptionId},
    signing::Signatures,
    time::UtcMillis,
};
use tidings_store::{
    PlacedAttempt, Position, Settlement, headers_from_json, headers_to_json, outcome_from_word,
    outcome_to_word, signatures_from_bytes,
};

use crate::{bulk::Series, database::Database, failure::Failure, memory::Seq};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "seq, event_id, event_type, error, id, number, attempted_ms, \
     elapsed_ms, status, next_attempt_ms, url, user_agent, signatures, response_headers, \
     body_truncated, response_body";

/// The attempt at a place, to be read with [`read_placed`].
pub(crate) static SELECT_PLACED: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS}, subscription, round FROM attempts WHERE seq = ?"));

static INSERT: LazyLock<Series> = LazyLock::new(|| {
    let columns = [
        "id",
        "subscription",
        "position",
        "event_id",
        "round",
        "event_type",
        "number",
        "attempted_ms",
        "elapsed_ms",
        "error",
        "status",
        "next_attempt_ms",
        "ended",
        "url",
        "user_agent",
        "signatures",
        "response_headers",
        "body_truncated",
        "response_body",
    ];
    Series::new("attempts", "seq", &columns)
});

/// A settlement with its attempt in stored form, made before it reaches the writer.
pub(crate) struct Line {
    signatures: Option<Vec<u8>>,
    headers: Option<String>,
    pub(crate) settlement: Settlement,
}

/// A line for the delivery log.
pub(crate) struct AttemptRow<'b> {
    pub(crate) line: &'b Line,
    pub(crate) subscription: Seq,
    /// The subscription's.
    pub(crate) company: CompanyId,
    pub(crate) next_attempt: Option<UtcMillis>,
    /// A retry was due, but the delivery had been ended.
    pub(crate) ended: bool,
}

impl Line {
    /// Does the work that the writer need not do.
    pub(crate) fn prepare(settlement: Settlement) -> Self {
        let request = &settlement.attempt.request;
        let signatures = request.signatures.as_ref().map(Signatures::to_bytes);
        let headers = headers_to_json(&settlement.attempt.response.headers);
        Self {
            signatures,
            headers,
            settlement,
        }
    }

    /// About how many bytes it writes.
    pub(crate) fn bytes(&self) -> usize {
        const FIXED_BYTES: usize = 300;
        FIXED_BYTES
            + self.settlement.attempt.response.body.len()
            + self.headers.as_ref().map_or(0, String::len)
    }
}

/// Appends lines, the first with number `first`.
pub(crate) fn insert(db: &Database, first: i64, rows: &[AttemptRow<'_>]) -> Result<(), Failure> {
    INSERT.execute(db, first, rows, |binder, row| {
        let settlement = &row.line.settlement;
        let attempt = &settlement.attempt;
        binder.bind(attempt.id.as_bytes())?;
        binder.bind(row.subscription)?;
        binder.bind(settlement.key.position)?;
        binder.bind(attempt.event.as_bytes())?;
        binder.bind(settlement.key.round)?;
        binder.bind(attempt.event_type.as_str())?;
        binder.bind(attempt.number)?;
        binder.bind(attempt.attempted.as_millis())?;
        binder.bind(attempt.elapsed_ms)?;
        binder.bind(outcome_to_word(attempt.outcome))?;
        binder.bind(attempt.response.status)?;
        binder.bind(row.next_attempt.map(UtcMillis::as_millis))?;
        binder.bind(row.ended)?;
        binder.bind(&*attempt.request.url)?;
        binder.bind(&*attempt.request.user_agent)?;
        binder.bind(&row.line.signatures)?;
        binder.bind(&row.line.headers)?;
        binder.bind(attempt.response.body_truncated)?;
        binder.bind(&attempt.response.body)
    })
}

/// The number of the line, by which the log is ordered.
fn position(row: &Row<'_>) -> Result<Position, Failure> {
    Ok(row.get(0)?)
}

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>, subscription: SubscriptionId) -> Result<Attempt, Failure> {
    let event_type = row.get_ref(2)?.as_str().map_err(|_| unreadable())?;
    Ok(Attempt {
        event: EventId::from_bytes(row.get(1)?),
        event_type: EventType::parse(event_type).map_err(|_| unreadable())?,
        outcome: read_outcome(row.get_ref(3)?)?,
        id: AttemptId::from_bytes(row.get(4)?),
        subscription,
        number: row.get(5)?,
        attempted: UtcMillis::from_millis(row.get(6)?),
        elapsed_ms: row.get(7)?,
        next_attempt: row.get::<_, Option<i64>>(9)?.map(UtcMillis::from_millis),
        request: SentRequest {
            url: row.get::<_, String>(10)?.into(),
            user_agent: row.get::<_, String>(11)?.into(),
            signatures: read_signatures(row.get_ref(12)?)?,
        },
        response: ReceivedResponse {
            status: row.get(8)?,
            headers: read_headers(row.get_ref(13)?)?,
            body_truncated: row.get(14)?,
            body: row.get(15)?,
        },
    })
}

/// The subscription in a row of [`SELECT_PLACED`].
pub(crate) fn subscription(row: &Row<'_>) -> Result<Seq, Failure> {
    Ok(row.get(16)?)
}

/// Reads a row of [`SELECT_PLACED`].
pub(crate) fn read_placed(
    row: &Row<'_>,
    subscription: SubscriptionId,
) -> Result<PlacedAttempt, Failure> {
    Ok(PlacedAttempt {
        place: position(row)?,
        round: row.get(17)?,
        attempt: read(row, subscription)?,
    })
}

/// About how many bytes an attempt has in memory.
pub(crate) fn bytes_of(attempt: &Attempt) -> usize {
    let headers = &attempt.response.headers;
    let headers: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    headers + attempt.response.body.len() + attempt.request.url.len()
}

/// Reads the column `error`.
pub(crate) fn read_outcome(error: ValueRef<'_>) -> Result<AttemptOutcome, Failure> {
    let word = error.as_str_or_null().map_err(|_| unreadable())?;
    Ok(outcome_from_word(word)?)
}

fn read_signatures(bytes: ValueRef<'_>) -> Result<Option<Signatures>, Failure> {
    let bytes = bytes.as_blob_or_null().map_err(|_| unreadable())?;
    Ok(signatures_from_bytes(bytes)?)
}

fn read_headers(json: ValueRef<'_>) -> Result<Vec<(String, String)>, Failure> {
    let json = json.as_str_or_null().map_err(|_| unreadable())?;
    Ok(headers_from_json(json)?)
}

fn unreadable() -> Failure {
    Failure::unreadable("attempt")
}
