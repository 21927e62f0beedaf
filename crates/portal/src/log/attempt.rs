//! One attempt: how it ended and what to do about it, what was sent and what came back, and all
//! attempts of its delivery in a row.

use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use tidings_domain::{
    attempt::{Attempt, AttemptOutcome},
    breaker::BreakerState,
    event::Event,
    subscription::Subscription,
};
use tidings_store::{DeliveryState, DeliveryTrace, PlacedAttempt, Position};

use crate::{
    attempt_words::AttemptWords,
    events::{Again, sentence},
    fault::Fault,
    json_view::{self, Shown},
    log::curl::Curl,
    moment::Moment,
    page::{Page, Section, render},
    query_form::address,
    texts::{self, Texts},
    visit::AtCompany,
};

/// Attempts on the time line.
const TIMELINE_MAX: usize = 60;
/// Bytes of markup for a body that is laid out, for one as it was sent, for one as it came (which
/// the log keeps short), and for header fields: together with the rest they stay below 100 kB.
const LAID_OUT_BYTES_MAX: usize = 14 << 10;
const SENT_BYTES_MAX: usize = 10 << 10;
const RECEIVED_BYTES_MAX: usize = 20 << 10;
const HEADERS_BYTES_MAX: usize = 8 << 10;

#[derive(Template)]
#[template(path = "log_attempt.html")]
struct AttemptPage {
    page: Page,
    t: &'static Texts,
    words: AttemptWords,
    facts: Facts,
    request: Request,
    answer: Answer,
    timeline: Vec<Step>,
    /// Where all of the delivery's attempts are, where the time line has not room for them.
    more: Option<String>,
    coming: Option<Coming>,
    again: Again,
}

struct Facts {
    at: Moment,
    elapsed: String,
    event_type: String,
    event: String,
    event_path: String,
    /// None where the webhook was deleted.
    webhook_path: Option<String>,
    webhook_log: String,
    url: String,
    number: String,
    id: String,
}

/// What was sent.
struct Request {
    headers: Shown,
    body: Option<SentBody>,
}

/// The event's envelope, as long as the event is kept.
struct SentBody {
    laid_out: Shown,
    raw: Shown,
    raw_path: String,
    curl: String,
    /// The file that the command reads.
    file: Option<String>,
    signed: bool,
}

/// What came back.
struct Answer {
    answered: bool,
    headers: Shown,
    laid_out: Option<Shown>,
    raw: Shown,
    empty: bool,
    /// Whether the log kept the beginning of the body alone.
    truncated: bool,
}

/// A past attempt on the time line.
struct Step {
    class: &'static str,
    path: String,
    at: Moment,
    told: String,
    elapsed: String,
    here: bool,
}

/// What is to come, or why nothing is.
struct Coming {
    at: Option<Moment>,
    told: String,
}

pub(super) async fn show(at: AtCompany) -> Result<Response, Fault> {
    let place = at.param("place", str::parse::<Position>)?;
    let placed = at.store().attempt(&at.company, place).await?;
    let placed = placed.ok_or(Fault::NotFound)?;
    let attempt = &placed.attempt;
    let (company, store) = (&at.company, at.store());
    let event = store.event(Some(company), attempt.event).await?;
    let webhook = store
        .subscription(Some(company), attempt.subscription)
        .await?;
    let trace = store.trace(Some(company), attempt.event).await?;
    let mut trace = trace.unwrap_or_default().into_iter();
    let trace = trace.find(|line| line.subscription == attempt.subscription);
    let steps = store
        .attempts_of_delivery(
            company,
            attempt.event,
            attempt.subscription,
            TIMELINE_MAX + 1,
        )
        .await?;
    let t = texts::default();
    let again = Again::of(&at, attempt.event, attempt.subscription, webhook.as_ref());
    render(&AttemptPage {
        page: at.page(Section::Log, &t.log.attempt_title(attempt.number)),
        t,
        words: AttemptWords::of(attempt, t),
        facts: Facts::of(&at, &placed, webhook.is_some()),
        request: Request::of(&at, attempt, event.as_deref()),
        answer: Answer::of(attempt),
        more: (steps.len() > TIMELINE_MAX).then(|| log_of_delivery(&at, attempt)),
        timeline: timeline(&at, &steps, place),
        coming: coming(&at, trace, webhook.as_ref()),
        again: again.unless_gone(event.is_some()).back_to(place),
    })
}

fn log_of_delivery(at: &AtCompany, attempt: &Attempt) -> String {
    let pairs = [
        ("webhook", attempt.subscription.to_string()),
        ("event", attempt.event.to_string()),
    ];
    address(&at.link("log"), &pairs)
}

