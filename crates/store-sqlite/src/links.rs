//! Links that are good once. One that makes the first user is good as long as there is none.

use rusqlite::{Connection, Row};
use tidings_domain::{company::CompanyId, portal_token::TokenHash, time::UtcMillis, visitor::Role};
use tidings_store::{Link, LinkPurpose};

use crate::{
    database::{Database, first_of},
    failure::Failure,
};

const ENTER: &str = "enter";
const SETUP: &str = "setup";
/// Which links are good: of this hash, at this time.
const GOOD: &str = "hash = ?1 AND expires_ms > ?2
     AND (purpose <> 'setup' OR NOT EXISTS (SELECT 1 FROM users))";
/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "purpose, company_id, role, expires_ms";

/// Remembers a link.
pub(crate) fn create(db: &Database, (hash, link): &(TokenHash, Link)) -> Result<(), Failure> {
    let (purpose, company, role) = match &link.purpose {
        LinkPurpose::Enter { company, role } => {
            (ENTER, Some(company.as_str()), Some(role.as_str()))
        }
        LinkPurpose::Setup => (SETUP, None, None),
    };
    db.execute(
        "INSERT INTO links (hash, purpose, company_id, role, expires_ms) VALUES (?, ?, ?, ?, ?)",
        (hash, purpose, company, role, link.expires.as_millis()),
    )
    .map(drop)
}

/// What a link is good for.
pub(crate) fn find(
    conn: &Connection,
    hash: &TokenHash,
    now: UtcMillis,
) -> Result<Option<Link>, Failure> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM links WHERE {GOOD}"))?;
    first_of(&mut statement, (hash, now.as_millis()), read)
}

/// Uses a link up.
pub(crate) fn take(
    db: &Database,
    (hash, now): &(TokenHash, UtcMillis),
) -> Result<Option<Link>, Failure> {
    db.first(
        &format!("DELETE FROM links WHERE {GOOD} RETURNING {COLUMNS}"),
        (hash, now.as_millis()),
        read,
    )
}

/// Reads the columns of [`COLUMNS`].
fn read(row: &Row<'_>) -> Result<Link, Failure> {
    let purpose = row.get_ref(0)?.as_str().map_err(|_| unreadable())?;
    let (company, role): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
    let purpose = match (purpose, company, role) {
        (ENTER, Some(company), Some(role)) => LinkPurpose::Enter {
            company: CompanyId::parse(&company).map_err(|_| unreadable())?,
            role: Role::parse(&role).ok_or_else(unreadable)?,
        },
        (SETUP, None, None) => LinkPurpose::Setup,
        _ => return Err(unreadable()),
    };
    Ok(Link {
        purpose,
        expires: UtcMillis::from_millis(row.get(3)?),
    })
}

fn unreadable() -> Failure {
    Failure::unreadable("link")
}
