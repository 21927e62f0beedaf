//! The delivery log of a company: every attempt, newest first, by filters that stand in the
//! address. `live` adds what comes meanwhile, `attempt` shows one of them.

mod attempt;
mod curl;
mod filters;
mod live;
mod rows;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use http::StatusCode;
use tidings_domain::{cursor::Order, id::SubscriptionId};
use tidings_store::{AttemptFilter, AttemptsFound, Position};

use crate::{
    attempt_words::shortened,
    fault::Fault,
    log::{
        filters::{FilterForm, Filters},
        rows::Row,
    },
    moment::Moment,
    page::{Page, Section, render},
    query_form::address,
    state::Portal,
    texts::{self, Texts},
    visit::AtCompany,
};

/// Lines of a page.
const ROWS_MAX: usize = 50;
/// Lines that one search looks at: what is rare is found in several steps, each of them quick.
const LOOK_AT_MAX: usize = 10_000;
/// Webhooks, and event types, that the filters offer.
const CHOICES_MAX: usize = 50;
/// Characters of a URL among them.
const CHOICE_CHARS_MAX: usize = 60;

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/c/{company}/log", get(list))
        .route("/portal/c/{company}/log/live", get(live::live))
        .route("/portal/c/{company}/log/{place}", get(attempt::show))
}

/// A webhook to choose.
struct Choice {
    id: String,
    url: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    page: Page,
    t: &'static Texts,
    form: FilterForm,
    webhooks: Vec<Choice>,
    types: Vec<String>,
    /// Whether the filters are sound and so were applied.
    answered: bool,
    filtered: bool,
    rows: Vec<Row>,
    older: Option<String>,
    newer: Option<String>,
    /// How far back was searched, where the search ended early.
    searched_to: Option<Moment>,
    /// Where what comes meanwhile is told; none where the page shows the past.
    live: Option<String>,
}

/// Which page of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Newest,
    OlderThan(Position),
    NewerThan(Position),
}

/// What a page shows.
#[derive(Default)]
struct Shown {
    rows: Vec<Row>,
    older: Option<Position>,
    newer: Option<Position>,
    searched_to: Option<Moment>,
    live_after: Option<Position>,
}

async fn list(at: AtCompany) -> Result<Response, Fault> {
    let (form, filters) = FilterForm::read(&at.visit.query, texts::default());
    let Some(filters) = filters else {
        let log = compose(&at, form, None, Shown::default()).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&log)?).into_response());
    };
    let turn = Turn::read(&at)?;
    own_webhook(&at, filters.webhook).await?;
    let Some(shown) = look(&at, &filters, turn).await? else {
        return Ok(Redirect::to(&address(&at.link("log"), &filters.pairs())).into_response());
    };
    if let (Some(event), true) = (filters.event, shown.rows.is_empty())
        && at.store().event(Some(&at.company), event).await?.is_none()
    {
        return Err(Fault::NotFound);
    }
    render(&compose(&at, form, Some(filters), shown).await?)
}

impl Turn {
    fn read(at: &AtCompany) -> Result<Self, Fault> {
        let place = |name| match at.visit.query.get(name) {
            None => Ok(None),
            Some(text) => text
                .parse::<Position>()
                .map(Some)
                .map_err(|_| Fault::NotFound),
        };
        Ok(match (place("older")?, place("newer")?) {
            (Some(place), _) => Self::OlderThan(place),
            (None, Some(place)) => Self::NewerThan(place),
            (None, None) => Self::Newest,
        })
    }
}

/// 404 for what never was a webhook of the company; deleted ones have their log, too.
async fn own_webhook(at: &AtCompany, webhook: Option<SubscriptionId>) -> Result<(), Fault> {
    let Some(subscription) = webhook else {
        return Ok(());
    };
    let any = AttemptFilter {
        subscription,
        outcome: None,
        event_type: None,
        event: None,
        order: Order::Descending,
        after: None,
        limit: 1,
    };
    let page = at.store().attempts(Some(&at.company), any).await?;
    page.map(|_| ()).ok_or(Fault::NotFound)
}

