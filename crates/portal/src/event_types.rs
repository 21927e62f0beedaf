//! The catalog of event types: what the platform says it publishes, with a sample and the schema of
//! each. It is changed through the API.

use std::sync::Arc;

use askama::Template;
use axum::{Router, response::Response, routing::get};
use tidings_domain::{catalog::CatalogType, company::CompanyId, event_type::EventType};

use crate::{
    fault::Fault,
    json_view::{self, Shown},
    page::{Page, Section, render},
    paging::Paged,
    state::Portal,
    texts,
    visit::{AtCompany, Visit},
};

/// Bytes of markup that a sample or a schema may take.
const DOCUMENT_HTML_BYTES_MAX: usize = 30_000;

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/c/{company}/types", get(of_company))
        .route("/portal/c/{company}/types/{name}", get(one_of_company))
        .route("/portal/platform/types", get(of_platform))
        .route("/portal/platform/types/{name}", get(one_of_platform))
}

#[derive(Template)]
#[template(path = "event_types.html")]
struct ListPage {
    page: Page,
    base: String,
    types: Paged<CatalogType>,
}

#[derive(Template)]
#[template(path = "event_type.html")]
struct TypePage {
    page: Page,
    base: String,
    entry: CatalogType,
    sample: Option<Shown>,
    schema: Option<Shown>,
}

async fn of_company(at: AtCompany) -> Result<Response, Fault> {
    let title = texts::default().event_types.title;
    let page = at.page(Section::Types, title);
    list(&at.visit, page, base(Some(&at.company))).await
}

async fn of_platform(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let page = visit.page(Section::Types, texts::default().event_types.title);
    list(&visit, page, base(None)).await
}

async fn one_of_company(at: AtCompany) -> Result<Response, Fault> {
    let name = at.param("name", EventType::parse)?;
    let page = at.page(Section::Types, name.as_str());
    one(&at.visit, page, base(Some(&at.company)), &name).await
}

async fn one_of_platform(
    visit: Visit,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Result<Response, Fault> {
    visit.operator_only()?;
    let name = EventType::parse(&name).map_err(|_| Fault::NotFound)?;
    let page = visit.page(Section::Types, name.as_str());
    one(&visit, page, base(None), &name).await
}

fn base(company: Option<&CompanyId>) -> String {
    match company {
        Some(company) => format!("/portal/c/{company}/types"),
        None => "/portal/platform/types".to_owned(),
    }
}

async fn list(visit: &Visit, page: Page, base: String) -> Result<Response, Fault> {
    let all = visit.portal.store.event_types().await?;
    let types = Paged::new(all, &visit.query);
    render(&ListPage { page, base, types })
}

async fn one(visit: &Visit, page: Page, base: String, name: &EventType) -> Result<Response, Fault> {
    let entry = visit.portal.store.event_type(name).await?;
    let entry = entry.ok_or(Fault::NotFound)?;
    let shown = |document: &Option<String>| {
        json_view::json(document.as_deref()?, false, DOCUMENT_HTML_BYTES_MAX)
    };
    render(&TypePage {
        sample: shown(&entry.sample_payload),
        schema: shown(&entry.schema),
        page,
        base,
        entry,
    })
}
