//! The whole platform at a glance, and the way to any company. For operators alone.

use std::sync::Arc;

use askama::Template;
use axum::{
    Json, Router,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use http::StatusCode;
use tidings_domain::{
    company::{COMPANY_ID_CHARS_MAX, CompanyId},
    figures::Figures,
};
use tidings_store::FigureScope;

use crate::{
    chart::{BarChart, total},
    fault::Fault,
    overview::{Headline, PARKED_MAX, Parked, ParkedEndpoint, Range, Waiting},
    page::{Page, Section, render},
    state::Portal,
    texts,
    visit::Visit,
};

/// Companies in the table.
const BUSIEST_MAX: usize = 50;
/// Companies that are suggested for what was typed.
const SUGGESTIONS_MAX: usize = 20;
/// The id of the chart's element.
const CHART: &str = "deliveries";

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/platform", get(show))
        .route("/portal/platform/open", get(open))
        .route("/portal/platform/companies", get(suggest))
}

#[derive(Template)]
#[template(path = "platform.html")]
struct PlatformPage {
    page: Page,
    base: &'static str,
    range: Range,
    headline: Headline,
    chart: BarChart,
    parked: Parked,
    busiest: Vec<(CompanyId, Figures)>,
    suggestions: Vec<CompanyId>,
    /// What was typed as a company's id, and what is wrong with it.
    typed: String,
    problem: Option<String>,
    version: &'static str,
    database_is_fine: bool,
}

async fn show(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    render(&platform_page(&visit).await?)
}

/// Opens the company whose id was typed.
async fn open(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let typed = visit.query.get("company").unwrap_or_default();
    match CompanyId::parse(typed) {
        Ok(company) => Ok(Redirect::to(&format!("/portal/c/{company}")).into_response()),
        Err(invalid) => {
            let t = texts::default();
            let mut page = platform_page(&visit).await?;
            page.problem = Some(t.common.field_must(t.platform.company_id, &invalid));
            typed.clone_into(&mut page.typed);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}

/// Companies whose ids begin with what was typed, as a JSON array.
async fn suggest(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let prefix = visit.query.get("prefix").unwrap_or_default();
    if prefix.len() > COMPANY_ID_CHARS_MAX {
        return Ok(Json(Vec::<CompanyId>::new()).into_response());
    }
    let found = visit
        .portal
        .store
        .companies(prefix, SUGGESTIONS_MAX)
        .await?;
    Ok(Json(found).into_response())
}

async fn platform_page(visit: &Visit) -> Result<PlatformPage, Fault> {
    let t = texts::default();
    let store = &visit.portal.store;
    let now = visit.now();
    let range = Range::of(&visit.query);
    let span = range.span(now);
    let figures = store.figures(
        &[FigureScope::Platform],
        span.resolution,
        span.since,
        span.until,
    );
    let rows = figures.await?.pop().unwrap_or_default();
    let backlog = store.backlog().await?;
    let waiting = Waiting {
        owed: backlog.owed,
        more: false,
        oldest: backlog.oldest,
    };
    let left_alone = store.left_alone(PARKED_MAX + 1);
    let parked = left_alone
        .iter()
        .map(|endpoint| ParkedEndpoint::of_endpoint(endpoint, now));
    let busiest = store.busiest_companies(span.since, span.until, BUSIEST_MAX);
    Ok(PlatformPage {
        page: visit.page(Section::Platform, t.platform.title),
        base: "/portal/platform",
        range,
        headline: Headline::new(&total(&rows), span.length_ms(now), waiting, now),
        chart: BarChart::new(t, CHART, span, &rows),
        parked: Parked::of(parked),
        busiest: busiest.await?,
        suggestions: store.companies("", SUGGESTIONS_MAX).await?,
        typed: String::new(),
        problem: None,
        version: env!("CARGO_PKG_VERSION"),
        database_is_fine: store.check().await.is_ok(),
    })
}
