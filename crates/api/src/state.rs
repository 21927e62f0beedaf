//! What every handler shares.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidings_domain::{
    clock::Clock, cursor::CursorKey, random::Random, target::Environment, web_origin::WebOrigin,
};
use tidings_store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    ApiOptions,
    caller::BootstrapKey,
    health::Readiness,
    idempotency::InFlight,
    metrics::ApiMetrics,
    overload::{Limits, Overload},
    payload_check::PayloadCheck,
    ports::{Health, Outbound},
    rate_limit::RateLimiter,
    request_id::RequestIds,
};

/// The API's own state and what it was given.
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) cursor_key: CursorKey,
    pub(crate) environment: Environment,
    pub(crate) public_url: WebOrigin,
    pub(crate) bootstrap_key: Option<BootstrapKey>,
    pub(crate) limits: Limits,
    pub(crate) metrics: ApiMetrics,
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) overload: Overload,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) payload_check: PayloadCheck,
    pub(crate) request_ids: RequestIds,
    pub(crate) in_flight: InFlight,
    pub(crate) readiness: Readiness,
}

impl Api {
    /// With nothing going on yet.
    pub(crate) fn new(options: ApiOptions) -> Self {
        Self {
            overload: Overload::new(&options.limits),
            rate_limiter: RateLimiter::new(options.rate_limits),
            payload_check: PayloadCheck::new(
                options.catalog_enforcement,
                options.metrics.payload_violations.clone(),
            ),
            request_ids: RequestIds::new(options.random.as_ref()),
            in_flight: InFlight::default(),
            readiness: Readiness::default(),
            bootstrap_key: options.bootstrap_key.as_ref().map(BootstrapKey::new),
            store: options.store,
            outbound: options.outbound,
            health: options.health,
            clock: options.clock,
            random: options.random,
            cursor_key: options.cursor_key,
            environment: options.environment,
            public_url: options.public_url,
            limits: options.limits,
            metrics: options.metrics,
            registry: options.registry,
            shutdown: options.shutdown,
        }
    }
}
