//! The admin portal: Settings › Integrations in the browser, under `/portal`.
//!
//! A request passes `door` (limits, headers, faults) and, but for signing in, `visit` (whose
//! session, which company, the CSRF token of a form). Pages are templates that are checked when
//! they are compiled; what they say is in `texts`; `assets` holds style and scripts, which only
//! enhance: every page reads and every form works without them.
//!
//! The portal speaks to the store as the API does, and to the delivery side through [`Outbound`].

mod account;
mod assets;
mod attempt_words;
mod audit;
mod chart;
mod cookies;
mod credentials;
mod csrf;
mod door;
mod entry;
mod event_types;
mod events;
mod fault;
mod json_view;
mod keys;
mod log;
mod moment;
mod overview;
mod page;
mod paging;
mod password;
mod platform;
mod ports;
mod query_form;
mod slots;
mod state;
mod texts;
mod throttle;
mod users;
mod visit;
mod webhooks;

use std::sync::Arc;

use axum::{Router, middleware, response::Redirect, routing::get};
use tidings_domain::{clock::Clock, random::Random, target::Environment, web_origin::WebOrigin};
use tidings_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::state::Portal;
pub use crate::{
    password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PasswordRefused, hash_password},
    ports::{Outbound, TargetRefusal},
};

/// Everything that the portal needs.
pub struct PortalOptions {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The delivery side, for checks of targets and for tests.
    pub outbound: Arc<dyn Outbound>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids, keys, secrets and sessions come from.
    pub random: Arc<dyn Random>,
    /// How strict target URLs are judged.
    pub environment: Environment,
    /// How people reach the server; cookies are for `https` alone where this is.
    pub public_url: WebOrigin,
    /// Origins that may show the portal in a frame.
    pub frame_origins: Vec<WebOrigin>,
    /// Ends what lasts, such as a log that updates itself, when the server is asked to stop.
    pub shutdown: CancellationToken,
    /// Holds what goes on after its request was answered; to be waited for once `shutdown` is
    /// cancelled, as it then comes to its end.
    pub tasks: TaskTracker,
}

/// All pages, below `/portal`.
pub fn router(options: PortalOptions) -> Router {
    let portal = Arc::new(Portal::new(options));
    Router::new()
        .route("/portal", get(entry::home))
        .route("/portal/", get(|| async { Redirect::permanent("/portal") }))
        .route("/portal/assets/{name}", get(assets::serve))
        .merge(entry::routes())
        .merge(log::routes())
        .merge(events::routes())
        .merge(event_types::routes())
        .merge(overview::routes())
        .merge(platform::routes())
        .merge(account::routes())
        .merge(audit::routes())
        .merge(keys::routes())
        .merge(users::routes())
        .merge(webhooks::routes())
        .fallback(door::not_found)
        .method_not_allowed_fallback(door::method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&portal),
            door::door,
        ))
        .with_state(portal)
}
