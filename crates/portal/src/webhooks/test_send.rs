//! Sending a test to a webhook, and showing at once what came of it.

use std::{collections::BTreeSet, sync::Arc};

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::value::RawValue;
use tidings_domain::{
    attempt::Attempt,
    catalog::CatalogType,
    event::Event,
    event_type::{EventType, EventTypePattern},
    json_object::{InvalidJsonObject, JsonObject},
    subscription::Subscription,
    test_event::{SAMPLE_PAYLOAD, default_type, test_event},
};

use super::{found, path_of};
use crate::{
    attempt_words::AttemptWords,
    fault::Fault,
    json_view,
    page::{Page, Section, render},
    texts,
    visit::{AtCompany, PostedAt},
};

/// Bytes of markup that the response's body may take.
const BODY_HTML_BYTES_MAX: usize = 40_000;

/// Types that the form suggests.
const SUGGESTIONS_MAX: usize = 100;

/// What somebody typed, and what is wrong with it.
pub(super) struct TestForm {
    pub(super) event_type: String,
    pub(super) payload: String,
    pub(super) type_mistake: Option<String>,
    pub(super) payload_mistake: Option<String>,
    /// Types that the webhook wants, to choose from.
    pub(super) suggestions: Vec<String>,
}

#[derive(Template)]
#[template(path = "webhook_test.html")]
struct TestPage {
    page: Page,
    path: String,
    url: String,
    test: TestForm,
    result: Option<TestResult>,
}

/// What came of a test, alone or in its page.
#[derive(Template)]
#[template(path = "webhook_test_result.html")]
struct ResultPart {
    page: Page,
    result: TestResult,
}

struct TestResult {
    words: AttemptWords,
    elapsed_ms: Option<u32>,
    sent_to: String,
    event_type: String,
    /// None where there was no answer.
    body: Option<Body>,
}

/// A response's body.
struct Body {
    /// Escaped markup.
    html: String,
    is_empty: bool,
    is_cut: bool,
}

impl TestForm {
    /// A form that nobody has filled in yet.
    pub(super) async fn empty(at: &AtCompany, webhook: &Subscription) -> Result<Self, Fault> {
        let event_type = default_type(webhook).to_string();
        Self::of(at, webhook, event_type, String::new()).await
    }

    async fn of(
        at: &AtCompany,
        webhook: &Subscription,
        event_type: String,
        payload: String,
    ) -> Result<Self, Fault> {
        let exact = webhook.event_types.patterns().iter();
        let exact = exact.filter_map(|pattern| match pattern {
            EventTypePattern::Exactly(exact) => Some(exact.to_string()),
            EventTypePattern::All | EventTypePattern::Below(_) => None,
        });
        let mut suggestions: BTreeSet<String> = exact.collect();
        let catalog = at.store().event_types().await?;
        let wanted = catalog
            .iter()
            .filter(|listed| webhook.event_types.matches(&listed.name));
        suggestions.extend(wanted.map(|listed| listed.name.to_string()));
        Ok(Self {
            event_type,
            payload,
            type_mistake: None,
            payload_mistake: None,
            suggestions: suggestions.into_iter().take(SUGGESTIONS_MAX).collect(),
        })
    }

    /// The event that it means; none where there are mistakes, which it then names.
    async fn judge(
        &mut self,
        at: &AtCompany,
        webhook: &Subscription,
    ) -> Result<Option<Event>, Fault> {
        let t = &texts::default().webhooks;
        let event_type = match self.event_type.as_str() {
            "" => Ok(default_type(webhook)),
            text => EventType::parse(text),
        };
        let raw = read_payload(&self.payload);
        let payload = raw.as_ref().map_err(Clone::clone).and_then(|raw| {
            let payload = raw.as_deref().map(JsonObject::from_raw);
            payload.transpose()
        });
        let (event_type, payload) = match (event_type, payload) {
            (Ok(event_type), Ok(payload)) => (event_type, payload),
            (event_type, payload) => {
                self.type_mistake = event_type.err().map(|rule| t.wrong_type(&rule));
                self.payload_mistake = payload.err().map(|rule| t.wrong_payload(&rule));
                return Ok(None);
            }
        };
        let listed = at.store().event_type(&event_type).await?;
        let sample = listed.as_ref().and_then(CatalogType::sample);
        let payload = payload.or(sample).unwrap_or(SAMPLE_PAYLOAD);
        let (now, random) = (at.visit.now(), at.visit.portal.random.as_ref());
        let event_type = Some(event_type);
        Ok(Some(test_event(webhook, event_type, payload, now, random)))
    }
}

/// Sends it.
pub(super) async fn send(posted: PostedAt) -> Result<Response, Fault> {
    let (at, fields) = (&posted.at, &posted.fields);
    let webhook = found(at).await?;
    let typed = |name| fields.get(name).unwrap_or_default().to_owned();
    let mut test = TestForm::of(at, &webhook, typed("event_type"), typed("payload")).await?;
    let event = test.judge(at, &webhook).await?;
    let is_mistaken = event.is_none();
    let result = match event {
        Some(event) => Some(result_of(at, &webhook, event).await?),
        None => None,
    };
    let page = at.page(Section::Webhooks, texts::default().webhooks.test);
    // The script of a page puts the result where the form is; its mistakes need the whole page.
    let response = match result {
        Some(result) if fields.has("part") => render(&ResultPart { page, result })?,
        result => render(&TestPage {
            page,
            path: path_of(at, webhook.id),
            url: webhook.url.to_string(),
            test,
            result,
        })?,
    };
    if is_mistaken {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, response).into_response());
    }
    Ok(response)
}

async fn result_of(
    at: &AtCompany,
    webhook: &Subscription,
    event: Event,
) -> Result<TestResult, Fault> {
    let portal = &at.visit.portal;
    let slot = portal.webhooks.tests.take(&at.company);
    let _slot = slot.ok_or(Fault::Busy)?;
    let endpoint = at.store().endpoint_as_stored(webhook.id).await?;
    let endpoint = endpoint.ok_or(Fault::NotFound)?;
    let attempt = portal.outbound.send_test(endpoint, Arc::new(event)).await;
    Ok(TestResult::of(&attempt))
}

/// A payload that was typed: none where nothing was.
fn read_payload(text: &str) -> Result<Option<Box<RawValue>>, InvalidJsonObject> {
    if text.is_empty() {
        return Ok(None);
    }
    let raw = serde_json::from_str(text);
    raw.map(Some).map_err(|_| InvalidJsonObject::NotAnObject)
}

impl TestResult {
    fn of(attempt: &Attempt) -> Self {
        let response = &attempt.response;
        let body = response.status.map(|_| {
            let partial = response.body_truncated;
            let shown = json_view::json(&response.body, partial, BODY_HTML_BYTES_MAX);
            let shown =
                shown.unwrap_or_else(|| json_view::plain(&response.body, BODY_HTML_BYTES_MAX));
            Body {
                html: shown.html,
                is_empty: response.body.is_empty(),
                is_cut: shown.cut || partial,
            }
        });
        Self {
            words: AttemptWords::of(attempt, texts::default()),
            elapsed_ms: Some(attempt.elapsed_ms),
            sent_to: attempt.request.url.to_string(),
            event_type: attempt.event_type.to_string(),
            body,
        }
    }
}
