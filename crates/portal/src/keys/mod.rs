//! API keys: a company's, and the platform's own. Listing, making and revoking them, by the rules
//! of the API's own endpoints.

mod form;

use std::{cmp::Reverse, sync::Arc};

use askama::Template;
use axum::{
    Router,
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use http::StatusCode;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, ApiKeyToken},
    audit::Action,
    company::CompanyId,
    id::ApiKeyId,
};
use tidings_store::{AuditQuery, AuditScope, NewApiKey, StoreError};

use crate::{
    fault::Fault,
    keys::form::KeyForm,
    moment::Moment,
    page::{Page, Section, render},
    paging::Paged,
    state::Portal,
    texts,
    visit::{AtCompany, Fields, Posted, PostedAt, Visit},
};

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/c/{company}/keys", get(of_company))
        .route("/portal/c/{company}/keys/new", get(new_at).post(create_at))
        .route("/portal/c/{company}/keys/{id}/revoke", post(revoke_at))
        .route("/portal/platform/keys", get(of_platform))
        .route("/portal/platform/keys/new", get(new).post(create))
        .route("/portal/platform/keys/{id}/revoke", post(revoke))
}

/// Keys that were not revoked, the newest first: a company's, or the platform's own.
pub(crate) async fn keys_of(
    portal: &Portal,
    company: Option<&CompanyId>,
) -> Result<Vec<ApiKey>, StoreError> {
    let mut keys = portal.store.keys(company).await?;
    // With no company the store lists everybody's.
    keys.retain(|key| key.company.as_ref() == company);
    keys.sort_by_key(|key| Reverse((key.created, key.id)));
    Ok(keys)
}

struct Row {
    id: ApiKeyId,
    name: String,
    scopes: Vec<&'static str>,
    created: Moment,
    expires: Option<Moment>,
    expired: bool,
    last_used: Option<Moment>,
}

#[derive(Template)]
#[template(path = "keys_list.html")]
struct ListPage {
    page: Page,
    /// Path of the list itself.
    base: String,
    paged: Paged<Row>,
}

#[derive(Template)]
#[template(path = "keys_new.html")]
struct NewPage {
    page: Page,
    base: String,
    form: KeyForm,
    /// The id that the key will have, and the proof that we gave it out.
    id: ApiKeyId,
    seal: String,
}

#[derive(Template)]
#[template(path = "keys_made.html")]
struct MadePage {
    page: Page,
    base: String,
    name: String,
    key: ApiKeyToken,
    public_url: String,
}

async fn of_company(at: AtCompany) -> Result<Response, Fault> {
    let title = texts::default().keys.title;
    list(&at.visit, Some(&at.company), at.page(Section::Keys, title)).await
}

async fn of_platform(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let title = texts::default().keys.platform_title;
    list(&visit, None, visit.page(Section::Keys, title)).await
}

async fn list(visit: &Visit, company: Option<&CompanyId>, page: Page) -> Result<Response, Fault> {
    let now = visit.now();
    let keys = keys_of(&visit.portal, company).await?;
    let rows = keys.into_iter().map(|key| Row {
        id: key.id,
        expired: key.is_expired_at(now),
        scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
        created: key.created.into(),
        expires: key.expires.map(Moment),
        last_used: key.last_used.map(Moment),
        name: key.name,
    });
    render(&ListPage {
        base: base(company),
        paged: Paged::new(rows.collect(), &visit.query),
        page,
    })
}

async fn new_at(at: AtCompany) -> Result<Response, Fault> {
    if !at.visit.visitor.may_change(&at.company) {
        return Err(Fault::ReadOnly);
    }
    let page = at.page(Section::Keys, texts::default().keys.new);
    let id = new_id(&at.visit);
    show_form(&at.visit, Some(&at.company), page, KeyForm::default(), id)
}

async fn new(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let page = visit.page(Section::Keys, texts::default().keys.new);
    let id = new_id(&visit);
    show_form(&visit, None, page, KeyForm::default(), id)
}

fn new_id(visit: &Visit) -> ApiKeyId {
    ApiKeyId::new(visit.now(), visit.portal.random.as_ref())
}

fn show_form(
    visit: &Visit,
    company: Option<&CompanyId>,
    page: Page,
    form: KeyForm,
    id: ApiKeyId,
) -> Result<Response, Fault> {
    render(&NewPage {
        page,
        base: base(company),
        form,
        seal: visit.seal(&promise(company, &id.to_string())),
        id,
    })
}

