//! The audit log: its lines, written in the transaction of the change that they are about, and
//! read page by page.

use std::net::IpAddr;

use deadpool_postgres::GenericClient;
use tidings_domain::{
    actor::{Actor, Who},
    audit::{Action, AuditEntry},
    company::CompanyId,
    time::UtcMillis,
};
use tidings_store::{
    AuditPage, AuditQuery, AuditScope, Position, changes_from_json, changes_to_json,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{columns, database::Database, failure::Failure, look};

/// The columns that [`read`] expects behind the number, in its order.
const COLUMNS: &str =
    "at_ms, company_id, actor_kind, actor_id, actor_name, address, action, target, changes";

/// Writes a line.
pub(crate) async fn write<C: GenericClient>(
    db: &Database<'_, C>,
    entry: &AuditEntry,
) -> Result<(), Failure> {
    let who = &entry.actor.who;
    db.execute(
        &format!("INSERT INTO audit_log ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
        &[
            &entry.at.as_millis(),
            &entry.company.as_ref().map(CompanyId::as_str),
            &who.kind(),
            &who.id_bytes().map(|bytes| Uuid::from_bytes(*bytes)),
            &who.name().map(str::as_bytes),
            &entry.actor.address.map(|address| address.to_string()),
            &entry.action.as_str(),
            &entry.target.as_bytes(),
            &changes_to_json(&entry.changes).as_bytes(),
        ],
    )
    .await
    .map(drop)
}

/// A page of it, newest first.
pub(crate) async fn page<C: GenericClient>(
    db: &Database<'_, C>,
    query: &AuditQuery,
) -> Result<AuditPage, Failure> {
    // Lines about one target are few and have an index of their own; whose they are is looked at
    // in the rows, where no index can be taken for it.
    let sql = match (&query.scope, &query.target) {
        (AuditScope::Everything, None) => "$1::text IS NULL AND $2::bytea IS NULL",
        (AuditScope::Company(_), None) => "company_id = $1 AND $2::bytea IS NULL",
        (_, Some(_)) => "target = $2 AND ($1::text IS NULL OR company_id || '' = $1)",
    };
    let sql = format!(
        "SELECT seq, {COLUMNS} FROM audit_log WHERE {sql} AND seq < $3
         ORDER BY seq DESC LIMIT $4"
    );
    let company = match &query.scope {
        AuditScope::Company(company) => Some(company.as_str()),
        AuditScope::Everything => None,
    };
    let rows = db
        .query(
            &sql,
            &[
                &company,
                &query.target.as_ref().map(String::as_bytes),
                &query.before.unwrap_or(Position::MAX),
                // One more than the page takes, to know whether there is any.
                &look::limit(query.limit).saturating_add(1),
            ],
        )
        .await?;
    let taken = &rows[..rows.len().min(query.limit)];
    let next = taken.last().filter(|_| rows.len() > taken.len());
    Ok(AuditPage {
        entries: taken.iter().map(read).collect::<Result<_, _>>()?,
        next: next.map(|row| row.get(0)),
    })
}

fn read(row: &Row) -> Result<AuditEntry, Failure> {
    let company: Option<&str> = row.get(2);
    let id: Option<Uuid> = row.get(4);
    let name = columns::text_or_none(row, 5)?.map(str::to_owned);
    let address: Option<&str> = row.get(6);
    let address = address.map(str::parse::<IpAddr>).transpose();
    let who = Who::from_parts(row.get(3), id.map(Uuid::into_bytes), name);
    Ok(AuditEntry {
        at: UtcMillis::from_millis(row.get(1)),
        company: company
            .map(|company| CompanyId::parse(company).map_err(|_| unreadable()))
            .transpose()?,
        actor: Actor {
            who: who.ok_or_else(unreadable)?,
            address: address.map_err(|_| unreadable())?,
        },
        action: Action::parse(row.get(7)).ok_or_else(unreadable)?,
        target: columns::text(row, 8)?.to_owned(),
        changes: changes_from_json(columns::text(row, 9)?)?,
    })
}

fn unreadable() -> Failure {
    Failure::unreadable("line of the audit log")
}
