//! One event: its envelope, and what became of it at each webhook.

use std::collections::HashMap;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use tidings_domain::{
    cursor::Order,
    event::Event,
    id::{EventId, SubscriptionId},
    subscription::Subscription,
};
use tidings_store::{DeliveryState, DeliveryTrace};

use crate::{
    attempt_words::shortened,
    events::{redeliver::Again, size_of},
    fault::Fault,
    json_view::{self, Shown},
    moment::Moment,
    page::{Page, Section, render},
    query_form::address,
    texts::{self, Texts},
    visit::AtCompany,
};

/// Webhooks of the trace that are shown.
const LINES_MAX: usize = 50;
/// Characters of a webhook's URL in the trace.
const URL_CHARS_MAX: usize = 60;
/// Webhooks that are read at once to know their URLs; the others one by one.
const WEBHOOKS_MAX: usize = 200;
/// Bytes of markup for the envelope, laid out and as it is.
const LAID_OUT_BYTES_MAX: usize = 24 << 10;
const RAW_BYTES_MAX: usize = 12 << 10;

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    page: Page,
    t: &'static Texts,
    problem: Option<&'static str>,
    id: String,
    event_type: String,
    created: Moment,
    size: String,
    laid_out: Shown,
    raw: Shown,
    raw_path: String,
    log_path: String,
    lines: Vec<Line>,
    /// That there are more webhooks than are shown.
    more: Option<String>,
}

/// What became of the event at one webhook.
struct Line {
    /// The webhook's URL; its id where it was deleted.
    name: String,
    /// None where it was deleted.
    path: Option<String>,
    state: &'static str,
    class: &'static str,
    reason: String,
    attempts: u32,
    next: Option<Moment>,
    last_status: String,
    log_path: String,
    again: Again,
    /// Names the line's elements.
    name_of_line: String,
}

pub(super) async fn show(at: AtCompany) -> Result<Response, Fault> {
    let id = at.param("id", EventId::parse)?;
    page(&at, id, None).await
}

/// The envelope as it is, for download.
pub(super) async fn raw(at: AtCompany) -> Result<Response, Fault> {
    let id = at.param("id", EventId::parse)?;
    let event = at.store().event(Some(&at.company), id).await?;
    let event = event.ok_or(Fault::NotFound)?;
    let disposition = format!("attachment; filename=\"{}\"", file_name(&event));
    // An id is a valid field value.
    let disposition = HeaderValue::from_str(&disposition);
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, event.json().clone()).into_response())
}

/// The page about an event, perhaps with a problem that something about it had.
pub(super) async fn page(
    at: &AtCompany,
    id: EventId,
    problem: Option<&'static str>,
) -> Result<Response, Fault> {
    let (store, company) = (at.store(), Some(&at.company));
    let event = store.event(company, id).await?.ok_or(Fault::NotFound)?;
    let trace = store.trace(company, id).await?.ok_or(Fault::NotFound)?;
    let t = texts::default();
    let more = trace.len().saturating_sub(LINES_MAX);
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    let more = (more > 0).then(|| t.events.more_webhooks(&t.numbers.count(more)));
    let text = String::from_utf8_lossy(event.json());
    render(&EventPage {
        page: at.page(Section::Events, event.event_type().as_str()),
        t,
        problem,
        id: id.to_string(),
        event_type: event.event_type().to_string(),
        created: event.created().into(),
        size: size_of(&event),
        laid_out: json_view::json(&text, false, LAID_OUT_BYTES_MAX).unwrap_or_default(),
        raw: json_view::plain(&text, RAW_BYTES_MAX),
        raw_path: at.link(&format!("events/{id}/raw")),
        log_path: address(&at.link("log"), &[("event", id.to_string())]),
        lines: lines(at, &event, trace).await?,
        more,
    })
}

/// The trace's lines: first the webhooks that wanted the event.
async fn lines(
    at: &AtCompany,
    event: &Event,
    mut trace: Vec<DeliveryTrace>,
) -> Result<Vec<Line>, Fault> {
    trace.sort_by_key(|line| line.state == DeliveryState::NotMatched);
    trace.truncate(LINES_MAX);
    let webhooks = webhooks(at, &trace).await?;
    let lines = trace.into_iter().enumerate();
    let line = |(number, line)| Line::of(at, event, &line, &webhooks, number);
    Ok(lines.map(line).collect())
}

/// The webhooks of a trace that exist.
async fn webhooks(
    at: &AtCompany,
    trace: &[DeliveryTrace],
) -> Result<HashMap<SubscriptionId, Subscription>, Fault> {
    let page = at
        .store()
        .subscriptions(&at.company, Order::Descending, None, WEBHOOKS_MAX)
        .await?;
    let known = page.subscriptions.into_iter();
    let mut known: HashMap<_, _> = known.map(|webhook| (webhook.id, webhook)).collect();
    if !page.has_more {
        return Ok(known);
    }
    for line in trace {
        let id = line.subscription;
        if !known.contains_key(&id)
            && let Some(webhook) = at.store().subscription(Some(&at.company), id).await?
        {
            known.insert(id, webhook);
        }
    }
    Ok(known)
}

impl Line {
    fn of(
        at: &AtCompany,
        event: &Event,
        line: &DeliveryTrace,
        webhooks: &HashMap<SubscriptionId, Subscription>,
        number: usize,
    ) -> Self {
        let t = texts::default();
        let id = line.subscription;
        let webhook = webhooks.get(&id);
        let (state, class) = t.events.state_of(line.state);
        let status = line.last_status.map(|status| status.to_string());
        let of_both = [
            ("webhook", id.to_string()),
            ("event", event.id().to_string()),
        ];
        Self {
            name: webhook.map_or_else(
                || id.to_string(),
                |webhook| shortened(webhook.url.as_str(), URL_CHARS_MAX),
            ),
            path: webhook.map(|_| at.link(&format!("webhooks/{id}"))),
            state,
            class,
            reason: sentence(&line.reason),
            attempts: line.attempts,
            next: line.next_attempt.map(Moment::from),
            last_status: match (status, line.last_error) {
                (Some(status), _) => status,
                (None, Some(_)) => t.attempts.no_answer.to_owned(),
                (None, None) => t.numbers.nothing.to_owned(),
            },
            log_path: address(&at.link("log"), &of_both),
            again: Again::of(at, event.id(), id, webhook),
            name_of_line: format!("line-{number}"),
        }
    }
}

/// What the file with an event's envelope is called.
pub(crate) fn file_name(event: &Event) -> String {
    format!("{}.json", event.id())
}

/// What the store says, as a sentence.
pub(crate) fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}
