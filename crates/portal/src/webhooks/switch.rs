//! Enabling, disabling and deleting a webhook.

use axum::response::Redirect;
use tidings_domain::id::SubscriptionId;
use tidings_store::{Deleted, SubscriptionChange, Updated};

use super::path_of;
use crate::{fault::Fault, visit::PostedAt};

/// Enables it.
pub(super) async fn enable(posted: PostedAt) -> Result<Redirect, Fault> {
    set(&posted, true, "webhook-enabled").await
}

/// Disables it.
pub(super) async fn disable(posted: PostedAt) -> Result<Redirect, Fault> {
    set(&posted, false, "webhook-disabled").await
}

/// Deletes it. Who does so twice hears the same.
pub(super) async fn delete(posted: PostedAt) -> Result<Redirect, Fault> {
    let at = &posted.at;
    let id = at.param("id", SubscriptionId::parse)?;
    let (now, by) = (at.visit.now(), at.visit.actor());
    let deleted = at
        .store()
        .delete_subscription(Some(&at.company), id, now, &by);
    match deleted.await? {
        Deleted::Gone => Ok(Redirect::to(&at.link("webhooks?done=webhook-deleted"))),
        Deleted::NeverWas => Err(Fault::NotFound),
    }
}

async fn set(posted: &PostedAt, enabled: bool, done: &str) -> Result<Redirect, Fault> {
    let at = &posted.at;
    let id = at.param("id", SubscriptionId::parse)?;
    let change = SubscriptionChange {
        enabled: Some(enabled),
        ..SubscriptionChange::default()
    };
    let (now, by) = (at.visit.now(), at.visit.actor());
    let company = Some(&at.company);
    let updated = at
        .store()
        .update_subscription(company, id, None, change, now, &by);
    match updated.await? {
        Updated::Changed(_) => Ok(Redirect::to(&format!("{}?done={done}", path_of(at, id)))),
        // Without a version to expect none is stale.
        Updated::NotFound | Updated::Stale => Err(Fault::NotFound),
    }
}
