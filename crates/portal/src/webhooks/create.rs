//! Making a webhook, and the one page that shows its secret.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use tidings_domain::{
    cursor::Order, id::SubscriptionId, secret::Secret, subscription::ManagedBy,
    test_event::default_type,
};
use tidings_store::{AttemptFilter, NewSubscription};

use super::{
    admins_only,
    form::{Wanted, WebhookForm},
    form_page::{self, Verdict},
    path_of,
};
use crate::{
    fault::Fault,
    page::{Page, Section, render},
    texts,
    visit::{AtCompany, PostedAt},
};

#[derive(Template)]
#[template(path = "webhook_created.html")]
struct CreatedPage {
    page: Page,
    webhook: String,
    /// Where tests are sent from.
    test: String,
    test_type: String,
    url: String,
    secret: Secret,
    secret_is_raw: bool,
}

/// The empty form.
pub(super) async fn page(at: AtCompany) -> Result<Response, Fault> {
    admins_only(&at)?;
    let form = WebhookForm {
        enabled: true,
        ..WebhookForm::default()
    };
    let id = new_id(&at);
    form_page::for_new(&at, form, id.to_string(), Verdict::default()).await
}

/// Makes it. The form carries the id, so that a form that is sent twice makes one webhook.
pub(super) async fn create(posted: PostedAt) -> Result<Response, Fault> {
    let (at, fields) = (&posted.at, &posted.fields);
    let form = WebhookForm::read(fields);
    let (id, seal) = (fields.get("id"), fields.get("seal"));
    let id = id
        .zip(seal)
        .filter(|(id, seal)| at.visit.is_sealed(&promise(at, id), seal));
    let id = id.and_then(|(id, _)| SubscriptionId::parse(id).ok());
    let id = id.ok_or(Fault::Malformed)?;
    if is_there(at, id).await? {
        return Ok(to_page_of(at, id));
    }
    if was_there(at, id).await? {
        return Ok(Redirect::to(&at.link("webhooks?done=webhook-deleted")).into_response());
    }
    let portal = &at.visit.portal;
    match form.judge(portal, None, texts::default()).await {
        Ok(wanted) => make(at, id, wanted).await,
        Err(mistakes) => {
            let verdict = Verdict::mistaken(mistakes);
            form_page::for_new(at, form, id.to_string(), verdict).await
        }
    }
}

async fn make(at: &AtCompany, id: SubscriptionId, wanted: Wanted) -> Result<Response, Fault> {
    let random = at.visit.portal.random.as_ref();
    let secret = wanted.secret.unwrap_or_else(|| Secret::generate(random));
    let new = NewSubscription {
        id,
        company: at.company.clone(),
        url: wanted.url,
        event_types: wanted.event_types,
        secret: secret.clone(),
        description: wanted.description,
        enabled: wanted.enabled,
        managed_by: ManagedBy::Portal,
        max_per_second: wanted.max_per_second,
        now: at.visit.now(),
    };
    let made = at.store().create_subscription(new, &at.visit.actor()).await;
    let made = match made {
        Ok(made) => made,
        // The same form at the same time: the other one made it.
        Err(_) if is_there(at, id).await? => return Ok(to_page_of(at, id)),
        Err(error) => return Err(error.into()),
    };
    let webhook = path_of(at, id);
    let page = CreatedPage {
        page: at.page(Section::Webhooks, texts::default().webhooks.created_title),
        test: format!("{webhook}/test"),
        test_type: default_type(&made).to_string(),
        webhook,
        url: made.url.to_string(),
        secret_is_raw: is_raw(&secret),
        secret,
    };
    Ok((StatusCode::CREATED, render(&page)?).into_response())
}

/// Whether a secret is its own key, which stock libraries must be told: they decode base64 otherwise.
fn is_raw(secret: &Secret) -> bool {
    secret.key().as_slice() == secret.expose().as_bytes()
}

fn new_id(at: &AtCompany) -> SubscriptionId {
    SubscriptionId::new(at.visit.now(), at.visit.portal.random.as_ref())
}

async fn is_there(at: &AtCompany, id: SubscriptionId) -> Result<bool, Fault> {
    let there = at.store().subscription(Some(&at.company), id).await?;
    Ok(there.is_some())
}

/// Whether there was one, which has been deleted since. Its log is still there, so its id is taken.
async fn was_there(at: &AtCompany, subscription: SubscriptionId) -> Result<bool, Fault> {
    let any = AttemptFilter {
        subscription,
        outcome: None,
        event_type: None,
        event: None,
        order: Order::Descending,
        after: None,
        limit: 1,
    };
    let log = at.store().attempts(Some(&at.company), any).await?;
    Ok(log.is_some())
}

/// What is sealed in the form of a new one: that the company may have this id.
pub(super) fn promise(at: &AtCompany, id: &str) -> String {
    format!("{} {id}", at.company)
}

/// It was made before, so its secret has been shown.
fn to_page_of(at: &AtCompany, id: SubscriptionId) -> Response {
    let to = format!("{}?done=webhook-created", path_of(at, id));
    Redirect::to(&to).into_response()
}
