//! A second program beside the running nodes: short command-line work on keys and users.

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{KeyRing, NewApiKey, StoreError, StoreMetrics};

use crate::{
    database::{self, Access, Database},
    failure::Failure,
    key_rows,
    keys::{self, Revocation},
};

/// The keys and the users of a database that nodes may be using at the same time. They hear of every
/// change of a key, and read users each time.
#[derive(Debug)]
pub struct KeysBeside {
    pool: Pool,
    metrics: StoreMetrics,
}

impl KeysBeside {
    /// The keys of a database that has the newest schema.
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            pool,
            metrics: StoreMetrics::default(),
        }
    }

    /// The way to a connection.
    pub(crate) fn access(&self) -> Access<'_> {
        Access {
            pool: &self.pool,
            metrics: &self.metrics,
        }
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKey>, Failure> {
        let client = database::borrow(&self.pool).await?;
        key_rows::find(&Database::new(&client, &self.metrics), hash).await
    }

    async fn list(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, Failure> {
        let client = database::borrow(&self.pool).await?;
        key_rows::list(&Database::new(&client, &self.metrics), company).await
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<bool, Failure> {
        let (pool, metrics) = (&self.pool, &self.metrics);
        let Some(revoked) = keys::revoke(pool, metrics, &revocation).await? else {
            return Ok(false);
        };
        keys::seen_by_all(pool, metrics, revoked.version, &[], revocation.now).await?;
        Ok(true)
    }
}

#[async_trait]
impl KeyRing for KeysBeside {
    async fn create_key(&self, new: NewApiKey, by: &Actor) -> Result<(), StoreError> {
        Ok(keys::create(&self.pool, &self.metrics, &new, by).await?)
    }

    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.find(hash).await?)
    }

    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.list(company).await?)
    }

    async fn revoke_key(
        &self,
        company: Option<&CompanyId>,
        id: ApiKeyId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        let revocation = Revocation {
            company,
            id,
            now,
            by,
        };
        Ok(self.revoke(revocation).await?)
    }

    /// Does nothing: only servers see keys used.
    fn touch_key(&self, _id: ApiKeyId, _now: UtcMillis) {}
}