async fn create_at(PostedAt { at, fields }: PostedAt) -> Result<Response, Fault> {
    let page = at.page(Section::Keys, texts::default().keys.new);
    make(&at.visit, Some(&at.company), page, &fields).await
}

async fn create(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    visit.operator_only()?;
    let page = visit.page(Section::Keys, texts::default().keys.new);
    make(&visit, None, page, &fields).await
}

/// Makes it. The form carries the id, so that a form that is sent twice makes one key.
async fn make(
    visit: &Visit,
    company: Option<&CompanyId>,
    mut page: Page,
    fields: &Fields,
) -> Result<Response, Fault> {
    let id = promised(visit, company, fields).ok_or(Fault::Malformed)?;
    if let Some(done) = done_before(visit, company, id).await? {
        return Ok(to_list(company, done));
    }
    let form = KeyForm::read(fields, page.t, visit.now());
    if !form.problems.is_empty() {
        let shown = show_form(visit, company, page, form, id)?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response());
    }
    let portal = &visit.portal;
    let now = visit.now();
    let token = ApiKeyToken::generate(portal.random.as_ref());
    let key = ApiKey {
        id,
        name: form.name.clone(),
        company: company.cloned(),
        scopes: form.scopes,
        expires: form.expires,
        created: now,
        last_used: None,
    };
    let hash = token.hash();
    let new = NewApiKey { key, hash };
    if let Err(error) = portal.store.create_key(new, &visit.actor()).await {
        // The same form at the same time: the other one made it.
        let done = done_before(visit, company, id).await?;
        return done.map(|done| to_list(company, done)).ok_or(error.into());
    }
    page.title = page.t.keys.made.to_owned();
    render(&MadePage {
        page,
        base: base(company),
        name: form.name,
        key: token,
        public_url: portal.public_url.clone(),
    })
}

/// What is sealed in the form of a new key: that this company, or the platform, may have this id.
fn promise(company: Option<&CompanyId>, id: &str) -> String {
    format!("{} {id}", base(company))
}

/// The id that a form carries, where we gave it out.
fn promised(visit: &Visit, company: Option<&CompanyId>, fields: &Fields) -> Option<ApiKeyId> {
    let (id, seal) = (fields.get("id")?, fields.get("seal")?);
    let is_ours = visit.is_sealed(&promise(company, id), seal);
    ApiKeyId::parse(id).ok().filter(|_| is_ours)
}

/// What to say where there is a key of this id already, or was one: the audit log knows both.
async fn done_before(
    visit: &Visit,
    company: Option<&CompanyId>,
    id: ApiKeyId,
) -> Result<Option<&'static str>, Fault> {
    let last = AuditQuery {
        scope: company.map_or(AuditScope::Everything, |company| {
            AuditScope::Company(company.clone())
        }),
        target: Some(id.to_string()),
        before: None,
        limit: 1,
    };
    let log = visit.portal.store.audit(last).await?;
    Ok(log.entries.first().map(|entry| match entry.action {
        Action::KeyRevoked => "key-revoked",
        _ => "key-made",
    }))
}

fn to_list(company: Option<&CompanyId>, done: &str) -> Response {
    Redirect::to(&format!("{}?done={done}", base(company))).into_response()
}

async fn revoke_at(PostedAt { at, .. }: PostedAt) -> Result<Response, Fault> {
    let id = at.param("id", ApiKeyId::parse)?;
    take_back(&at.visit, Some(&at.company), id).await
}

async fn revoke(Path(id): Path<String>, Posted { visit, .. }: Posted) -> Result<Response, Fault> {
    visit.operator_only()?;
    let id = ApiKeyId::parse(&id).map_err(|_| Fault::NotFound)?;
    // With no company the store would revoke anybody's; this page is about the platform's own.
    let own = keys_of(&visit.portal, None).await?;
    if own.iter().all(|key| key.id != id) {
        return Err(Fault::NotFound);
    }
    take_back(&visit, None, id).await
}

async fn take_back(
    visit: &Visit,
    company: Option<&CompanyId>,
    id: ApiKeyId,
) -> Result<Response, Fault> {
    let by: Actor = visit.actor();
    let store = &visit.portal.store;
    if store.revoke_key(company, id, visit.now(), &by).await? {
        Ok(to_list(company, "key-revoked"))
    } else {
        Err(Fault::NotFound)
    }
}

/// Path of the list of keys.
pub(crate) fn base(company: Option<&CompanyId>) -> String {
    match company {
        Some(company) => format!("/portal/c/{company}/keys"),
        None => "/portal/platform/keys".to_owned(),
    }
}
