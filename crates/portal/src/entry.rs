//! Getting in and out: signing in with a password, coming by a link, making the first user,
//! signing out.

use std::{net::IpAddr, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Router,
    extract::{FromRequestParts, Path, Request, State},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidings_domain::{
    actor::{Actor, Who},
    email::Email,
    portal_token::PortalToken,
    time::UtcMillis,
    visitor::Visitor,
};
use tidings_store::{Link, LinkPurpose, Session, User, UserMade};
use tokio::sync::SemaphorePermit;

use crate::{
    cookies::Jar,
    credentials::{Problems, new_user, recognise},
    csrf,
    fault::Fault,
    page::{Page, render},
    slots::Slot,
    state::Portal,
    texts,
    throttle::network,
    visit::{self, Fields, Posted, Visit},
};

/// How long a user stays signed in, in milliseconds.
const SESSION_MS: i64 = 12 * 60 * 60 * 1000;
/// How long the form for signing in may lie open, in seconds.
const FORM_SECONDS: i64 = 12 * 60 * 60;
/// How long the form of somebody who is not signed in may take to arrive: it is small, and holds a
/// place that others want.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/sign-in", get(sign_in_page).post(sign_in))
        .route("/portal/sign-out", post(sign_out))
        .route("/portal/enter/{token}", get(enter))
        .route("/portal/setup/{token}", get(setup_page).post(set_up))
}

/// A place for the form of somebody who is not signed in, free again when it is dropped.
struct Place<'a> {
    _one: SemaphorePermit<'a>,
    _of_the_network: Slot<Option<IpAddr>>,
}

impl<'a> Place<'a> {
    /// A place, as long as there is one and the client's network has not taken all of its own.
    fn take(portal: &'a Portal, address: Option<IpAddr>) -> Option<Self> {
        Some(Self {
            _of_the_network: portal.sign_ins_each.take(&address.map(network))?,
            _one: portal.sign_ins.try_acquire().ok()?,
        })
    }
}

/// Where somebody belongs who asks for nothing in particular.
pub(crate) async fn home(visit: Visit) -> Redirect {
    Redirect::to(&home_of(&visit.visitor))
}

fn home_of(visitor: &Visitor) -> String {
    match visitor {
        Visitor::Operator { .. } => "/portal/platform".to_owned(),
        Visitor::Guest { company, .. } => format!("/portal/c/{company}"),
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Page,
    email: String,
    next: String,
    problem: Option<&'static str>,
}

async fn sign_in_page(
    State(portal): State<Arc<Portal>>,
    request: Request,
) -> Result<Response, Fault> {
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let next = query.get("next").unwrap_or_default().to_owned();
    let cookie = form_cookie(&portal, request.headers());
    let mut page = Page::bare(texts::default().entry.sign_in.to_owned());
    page.csrf = csrf::token_for(&cookie);
    page.notice = query.get("done").and_then(|done| page.t.notice(done));
    let form = SignInPage {
        page,
        email: String::new(),
        next,
        problem: None,
    };
    let shown = render(&form)?;
    Ok(with_form_cookie(&portal, &cookie, shown))
}

async fn sign_in(State(portal): State<Arc<Portal>>, request: Request) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let address = visit::client_address(&parts);
    let cookie = portal.cookies.read(Jar::Form, &parts.headers);
    let cookie = cookie.ok_or(Fault::Forged)?;
    let _place = Place::take(&portal, address).ok_or(Fault::Busy)?;
    let fields = visit::read_form(&cookie, body, FORM_TIMEOUT).await?;
    let next = fields.get("next").unwrap_or_default().to_owned();
    let (email, password) = (fields.get("email"), fields.raw("password"));
    if let (Some(email), Some(password)) = (email, password)
        && let Ok(email) = Email::parse(email)
        && let Some(user) = recognise(&portal, &email, password, address).await?
        && let Some(response) = open_for(&portal, user, address, &next).await?
    {
        return Ok(response);
    }
    let t = texts::default();
    let mut page = Page::bare(t.entry.sign_in.to_owned());
    page.csrf = csrf::token_for(&cookie);
    let form = SignInPage {
        page,
        email: email.unwrap_or_default().to_owned(),
        next,
        problem: Some(t.entry.wrong_password),
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&form)?).into_response())
}

