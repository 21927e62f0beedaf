//! Rows of API keys: how they are written and read.

use rusqlite::{Connection, Row};
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{NewApiKey, audit_log, scopes_from_json, scopes_to_json};

use crate::{
    audit_rows,
    database::{Database, first_of},
    failure::Failure,
};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str =
    "hash, id, name, company_id, scopes, expires_ms, created_ms, last_used_ms";

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<(KeyHash, ApiKey), Failure> {
    let company: Option<String> = row.get(3)?;
    let scopes = row.get_ref(4)?.as_str().map_err(|_| unreadable())?;
    let time = |column: usize| -> Result<Option<UtcMillis>, Failure> {
        let millis: Option<i64> = row.get(column)?;
        Ok(millis.map(UtcMillis::from_millis))
    };
    let key = ApiKey {
        id: ApiKeyId::from_bytes(row.get(1)?),
        name: row.get(2)?,
        company: company
            .map(|company| CompanyId::parse(&company).map_err(|_| unreadable()))
            .transpose()?,
        scopes: scopes_from_json(scopes)?,
        expires: time(5)?,
        created: UtcMillis::from_millis(row.get(6)?),
        last_used: time(7)?,
    };
    Ok((row.get(0)?, key))
}

/// Writes a new key, and the line of the audit log about it.
pub(crate) fn insert(db: &Database, new: &NewApiKey, by: &Actor) -> Result<(), Failure> {
    let key = &new.key;
    db.execute(
        "INSERT INTO api_keys
             (id, hash, name, company_id, scopes, expires_ms, created_ms, last_used_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.id.as_bytes(),
            &new.hash,
            &key.name,
            key.company.as_ref().map(CompanyId::as_str),
            scopes_to_json(&key.scopes),
            key.expires.map(UtcMillis::as_millis),
            key.created.as_millis(),
            key.last_used.map(UtcMillis::as_millis),
        ),
    )?;
    audit_rows::insert(db, &audit_log::key_created(key, by))
}

/// Finds a key that was not revoked.
pub(crate) fn find(conn: &Connection, hash: &KeyHash) -> Result<Option<ApiKey>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM api_keys WHERE hash = ? AND revoked_ms IS NULL"
    ))?;
    first_of(&mut statement, [hash], |row| Ok(read(row)?.1))
}

/// Keys that were not revoked, oldest first: of one company, or all with none.
pub(crate) fn list(conn: &Connection, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM api_keys
         WHERE revoked_ms IS NULL AND (?1 IS NULL OR company_id = ?1) ORDER BY seq"
    ))?;
    let mut rows = statement.query([company.map(CompanyId::as_str)])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read(row)?.1);
    }
    Ok(keys)
}

fn unreadable() -> Failure {
    Failure::unreadable("API key")
}
