//! What the dispatcher never asks of a store: passed on as it is, without faults.

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    audit::AuditEntry,
    catalog::CatalogType,
    company::CompanyId,
    email::Email,
    event_type::EventType,
    figures::{Figures, Resolution},
    id::{EventId, SubscriptionId, UserId},
    portal_token::TokenHash,
    time::UtcMillis,
};
use tidings_store::{
    AttemptFilter, AttemptLog, AttemptPage, AttemptSearch, AttemptsFound, AuditLog, AuditPage,
    AuditQuery, Catalog, CompanyBacklog, Dashboards, FigureRow, FigureScope, Link, People,
    PlacedAttempt, Position, Session, SessionsOf, StoreError, TypeSaved, User, UserDeleted,
    UserMade,
};

use super::FaultyStore;

#[async_trait]
impl AttemptLog for FaultyStore {
    async fn search_attempts(&self, search: AttemptSearch) -> Result<AttemptsFound, StoreError> {
        self.inner.search_attempts(search).await
    }

    async fn attempt(
        &self,
        company: &CompanyId,
        place: Position,
    ) -> Result<Option<PlacedAttempt>, StoreError> {
        self.inner.attempt(company, place).await
    }

    async fn attempts_of_delivery(
        &self,
        company: &CompanyId,
        event: EventId,
        subscription: SubscriptionId,
        limit: usize,
    ) -> Result<Vec<PlacedAttempt>, StoreError> {
        self.inner
            .attempts_of_delivery(company, event, subscription, limit)
            .await
    }

    async fn newest_attempts(
        &self,
        company: &CompanyId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Vec<Option<PlacedAttempt>>, StoreError> {
        self.inner.newest_attempts(company, subscriptions).await
    }

    async fn attempts(
        &self,
        company: Option<&CompanyId>,
        filter: AttemptFilter,
    ) -> Result<Option<AttemptPage>, StoreError> {
        self.inner.attempts(company, filter).await
    }
}

#[async_trait]
impl AuditLog for FaultyStore {
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.inner.record(entry).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.inner.audit(query).await
    }
}

#[async_trait]
impl Catalog for FaultyStore {
    async fn event_types(&self) -> Result<Vec<CatalogType>, StoreError> {
        self.inner.event_types().await
    }

    async fn event_type(&self, name: &EventType) -> Result<Option<CatalogType>, StoreError> {
        self.inner.event_type(name).await
    }

    async fn save_event_type(
        &self,
        entry: CatalogType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<TypeSaved, StoreError> {
        self.inner.save_event_type(entry, now, by).await
    }

    async fn delete_event_type(
        &self,
        name: &EventType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        self.inner.delete_event_type(name, now, by).await
    }

    async fn catalog_version(&self) -> Result<i64, StoreError> {
        self.inner.catalog_version().await
    }
}

#[async_trait]
impl Dashboards for FaultyStore {
    async fn figures(
        &self,
        scopes: &[FigureScope],
        resolution: Resolution,
        since: UtcMillis,
        until: UtcMillis,
    ) -> Result<Vec<Vec<FigureRow>>, StoreError> {
        self.inner.figures(scopes, resolution, since, until).await
    }

    async fn busiest_companies(
        &self,
        since: UtcMillis,
        until: UtcMillis,
        limit: usize,
    ) -> Result<Vec<(CompanyId, Figures)>, StoreError> {
        self.inner.busiest_companies(since, until, limit).await
    }

    async fn write_figures(&self) -> Result<(), StoreError> {
        self.inner.write_figures().await
    }

    async fn company_backlog(
        &self,
        company: &CompanyId,
        count_max: u64,
    ) -> Result<CompanyBacklog, StoreError> {
        self.inner.company_backlog(company, count_max).await
    }

    async fn companies(&self, prefix: &str, limit: usize) -> Result<Vec<CompanyId>, StoreError> {
        self.inner.companies(prefix, limit).await
    }

    async fn recent_types(&self, company: &CompanyId) -> Result<Vec<EventType>, StoreError> {
        self.inner.recent_types(company).await
    }
}

#[async_trait]
impl People for FaultyStore {
    async fn create_user(&self, user: User, by: &Actor) -> Result<UserMade, StoreError> {
        self.inner.create_user(user, by).await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.inner.users().await
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        self.inner.user_by_email(email).await
    }

    async fn set_password(
        &self,
        id: UserId,
        password_hash: String,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        self.inner.set_password(id, password_hash, now, by).await
    }

    async fn delete_user(
        &self,
        id: UserId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<UserDeleted, StoreError> {
        self.inner.delete_user(id, now, by).await
    }

    async fn create_link(&self, hash: TokenHash, link: Link) -> Result<(), StoreError> {
        self.inner.create_link(hash, link).await
    }

    async fn link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError> {
        self.inner.link(hash, now).await
    }

    async fn use_link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError> {
        self.inner.use_link(hash, now).await
    }

    async fn open_session(
        &self,
        hash: TokenHash,
        session: Session,
        by: &Actor,
    ) -> Result<(), StoreError> {
        self.inner.open_session(hash, session, by).await
    }

    async fn session(
        &self,
        hash: &TokenHash,
        now: UtcMillis,
    ) -> Result<Option<Session>, StoreError> {
        self.inner.session(hash, now).await
    }

    async fn end_session(&self, hash: &TokenHash) -> Result<(), StoreError> {
        self.inner.end_session(hash).await
    }

    async fn end_sessions(
        &self,
        whose: &SessionsOf,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<u64, StoreError> {
        self.inner.end_sessions(whose, now, by).await
    }
}
