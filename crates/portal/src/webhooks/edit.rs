//! Changing a webhook by hand. What another product manages is not changed here but there, since
//! that product would not know of the change.

use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use tidings_domain::subscription::{ManagedBy, Subscription};
use tidings_store::{SubscriptionChange, Updated};

use super::{
    admins_only,
    form::{Mistakes, WebhookForm},
    form_page::{self, Verdict},
    found, path_of,
};
use crate::{
    fault::Fault,
    texts,
    visit::{AtCompany, PostedAt},
};

/// Whether another product manages it.
pub(super) fn is_managed(webhook: &Subscription) -> bool {
    match webhook.managed_by {
        ManagedBy::Zapier | ManagedBy::N8n | ManagedBy::Make => true,
        ManagedBy::Api | ManagedBy::Portal => false,
    }
}

/// 403 for what another product manages: its settings and its secret are changed there.
pub(super) fn refuse_managed(webhook: &Subscription) -> Result<(), Fault> {
    if is_managed(webhook) {
        Err(Fault::ManagedElsewhere(webhook.managed_by))
    } else {
        Ok(())
    }
}

/// The form, as the webhook is.
pub(super) async fn page(at: AtCompany) -> Result<Response, Fault> {
    admins_only(&at)?;
    let webhook = found(&at).await?;
    refuse_managed(&webhook)?;
    let form = WebhookForm::of(&webhook);
    form_page::for_change(&at, &webhook, form, Verdict::default()).await
}

/// Saves it, if nobody else did meanwhile.
pub(super) async fn save(posted: PostedAt) -> Result<Response, Fault> {
    let (at, fields) = (&posted.at, &posted.fields);
    let webhook = found(at).await?;
    refuse_managed(&webhook)?;
    let version = fields.get("version").and_then(|text| text.parse().ok());
    let version: i64 = version.ok_or(Fault::Malformed)?;
    let (form, judged) = judge(at, WebhookForm::read(fields), &webhook).await;
    if version != webhook.version {
        return stale(at, &webhook, form, judged.err().unwrap_or_default()).await;
    }
    let change = match judged {
        Ok(change) => change,
        Err(mistakes) => {
            let verdict = Verdict::mistaken(mistakes);
            return form_page::for_change(at, &webhook, form, verdict).await;
        }
    };
    let (now, by) = (at.visit.now(), at.visit.actor());
    let updated = at.store().update_subscription(
        Some(&at.company),
        webhook.id,
        Some(version),
        change,
        now,
        &by,
    );
    match updated.await? {
        Updated::Changed(_) => {
            let to = format!("{}?done=webhook-saved", path_of(at, webhook.id));
            Ok(Redirect::to(&to).into_response())
        }
        Updated::NotFound => Err(Fault::NotFound),
        Updated::Stale => stale(at, &found(at).await?, form, Mistakes::default()).await,
    }
}

async fn judge(
    at: &AtCompany,
    form: WebhookForm,
    webhook: &Subscription,
) -> (WebhookForm, Result<SubscriptionChange, Mistakes>) {
    let portal = &at.visit.portal;
    let wanted = form
        .judge(portal, Some(&webhook.url), texts::default())
        .await;
    let change = wanted.map(|wanted| SubscriptionChange {
        url: Some(wanted.url),
        event_types: Some(wanted.event_types),
        description: Some(wanted.description),
        enabled: Some(wanted.enabled),
        max_per_second: Some(wanted.max_per_second),
    });
    (form, change)
}

async fn stale(
    at: &AtCompany,
    webhook: &Subscription,
    form: WebhookForm,
    mistakes: Mistakes,
) -> Result<Response, Fault> {
    let verdict = Verdict {
        status: StatusCode::CONFLICT,
        mistakes,
        stale: true,
    };
    form_page::for_change(at, webhook, form, verdict).await
}
