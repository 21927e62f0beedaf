//! Rows of the audit log: how a line is written, beside the change that it tells of, and how lines
//! are read back.

use rusqlite::{Connection, Row, ToSql};
use tidings_domain::{
    actor::{Actor, Who},
    audit::{Action, AuditEntry},
    company::CompanyId,
    time::UtcMillis,
};
use tidings_store::{
    AuditPage, AuditQuery, AuditScope, Position, changes_from_json, changes_to_json,
};

use crate::{database::Database, failure::Failure};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "seq, at_ms, company_id, actor_kind, actor_id, actor_name, address, action, \
     target, changes";

/// Writes a line.
pub(crate) fn insert(db: &Database, entry: &AuditEntry) -> Result<(), Failure> {
    let Actor { who, address } = &entry.actor;
    db.execute(
        "INSERT INTO audit_log
             (at_ms, company_id, actor_kind, actor_id, actor_name, address, action, target,
              changes)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.at.as_millis(),
            entry.company.as_ref().map(CompanyId::as_str),
            who.kind(),
            who.id_bytes(),
            who.name(),
            address.map(|address| address.to_string()),
            entry.action.as_str(),
            &entry.target,
            changes_to_json(&entry.changes),
        ),
    )
    .map(drop)
}

/// A page, newest first.
pub(crate) fn page(conn: &Connection, query: &AuditQuery) -> Result<AuditPage, Failure> {
    let company = match &query.scope {
        AuditScope::Company(company) => Some(company.as_str()),
        AuditScope::Everything => None,
    };
    let before = query.before.unwrap_or(Position::MAX);
    let mut params: Vec<&dyn ToSql> = vec![&before];
    let mut conditions = String::new();
    if let Some(company) = &company {
        params.push(company);
        conditions += " AND company_id = ?";
    }
    if let Some(target) = &query.target {
        params.push(target);
        conditions += " AND target = ?";
    }
    // A target has few lines, and hardly ever some of two companies.
    let index = match (&query.target, company) {
        (Some(_), _) => "INDEXED BY audit_by_target",
        (None, Some(_)) => "INDEXED BY audit_by_company",
        (None, None) => "NOT INDEXED",
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM audit_log {index} WHERE seq < ?{conditions} ORDER BY seq DESC"
    ))?;
    let mut rows = statement.query(&params[..])?;
    let mut page = AuditPage {
        entries: Vec::new(),
        next: None,
    };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.entries.len() == query.limit {
            page.next = last;
            break;
        }
        last = Some(row.get(0)?);
        page.entries.push(read(row)?);
    }
    Ok(page)
}

/// Reads the columns of [`COLUMNS`].
fn read(row: &Row<'_>) -> Result<AuditEntry, Failure> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(|_| unreadable());
    let company: Option<String> = row.get(2)?;
    let address: Option<String> = row.get(6)?;
    let who = Who::from_parts(text(3)?, row.get(4)?, row.get(5)?);
    Ok(AuditEntry {
        at: UtcMillis::from_millis(row.get(1)?),
        company: company
            .map(|company| CompanyId::parse(&company).map_err(|_| unreadable()))
            .transpose()?,
        actor: Actor {
            who: who.ok_or_else(unreadable)?,
            address: address
                .map(|address| address.parse().map_err(|_| unreadable()))
                .transpose()?,
        },
        action: Action::parse(text(7)?).ok_or_else(unreadable)?,
        target: row.get(8)?,
        changes: changes_from_json(text(9)?)?,
    })
}

fn unreadable() -> Failure {
    Failure::unreadable("line of the audit log")
}
