//! A second program beside a running server: short command-line work on keys and users.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, KeyHash},
    company::CompanyId,
    email::Email,
    id::{ApiKeyId, UserId},
    portal_token::TokenHash,
    time::UtcMillis,
};
use tidings_store::{
    KeyRing, Link, NewApiKey, People, Session, SessionsOf, StoreError, StoreMetrics, User,
    UserDeleted, UserMade,
};

use crate::{
    database::{self, Database},
    failure::Failure,
    key_rows, links,
    sessions::{self, Ending, Opening},
    users::{self, Creation, NewPassword, Removal},
};

/// The keys and users of a database that a server may be using at the same time. A server finds a
/// key that was made here when it is first used, and users at once. Calls block for a few
/// milliseconds.
#[derive(Debug)]
pub struct Beside {
    path: PathBuf,
}

impl Beside {
    /// Of a database that has the newest schema.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let read = || work(&database::open_reader(&self.path)?);
        read().map_err(StoreError::from)
    }

    /// Changes something in one transaction. Where it fails, closing the connection takes it back.
    fn change<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let change = || -> Result<T, Failure> {
            let conn = database::open_existing(&self.path)?;
            let db = Database::new(conn, StoreMetrics::default())?;
            db.begin()?;
            let done = work(&db)?;
            db.commit()?;
            Ok(done)
        };
        change().map_err(StoreError::from)
    }
}

#[async_trait]
impl KeyRing for Beside {
    async fn create_key(&self, new: NewApiKey, by: &Actor) -> Result<(), StoreError> {
        self.change(|db| key_rows::insert(db, &new, by))
    }

    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        self.read(|conn| key_rows::find(conn, hash))
    }

    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError> {
        self.read(|conn| key_rows::list(conn, company))
    }

    /// Refused: a running server would go on accepting the key from memory. Ask the server.
    async fn revoke_key(
        &self,
        _company: Option<&CompanyId>,
        _id: ApiKeyId,
        _now: UtcMillis,
        _by: &Actor,
    ) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable(
            "keys are revoked through the server, so that it forgets them at once".to_owned(),
        ))
    }

    /// Does nothing: only servers see keys used.
    fn touch_key(&self, _id: ApiKeyId, _now: UtcMillis) {}
}

#[async_trait]
impl People for Beside {
    async fn create_user(&self, user: User, by: &Actor) -> Result<UserMade, StoreError> {
        let by = by.clone();
        self.change(|db| users::create(db, &Creation { user, by }))
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(users::list)
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        self.read(|conn| users::by_email(conn, email))
    }

    async fn set_password(
        &self,
        id: UserId,
        password_hash: String,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        let new = NewPassword {
            id,
            hash: password_hash,
            now,
            by: by.clone(),
        };
        self.change(|db| users::set_password(db, &new))
    }

    async fn delete_user(
        &self,
        id: UserId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<UserDeleted, StoreError> {
        let by = by.clone();
        self.change(|db| users::delete(db, &Removal { id, now, by }))
    }

    async fn create_link(&self, hash: TokenHash, link: Link) -> Result<(), StoreError> {
        self.change(|db| links::create(db, &(hash, link)))
    }

    async fn link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError> {
        self.read(|conn| links::find(conn, hash, now))
    }

    async fn use_link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError> {
        self.change(|db| links::take(db, &(*hash, now)))
    }

    async fn open_session(
        &self,
        hash: TokenHash,
        session: Session,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let opening = Opening {
            hash,
            session,
            by: by.clone(),
        };
        self.change(|db| sessions::open(db, &opening))
    }

    async fn session(
        &self,
        hash: &TokenHash,
        now: UtcMillis,
    ) -> Result<Option<Session>, StoreError> {
        self.read(|conn| sessions::find(conn, hash, now))
    }

    async fn end_session(&self, hash: &TokenHash) -> Result<(), StoreError> {
        self.change(|db| sessions::end(db, hash))
    }

    async fn end_sessions(
        &self,
        whose: &SessionsOf,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<u64, StoreError> {
        let ending = Ending {
            whose: whose.clone(),
            now,
            by: by.clone(),
        };
        self.change(|db| sessions::end_all(db, &ending))
    }
}