impl Facts {
    fn of(at: &AtCompany, placed: &PlacedAttempt, webhook_exists: bool) -> Self {
        let t = texts::default();
        let attempt = &placed.attempt;
        let webhook = attempt.subscription;
        let of_webhook = [("webhook", webhook.to_string())];
        Self {
            at: attempt.attempted.into(),
            elapsed: t.numbers.elapsed(Some(attempt.elapsed_ms)),
            event_type: attempt.event_type.to_string(),
            event: attempt.event.to_string(),
            event_path: at.link(&format!("events/{}", attempt.event)),
            webhook_path: webhook_exists.then(|| at.link(&format!("webhooks/{webhook}"))),
            webhook_log: address(&at.link("log"), &of_webhook),
            url: attempt.request.url.to_string(),
            number: t.log.number_of(attempt.number, placed.round),
            id: attempt.id.to_string(),
        }
    }
}

impl Request {
    fn of(at: &AtCompany, attempt: &Attempt, event: Option<&Event>) -> Self {
        let fields = attempt.request_headers();
        let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
        Self {
            headers: headers(fields),
            body: event.map(|event| SentBody::of(at, attempt, event)),
        }
    }
}

impl SentBody {
    fn of(at: &AtCompany, attempt: &Attempt, event: &Event) -> Self {
        let text = String::from_utf8_lossy(event.json());
        let curl = Curl::of(attempt, event);
        Self {
            laid_out: json_view::json(&text, false, LAID_OUT_BYTES_MAX).unwrap_or_default(),
            raw: json_view::plain(&text, SENT_BYTES_MAX),
            raw_path: at.link(&format!("events/{}/raw", attempt.event)),
            // A command is small by its making, and cut it would be another one.
            curl: json_view::plain(&curl.text, usize::MAX).html,
            file: curl.file,
            signed: attempt.request.signatures.is_some(),
        }
    }
}

impl Answer {
    fn of(attempt: &Attempt) -> Self {
        let response = &attempt.response;
        let fields = response.headers.iter();
        let (body, partial) = (&response.body, response.body_truncated);
        Self {
            answered: response.status.is_some(),
            headers: headers(fields.map(|(name, value)| (name.as_str(), value.as_str()))),
            laid_out: json_view::json(body, partial, LAID_OUT_BYTES_MAX),
            raw: json_view::plain(body, RECEIVED_BYTES_MAX),
            empty: body.is_empty(),
            truncated: partial,
        }
    }
}

/// Header fields, one in a line.
fn headers<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>) -> Shown {
    let mut text = String::new();
    for (name, value) in fields {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    json_view::plain(&text, HEADERS_BYTES_MAX)
}

fn timeline(at: &AtCompany, steps: &[PlacedAttempt], here: Position) -> Vec<Step> {
    let t = texts::default();
    let steps = steps.iter().take(TIMELINE_MAX);
    let step = |placed: &PlacedAttempt| {
        let attempt = &placed.attempt;
        let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
        let status = AttemptWords::of(attempt, t).status;
        Step {
            class: if succeeded { "ok" } else { "bad" },
            path: at.link(&format!("log/{}", placed.place)),
            at: attempt.attempted.into(),
            told: t.log.step(attempt.number, placed.round, succeeded, &status),
            elapsed: t.numbers.elapsed(Some(attempt.elapsed_ms)),
            here: placed.place == here,
        }
    };
    steps.map(step).collect()
}

/// What the trace says of the newest delivery: when the next attempt is, or that there is none
/// though one was due.
fn coming(
    at: &AtCompany,
    trace: Option<DeliveryTrace>,
    webhook: Option<&Subscription>,
) -> Option<Coming> {
    let (trace, words) = (trace?, &texts::default().log);
    if trace.state == DeliveryState::Disabled {
        return Some(Coming {
            at: None,
            told: sentence(&trace.reason),
        });
    }
    let (next, health) = (trace.next_attempt?, webhook?.health);
    let now = at.visit.now();
    // While the breaker is open nothing is attempted, whatever is due.
    let parked_until = (health.breaker_at(now) == BreakerState::Open).then_some(health.open_until);
    let (time, told) = match parked_until.flatten() {
        Some(until) => (Some(next.max(until)), words.parked),
        None if next <= now => (None, words.due_now),
        None => (Some(next), words.next_attempt),
    };
    Some(Coming {
        at: time.map(Moment::from),
        told: told.to_owned(),
    })
}