/// Searches; none where nothing newer is left but the newest page.
async fn look(at: &AtCompany, filters: &Filters, turn: Turn) -> Result<Option<Shown>, Fault> {
    let (order, after) = match turn {
        Turn::Newest => (Order::Descending, None),
        Turn::OlderThan(place) => (Order::Descending, Some(place)),
        Turn::NewerThan(place) => (Order::Ascending, Some(place)),
    };
    // Asked before the search, so that what comes in between is told rather than missed.
    let live_after = if turn == Turn::Newest && filters.until.is_none() {
        Some(newest_place(at).await?)
    } else {
        None
    };
    let search = filters.search(&at.company, order, after, ROWS_MAX, LOOK_AT_MAX);
    let found = at.store().search_attempts(search).await?;
    if order == Order::Ascending && found.next.is_none() {
        return Ok(None);
    }
    Ok(Some(shown(at, turn, &found, live_after)))
}

fn shown(at: &AtCompany, turn: Turn, found: &AttemptsFound, live_after: Option<Position>) -> Shown {
    let (base, t) = (at.link(""), texts::default());
    let rows = found.attempts.iter();
    let mut rows: Vec<Row> = rows.map(|placed| Row::of(placed, &base, t)).collect();
    let searched_to = found.looked_up_to.map(Moment::from);
    let (older, newer) = match turn {
        Turn::Newest => (found.next, None),
        Turn::OlderThan(place) => {
            let first = rows.first().map_or(place, |row| row.place);
            (found.next, Some(first))
        }
        Turn::NewerThan(place) => {
            rows.reverse();
            let last = rows.last().map_or(place.saturating_add(1), |row| row.place);
            (Some(last), found.next)
        }
    };
    Shown {
        rows,
        older,
        newer,
        searched_to,
        live_after,
    }
}

/// The place of the newest attempt of the company, whatever the filters; 0 where there is none.
async fn newest_place(at: &AtCompany) -> Result<Position, Fault> {
    let search = Filters::default().search(&at.company, Order::Descending, None, 1, LOOK_AT_MAX);
    let found = at.store().search_attempts(search).await?;
    Ok(found.attempts.first().map_or(0, |placed| placed.place))
}

async fn compose(
    at: &AtCompany,
    form: FilterForm,
    filters: Option<Filters>,
    shown: Shown,
) -> Result<LogPage, Fault> {
    let t = texts::default();
    let pairs = filters.as_ref().map(Filters::pairs).unwrap_or_default();
    let to = |tail: &str, name: &'static str, place: Position| {
        let mut pairs = pairs.clone();
        pairs.push((name, place.to_string()));
        address(&at.link(tail), &pairs)
    };
    let types = at.store().recent_types(&at.company).await?;
    Ok(LogPage {
        page: at.page(Section::Log, t.common.log),
        t,
        webhooks: choices(at, &form).await?,
        types: types
            .iter()
            .take(CHOICES_MAX)
            .map(ToString::to_string)
            .collect(),
        answered: filters.is_some(),
        filtered: filters.as_ref().is_some_and(Filters::any),
        older: shown.older.map(|place| to("log", "older", place)),
        newer: shown.newer.map(|place| to("log", "newer", place)),
        live: shown.live_after.map(|place| to("log/live", "after", place)),
        searched_to: shown.searched_to,
        rows: shown.rows,
        form,
    })
}

/// The company's newest webhooks, and the chosen one though it be older or deleted.
async fn choices(at: &AtCompany, form: &FilterForm) -> Result<Vec<Choice>, Fault> {
    let listed = at
        .store()
        .subscriptions(&at.company, Order::Descending, None, CHOICES_MAX)
        .await?;
    let chosen = form.webhook.typed.as_str();
    let listed = listed.subscriptions.iter().map(|webhook| {
        let id = webhook.id.to_string();
        Choice {
            chosen: id == chosen,
            url: shortened(webhook.url.as_str(), CHOICE_CHARS_MAX),
            id,
        }
    });
    let mut choices: Vec<Choice> = listed.collect();
    if !chosen.is_empty() && choices.iter().all(|choice| !choice.chosen) {
        choices.push(Choice {
            id: chosen.to_owned(),
            url: shortened(chosen, CHOICE_CHARS_MAX),
            chosen: true,
        });
    }
    Ok(choices)
}
