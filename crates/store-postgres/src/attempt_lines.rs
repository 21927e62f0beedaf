//! Lines of the delivery log on their way into the database: settlements in stored form, and the
//! columns in which many of them are sent at once.

use tidings_domain::{attempt::AttemptOutcome, company::CompanyId, signing::Signatures};
use tidings_store::{Seq, Settlement};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// A settlement with its attempt in stored form, made before it reaches the writer.
pub(crate) struct Line {
    signatures: Option<Vec<u8>>,
    headers: Option<String>,
    /// The number of its subscription, once it is known; 0 where there never was one.
    pub(crate) subscription: Seq,
    /// Whose the subscription is, once that is known.
    pub(crate) company: Option<CompanyId>,
    pub(crate) settlement: Settlement,
}

/// Many lines, column by column.
#[derive(Default)]
pub(crate) struct LineColumns<'l> {
    position: Vec<i64>,
    subscription: Vec<i64>,
    round: Vec<i32>,
    holder: Vec<i64>,
    first_attempt_ms: Vec<i64>,
    id: Vec<Uuid>,
    event_type: Vec<&'l str>,
    number: Vec<i32>,
    attempted_ms: Vec<i64>,
    elapsed_ms: Vec<i64>,
    error: Vec<Option<&'l str>>,
    status: Vec<Option<i32>>,
    next_attempt_ms: Vec<Option<i64>>,
    ended: Vec<bool>,
    url: Vec<&'l str>,
    user_agent: Vec<&'l str>,
    signatures: Vec<Option<&'l [u8]>>,
    response_headers: Vec<Option<&'l [u8]>>,
    body_truncated: Vec<bool>,
    response_body: Vec<&'l [u8]>,
}

impl Line {
    /// Does the work that the writer need not do.
    pub(crate) fn prepare(settlement: Settlement) -> Self {
        let request = &settlement.attempt.request;
        let signatures = request.signatures.as_ref().map(Signatures::to_bytes);
        let headers = &settlement.attempt.response.headers;
        let headers = (!headers.is_empty()).then(|| {
            serde_json::to_string(headers).expect("pairs of strings always have a JSON form")
        });
        Self {
            signatures,
            headers,
            subscription: 0,
            company: None,
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

impl<'l> LineColumns<'l> {
    /// The types of [`LineColumns::params`] and the names of the columns, in the same order.
    pub(crate) const TYPES: [(&'static str, &'static str); 20] = [
        ("bigint", "position"),
        ("bigint", "subscription"),
        ("int", "round"),
        ("bigint", "holder"),
        ("bigint", "first_attempt_ms"),
        ("uuid", "id"),
        ("text", "event_type"),
        ("int", "number"),
        ("bigint", "attempted_ms"),
        ("bigint", "elapsed_ms"),
        ("text", "error"),
        ("int", "status"),
        ("bigint", "next_attempt_ms"),
        ("boolean", "ended"),
        ("text", "url"),
        ("text", "user_agent"),
        ("bytea", "signatures"),
        ("bytea", "response_headers"),
        ("boolean", "body_truncated"),
        ("bytea", "response_body"),
    ];

    /// Adds a line with what becomes of its delivery: when the next attempt is due, or that one
    /// was due although the delivery had been ended.
    pub(crate) fn push(&mut self, line: &'l Line, next_attempt_ms: Option<i64>, ended: bool) {
        let settlement = &line.settlement;
        let attempt = &settlement.attempt;
        self.position.push(settlement.key.position);
        self.subscription.push(line.subscription);
        self.round.push(narrow(settlement.key.round));
        self.holder.push(settlement.lease.0);
        self.first_attempt_ms
            .push(settlement.first_attempt.as_millis());
        self.id.push(Uuid::from_bytes(*attempt.id.as_bytes()));
        self.event_type.push(attempt.event_type.as_str());
        self.number.push(narrow(attempt.number));
        self.attempted_ms.push(attempt.attempted.as_millis());
        self.elapsed_ms.push(attempt.elapsed_ms.into());
        self.error.push(match attempt.outcome {
            AttemptOutcome::Succeeded => None,
            AttemptOutcome::Failed(error) => Some(error.as_str()),
        });
        self.status.push(attempt.response.status.map(Into::into));
        self.next_attempt_ms.push(next_attempt_ms);
        self.ended.push(ended);
        self.url.push(&attempt.request.url);
        self.user_agent.push(&attempt.request.user_agent);
        self.signatures.push(line.signatures.as_deref());
        self.response_headers
            .push(line.headers.as_deref().map(str::as_bytes));
        self.body_truncated.push(attempt.response.body_truncated);
        self.response_body.push(attempt.response.body.as_bytes());
    }

    /// The columns as parameters of a statement.
    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 20] {
        [
            &self.position,
            &self.subscription,
            &self.round,
            &self.holder,
            &self.first_attempt_ms,
            &self.id,
            &self.event_type,
            &self.number,
            &self.attempted_ms,
            &self.elapsed_ms,
            &self.error,
            &self.status,
            &self.next_attempt_ms,
            &self.ended,
            &self.url,
            &self.user_agent,
            &self.signatures,
            &self.response_headers,
            &self.body_truncated,
            &self.response_body,
        ]
    }
}

/// A count as its column has it.
fn narrow(count: u32) -> i32 {
    i32::try_from(count).expect("rounds and attempts are a few dozen at most")
}
