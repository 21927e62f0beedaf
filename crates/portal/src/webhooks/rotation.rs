//! Rotating a webhook's secret, and the one page that shows the new one.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use tidings_domain::{id::SubscriptionId, secret::Secret, subscription::OVERLAP_HOURS_MAX};
use tidings_store::Rotated;

use super::{edit::refuse_managed, found, path_of};
use crate::{
    fault::Fault,
    moment::Moment,
    page::{Page, Section, render},
    texts,
    visit::{AtCompany, PostedAt},
};

/// How long the old secret stays valid where nobody says, in hours.
const OVERLAP_HOURS_DEFAULT: i64 = 24;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// What the form for rotating holds.
pub(super) struct Offer {
    /// Stands for the secret that was the newest when the page was made: a form that is sent
    /// twice rotates once.
    pub(super) newest: String,
    /// In hours.
    pub(super) overlap_default: i64,
}

#[derive(Template)]
#[template(path = "webhook_rotated.html")]
struct RotatedPage {
    page: Page,
    webhook: String,
    url: String,
    secret: Secret,
    secret_is_raw: bool,
    /// Until when the old one signs, too; none where it ended at once.
    old_until: Option<Moment>,
}

impl Offer {
    /// The form for a webhook; none where it is just being deleted.
    pub(super) fn of(at: &AtCompany, id: SubscriptionId) -> Option<Self> {
        let endpoint = at.store().endpoint(id)?;
        Some(Self {
            newest: mark_of(at, &endpoint.secrets.newest),
            overlap_default: OVERLAP_HOURS_DEFAULT,
        })
    }
}

/// Rotates it.
pub(super) async fn rotate(posted: PostedAt) -> Result<Response, Fault> {
    let (at, fields) = (&posted.at, &posted.fields);
    let webhook = found(at).await?;
    refuse_managed(&webhook)?;
    let hours = match fields.get("overlap_hours") {
        None => Some(OVERLAP_HOURS_DEFAULT),
        Some(text) => text.parse().ok(),
    };
    // The form has choices alone, so what is none did not come from it.
    let hours = hours.filter(|hours| (0..=OVERLAP_HOURS_MAX).contains(hours));
    let hours = hours.ok_or(Fault::Malformed)?;
    // Of a form that is sent twice at the same time, the second finds what the first has made;
    // otherwise the secret that the receiver knows would end before its time.
    let _turn = at.visit.portal.webhooks.rotating.lock().await;
    let offer = Offer::of(at, webhook.id).ok_or(Fault::NotFound)?;
    if fields.get("newest") != Some(offer.newest.as_str()) {
        let to = format!("{}?done=webhook-not-rotated", path_of(at, webhook.id));
        return Ok(Redirect::to(&to).into_response());
    }
    let secret = Secret::generate(at.visit.portal.random.as_ref());
    let now = at.visit.now();
    let until = now.plus_millis(hours * HOUR_MS);
    let (company, by) = (Some(&at.company), at.visit.actor());
    let rotated = at
        .store()
        .rotate_secret(company, webhook.id, secret.clone(), now, until, &by);
    match rotated.await? {
        Rotated::Done => render(&RotatedPage {
            page: at.page(Section::Webhooks, texts::default().webhooks.rotated_title),
            webhook: path_of(at, webhook.id),
            url: webhook.url.to_string(),
            secret,
            // One of ours is never raw.
            secret_is_raw: false,
            old_until: (hours > 0).then(|| until.into()),
        }),
        Rotated::NotFound => Err(Fault::NotFound),
    }
}

/// Stands for a secret within this session, and tells nothing of it.
fn mark_of(at: &AtCompany, secret: &Secret) -> String {
    at.visit.seal(secret.expose())
}
