//! The visitor's own stay: who they are, how long, ending it, and an operator's own password.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::StatusCode;
use tidings_domain::visitor::{Role, Visitor};
use tidings_store::SessionsOf;

use crate::{
    credentials::{Problems, new_password, recognise},
    entry::forget_session,
    fault::Fault,
    moment::Moment,
    page::{Page, Section, render},
    state::Portal,
    texts,
    visit::{Posted, Visit},
};

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/account", get(show))
        .route("/portal/account/password", post(change_password))
        .route(
            "/portal/account/sign-out-everywhere",
            post(sign_out_everywhere),
        )
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    /// What the visitor may do.
    may: &'static str,
    /// What signing out everywhere would end; none where the visitor may not.
    everywhere: Option<&'static str>,
    expires: Moment,
    current_wrong: bool,
    problems: Problems,
}

async fn show(visit: Visit) -> Result<Response, Fault> {
    render(&account_page(&visit))
}

fn account_page(visit: &Visit) -> AccountPage {
    let t = &texts::default().account;
    let (company, may, everywhere) = match &visit.visitor {
        Visitor::Operator { .. } => (None, t.operator_may, Some(t.own_everywhere_what)),
        Visitor::Guest { company, role } => match role {
            Role::Admin => (Some(company), t.admin_may, Some(t.company_everywhere_what)),
            Role::Viewer => (Some(company), t.viewer_may, None),
        },
    };
    AccountPage {
        page: Page::of(visit, company, Section::Account, t.title),
        may,
        everywhere,
        expires: visit.expires.into(),
        current_wrong: false,
        problems: Problems::default(),
    }
}

/// Ends an operator's own sessions; for a company's admin all that came by the company's links.
async fn sign_out_everywhere(Posted { visit, .. }: Posted) -> Result<Response, Fault> {
    let whose = match &visit.visitor {
        Visitor::Operator { id, .. } => SessionsOf::User(*id),
        Visitor::Guest {
            company,
            role: Role::Admin,
        } => SessionsOf::Company(company.clone()),
        Visitor::Guest {
            role: Role::Viewer, ..
        } => return Err(Fault::ReadOnly),
    };
    let (now, by) = (visit.now(), visit.actor());
    visit.portal.store.end_sessions(&whose, now, &by).await?;
    let to = "/portal/sign-in?done=signed-out-everywhere";
    Ok(forget_session(&visit.portal, to))
}

/// Changes an operator's own password. The old one is asked for, and tries are throttled together
/// with those of signing in.
async fn change_password(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    let Visitor::Operator { id, email } = &visit.visitor else {
        return Err(Fault::NotFound);
    };
    let portal = &visit.portal;
    let current = fields.raw("current").unwrap_or_default();
    let known = recognise(portal, email, current, visit.address).await?;
    let hash = new_password(portal, &fields).await?;
    let hash = match (known, hash) {
        (Some(_), Ok(hash)) => hash,
        (known, hash) => {
            let page = AccountPage {
                current_wrong: known.is_none(),
                problems: hash.err().unwrap_or_default(),
                ..account_page(&visit)
            };
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response());
        }
    };
    let (now, by) = (visit.now(), visit.actor());
    portal.store.set_password(*id, hash, now, &by).await?;
    Ok(forget_session(
        portal,
        "/portal/sign-in?done=password-changed",
    ))
}
