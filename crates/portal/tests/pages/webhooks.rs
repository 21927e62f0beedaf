//! Webhooks: listing, making, changing, testing, replaying.

mod changing;
mod listing;
mod making;
mod permissions;
mod replaying;
mod testing;

use tidings_domain::id::SubscriptionId;

use crate::stage::{Browser, Stage};

/// Where the webhooks of `acme` are.
const WEBHOOKS: &str = "/portal/c/acme/webhooks";

/// A URL that many tests use.
const URL: &str = "https://example.com/hook";

/// The path of a webhook of `acme`.
fn path(id: SubscriptionId, tail: &str) -> String {
    format!("{WEBHOOKS}/{id}{tail}")
}

/// A stage with an admin of `acme` in front of it and a webhook.
async fn with_webhook(types: &[&str]) -> (Stage, Browser, SubscriptionId) {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let id = stage.subscribe("acme", URL, types).await;
    (stage, admin, id)
}
