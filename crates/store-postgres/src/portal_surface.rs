//! What the portal asks of a store beside what everybody does, joined to the use cases: the audit
//! log and what people look at. Who may use it is in [`crate::people`].

use async_trait::async_trait;
use tidings_domain::{
    audit::AuditEntry,
    company::CompanyId,
    event_type::EventType,
    figures::{Figures, Resolution},
    time::UtcMillis,
};
use tidings_store::{
    AuditLog, AuditPage, AuditQuery, CompanyBacklog, Dashboards, FigureRow, FigureScope, StoreError,
};

use crate::{
    PostgresStore, audit_log, backlog, companies,
    database::{self, Database},
    figure_reads::{self, Span},
    figures, log_places,
};

#[async_trait]
impl AuditLog for PostgresStore {
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(audit_log::write(&db, &entry).await?)
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(audit_log::page(&db, &query).await?)
    }
}

#[async_trait]
impl Dashboards for PostgresStore {
    async fn figures(
        &self,
        scopes: &[FigureScope],
        resolution: Resolution,
        since: UtcMillis,
        until: UtcMillis,
    ) -> Result<Vec<Vec<FigureRow>>, StoreError> {
        let span = Span { since, until };
        Ok(figure_reads::figures(&self.inner, scopes, resolution, span).await?)
    }

    async fn busiest_companies(
        &self,
        since: UtcMillis,
        until: UtcMillis,
        limit: usize,
    ) -> Result<Vec<(CompanyId, Figures)>, StoreError> {
        let span = Span { since, until };
        Ok(figure_reads::busiest(&self.inner, span, limit).await?)
    }

    async fn write_figures(&self) -> Result<(), StoreError> {
        Ok(figures::write(&self.inner.pool, &self.inner.memory).await?)
    }

    async fn company_backlog(
        &self,
        company: &CompanyId,
        count_max: u64,
    ) -> Result<CompanyBacklog, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(backlog::of_company(&db, company, count_max).await?)
    }

    async fn companies(&self, prefix: &str, limit: usize) -> Result<Vec<CompanyId>, StoreError> {
        let counted = &self.inner.memory.figures;
        let _still = counted.still().await;
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        let stored = companies::stored(&db, prefix, limit).await?;
        Ok(counted.look(|counts| companies::with_counted(stored, counts, prefix, limit)))
    }

    async fn recent_types(&self, company: &CompanyId) -> Result<Vec<EventType>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(log_places::recent_types(&db, company).await?)
    }
}
