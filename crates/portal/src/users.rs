//! The platform's own people: who may sign in. For operators alone.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use http::StatusCode;
use tidings_domain::{id::UserId, visitor::Visitor};
use tidings_store::{User, UserDeleted, UserMade};

use crate::{
    credentials::{Problems, new_password, new_user},
    fault::Fault,
    moment::Moment,
    page::{Page, Section, render},
    paging::Paged,
    state::Portal,
    texts,
    visit::{Posted, Visit},
};

/// Path of the list.
pub(crate) const BASE: &str = "/portal/platform/users";

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/platform/users", get(list))
        .route("/portal/platform/users/new", get(new).post(create))
        .route("/portal/platform/users/{id}", get(show))
        .route("/portal/platform/users/{id}/password", post(set_password))
        .route("/portal/platform/users/{id}/delete", post(delete))
}

struct Row {
    id: UserId,
    email: String,
    created: Moment,
    last_sign_in: Option<Moment>,
    is_self: bool,
}

impl Row {
    fn new(user: &User, visit: &Visit) -> Self {
        Self {
            is_self: is_self(visit, user.id),
            id: user.id,
            email: user.email.to_string(),
            created: user.created.into(),
            last_sign_in: user.last_sign_in.map(Moment),
        }
    }
}

#[derive(Template)]
#[template(path = "users_list.html")]
struct ListPage {
    page: Page,
    base: &'static str,
    paged: Paged<Row>,
}

#[derive(Template)]
#[template(path = "users_new.html")]
struct NewPage {
    page: Page,
    email: String,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "users_one.html")]
struct UserPage {
    page: Page,
    user: Row,
    /// What is wrong with the new password.
    problems: Problems,
    /// Why the user was not deleted.
    delete_problem: Option<&'static str>,
}

async fn list(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    let users = visit.portal.store.users().await?;
    let rows = users.iter().map(|user| Row::new(user, &visit));
    render(&ListPage {
        page: visit.page(Section::Users, texts::default().users.title),
        base: BASE,
        paged: Paged::new(rows.collect(), &visit.query),
    })
}

async fn new(visit: Visit) -> Result<Response, Fault> {
    visit.operator_only()?;
    render(&NewPage {
        page: visit.page(Section::Users, texts::default().users.new),
        email: String::new(),
        problems: Problems::default(),
    })
}

async fn create(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    visit.operator_only()?;
    let t = texts::default();
    let problems = match new_user(&visit.portal, &fields).await? {
        Err(problems) => problems,
        Ok(user) => match visit.portal.store.create_user(user, &visit.actor()).await? {
            UserMade::Made => {
                return Ok(Redirect::to(&format!("{BASE}?done=user-created")).into_response());
            }
            UserMade::EmailTaken => Problems {
                email: Some(t.users.email_taken.to_owned()),
                ..Problems::default()
            },
        },
    };
    let page = NewPage {
        page: visit.page(Section::Users, t.users.new),
        email: fields.get("email").unwrap_or_default().to_owned(),
        problems,
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.operator_only()?;
    let user = user_of(&visit.portal, &id).await?;
    render(&user_page(&visit, &user))
}

async fn set_password(
    Path(id): Path<String>,
    Posted { visit, fields }: Posted,
) -> Result<Response, Fault> {
    visit.operator_only()?;
    let user = user_of(&visit.portal, &id).await?;
    if is_self(&visit, user.id) {
        // That asks for the old one: whoever finds an open browser shall not take the account.
        return Ok(Redirect::to("/portal/account").into_response());
    }
    let hash = match new_password(&visit.portal, &fields).await? {
        Ok(hash) => hash,
        Err(problems) => {
            let page = UserPage {
                problems,
                ..user_page(&visit, &user)
            };
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response());
        }
    };
    let (now, by) = (visit.now(), visit.actor());
    let store = &visit.portal.store;
    if store.set_password(user.id, hash, now, &by).await? {
        let to = format!("{BASE}/{}?done=password-set", user.id);
        Ok(Redirect::to(&to).into_response())
    } else {
        Err(Fault::NotFound)
    }
}

async fn delete(Path(id): Path<String>, Posted { visit, .. }: Posted) -> Result<Response, Fault> {
    visit.operator_only()?;
    let t = &texts::default().users;
    let user = user_of(&visit.portal, &id).await?;
    let problem = if is_self(&visit, user.id) {
        t.not_yourself
    } else {
        let (now, by) = (visit.now(), visit.actor());
        match visit.portal.store.delete_user(user.id, now, &by).await? {
            UserDeleted::Gone => {
                return Ok(Redirect::to(&format!("{BASE}?done=user-deleted")).into_response());
            }
            UserDeleted::NotFound => return Err(Fault::NotFound),
            UserDeleted::Last => t.the_last,
        }
    };
    let page = UserPage {
        delete_problem: Some(problem),
        ..user_page(&visit, &user)
    };
    Ok((StatusCode::CONFLICT, render(&page)?).into_response())
}

fn user_page(visit: &Visit, user: &User) -> UserPage {
    UserPage {
        page: visit.page(Section::Users, user.email.as_str()),
        user: Row::new(user, visit),
        problems: Problems::default(),
        delete_problem: None,
    }
}

/// The user with an id; 404 where there is none.
async fn user_of(portal: &Portal, id: &str) -> Result<User, Fault> {
    let id = UserId::parse(id).map_err(|_| Fault::NotFound)?;
    let users = portal.store.users().await?;
    let found = users.into_iter().find(|user| user.id == id);
    found.ok_or(Fault::NotFound)
}

fn is_self(visit: &Visit, user: UserId) -> bool {
    matches!(visit.visitor, Visitor::Operator { id, .. } if id == user)
}
