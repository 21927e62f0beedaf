//! The traits of `tidings-store` that the portal asks for, joined to the use cases; the others are in
//! [`crate::surface`].

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use tidings_domain::{
    actor::Actor,
    audit::AuditEntry,
    company::CompanyId,
    email::Email,
    event_type::EventType,
    figures::{Figures, Resolution},
    id::UserId,
    portal_token::TokenHash,
    time::UtcMillis,
};
use tidings_store::{
    AuditLog, AuditPage, AuditQuery, CompanyBacklog, Dashboards, FigureRow, FigureScope, Link,
    People, Session, SessionsOf, StoreError, User, UserDeleted, UserMade,
};

use crate::{
    SqliteStore, audit_rows,
    dashboards::{self, Stretches},
    failure::Failure,
    figure_rows, links,
    memory::Memory,
    sessions::{self, Ending, Opening},
    store::Inner,
    users::{self, Creation, NewPassword, Removal},
};

/// How often figures are read that were being written at that moment, which takes milliseconds and
/// happens every few seconds.
const FIGURE_READS_MAX: usize = 10;

#[async_trait]
impl People for SqliteStore {
    async fn create_user(&self, user: User, by: &Actor) -> Result<UserMade, StoreError> {
        let creation = Creation {
            user,
            by: by.clone(),
        };
        self.inner
            .change(creation, |batch, creation| {
                users::create(batch.db()?, creation)
            })
            .await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.inner.readers.read(users::list).await
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        let email = email.clone();
        let read = move |conn: &_| users::by_email(conn, &email);
        self.inner.readers.read(read).await
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
        self.inner
            .change(new, |batch, new| users::set_password(batch.db()?, new))
            .await
    }

    async fn delete_user(
        &self,
        id: UserId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<UserDeleted, StoreError> {
        let removal = Removal {
            id,
            now,
            by: by.clone(),
        };
        self.inner
            .change(removal, |batch, removal| {
                users::delete(batch.db()?, removal)
            })
            .await
    }

    async fn create_link(&self, hash: TokenHash, link: Link) -> Result<(), StoreError> {
        self.inner
            .change((hash, link), |batch, link| links::create(batch.db()?, link))
            .await
    }

    async fn link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError> {
        let hash = *hash;
        let read = move |conn: &_| links::find(conn, &hash, now);
        self.inner.readers.read(read).await
    }

    async fn use_link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError> {
        self.inner
            .change((*hash, now), |batch, link| links::take(batch.db()?, link))
            .await
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
        self.inner
            .change(opening, |batch, opening| {
                sessions::open(batch.db()?, opening)
            })
            .await
    }

    async fn session(
        &self,
        hash: &TokenHash,
        now: UtcMillis,
    ) -> Result<Option<Session>, StoreError> {
        let hash = *hash;
        let read = move |conn: &_| sessions::find(conn, &hash, now);
        self.inner.readers.read(read).await
    }

    async fn end_session(&self, hash: &TokenHash) -> Result<(), StoreError> {
        self.inner
            .change(*hash, |batch, hash| sessions::end(batch.db()?, hash))
            .await
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
        self.inner
            .change(ending, |batch, ending| {
                sessions::end_all(batch.db()?, ending)
            })
            .await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.inner
            .change(entry, |batch, entry| audit_rows::insert(batch.db()?, entry))
            .await
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        let read = move |conn: &_| audit_rows::page(conn, &query);
        self.inner.readers.read(read).await
    }
}

#[async_trait]
impl Dashboards for SqliteStore {
    async fn figures(
        &self,
        scopes: &[FigureScope],
        resolution: Resolution,
        since: UtcMillis,
        until: UtcMillis,
    ) -> Result<Vec<Vec<FigureRow>>, StoreError> {
        let wanted = Arc::new(Stretches {
            scopes: scopes.to_vec(),
            resolution,
            since,
            until,
        });
        self.inner
            .read_figures(move |conn, memory| dashboards::figures(conn, memory, &wanted))
            .await
    }

    async fn busiest_companies(
        &self,
        since: UtcMillis,
        until: UtcMillis,
        limit: usize,
    ) -> Result<Vec<(CompanyId, Figures)>, StoreError> {
        self.inner
            .read_figures(move |conn, memory| {
                dashboards::busiest_companies(conn, memory, since, until, limit)
            })
            .await
    }

    async fn write_figures(&self) -> Result<(), StoreError> {
        if self.inner.memory.figures.is_empty() {
            return Ok(());
        }
        self.inner.work((), 0, figure_rows::write, None).await
    }

    async fn company_backlog(
        &self,
        company: &CompanyId,
        count_max: u64,
    ) -> Result<CompanyBacklog, StoreError> {
        let (company, memory) = (company.clone(), Arc::clone(&self.inner.memory));
        let read = move |conn: &_| dashboards::company_backlog(conn, &memory, &company, count_max);
        self.inner.readers.read(read).await
    }

    async fn companies(&self, prefix: &str, limit: usize) -> Result<Vec<CompanyId>, StoreError> {
        let (prefix, memory) = (prefix.to_owned(), Arc::clone(&self.inner.memory));
        let read = move |conn: &_| dashboards::companies(conn, &memory, &prefix, limit);
        self.inner.readers.read(read).await
    }

    async fn recent_types(&self, company: &CompanyId) -> Result<Vec<EventType>, StoreError> {
        let company = company.clone();
        let read = move |conn: &_| dashboards::recent_types(conn, &company);
        self.inner.readers.read(read).await
    }
}

impl Inner {
    /// Reads the table and memory until they go together.
    async fn read_figures<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection, &Memory) -> Result<Option<T>, Failure> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        for _ in 0..FIGURE_READS_MAX {
            let (read, memory) = (read.clone(), Arc::clone(&self.memory));
            let read = move |conn: &_| read(conn, &memory);
            if let Some(found) = self.readers.read(read).await? {
                return Ok(found);
            }
        }
        Err(StoreError::Overloaded)
    }
}
