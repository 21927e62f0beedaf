//! The HTTP API of the contract: from requests to the store and back.
//!
//! [`router`] is all of it. A request passes `front_door` (its id, who calls, how much), then
//! one handler: `publish` and `batch` put events in, `events` and `trace` read them, `stream`
//! follows them, `event_types` and `asyncapi` are the catalog that `payload_check` judges by,
//! `subscriptions`, `subscription_change`, `secret_rotation`, `test_send`, `attempts` and
//! `replay` are about who gets them, `keys` about who may call, `portal_sessions` about who may
//! look; `audit` notes what the store does not note by itself. Bodies are read by `body`,
//! `fields` and `values`, queries by `query` and `paging`; whatever goes wrong becomes a
//! `problem`. `overload`, `large_answer` and `rate_limit` bound it, and `idempotency` keeps a
//! promise to publishers. `openapi` describes it all, and `docs_page` shows that.
//!
//! The API makes no deliveries: what is owed is in the store when a publish is answered. What it
//! needs from the delivery side it asks for through `ports`.

mod answer;
mod asyncapi;
mod attempts;
mod audit;
mod batch;
mod body;
mod call;
mod caller;
mod docs_page;
mod envelope;
mod event_types;
mod events;
mod fields;
mod front_door;
mod health;
mod idempotency;
mod keys;
mod large_answer;
mod metrics;
mod openapi;
mod openapi_examples;
mod overload;
mod paging;
mod payload_check;
mod portal_sessions;
mod ports;
mod problem;
mod publish;
mod query;
mod rate_limit;
mod replay;
mod request_id;
mod secret_rotation;
mod state;
mod stream;
mod subscription_change;
mod subscriptions;
mod test_send;
mod trace;
mod values;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use prometheus_client::registry::Registry;
use tidings_domain::{
    api_key::ApiKeyToken, clock::Clock, cursor::CursorKey, random::Random, target::Environment,
    web_origin::WebOrigin,
};
use tidings_store::Store;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{front_door::OPENAPI_PATH, state::Api};
pub use crate::{
    metrics::{ApiMetrics, metrics_router},
    openapi::{openapi_document, openapi_json},
    overload::Limits,
    payload_check::CatalogEnforcement,
    ports::{Health, Outbound, TargetRefusal},
    rate_limit::RateLimits,
};

/// Everything that the API needs.
pub struct ApiOptions {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The delivery side, for checks of targets and for tests.
    pub outbound: Arc<dyn Outbound>,
    /// Whether the rest of the program does its work.
    pub health: Arc<dyn Health>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids, keys and secrets come from.
    pub random: Arc<dyn Random>,
    /// Seals cursors; has to stay the same for them to stay valid.
    pub cursor_key: CursorKey,
    /// How strict target URLs are judged.
    pub environment: Environment,
    /// Where people reach the server, for links into the portal.
    pub public_url: WebOrigin,
    /// A platform `admin` key to accept from the start.
    pub bootstrap_key: Option<ApiKeyToken>,
    /// What is taken on.
    pub limits: Limits,
    /// How many requests a key may make.
    pub rate_limits: RateLimits,
    /// What becomes of payloads that break the schema of their type.
    pub catalog_enforcement: CatalogEnforcement,
    /// The API's own figures; the server registers them.
    pub metrics: ApiMetrics,
    /// All figures, for `/metrics` beside the API; none where they have a listener of their own.
    pub registry: Option<Arc<Registry>>,
    /// Ends long polls and readiness when the server is asked to stop.
    pub shutdown: CancellationToken,
}

/// The whole HTTP API.
pub fn router(options: ApiOptions) -> Router {
    let api = Arc::new(Api::new(options));
    let (routes, _) = described_routes().split_for_parts();
    routes
        .route(OPENAPI_PATH, get(openapi::serve))
        .route("/docs", get(docs_page::serve))
        .fallback(front_door::not_found)
        .method_not_allowed_fallback(front_door::method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            front_door::front_door,
        ))
        .with_state(api)
}

/// Every route that the `OpenAPI` document describes, with its description.
fn described_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(publish::publish, events::list))
        .routes(routes!(batch::publish_batch))
        .routes(routes!(stream::stream))
        .routes(routes!(events::get))
        .routes(routes!(trace::deliveries))
        .routes(routes!(trace::redeliver))
        .routes(routes!(subscriptions::create, subscriptions::list))
        .routes(routes!(
            subscriptions::get,
            subscription_change::update,
            subscriptions::delete
        ))
        .routes(routes!(secret_rotation::rotate))
        .routes(routes!(test_send::test))
        .routes(routes!(attempts::list))
        .routes(routes!(replay::replay))
        .routes(routes!(event_types::list))
        .routes(routes!(asyncapi::serve))
        .routes(routes!(
            event_types::get,
            event_types::save,
            event_types::delete
        ))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::me))
        .routes(routes!(portal_sessions::create))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics_page))
}
