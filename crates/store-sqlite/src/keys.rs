//! API keys: changed through the writer, looked up in memory.

use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::NewApiKey;

use crate::{
    batch::{Batch, Effect},
    failure::Failure,
    key_rows,
};

/// Which key to revoke, and when that is.
pub(crate) struct Revocation {
    pub(crate) company: Option<CompanyId>,
    pub(crate) id: ApiKeyId,
    pub(crate) now: UtcMillis,
}

/// Stores a key.
pub(crate) fn create(batch: &mut Batch<'_, '_>, new: &NewApiKey) -> Result<(), Failure> {
    let db = batch.db()?;
    batch.memory.metrics.statements.inc();
    key_rows::insert(db.connection(), new)?;
    batch.afterwards(Effect::PutKey(new.hash, new.key.clone()));
    Ok(())
}

/// Revokes a key; false where there is none such. The row stays, so that one can see that there
/// was such a key.
pub(crate) fn revoke(batch: &mut Batch<'_, '_>, revocation: &Revocation) -> Result<bool, Failure> {
    let hash: Option<KeyHash> = batch.db()?.first(
        "UPDATE api_keys SET revoked_ms = ?1
         WHERE id = ?2 AND revoked_ms IS NULL AND (?3 IS NULL OR company_id = ?3)
         RETURNING hash",
        (
            revocation.now.as_millis(),
            revocation.id.as_bytes(),
            revocation.company.as_ref().map(CompanyId::as_str),
        ),
        |row| Ok(row.get(0)?),
    )?;
    if let Some(hash) = hash {
        batch.afterwards(Effect::RemoveKey(hash));
    }
    Ok(hash.is_some())
}

/// Takes a key into memory that somebody else has put into the database. It is read here, in the
/// writer, so that no revocation falls between reading and taking it in.
pub(crate) fn adopt(batch: &mut Batch<'_, '_>, hash: &KeyHash) -> Result<Option<ApiKey>, Failure> {
    let db = batch.db()?;
    let key = key_rows::find(db.connection(), hash)?;
    if let Some(key) = &key {
        batch.afterwards(Effect::PutKey(*hash, key.clone()));
    }
    Ok(key)
}
