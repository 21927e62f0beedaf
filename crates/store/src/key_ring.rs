//! Who may call: API keys.

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};

use crate::StoreError;

/// A key to store: all of it but the key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Who it is and what it allows.
    pub key: ApiKey,
    /// How it is found.
    pub hash: KeyHash,
}

/// Who may call.
#[async_trait]
pub trait KeyRing: Send + Sync + 'static {
    /// Stores a key, with its line in the audit log.
    async fn create_key(&self, new: NewApiKey, by: &Actor) -> Result<(), StoreError>;

    /// The key with this hash; none where it is unknown or revoked. Expiry is the caller's to
    /// judge. On the path of every request, so it answers from memory where it can.
    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError>;

    /// Keys that were not revoked, oldest first: of one company, or all of them with none.
    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes a key at once, with its line in the audit log; false where there is none such (of the
    /// company, where one is named).
    async fn revoke_key(
        &self,
        company: Option<&CompanyId>,
        id: ApiKeyId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError>;

    /// Notes that a key was used; kept in memory and written with the next upkeep.
    fn touch_key(&self, id: ApiKeyId, now: UtcMillis);
}