async fn sign_out(posted: Posted) -> Result<Response, Fault> {
    let visit = &posted.visit;
    visit
        .portal
        .store
        .end_session(&visit.session_hash())
        .await?;
    let to = "/portal/sign-in?done=signed-out";
    Ok(forget_session(&visit.portal, to))
}

/// Sends a browser elsewhere and makes it forget its session.
pub(crate) fn forget_session(portal: &Portal, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    for value in portal.cookies.forget(Jar::Session) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Opens the portal by a link that the platform asked for. A look at the head alone, as programs
/// that preview links take, leaves the link good.
async fn enter(
    State(portal): State<Arc<Portal>>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    if request.method() == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    let (mut parts, _) = request.into_parts();
    let token = PortalToken::parse(&token).map_err(|_| Fault::LinkGone)?;
    let Some(Link {
        purpose: LinkPurpose::Enter { company, role },
        expires,
    }) = use_enter_link(&portal, &token).await?
    else {
        // A page that is loaded again, in a browser that the link has let in, goes on.
        return match Visit::from_request_parts(&mut parts, &portal).await {
            Ok(visit) => Ok(Redirect::to(&home_of(&visit.visitor)).into_response()),
            Err(_) => Err(Fault::LinkGone),
        };
    };
    let visitor = Visitor::Guest { company, role };
    let (address, to) = (visit::client_address(&parts), home_of(&visitor));
    open(&portal, visitor, expires, address, &to).await
}

/// Uses a link up, if it is one for opening the portal: one for making the first user stays good.
async fn use_enter_link(portal: &Portal, token: &PortalToken) -> Result<Option<Link>, Fault> {
    let (hash, now) = (token.hash(), portal.now());
    match portal.store.link(&hash, now).await? {
        Some(link) if link.purpose != LinkPurpose::Setup => {
            Ok(portal.store.use_link(&hash, now).await?)
        }
        _ => Ok(None),
    }
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    page: Page,
    token: String,
    email: String,
    problems: Problems,
}

async fn setup_page(
    State(portal): State<Arc<Portal>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let token = PortalToken::parse(&token).map_err(|_| Fault::LinkGone)?;
    setup_link(&portal, &token).await?;
    let cookie = form_cookie(&portal, &headers);
    let mut page = Page::bare(texts::default().entry.set_up.to_owned());
    page.csrf = csrf::token_for(&cookie);
    let form = SetupPage {
        page,
        token: token.expose().to_owned(),
        email: String::new(),
        problems: Problems::default(),
    };
    let shown = render(&form)?;
    Ok(with_form_cookie(&portal, &cookie, shown))
}

async fn set_up(
    State(portal): State<Arc<Portal>>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let address = visit::client_address(&parts);
    let token = PortalToken::parse(&token).map_err(|_| Fault::LinkGone)?;
    let cookie = portal.cookies.read(Jar::Form, &parts.headers);
    let cookie = cookie.ok_or(Fault::Forged)?;
    let _place = Place::take(&portal, address).ok_or(Fault::Busy)?;
    let fields = visit::read_form(&cookie, body, FORM_TIMEOUT).await?;
    setup_link(&portal, &token).await?;
    let email = fields.get("email").unwrap_or_default();
    let user = match new_user(&portal, &fields).await? {
        Ok(user) => user,
        Err(problems) => {
            let mut page = Page::bare(texts::default().entry.set_up.to_owned());
            page.csrf = csrf::token_for(&cookie);
            let form = SetupPage {
                page,
                token: token.expose().to_owned(),
                email: email.to_owned(),
                problems,
            };
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&form)?).into_response());
        }
    };
    // Of two who try at the same time, one gets the link.
    let link = portal.store.use_link(&token.hash(), portal.now()).await?;
    link.ok_or(Fault::LinkGone)?;
    let visitor = Visitor::Operator {
        id: user.id,
        email: user.email.clone(),
    };
    let actor = Actor {
        who: Who::Command,
        address,
    };
    match portal.store.create_user(user, &actor).await? {
        UserMade::Made => {}
        UserMade::EmailTaken => return Err(Fault::LinkGone),
    }
    let expires = portal.now().plus_millis(SESSION_MS);
    open(&portal, visitor, expires, address, "/portal/platform").await
}

