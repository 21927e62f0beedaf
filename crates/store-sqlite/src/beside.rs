//! A second program beside a running server: short command-line work on the keys.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::Connection;
use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{KeyRing, NewApiKey, StoreError};

use crate::{database, failure::Failure, key_rows};

/// The keys of a database that a server may be using at the same time. A server finds a key that
/// was made here when it is first used. Calls block for a few milliseconds.
#[derive(Debug)]
pub struct KeysBeside {
    path: PathBuf,
}

impl KeysBeside {
    /// The keys of a database that has the newest schema.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let open = || -> Result<Connection, Failure> {
            let conn = database::open_existing(&self.path)?;
            database::make_durable(&conn)?;
            Ok(conn)
        };
        open()
            .and_then(|conn| work(&conn))
            .map_err(StoreError::from)
    }
}

#[async_trait]
impl KeyRing for KeysBeside {
    async fn create_key(&self, new: NewApiKey) -> Result<(), StoreError> {
        self.with(|conn| Ok(key_rows::insert(conn, &new)?))
    }

    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        self.with(|conn| key_rows::find(conn, hash))
    }

    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError> {
        self.with(|conn| key_rows::list(conn, company))
    }

    /// Refused: a running server would go on accepting the key from memory. Ask the server.
    async fn revoke_key(
        &self,
        _company: Option<&CompanyId>,
        _id: ApiKeyId,
        _now: UtcMillis,
    ) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable(
            "keys are revoked through the server, so that it forgets them at once".to_owned(),
        ))
    }

    /// Does nothing: only servers see keys used.
    fn touch_key(&self, _id: ApiKeyId, _now: UtcMillis) {}
}
