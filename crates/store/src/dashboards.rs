//! What people look at: figures over time, what waits for a company, who there is.
//!
//! Figures are counted in memory as commits succeed ([`crate::FigureCounts`], alike for every store)
//! and written down every few seconds: never a `COUNT(*)`, and nothing on the path of a delivery. A
//! node that is killed loses the figures of its last seconds, not a line of the delivery log.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidings_domain::{
    company::CompanyId,
    event_type::EventType,
    figures::{Figures, Resolution},
    id::SubscriptionId,
    time::UtcMillis,
};

use crate::{Backlog, StoreError};

/// Whose figures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FigureScope {
    /// All companies' together.
    Platform,
    /// One company's, all of its subscriptions together.
    Company(CompanyId),
    /// One subscription's; it publishes nothing.
    Subscription(SubscriptionId),
}

/// The figures of one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FigureRow {
    /// Where the stretch begins.
    pub start: UtcMillis,
    /// What happened in it.
    pub figures: Figures,
}

impl FigureRow {
    /// Rows from what is known by the millisecond in which each stretch begins.
    #[must_use]
    pub fn in_order(stretches: BTreeMap<i64, Figures>) -> Vec<Self> {
        let row = |(start, figures)| Self {
            start: UtcMillis::from_millis(start),
            figures,
        };
        stretches.into_iter().map(row).collect()
    }
}

/// What waits for a company.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompanyBacklog {
    /// Deliveries owed, and since when the oldest is.
    pub backlog: Backlog,
    /// Whether there are more than were counted.
    pub more: bool,
}

/// What people look at.
#[async_trait]
pub trait Dashboards: Send + Sync + 'static {
    /// For each scope, its stretches from `since` up to `until`, exclusive, oldest first; those
    /// in which nothing happened are left out. What this node has not written down yet is in.
    async fn figures(
        &self,
        scopes: &[FigureScope],
        resolution: Resolution,
        since: UtcMillis,
        until: UtcMillis,
    ) -> Result<Vec<Vec<FigureRow>>, StoreError>;

    /// The companies with the most attempts from `since` up to `until`, exclusive, in sums of
    /// whole hours; the busiest first, at most `limit`.
    async fn busiest_companies(
        &self,
        since: UtcMillis,
        until: UtcMillis,
        limit: usize,
    ) -> Result<Vec<(CompanyId, Figures)>, StoreError>;

    /// Writes down what was counted since the last time. Writes nothing where nothing was.
    async fn write_figures(&self) -> Result<(), StoreError>;

    /// What waits for a company, counting at most `count_max` deliveries.
    async fn company_backlog(
        &self,
        company: &CompanyId,
        count_max: u64,
    ) -> Result<CompanyBacklog, StoreError>;

    /// Companies that have a subscription, a key or figures, whose id begins with `prefix`, in
    /// the order of their ids, at most `limit`.
    async fn companies(&self, prefix: &str, limit: usize) -> Result<Vec<CompanyId>, StoreError>;

    /// The event types among a company's newest events (some thousands), in alphabetical order.
    async fn recent_types(&self, company: &CompanyId) -> Result<Vec<EventType>, StoreError>;
}
