//! Webhooks: the subscriptions of a company, made, watched and changed by people.

mod create;
mod detail;
mod edit;
mod form;
mod form_page;
mod list;
mod replay;
mod replay_runs;
mod rotation;
mod standing;
mod switch;
mod test_send;
mod type_picker;
mod url_check;

use std::sync::Arc;

use axum::{
    Router,
    response::Redirect,
    routing::{get, post},
};
use tidings_domain::{company::CompanyId, id::SubscriptionId, subscription::Subscription};
use tokio::sync::Mutex;

use crate::{fault::Fault, slots::Slots, state::Portal, visit::AtCompany};

use replay_runs::ReplayRuns;
pub(crate) use standing::Standing;

/// Tests that a company may have under way at a time.
const TESTS_EACH_MAX: usize = 4;
/// URLs that are looked at for a company at a time, while somebody types.
const URL_CHECKS_EACH_MAX: usize = 4;

/// What the pages about webhooks remember.
pub(crate) struct Desk {
    tests: Slots<CompanyId>,
    url_checks: Slots<CompanyId>,
    replays: ReplayRuns,
    /// Held from the look at the newest secret until there is a newer one.
    rotating: Mutex<()>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            tests: Slots::new(TESTS_EACH_MAX),
            url_checks: Slots::new(URL_CHECKS_EACH_MAX),
            replays: ReplayRuns::default(),
            rotating: Mutex::default(),
        }
    }
}

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    let at = |tail: &str| format!("/portal/c/{{company}}/webhooks{tail}");
    Router::new()
        .route(&at(""), get(list::page))
        .route(&at("/new"), get(create::page).post(create::create))
        .route(&at("/check-url"), post(url_check::check))
        .route(&at("/{id}"), get(detail::page))
        .route(&at("/{id}/edit"), get(edit::page).post(edit::save))
        .route(&at("/{id}/enable"), get(to_webhook).post(switch::enable))
        .route(&at("/{id}/disable"), get(to_webhook).post(switch::disable))
        .route(&at("/{id}/delete"), get(to_webhook).post(switch::delete))
        .route(&at("/{id}/rotate"), get(to_webhook).post(rotation::rotate))
        .route(&at("/{id}/test"), get(to_webhook).post(test_send::send))
        .route(&at("/{id}/replay"), get(replay::page).post(replay::start))
        .route(&at("/{id}/replay/{run}"), get(replay::progress))
}

/// The webhook that the path names; 404 where it is another company's.
async fn found(at: &AtCompany) -> Result<Subscription, Fault> {
    let id = at.param("id", SubscriptionId::parse)?;
    let found = at.store().subscription(Some(&at.company), id).await?;
    found.ok_or(Fault::NotFound)
}

/// 403 for who may only look.
fn admins_only(at: &AtCompany) -> Result<(), Fault> {
    if at.visit.visitor.may_change(&at.company) {
        Ok(())
    } else {
        Err(Fault::ReadOnly)
    }
}

/// The path of a webhook's page.
fn path_of(at: &AtCompany, id: SubscriptionId) -> String {
    at.link(&format!("webhooks/{id}"))
}

/// Who loads the address of a form's answer again gets the webhook's page.
async fn to_webhook(at: AtCompany) -> Result<Redirect, Fault> {
    let webhook = found(&at).await?;
    Ok(Redirect::to(&path_of(&at, webhook.id)))
}
