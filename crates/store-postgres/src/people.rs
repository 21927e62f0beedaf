//! Who may use the portal, joined to the trait: for a node, and for a program beside the nodes.

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor, email::Email, id::UserId, portal_token::TokenHash, time::UtcMillis,
};
use tidings_store::{Link, People, Session, SessionsOf, StoreError, User, UserDeleted, UserMade};

use crate::{
    PostgresStore,
    beside::KeysBeside,
    database::{self, Access, Database},
    entry_links, sessions, users,
};

/// Both do the same, each by its own connections.
macro_rules! people {
    ($store:ty) => {
        #[async_trait]
        impl People for $store {
            async fn create_user(&self, user: User, by: &Actor) -> Result<UserMade, StoreError> {
                Ok(users::create(self.access(), &user, by).await?)
            }

            async fn users(&self) -> Result<Vec<User>, StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(users::list(&Database::new(&client, metrics)).await?)
            }

            async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(users::by_email(&Database::new(&client, metrics), email).await?)
            }

            async fn set_password(
                &self,
                id: UserId,
                password_hash: String,
                now: UtcMillis,
                by: &Actor,
            ) -> Result<bool, StoreError> {
                Ok(users::set_password(self.access(), id, &password_hash, now, by).await?)
            }

            async fn delete_user(
                &self,
                id: UserId,
                now: UtcMillis,
                by: &Actor,
            ) -> Result<UserDeleted, StoreError> {
                Ok(users::delete(self.access(), id, now, by).await?)
            }

            async fn create_link(&self, hash: TokenHash, link: Link) -> Result<(), StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(entry_links::create(&Database::new(&client, metrics), &hash, &link).await?)
            }

            async fn link(
                &self,
                hash: &TokenHash,
                now: UtcMillis,
            ) -> Result<Option<Link>, StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(entry_links::find(&Database::new(&client, metrics), hash, now).await?)
            }

            async fn use_link(
                &self,
                hash: &TokenHash,
                now: UtcMillis,
            ) -> Result<Option<Link>, StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(entry_links::take(&Database::new(&client, metrics), hash, now).await?)
            }

            async fn open_session(
                &self,
                hash: TokenHash,
                session: Session,
                by: &Actor,
            ) -> Result<(), StoreError> {
                Ok(sessions::open(self.access(), &hash, &session, by).await?)
            }

            async fn session(
                &self,
                hash: &TokenHash,
                now: UtcMillis,
            ) -> Result<Option<Session>, StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(sessions::find(&Database::new(&client, metrics), hash, now).await?)
            }

            async fn end_session(&self, hash: &TokenHash) -> Result<(), StoreError> {
                let Access { pool, metrics } = self.access();
                let client = database::borrow(pool).await?;
                Ok(sessions::end(&Database::new(&client, metrics), hash).await?)
            }

            async fn end_sessions(
                &self,
                whose: &SessionsOf,
                now: UtcMillis,
                by: &Actor,
            ) -> Result<u64, StoreError> {
                Ok(sessions::end_all(self.access(), whose, now, by).await?)
            }
        }
    };
}

people!(PostgresStore);
people!(KeysBeside);
