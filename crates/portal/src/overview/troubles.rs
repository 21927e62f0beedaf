//! What needs somebody's attention: endpoints that fail most, and those that are left alone.

use std::cmp::Reverse;

use tidings_domain::{
    cursor::Order, figures::Figures, id::SubscriptionId, subscription::Subscription,
};
use tidings_store::{AttemptSearch, FigureScope, OutcomeFilter, Position, StoreError};

use crate::{
    attempt_words::AttemptWords,
    chart::{Span, total},
    moment::Moment,
    overview::parked::{Parked, ParkedEndpoint},
    texts,
    visit::AtCompany,
};

/// Webhooks that are looked at, the newest first.
const WEBHOOKS_READ_MAX: usize = 500;
/// Webhooks of which figures are read: those that are failing first.
const WEBHOOKS_SUMMED_MAX: usize = 100;
/// Endpoints that are shown as failing most.
const FAILING_MAX: usize = 5;
/// Lines of the log that are looked at for an endpoint's last failure.
const LINES_MAX: usize = 500;

/// What needs somebody's attention.
pub(crate) struct Troubles {
    pub(crate) failing: Vec<Failing>,
    pub(crate) parked: Parked,
    /// How many webhooks were looked at, where those are not all.
    pub(crate) looked_at: Option<u64>,
    /// Whether there is any webhook.
    pub(crate) has_webhooks: bool,
}

/// An endpoint that fails.
pub(crate) struct Failing {
    pub(crate) id: SubscriptionId,
    pub(crate) url: String,
    pub(crate) figures: Figures,
    /// Its last failure; none where the log does not have it any more.
    pub(crate) last: Option<LastFailure>,
}

/// An endpoint's last failure.
pub(crate) struct LastFailure {
    pub(crate) place: Position,
    pub(crate) at: Moment,
    pub(crate) words: AttemptWords,
}

impl Troubles {
    /// Looks for troubles of a range of time; at figures only where something failed in it.
    pub(crate) async fn of(
        at: &AtCompany,
        span: Span,
        has_failures: bool,
    ) -> Result<Self, StoreError> {
        let store = at.store();
        let page = store
            .subscriptions(&at.company, Order::Descending, None, WEBHOOKS_READ_MAX)
            .await?;
        let mut webhooks = page.subscriptions;
        let total = webhooks.len();
        let has_more = page.has_more || total > WEBHOOKS_SUMMED_MAX;
        let now = at.visit.now();
        let parked = webhooks
            .iter()
            .map(|webhook| ParkedEndpoint::of_webhook(webhook, now));
        let parked = Parked::of(parked);
        // The sort is stable: the newest stay in front among equals.
        webhooks.sort_by_key(|webhook| webhook.health.failing_since.is_none());
        webhooks.truncate(WEBHOOKS_SUMMED_MAX);
        let failing = if has_failures {
            failing(at, span, &webhooks).await?
        } else {
            Vec::new()
        };
        Ok(Self {
            failing,
            parked,
            looked_at: has_more.then_some(webhooks.len() as u64),
            has_webhooks: total > 0,
        })
    }
}

async fn failing(
    at: &AtCompany,
    span: Span,
    webhooks: &[Subscription],
) -> Result<Vec<Failing>, StoreError> {
    let scopes = webhooks
        .iter()
        .map(|webhook| FigureScope::Subscription(webhook.id));
    let scopes: Vec<FigureScope> = scopes.collect();
    let rows = at
        .store()
        .figures(&scopes, span.resolution, span.since, span.until)
        .await?;
    let sums = rows.iter().map(|rows| total(rows));
    let mut worst: Vec<(&Subscription, Figures)> = webhooks
        .iter()
        .zip(sums)
        .filter(|(_, figures)| figures.failed > 0)
        .collect();
    worst.sort_by_key(|(_, figures)| Reverse(figures.failed));
    worst.truncate(FAILING_MAX);
    let mut failing = Vec::with_capacity(worst.len());
    for (webhook, figures) in worst {
        failing.push(Failing {
            id: webhook.id,
            url: webhook.url.to_string(),
            figures,
            last: last_failure(at, span, webhook.id).await?,
        });
    }
    Ok(failing)
}

async fn last_failure(
    at: &AtCompany,
    span: Span,
    webhook: SubscriptionId,
) -> Result<Option<LastFailure>, StoreError> {
    let search = AttemptSearch {
        company: at.company.clone(),
        subscription: Some(webhook),
        outcome: Some(OutcomeFilter::Failed),
        status: None,
        types: Vec::new(),
        event: None,
        since: Some(span.since),
        until: None,
        order: Order::Descending,
        after: None,
        limit: 1,
        look_at_max: LINES_MAX,
    };
    let found = at.store().search_attempts(search).await?;
    Ok(found.attempts.first().map(|placed| LastFailure {
        place: placed.place,
        at: placed.attempt.attempted.into(),
        words: AttemptWords::of(&placed.attempt, texts::default()),
    }))
}
