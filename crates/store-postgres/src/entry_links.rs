//! Links into the portal that are good once. Using one up is deleting its row, which one node can
//! do and no other.

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, portal_token::TokenHash, time::UtcMillis, visitor::Role};
use tidings_store::{Link, LinkPurpose};
use tokio_postgres::Row;

use crate::{columns, database::Database, failure::Failure};

/// The words for the purposes.
const ENTER: &str = "enter";
const SETUP: &str = "setup";
/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "purpose, company_id, role, expires_ms";
/// Whether a link is good; the parameters are its hash and the time.
const GOOD: &str = "hash = $1 AND expires_ms > $2
     AND (purpose <> 'setup' OR NOT EXISTS (SELECT FROM users))";

/// Remembers a link.
pub(crate) async fn create<C: GenericClient>(
    db: &Database<'_, C>,
    hash: &TokenHash,
    link: &Link,
) -> Result<(), Failure> {
    let (purpose, company, role) = match &link.purpose {
        LinkPurpose::Enter { company, role } => {
            (ENTER, Some(company.as_str()), Some(role.as_str()))
        }
        LinkPurpose::Setup => (SETUP, None, None),
    };
    db.execute(
        "INSERT INTO links (hash, purpose, company_id, role, expires_ms)
         VALUES ($1, $2, $3, $4, $5)",
        &[
            &hash.as_slice(),
            &purpose,
            &company,
            &role,
            &link.expires.as_millis(),
        ],
    )
    .await
    .map(drop)
}

/// What a link is good for, as long as it is good.
pub(crate) async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    hash: &TokenHash,
    now: UtcMillis,
) -> Result<Option<Link>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM links WHERE {GOOD}");
    let row = db
        .first(&sql, &[&hash.as_slice(), &now.as_millis()])
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// Uses a link up.
pub(crate) async fn take<C: GenericClient>(
    db: &Database<'_, C>,
    hash: &TokenHash,
    now: UtcMillis,
) -> Result<Option<Link>, Failure> {
    let sql = format!("DELETE FROM links WHERE {GOOD} RETURNING {COLUMNS}");
    let row = db
        .first(&sql, &[&hash.as_slice(), &now.as_millis()])
        .await?;
    row.map(|row| read(&row)).transpose()
}

fn read(row: &Row) -> Result<Link, Failure> {
    let unreadable = || Failure::unreadable("link");
    let (company, role): (Option<&str>, Option<&str>) = (row.get(1), row.get(2));
    let purpose = match (row.get(0), company, role) {
        (ENTER, Some(company), Some(role)) => LinkPurpose::Enter {
            company: CompanyId::parse(company).map_err(|_| unreadable())?,
            role: Role::parse(role).ok_or_else(unreadable)?,
        },
        (SETUP, None, None) => LinkPurpose::Setup,
        _ => return Err(unreadable()),
    };
    Ok(Link {
        purpose,
        expires: columns::time(row, 3),
    })
}
