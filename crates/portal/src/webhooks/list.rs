//! The list of a company's webhooks.

use askama::Template;
use axum::response::Response;
use tidings_domain::{
    cursor::Order,
    figures::{Figures, Resolution},
    id::SubscriptionId,
    subscription::{ManagedBy, Subscription},
};
use tidings_store::{FigureScope, PlacedAttempt, Position, SubscriptionPage};

use super::{Standing, path_of};
use crate::{
    attempt_words::{AttemptWords, shortened},
    chart::{Span, Spark, total},
    fault::Fault,
    moment::Moment,
    page::{Page, Section, render},
    texts,
    visit::AtCompany,
};

/// Webhooks on one page.
const PER_PAGE: usize = 25;
/// Webhooks that a search looks at, the newest first.
const SEARCHED_MAX: usize = 2000;
/// Webhooks that are read at a time by a search.
const SEARCH_STEP: usize = 500;
/// Characters of a search text.
const SEARCH_CHARS_MAX: usize = 200;
/// Types of a webhook that are named.
const TYPES_SHOWN: usize = 3;
/// Characters of a description that are shown.
const DESCRIPTION_CHARS_SHOWN: usize = 80;
/// Characters of a URL that are shown.
const URL_CHARS_SHOWN: usize = 120;
/// Hours that the small charts show.
const HOURS: u32 = 24;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct ListPage {
    page: Page,
    search: Option<String>,
    /// Why a search may not have found all.
    search_note: Option<&'static str>,
    rows: Vec<Row>,
    /// Whether the company has any webhook at all.
    any: bool,
    newer: Option<String>,
    older: Option<String>,
    newest: Option<String>,
}

struct Row {
    link: String,
    url: String,
    description: Option<String>,
    types: Vec<String>,
    more_types: usize,
    standing: Standing,
    managed: Option<&'static str>,
    last: Option<Last>,
    day: Figures,
    spark: Spark,
}

/// The newest attempt.
struct Last {
    link: String,
    words: AttemptWords,
    at: Moment,
}

/// Some webhooks, and the pages around them.
#[derive(Default)]
struct Shown {
    webhooks: Vec<Subscription>,
    newer: Option<Position>,
    older: Option<Position>,
    /// Why a search may not have found all.
    note: Option<&'static str>,
    /// Whether these are the newest ones.
    first: bool,
}

/// The page.
pub(super) async fn page(at: AtCompany) -> Result<Response, Fault> {
    let query = &at.visit.query;
    let search = query
        .get("q")
        .map(|text| text.chars().take(SEARCH_CHARS_MAX));
    let search: Option<String> = search.map(Iterator::collect);
    let shown = match &search {
        Some(text) => search_for(&at, text).await?,
        None => one_page(&at).await?,
    };
    let page = at.page(Section::Webhooks, texts::default().webhooks.title);
    let path = at.link("webhooks");
    let template = ListPage {
        any: search.is_some() || !shown.first || !shown.webhooks.is_empty(),
        search,
        search_note: shown.note,
        rows: rows(&at, shown.webhooks, &page).await?,
        newer: shown.newer.map(|place| format!("{path}?beyond={place}")),
        older: shown.older.map(|place| format!("{path}?before={place}")),
        newest: (!shown.first).then_some(path),
        page,
    };
    render(&template)
}

/// The page that the query names: what is older than `before`, newer than `beyond`, or the newest.
async fn one_page(at: &AtCompany) -> Result<Shown, Fault> {
    let place = |name| {
        let value = at.visit.query.get(name);
        value.and_then(|value| value.parse::<Position>().ok())
    };
    if let Some(beyond) = place("beyond") {
        let mut page = read(at, Order::Ascending, Some(beyond), PER_PAGE).await?;
        // The last page towards the newest ones is the first page, and full.
        if page.has_more {
            page.subscriptions.reverse();
            return Ok(Shown {
                webhooks: page.subscriptions,
                newer: Some(page.next),
                older: Some(beyond.saturating_add(1)),
                ..Shown::default()
            });
        }
    }
    let before = place("before");
    let page = read(at, Order::Descending, before, PER_PAGE).await?;
    Ok(Shown {
        webhooks: page.subscriptions,
        newer: before.map(|before| before.saturating_sub(1)),
        older: page.has_more.then_some(page.next),
        note: None,
        first: before.is_none(),
    })
}