/// The link for making the first user, as long as it is good and there is none.
async fn setup_link(portal: &Portal, token: &PortalToken) -> Result<Link, Fault> {
    let link = portal.store.link(&token.hash(), portal.now()).await?;
    let link = link.filter(|link| link.purpose == LinkPurpose::Setup);
    if portal.store.users().await?.is_empty() {
        link.ok_or(Fault::LinkGone)
    } else {
        Err(Fault::LinkGone)
    }
}

/// Opens a session for a user whose password was right, and sends the browser where it wanted to
/// go; none where the password was changed meanwhile.
async fn open_for(
    portal: &Portal,
    user: User,
    address: Option<IpAddr>,
    next: &str,
) -> Result<Option<Response>, Fault> {
    let visitor = Visitor::Operator {
        id: user.id,
        email: user.email.clone(),
    };
    let home = home_of(&visitor);
    let expires = portal.now().plus_millis(SESSION_MS);
    let opened = begin(portal, visitor, expires, address).await?;
    // A change ends the sessions that there are, and this one may have begun right after it.
    let present = portal.store.user_by_email(&user.email).await?;
    if present.is_none_or(|present| present.password_hash != user.password_hash) {
        portal.store.end_session(&opened.token.hash()).await?;
        return Ok(None);
    }
    let to = if is_ours(next) { next } else { &home };
    Ok(Some(opened.lead(portal, to)))
}

/// Opens a session and sends the browser to its first page.
async fn open(
    portal: &Portal,
    visitor: Visitor,
    expires: UtcMillis,
    address: Option<IpAddr>,
    to: &str,
) -> Result<Response, Fault> {
    Ok(begin(portal, visitor, expires, address)
        .await?
        .lead(portal, to))
}

/// A session that was just opened, of which the browser does not know yet.
struct Opened {
    token: PortalToken,
    seconds: i64,
    guest: bool,
}

async fn begin(
    portal: &Portal,
    visitor: Visitor,
    expires: UtcMillis,
    address: Option<IpAddr>,
) -> Result<Opened, Fault> {
    let token = PortalToken::generate(portal.random.as_ref());
    let actor = Actor::visitor(&visitor, address);
    let guest = !visitor.is_operator();
    let now = portal.now();
    let session = Session {
        visitor,
        created: now,
        expires,
    };
    portal
        .store
        .open_session(token.hash(), session, &actor)
        .await?;
    Ok(Opened {
        token,
        seconds: expires.since(now) / 1000,
        guest,
    })
}

impl Opened {
    /// Gives the browser its cookie and sends it to a page.
    fn lead(&self, portal: &Portal, to: &str) -> Response {
        let mut response = Redirect::to(to).into_response();
        let (rules, jar) = (portal.cookies, Jar::Session);
        let other = rules.forget_other(jar, self.guest);
        let own = rules.keep(jar, &self.token, self.seconds, self.guest);
        for value in other.into_iter().chain([own]) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }
}

/// The token that binds a form to a browser that has no session: the one it has, or a new one.
fn form_cookie(portal: &Portal, headers: &HeaderMap) -> PortalToken {
    let known = portal.cookies.read(Jar::Form, headers);
    known.unwrap_or_else(|| PortalToken::generate(portal.random.as_ref()))
}

fn with_form_cookie(portal: &Portal, cookie: &PortalToken, mut response: Response) -> Response {
    let value: HeaderValue = portal.cookies.keep(Jar::Form, cookie, FORM_SECONDS, false);
    response.headers_mut().append(header::SET_COOKIE, value);
    response
}

/// Whether a path is one of the portal's pages: nobody is sent to another site.
fn is_ours(path: &str) -> bool {
    let plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && (path == "/portal" || path.starts_with("/portal/")) && !path.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert!(is_ours("/portal/c/acme/log?outcome=failed"));
        for path in [
            "",
            "/",
            "//evil.example",
            "/portal//evil.example",
            "https://evil.example/portal/",
            "/portalx",
            "/portal/\\evil",
            "/portal/a\r\nSet-Cookie: x",
            "/portal/ x",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }
}
