//! Figures about the API, and the page that shows all figures.
//!
//! Labels have few values: route templates, status classes. No company, URL or key is in them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use http::{HeaderValue, StatusCode, header};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tidings_domain::random::Random;

use crate::{
    front_door,
    problem::Problem,
    rate_limit::Class,
    request_id::{RequestIds, X_REQUEST_ID},
    state::Api,
};

/// Figures about the API. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    /// Answers by route and status class.
    requests: Family<RequestLabels, Counter>,
    /// Seconds from the head of a publishing request to its 201.
    publish_seconds: Histogram,
    /// Requests refused as too much was going on.
    pub(crate) refused_for_overload: Counter,
    /// Long polls that wait.
    pub(crate) long_polls: Gauge,
    /// Streams of events that are open.
    pub(crate) streams: Gauge,
    /// Published payloads that break the schema of their type.
    pub(crate) payload_violations: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: &'static str,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        let seconds = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
        ];
        Self {
            requests: Family::default(),
            publish_seconds: Histogram::new(seconds),
            refused_for_overload: Counter::default(),
            long_polls: Gauge::default(),
            streams: Gauge::default(),
            payload_violations: Counter::default(),
        }
    }
}

impl ApiMetrics {
    /// Makes the figures visible under `tidings_api_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tidings_api");
        registry.register(
            "requests",
            "Answers by route and status class",
            self.requests.clone(),
        );
        registry.register(
            "publish_seconds",
            "Seconds from the head of a publishing request to its 201",
            self.publish_seconds.clone(),
        );
        registry.register(
            "refused_for_overload",
            "Requests refused with 503 as too much was going on",
            self.refused_for_overload.clone(),
        );
        registry.register(
            "long_polls",
            "Long polls that wait",
            self.long_polls.clone(),
        );
        registry.register(
            "streams",
            "Streams of events that are open",
            self.streams.clone(),
        );
        registry.register(
            "payload_violations",
            "Published payloads that break the schema of their type, where that is looked at",
            self.payload_violations.clone(),
        );
    }

    /// Counts an answer.
    pub(crate) fn observe(&self, route: &str, class: Class, status: StatusCode, took: Duration) {
        let labels = RequestLabels {
            route: route.to_owned(),
            status: status_class(status),
        };
        self.requests.get_or_create(&labels).inc();
        if class == Class::Publish && status == StatusCode::CREATED {
            self.publish_seconds.observe(took.as_secs_f64());
        }
    }
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// A router with nothing but `/metrics`, for a listener of its own.
pub fn metrics_router(registry: Arc<Registry>, random: &dyn Random) -> Router {
    let request_ids = Arc::new(RequestIds::new(random));
    Router::new()
        .route("/metrics", get(own_page))
        .fallback(front_door::not_found)
        .method_not_allowed_fallback(front_door::method_not_allowed)
        .layer(middleware::from_fn_with_state(request_ids, own_door))
        .with_state(registry)
}

async fn own_page(State(registry): State<Arc<Registry>>) -> Response {
    page(&registry)
}

/// What is left of [`front_door`] where nobody needs a key: ids, and problems written out.
async fn own_door(
    State(request_ids): State<Arc<RequestIds>>,
    request: Request,
    next: Next,
) -> Response {
    let request_id = request_ids.of(request.headers());
    let uri = request.uri().clone();
    let response = next.run(request).await;
    let mut response = front_door::written_out(response, &request_id, uri.path());
    response.headers_mut().insert(X_REQUEST_ID, request_id);
    response
}

/// Read the figures
///
/// For Prometheus. 404 where they have a listener of their own (`--metrics-listen`).
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "Operations",
    security(()),
    responses((status = 200, description = "All figures in the OpenMetrics text format",
        body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics_page(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let registry = api.registry.as_ref();
    registry
        .map(|registry| page(registry))
        .ok_or_else(|| Problem::not_found("path"))
}

/// All figures in the `OpenMetrics` text format 1.0.0, which Prometheus reads.
fn page(registry: &Registry) -> Response {
    let mut text = String::new();
    let written = prometheus_client::encoding::text::encode(&mut text, registry);
    let mut response = Response::new(Body::from(text));
    if written.is_err() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}
