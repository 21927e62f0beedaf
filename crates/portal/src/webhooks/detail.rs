//! The page of one webhook: how it does, what was sent to it last, and what can be done about it.

use askama::Template;
use axum::response::Response;
use tidings_domain::{
    cursor::Order,
    figures::{Figures, Resolution},
    subscription::{MaxPerSecond, Subscription},
};
use tidings_store::{AttemptSearch, FigureScope, PlacedAttempt};

use super::{Standing, edit::is_managed, found, path_of, replay::ReplayForm, rotation, test_send};
use crate::{
    attempt_words::AttemptWords,
    chart::{BarChart, Span, total},
    fault::Fault,
    moment::Moment,
    page::{Page, Section, render},
    visit::AtCompany,
};

/// Attempts that are shown.
const ATTEMPTS_SHOWN: usize = 10;
/// Rows of the log that are looked at for them.
const LOOK_AT_MAX: usize = 100;
/// Hours that the chart shows.
const HOURS: u32 = 24;

#[derive(Template)]
#[template(path = "webhook.html")]
struct DetailPage {
    page: Page,
    path: String,
    id: String,
    url: String,
    description: Option<String>,
    types: Vec<String>,
    max_per_second: Option<String>,
    manager: &'static str,
    /// Why it is not changed here, where another product manages it.
    managed: Option<String>,
    enabled: bool,
    created: Moment,
    updated: Moment,
    standing: Standing,
    day: Figures,
    chart: BarChart,
    attempts: Vec<Row>,
    log: String,
    test: test_send::TestForm,
    rotation: Option<rotation::Offer>,
    replay: ReplayForm,
}

/// One attempt.
struct Row {
    link: String,
    at: Moment,
    words: AttemptWords,
    event_type: String,
    elapsed_ms: Option<u32>,
}

/// The page.
pub(super) async fn page(at: AtCompany) -> Result<Response, Fault> {
    let webhook = found(&at).await?;
    let managed = is_managed(&webhook);
    let page = at.page(Section::Webhooks, webhook.url.as_str());
    let span = Span::last(Resolution::Hour, HOURS, at.visit.now());
    let scopes = [FigureScope::Subscription(webhook.id)];
    let (mut figures, newest) = tokio::try_join!(
        at.store()
            .figures(&scopes, span.resolution, span.since, span.until),
        at.store().search_attempts(newest_of(&at, &webhook)),
    )?;
    let figures = figures.pop().unwrap_or_default();
    let attempts = newest.attempts.iter().map(|newest| row(&at, newest, &page));
    let patterns = webhook.event_types.patterns().iter();
    let rate = webhook.max_per_second.map(MaxPerSecond::get);
    let template = DetailPage {
        path: path_of(&at, webhook.id),
        id: webhook.id.to_string(),
        url: webhook.url.to_string(),
        types: patterns.map(ToString::to_string).collect(),
        max_per_second: rate.map(|rate| page.t.numbers.count(u64::from(rate))),
        manager: page.t.webhooks.manager(webhook.managed_by),
        managed: managed.then(|| page.t.webhooks.managed(webhook.managed_by)),
        enabled: webhook.enabled,
        created: webhook.created.into(),
        updated: webhook.updated.into(),
        standing: Standing::of(&webhook, at.visit.now(), page.t),
        day: total(&figures),
        chart: BarChart::new(page.t, "day-chart", span, &figures),
        attempts: attempts.collect(),
        log: at.link(&format!("log?webhook={}", webhook.id)),
        test: test_send::TestForm::empty(&at, &webhook).await?,
        rotation: if managed {
            None
        } else {
            rotation::Offer::of(&at, webhook.id)
        },
        replay: ReplayForm::suggested(at.visit.now()),
        description: webhook.description,
        page,
    };
    render(&template)
}

fn newest_of(at: &AtCompany, webhook: &Subscription) -> AttemptSearch {
    AttemptSearch {
        company: at.company.clone(),
        subscription: Some(webhook.id),
        outcome: None,
        status: None,
        types: Vec::new(),
        event: None,
        since: None,
        until: None,
        order: Order::Descending,
        after: None,
        limit: ATTEMPTS_SHOWN,
        look_at_max: LOOK_AT_MAX,
    }
}

fn row(at: &AtCompany, newest: &PlacedAttempt, page: &Page) -> Row {
    let attempt = &newest.attempt;
    Row {
        link: at.link(&format!("log/{}", newest.place)),
        at: attempt.attempted.into(),
        words: AttemptWords::of(attempt, page.t),
        event_type: attempt.event_type.to_string(),
        elapsed_ms: Some(attempt.elapsed_ms),
    }
}
