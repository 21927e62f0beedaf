//! Endpoints that are left alone for now, since they kept failing.

use tidings_domain::{
    breaker::{BreakerState, EndpointHealth},
    company::CompanyId,
    id::SubscriptionId,
    subscription::{Endpoint, Subscription},
    time::UtcMillis,
};

use crate::moment::Moment;

/// Endpoints that are shown.
pub(crate) const PARKED_MAX: usize = 10;

/// Endpoints that are left alone, as many as are shown.
pub(crate) struct Parked {
    pub(crate) shown: Vec<ParkedEndpoint>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// An endpoint that is left alone.
pub(crate) struct ParkedEndpoint {
    pub(crate) company: CompanyId,
    pub(crate) id: SubscriptionId,
    pub(crate) url: String,
    /// Until when it is left alone; none where it is being tried.
    pub(crate) until: Option<Moment>,
}

impl Parked {
    /// Those of some endpoints that are left alone.
    pub(crate) fn of(all: impl Iterator<Item = Option<ParkedEndpoint>>) -> Self {
        let mut shown: Vec<ParkedEndpoint> = all.flatten().take(PARKED_MAX + 1).collect();
        let more = shown.len() > PARKED_MAX;
        shown.truncate(PARKED_MAX);
        Self { shown, more }
    }
}

impl ParkedEndpoint {
    /// The endpoint of a webhook, if it is left alone.
    pub(crate) fn of_webhook(webhook: &Subscription, now: UtcMillis) -> Option<Self> {
        is_left_alone(webhook.enabled, &webhook.health, now).then(|| Self {
            company: webhook.company.clone(),
            id: webhook.id,
            url: webhook.url.to_string(),
            until: until(&webhook.health, now),
        })
    }

    /// An endpoint, if it is left alone.
    pub(crate) fn of_endpoint(endpoint: &Endpoint, now: UtcMillis) -> Option<Self> {
        is_left_alone(endpoint.enabled, &endpoint.health, now).then(|| Self {
            company: endpoint.company.clone(),
            id: endpoint.id,
            url: endpoint.url.to_string(),
            until: until(&endpoint.health, now),
        })
    }
}

fn is_left_alone(enabled: bool, health: &EndpointHealth, now: UtcMillis) -> bool {
    enabled && health.breaker_at(now) != BreakerState::Closed
}

fn until(health: &EndpointHealth, now: UtcMillis) -> Option<Moment> {
    let is_open = health.breaker_at(now) == BreakerState::Open;
    health.open_until.filter(|_| is_open).map(Moment)
}