/// The newest webhooks whose URL holds a text, whatever its case.
async fn search_for(at: &AtCompany, text: &str) -> Result<Shown, Fault> {
    let (text, t) = (text.to_lowercase(), &texts::default().webhooks);
    let mut shown = Shown {
        first: true,
        ..Shown::default()
    };
    let (mut after, mut searched) = (None, 0);
    loop {
        let step = read(at, Order::Descending, after, SEARCH_STEP).await?;
        searched += step.subscriptions.len();
        let webhooks = step.subscriptions.into_iter();
        let holds = |webhook: &Subscription| webhook.url.as_str().to_lowercase().contains(&text);
        shown.webhooks.extend(webhooks.filter(holds));
        if shown.webhooks.len() > PER_PAGE {
            shown.note = Some(t.search_cut);
            break;
        }
        if !step.has_more {
            break;
        }
        if searched >= SEARCHED_MAX {
            shown.note = Some(t.search_end);
            break;
        }
        after = Some(step.next);
    }
    shown.webhooks.truncate(PER_PAGE);
    Ok(shown)
}

async fn read(
    at: &AtCompany,
    order: Order,
    after: Option<Position>,
    limit: usize,
) -> Result<SubscriptionPage, Fault> {
    let store = at.store();
    let page = store.subscriptions(&at.company, order, after, limit);
    Ok(page.await?)
}

async fn rows(at: &AtCompany, webhooks: Vec<Subscription>, page: &Page) -> Result<Vec<Row>, Fault> {
    let ids: Vec<SubscriptionId> = webhooks.iter().map(|webhook| webhook.id).collect();
    let scopes: Vec<FigureScope> = ids.iter().copied().map(FigureScope::Subscription).collect();
    let span = Span::last(Resolution::Hour, HOURS, at.visit.now());
    let (figures, newest) = tokio::try_join!(
        at.store()
            .figures(&scopes, span.resolution, span.since, span.until),
        at.store().newest_attempts(&at.company, &ids),
    )?;
    let rows = webhooks.into_iter().zip(figures).zip(newest);
    let rows = rows.map(|((webhook, figures), newest)| {
        let patterns = webhook.event_types.patterns();
        let description = webhook.description.as_deref();
        Row {
            link: path_of(at, webhook.id),
            url: shortened(webhook.url.as_str(), URL_CHARS_SHOWN),
            description: description.map(|text| shortened(text, DESCRIPTION_CHARS_SHOWN)),
            types: patterns
                .iter()
                .take(TYPES_SHOWN)
                .map(ToString::to_string)
                .collect(),
            more_types: patterns.len().saturating_sub(TYPES_SHOWN),
            standing: Standing::of(&webhook, at.visit.now(), page.t),
            managed: managed(&webhook, page),
            last: newest.map(|newest| last(at, &newest, page)),
            day: total(&figures),
            spark: Spark::new(page.t, span, &figures),
        }
    });
    Ok(rows.collect())
}

/// Who manages it, where that is neither the portal nor a program of the company's own.
fn managed(webhook: &Subscription, page: &Page) -> Option<&'static str> {
    let manager = webhook.managed_by;
    let shown = !matches!(manager, ManagedBy::Portal | ManagedBy::Api);
    shown.then(|| page.t.webhooks.manager(manager))
}

fn last(at: &AtCompany, newest: &PlacedAttempt, page: &Page) -> Last {
    Last {
        link: at.link(&format!("log/{}", newest.place)),
        words: AttemptWords::of(&newest.attempt, page.t),
        at: newest.attempt.attempted.into(),
    }
}
