//! Rows of what belongs to the portal as `COPY` takes them; see [`mod@super::lines`].

use deadpool_postgres::Transaction;
use tidings_store::copy::{AuditRow, EventTypeRow, FigureRow, LinkRow, SessionRow, UserRow};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::lines::Lines;
use crate::{failure::Failure, figures::SUMS};

pub(super) async fn write_users(
    transaction: &Transaction<'_>,
    rows: &[UserRow],
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("id", Type::UUID),
        ("email", Type::TEXT),
        ("password_hash", Type::TEXT),
        ("created_ms", Type::INT8),
        ("last_sign_in_ms", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "users", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &Uuid::from_bytes(row.id),
                &row.email,
                &row.password_hash,
                &row.created_ms,
                &row.last_sign_in_ms,
            ])
            .await?;
    }
    lines.end().await
}

pub(super) async fn write_links(
    transaction: &Transaction<'_>,
    rows: &[LinkRow],
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("hash", Type::BYTEA),
        ("purpose", Type::TEXT),
        ("company_id", Type::TEXT),
        ("role", Type::TEXT),
        ("expires_ms", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "links", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &row.hash.as_slice(),
                &row.purpose,
                &row.company,
                &row.role,
                &row.expires_ms,
            ])
            .await?;
    }
    lines.end().await
}

pub(super) async fn write_sessions(
    transaction: &Transaction<'_>,
    rows: &[SessionRow],
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("hash", Type::BYTEA),
        ("user_id", Type::UUID),
        ("company_id", Type::TEXT),
        ("role", Type::TEXT),
        ("created_ms", Type::INT8),
        ("expires_ms", Type::INT8),
    ];
    let mut lines = Lines::begin(transaction, "sessions", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &row.hash.as_slice(),
                &row.user.map(Uuid::from_bytes),
                &row.company,
                &row.role,
                &row.created_ms,
                &row.expires_ms,
            ])
            .await?;
    }
    lines.end().await
}

pub(super) async fn write_audit(
    transaction: &Transaction<'_>,
    rows: &[AuditRow],
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("at_ms", Type::INT8),
        ("company_id", Type::TEXT),
        ("actor_kind", Type::TEXT),
        ("actor_id", Type::UUID),
        ("actor_name", Type::BYTEA),
        ("address", Type::TEXT),
        ("action", Type::TEXT),
        ("target", Type::BYTEA),
        ("changes", Type::BYTEA),
    ];
    let mut lines = Lines::begin(transaction, "audit_log", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &row.at_ms,
                &row.company,
                &row.actor_kind,
                &row.actor_id.map(Uuid::from_bytes),
                &row.actor_name.as_ref().map(String::as_bytes),
                &row.address,
                &row.action,
                &row.target.as_bytes(),
                &row.changes.as_bytes(),
            ])
            .await?;
    }
    lines.end().await
}

pub(super) async fn write_figures(
    transaction: &Transaction<'_>,
    rows: &[FigureRow],
) -> Result<(), Failure> {
    let mut columns = vec![
        ("resolution", Type::INT2),
        ("start_ms", Type::INT8),
        ("subscription", Type::INT8),
        ("company_id", Type::TEXT),
    ];
    columns.extend(SUMS.iter().map(|name| (name.as_str(), Type::INT8)));
    let mut lines = Lines::begin(transaction, "figures", &columns).await?;
    for row in rows {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![
            &row.resolution,
            &row.start_ms,
            &row.subscription,
            &row.company,
            &row.published,
            &row.succeeded,
            &row.failed,
        ];
        values.extend(row.elapsed.iter().map(|count| count as &(dyn ToSql + Sync)));
        lines.line(&values).await?;
    }
    lines.end().await
}

pub(super) async fn write_event_types(
    transaction: &Transaction<'_>,
    rows: &[EventTypeRow],
) -> Result<(), Failure> {
    let columns = [
        ("seq", Type::INT8),
        ("name", Type::TEXT),
        ("description", Type::BYTEA),
        ("sample_payload", Type::BYTEA),
        ("schema", Type::BYTEA),
        ("deprecated", Type::BOOL),
    ];
    let mut lines = Lines::begin(transaction, "event_types", &columns).await?;
    for row in rows {
        lines
            .line(&[
                &row.seq,
                &row.name,
                &row.description.as_bytes(),
                &row.sample_payload.as_ref().map(String::as_bytes),
                &row.schema.as_ref().map(String::as_bytes),
                &row.deprecated,
            ])
            .await?;
    }
    lines.end().await
}
