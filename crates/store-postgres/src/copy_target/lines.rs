//! Rows as `COPY` takes them, in PostgreSQL's binary form: no value is parsed or quoted.

use std::pin::Pin;

use bytes::Bytes;
use deadpool_postgres::Transaction;
use tidings_store::copy::{
    AttemptRow, CopyTable, EventRow, HistoryRow, KeyRow, PromiseRow, QueueRow, Rows,
    SubscriptionRow,
};
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::portal_lines;
use crate::{
    failure::Failure,
    queue_rows::{FREE, KEPT},
};

/// The table that holds these, and the column that its rows are numbered by first.
pub(super) fn table(table: CopyTable) -> (&'static str, &'static str) {
    match table {
        CopyTable::Keys => ("api_keys", "seq"),
        CopyTable::Subscriptions => ("subscriptions", "seq"),
        CopyTable::History => ("subscription_history", "subscription"),
        CopyTable::Events => ("events", "position"),
        CopyTable::Promises => ("idempotency", "seq"),
        CopyTable::Queue => ("queue", "position"),
        CopyTable::Attempts => ("attempts", "seq"),
        CopyTable::Users => ("users", "seq"),
        CopyTable::Links => ("links", "seq"),
        CopyTable::Sessions => ("sessions", "seq"),
        CopyTable::Audit => ("audit_log", "seq"),
        CopyTable::Figures => ("figures", "start_ms"),
        CopyTable::EventTypes => ("event_types", "seq"),
    }
}

/// Writes rows into their table.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    rows: &Rows,
    book_version: i64,
) -> Result<(), Failure> {
    match rows {
        Rows::Keys(rows) => write_keys(transaction, rows, book_version).await,
        Rows::Subscriptions(rows) => write_subscriptions(transaction, rows, book_version).await,
        Rows::History(rows) => write_history(transaction, rows).await,
        Rows::Events(rows) => write_events(transaction, rows).await,
        Rows::Promises(rows) => write_promises(transaction, rows).await,
        Rows::Queue(rows) => write_queue(transaction, rows).await,
        Rows::Attempts(rows) => write_attempts(transaction, rows).await,
        Rows::Users(rows) => portal_lines::write_users(transaction, rows).await,
        Rows::Links(rows) => portal_lines::write_links(transaction, rows).await,
        Rows::Sessions(rows) => portal_lines::write_sessions(transaction, rows).await,
        Rows::Audit(rows) => portal_lines::write_audit(transaction, rows).await,
        Rows::Figures(rows) => portal_lines::write_figures(transaction, rows).await,
        Rows::EventTypes(rows) => portal_lines::write_event_types(transaction, rows).await,
    }
}

/// A `COPY` on its way.
pub(super) struct Lines(Pin<Box<BinaryCopyInWriter>>);

impl Lines {
    /// Into these columns, given as `name type, …`.
    pub(super) async fn begin(
        transaction: &Transaction<'_>,
        table: &str,
        columns: &[(&str, Type)],
    ) -> Result<Self, Failure> {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let sql = format!(
            "COPY {table} ({}) FROM STDIN (FORMAT binary)",
            names.join(", ")
        );
        let sink = transaction.copy_in::<_, Bytes>(&sql).await?;
        let types: Vec<_> = columns.iter().map(|(_, kind)| kind.clone()).collect();
        Ok(Self(Box::pin(BinaryCopyInWriter::new(sink, &types))))
    }

    pub(super) async fn line(&mut self, values: &[&(dyn ToSql + Sync)]) -> Result<(), Failure> {
        Ok(self.0.as_mut().write(values).await?)
    }

    pub(super) async fn end(mut self) -> Result<(), Failure> {
        self.0.as_mut().finish().await?;
        Ok(())
    }
}

async fn write_keys(
    transaction: &Transaction<'_>,
    rows: &[KeyRow],
    book_version: i64,
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("id", Type::UUID),
        ("hash", Type::BYTEA),
        ("name", Type::BYTEA),
        ("company_id", Type::TEXT),
        ("scopes", Type::TEXT),
        ("expires_ms", Type::INT8),
        ("created_ms", Type::INT8),
        ("last_used_ms", Type::INT8),
        ("revoked_ms", Type::INT8),
        ("book_version", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "api_keys", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &Uuid::from_bytes(row.id),
                &row.hash.as_slice(),
                &row.name.as_bytes(),
                &row.company,
                &row.scopes,
                &row.expires_ms,
                &row.created_ms,
                &row.last_used_ms,
                &row.revoked_ms,
                &book_version,
            ])
            .await?;
    }
    lines.end().await
}

async fn write_subscriptions(
    transaction: &Transaction<'_>,
    rows: &[SubscriptionRow],
    book_version: i64,
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("id", Type::UUID),
        ("company_id", Type::TEXT),
        ("url", Type::TEXT),
        ("event_types", Type::TEXT),
        ("description", Type::BYTEA),
        ("enabled", Type::BOOL),
        ("disabled_reason", Type::TEXT),
        ("managed_by", Type::TEXT),
        ("created_ms", Type::INT8),
        ("updated_ms", Type::INT8),
        ("version", Type::INT8),
        ("epoch", Type::INT4),
        ("secret", Type::BYTEA),
        ("previous_secret", Type::BYTEA),
        ("previous_until_ms", Type::INT8),
        ("deleted_ms", Type::INT8),
        ("max_per_second", Type::INT4),
        ("breaker", Type::TEXT),
        ("open_until_ms", Type::INT8),
        ("failing_since_ms", Type::INT8),
        ("book_version", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "subscriptions", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &Uuid::from_bytes(row.id),
                &row.company,
                &row.url,
                &row.event_types,
                &row.description.as_ref().map(String::as_bytes),
                &row.enabled,
                &row.disabled_reason,
                &row.managed_by,
                &row.created_ms,
                &row.updated_ms,
                &row.version,
                &row.epoch,
                &row.secret,
                &row.previous_secret,
                &row.previous_until_ms,
                &row.deleted_ms,
                &row.max_per_second,
                &row.breaker,
                &row.open_until_ms,
                &row.failing_since_ms,
                &book_version,
            ])
            .await?;
    }
    lines.end().await
}

