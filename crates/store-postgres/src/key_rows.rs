//! Rows of API keys: how they are written and read.

use deadpool_postgres::GenericClient;
use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{NewApiKey, scopes_from_json, scopes_to_json};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{columns, database::Database, failure::Failure};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str =
    "hash, id, name, company_id, scopes, expires_ms, created_ms, last_used_ms";

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row) -> Result<(KeyHash, ApiKey), Failure> {
    let company: Option<&str> = row.get(3);
    let hash: &[u8] = row.get(0);
    let key = ApiKey {
        id: ApiKeyId::from_bytes(columns::id(row, 1)),
        name: columns::text(row, 2)?.to_owned(),
        company: company
            .map(|company| CompanyId::parse(company).map_err(|_| unreadable()))
            .transpose()?,
        scopes: scopes_from_json(row.get(4))?,
        expires: columns::time_or_none(row, 5),
        created: columns::time(row, 6),
        last_used: columns::time_or_none(row, 7),
    };
    Ok((hash.try_into().map_err(|_| unreadable())?, key))
}

/// Writes a new key, which nodes take in with `book_version`.
pub(crate) async fn insert<C: GenericClient>(
    db: &Database<'_, C>,
    new: &NewApiKey,
    book_version: i64,
) -> Result<(), Failure> {
    let key = &new.key;
    db.execute(
        "INSERT INTO api_keys
             (id, hash, name, company_id, scopes, expires_ms, created_ms, last_used_ms,
              book_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            &uuid_of(key.id),
            &new.hash.as_slice(),
            &key.name.as_bytes(),
            &key.company.as_ref().map(CompanyId::as_str),
            &scopes_to_json(&key.scopes),
            &key.expires.map(UtcMillis::as_millis),
            &key.created.as_millis(),
            &key.last_used.map(UtcMillis::as_millis),
            &book_version,
        ],
    )
    .await
    .map(drop)
}

/// Finds a key that was not revoked.
pub(crate) async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    hash: &KeyHash,
) -> Result<Option<ApiKey>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE hash = $1 AND revoked_ms IS NULL");
    let row = db.first(&sql, &[&hash.as_slice()]).await?;
    row.map(|row| Ok(read(&row)?.1)).transpose()
}

/// Keys that were not revoked, oldest first: of one company, or all with none.
pub(crate) async fn list<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
) -> Result<Vec<ApiKey>, Failure> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys
         WHERE revoked_ms IS NULL AND ($1::text IS NULL OR company_id = $1) ORDER BY seq"
    );
    let rows = db.query(&sql, &[&company.map(CompanyId::as_str)]).await?;
    rows.iter().map(|row| Ok(read(row)?.1)).collect()
}

/// An id as its column has it.
pub(crate) fn uuid_of(id: ApiKeyId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn unreadable() -> Failure {
    Failure::unreadable("API key")
}
