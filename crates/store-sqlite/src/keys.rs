//! API keys: changed through the writer, looked up in memory.

use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{NewApiKey, audit_log};

use crate::{
    audit_rows,
    batch::{Batch, Effect},
    failure::Failure,
    key_rows,
};

/// Which key to revoke, and when that is.
pub(crate) struct Revocation {
    pub(crate) company: Option<CompanyId>,
    pub(crate) id: ApiKeyId,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// Stores a key.
pub(crate) fn create(
    batch: &mut Batch<'_, '_>,
    (new, by): &(NewApiKey, Actor),
) -> Result<(), Failure> {
    key_rows::insert(batch.db()?, new, by)?;
    batch.afterwards(Effect::PutKey(new.hash, new.key.clone()));
    Ok(())
}

/// Revokes a key; false where there is none such. The row stays, so that one can see that there
/// was such a key.
pub(crate) fn revoke(batch: &mut Batch<'_, '_>, revocation: &Revocation) -> Result<bool, Failure> {
    let db = batch.db()?;
    let revoked = db.first(
        &format!(
            "UPDATE api_keys SET revoked_ms = ?1
             WHERE id = ?2 AND revoked_ms IS NULL AND (?3 IS NULL OR company_id = ?3)
             RETURNING {}",
            key_rows::COLUMNS
        ),
        (
            revocation.now.as_millis(),
            revocation.id.as_bytes(),
            revocation.company.as_ref().map(CompanyId::as_str),
        ),
        key_rows::read,
    )?;
    let Some((hash, key)) = revoked else {
        return Ok(false);
    };
    let line = audit_log::key_revoked(&key, revocation.now, &revocation.by);
    audit_rows::insert(db, &line)?;
    batch.afterwards(Effect::RemoveKey(hash));
    Ok(true)
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
