//! The audit log: who changed what, when and from where. A company's for its admins, everybody's
//! for operators.

mod line;
mod whereabouts;

use std::sync::Arc;

use askama::Template;
use axum::{Router, response::Response, routing::get};
use tidings_store::{AuditQuery, AuditScope, Position};

use crate::{
    audit::{line::Line, whereabouts::Whereabouts},
    fault::Fault,
    page::{Page, Section, render},
    state::Portal,
    texts,
    visit::{AtCompany, Fields, Visit},
};

/// Lines on one page.
const LINES: usize = 25;
/// Characters of an id or a name to look for.
const TARGET_CHARS_MAX: usize = 200;

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/c/{company}/audit", get(of_company))
        .route("/portal/platform/audit", get(of_everything))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    /// Path of the log itself.
    base: String,
    /// What is asked for.
    target: String,
    problem: Option<&'static str>,
    lines: Vec<Line>,
    /// Path of the page with what is older.
    older: Option<String>,
    /// Whether there may be newer lines than these.
    is_later_page: bool,
}

async fn of_company(at: AtCompany) -> Result<Response, Fault> {
    if !at.visit.visitor.may_change(&at.company) {
        return Err(Fault::AdminsOnly);
    }
    let page = at.page(Section::Audit, texts::default().audit.title);
    let scope = AuditScope::Company(at.company.clone());
    show(&at.visit, page, scope, at.link("audit")).await
}

async fn of_everything(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let page = visit.page(Section::Audit, texts::default().audit.platform_title);
    let base = "/portal/platform/audit".to_owned();
    show(&visit, page, AuditScope::Everything, base).await
}

async fn show(
    visit: &Visit,
    page: Page,
    scope: AuditScope,
    base: String,
) -> Result<Response, Fault> {
    let before = before(&visit.query)?;
    let target = visit.query.get("target").unwrap_or_default().to_owned();
    let is_too_long = target.chars().nth(TARGET_CHARS_MAX).is_some();
    let mut shown = AuditPage {
        problem: is_too_long.then_some(page.t.audit.about_too_long),
        page,
        lines: Vec::new(),
        older: None,
        is_later_page: before.is_some(),
        base,
        target,
    };
    if shown.problem.is_none() {
        let query = AuditQuery {
            scope,
            target: Some(shown.target.clone()).filter(|target| !target.is_empty()),
            before,
            limit: LINES,
        };
        let found = visit.portal.store.audit(query).await?;
        let next = found.next;
        shown.older = next.map(|before| older(&shown.base, &shown.target, before));
        let whereabouts = Whereabouts::of(visit, &found.entries).await?;
        let lines = found.entries.into_iter();
        shown.lines = lines
            .map(|entry| Line::new(entry, &visit.visitor, &whereabouts, shown.page.t))
            .collect();
    }
    render(&shown)
}

/// Where the page begins; a place that none of our links would name leads nowhere.
fn before(query: &Fields) -> Result<Option<Position>, Fault> {
    let place = query.get("before").map(str::parse);
    place.transpose().map_err(|_| Fault::NotFound)
}

fn older(base: &str, target: &str, before: Position) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if !target.is_empty() {
        query.append_pair("target", target);
    }
    query.append_pair("before", &before.to_string());
    format!("{base}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_what_is_older_keeps_the_filter() {
        let base = "/portal/platform/audit";
        assert_eq!(older(base, "", 7), "/portal/platform/audit?before=7");
        let path = older(base, "a&b=c", 7);
        assert_eq!(path, "/portal/platform/audit?target=a%26b%3Dc&before=7");
    }
}
