//! The overview of a company: how its deliveries do, and what needs somebody's attention.

mod headline;
mod parked;
mod range;
mod troubles;

use std::sync::Arc;

use askama::Template;
use axum::{Router, response::Response, routing::get};
use tidings_domain::{company::CompanyId, cursor::Order};
use tidings_store::{EventQuery, FigureScope, StoreError};

pub(crate) use self::{
    headline::{Headline, Waiting},
    parked::{PARKED_MAX, Parked, ParkedEndpoint},
    range::Range,
};
use crate::{
    chart::{BarChart, total},
    fault::Fault,
    overview::troubles::Troubles,
    page::{Page, Section, render},
    state::Portal,
    texts,
    visit::AtCompany,
};

/// Deliveries owed that are counted.
const BACKLOG_MAX: u64 = 10_000;
/// The id of the chart's element.
const CHART: &str = "deliveries";

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new().route("/portal/c/{company}", get(show))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    base: String,
    range: Range,
    headline: Headline,
    chart: BarChart,
    troubles: Troubles,
    /// What a company that has nothing yet does first; none where it has done it.
    first_steps: Option<FirstSteps>,
}

/// What there is of the first steps.
struct FirstSteps {
    has_webhook: bool,
    has_event: bool,
    public_url: String,
}

async fn show(at: AtCompany) -> Result<Response, Fault> {
    let t = texts::default();
    let portal = &at.visit.portal;
    let now = at.visit.now();
    let range = Range::of(&at.visit.query);
    let span = range.span(now);
    let scope = [FigureScope::Company(at.company.clone())];
    let figures = at
        .store()
        .figures(&scope, span.resolution, span.since, span.until);
    let rows = figures.await?.pop().unwrap_or_default();
    let sum = total(&rows);
    let waiting = at.store().company_backlog(&at.company, BACKLOG_MAX).await?;
    let waiting = Waiting {
        owed: waiting.backlog.owed,
        more: waiting.more,
        oldest: waiting.backlog.oldest,
    };
    let troubles = Troubles::of(&at, span, sum.failed > 0).await?;
    let has_event = has_event(portal, &at.company).await?;
    let first_steps = FirstSteps {
        has_webhook: troubles.has_webhooks,
        has_event,
        public_url: portal.public_url.clone(),
    };
    render(&OverviewPage {
        page: at.page(Section::Overview, t.common.overview),
        base: at.link("").trim_end_matches('/').to_owned(),
        range,
        headline: Headline::new(&sum, span.length_ms(now), waiting, now),
        chart: BarChart::new(t, CHART, span, &rows),
        first_steps: (!troubles.has_webhooks || !has_event).then_some(first_steps),
        troubles,
    })
}

async fn has_event(portal: &Portal, company: &CompanyId) -> Result<bool, StoreError> {
    let newest = EventQuery {
        company: company.clone(),
        types: Vec::new(),
        order: Order::Descending,
        after: None,
        limit: 1,
    };
    let page = portal.store.read_events(newest).await?;
    Ok(!page.events.is_empty())
}