async fn write_history(transaction: &Transaction<'_>, rows: &[HistoryRow]) -> Result<(), Failure> {
    let columns = [
        ("subscription", Type::INT8),
        ("after_position", Type::INT8),
        ("company_id", Type::TEXT),
        ("event_types", Type::TEXT),
        ("enabled", Type::BOOL),
        ("epoch", Type::INT4),
    ];
    let mut lines = Lines::begin(transaction, "subscription_history", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.subscription,
                &row.after_position,
                &row.company,
                &row.event_types,
                &row.enabled,
                &row.epoch,
            ])
            .await?;
    }
    lines.end().await
}

async fn write_events(transaction: &Transaction<'_>, rows: &[EventRow]) -> Result<(), Failure> {
    let columns = [
        ("id", Type::UUID),
        ("position", Type::INT8),
        ("company_id", Type::TEXT),
        ("type", Type::TEXT),
        ("created_ms", Type::INT8),
        ("stored_ms", Type::INT8),
        ("payload", Type::BYTEA),
        ("metadata", Type::BYTEA),
    ];
    let mut lines = Lines::begin(transaction, "events", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &Uuid::from_bytes(row.id),
                &row.position,
                &row.company,
                &row.event_type,
                &row.created_ms,
                &row.stored_ms,
                &row.payload,
                &row.metadata,
            ])
            .await?;
    }
    lines.end().await
}

async fn write_promises(transaction: &Transaction<'_>, rows: &[PromiseRow]) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("company_id", Type::TEXT),
        ("key", Type::TEXT),
        ("request_hash", Type::BYTEA),
        ("first_position", Type::INT8),
        ("events", Type::INT8),
        ("expires_ms", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "idempotency", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &row.company,
                &row.key,
                &row.request_hash.as_slice(),
                &row.first_position,
                &row.events,
                &row.expires_ms,
            ])
            .await?;
    }
    lines.end().await
}

async fn write_queue(transaction: &Transaction<'_>, rows: &[QueueRow]) -> Result<(), Failure> {
    let columns = [
        ("position", Type::INT8),
        ("subscription", Type::INT8),
        ("round", Type::INT4),
        ("event_id", Type::UUID),
        ("company_id", Type::TEXT),
        ("due_ms", Type::INT8),
        ("holder", Type::INT8),
        ("epoch", Type::INT4),
        ("attempts", Type::INT4),
        ("first_attempt_ms", Type::INT8),
        ("owed_since_ms", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "queue", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.position,
                &row.subscription,
                &row.round,
                &Uuid::from_bytes(row.event),
                &row.company,
                &row.due_ms,
                &if row.dead { KEPT } else { FREE },
                &row.epoch,
                &row.attempts,
                &row.first_attempt_ms,
                &row.owed_since_ms,
            ])
            .await?;
    }
    lines.end().await
}

async fn write_attempts(transaction: &Transaction<'_>, rows: &[AttemptRow]) -> Result<(), Failure> {
    let columns = [
        ("id", Type::UUID),
        ("seq", Type::INT8),
        ("company_id", Type::TEXT),
        ("subscription", Type::INT8),
        ("position", Type::INT8),
        ("event_id", Type::UUID),
        ("round", Type::INT4),
        ("event_type", Type::TEXT),
        ("number", Type::INT4),
        ("attempted_ms", Type::INT8),
        ("elapsed_ms", Type::INT8),
        ("error", Type::TEXT),
        ("status", Type::INT4),
        ("next_attempt_ms", Type::INT8),
        ("ended", Type::BOOL),
        ("url", Type::TEXT),
        ("user_agent", Type::TEXT),
        ("signatures", Type::BYTEA),
        ("response_headers", Type::BYTEA),
        ("body_truncated", Type::BOOL),
        ("response_body", Type::BYTEA),
    ];
    let mut lines = Lines::begin(transaction, "attempts", &columns).await?;
    for row in rows {
        lines
            .line(&attempt_values(
                row,
                &Uuid::from_bytes(row.id),
                &Uuid::from_bytes(row.event),
            ))
            .await?;
    }
    lines.end().await
}

/// In the order of the columns.
fn attempt_values<'r>(
    row: &'r AttemptRow,
    id: &'r Uuid,
    event: &'r Uuid,
) -> [&'r (dyn ToSql + Sync); 21] {
    [
        id,
        &row.seq,
        &row.company,
        &row.subscription,
        &row.position,
        event,
        &row.round,
        &row.event_type,
        &row.number,
        &row.attempted_ms,
        &row.elapsed_ms,
        &row.error,
        &row.status,
        &row.next_attempt_ms,
        &row.ended,
        &row.url,
        &row.user_agent,
        &row.signatures,
        &row.response_headers,
        &row.body_truncated,
        &row.response_body,
    ]
}
