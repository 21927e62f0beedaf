//! Visits: who asks for a page, in whose affairs, and with what in their form.
//!
//! Handlers take one of four: [`Visit`] (signed in), [`AtCompany`] (and may see this company),
//! [`Posted`] (and sent a form of ours), [`PostedAt`] (and may change this company). So no page
//! can forget to ask.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    response::{IntoResponse, Redirect, Response},
};
use http::{Method, Uri, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use tidings_domain::{
    actor::{Actor, ClientAddress},
    company::CompanyId,
    portal_token::{PortalToken, TokenHash},
    time::UtcMillis,
    visitor::Visitor,
};

use crate::{
    cookies::Jar,
    csrf,
    fault::Fault,
    page::{Page, Section},
    state::Portal,
};

/// Bytes of a form at most. The largest holds 100 event types and a sample payload.
const FORM_BYTES_MAX: usize = 320 << 10;
/// How long the form of somebody who is signed in may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// Somebody who is signed in.
pub(crate) struct Visit {
    pub(crate) portal: Arc<Portal>,
    pub(crate) visitor: Visitor,
    /// When the session ends.
    pub(crate) expires: UtcMillis,
    /// From where the request came.
    pub(crate) address: Option<IpAddr>,
    /// The query's pairs.
    pub(crate) query: Fields,
    token: PortalToken,
}

/// Somebody who is signed in and may see a company.
pub(crate) struct AtCompany {
    pub(crate) visit: Visit,
    pub(crate) company: CompanyId,
    /// The other parameters of the path.
    params: Vec<(String, String)>,
}

/// A form of ours that somebody sent who is signed in.
pub(crate) struct Posted {
    pub(crate) visit: Visit,
    pub(crate) fields: Fields,
}

/// A form of ours that somebody sent who may change a company.
pub(crate) struct PostedAt {
    pub(crate) at: AtCompany,
    pub(crate) fields: Fields,
}

/// The pairs of a form or a query, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

/// Why there is no visit: a fault, or the way to the sign-in.
pub(crate) enum Turned {
    Away(Fault),
    ToSignIn(String),
}

impl Visit {
    /// The token that forms carry.
    pub(crate) fn csrf(&self) -> String {
        csrf::token_for(&self.token)
    }

    /// What proves that we gave out a value of a form, in this session.
    pub(crate) fn seal(&self, value: &str) -> String {
        csrf::seal(&self.token, value)
    }

    /// Whether we gave out this value, in this session.
    pub(crate) fn is_sealed(&self, value: &str, seal: &str) -> bool {
        csrf::is_sealed(&self.token, value, seal)
    }

    /// Reads a form of this session, which may send only so many at a time.
    async fn read_form(&self, body: Body) -> Result<Fields, Fault> {
        let slot = self.portal.forms_each.take(&self.session_hash());
        let _slot = slot.ok_or(Fault::Busy)?;
        read_form(&self.token, body, FORM_TIMEOUT).await
    }

    /// What the session is known by in the store.
    pub(crate) fn session_hash(&self) -> TokenHash {
        self.token.hash()
    }

    /// By whom and from where what this request changes is changed.
    pub(crate) fn actor(&self) -> Actor {
        Actor::visitor(&self.visitor, self.address)
    }

    /// What was just done, by the query.
    pub(crate) fn done(&self) -> Option<String> {
        self.query.get("done").map(str::to_owned)
    }

    /// The time.
    pub(crate) fn now(&self) -> UtcMillis {
        self.portal.now()
    }

    /// 404 for who is not one of the platform's own people.
    pub(crate) fn operator_only(&self) -> Result<(), Fault> {
        if self.visitor.is_operator() {
            Ok(())
        } else {
            Err(Fault::NotFound)
        }
    }

    /// A page of the platform's own affairs or of nobody's.
    pub(crate) fn page(&self, section: Section, title: &str) -> Page {
        Page::of(self, None, section, title)
    }
}

impl AtCompany {
    /// A page of the company's affairs.
    pub(crate) fn page(&self, section: Section, title: &str) -> Page {
        Page::of(&self.visit, Some(&self.company), section, title)
    }

    /// A parameter of the path; 404 where it is malformed.
    pub(crate) fn param<T, E>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Fault> {
        let value = self.params.iter().find(|(param, _)| param == name);
        value
            .and_then(|(_, value)| parse(value).ok())
            .ok_or(Fault::NotFound)
    }

    /// The store.
    pub(crate) fn store(&self) -> &dyn tidings_store::Store {
        &*self.visit.portal.store
    }

    /// A path of the company: `link("webhooks")`.
    pub(crate) fn link(&self, tail: &str) -> String {
        format!("/portal/c/{}/{tail}", self.company)
    }
}

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of a name, trimmed; none where it is absent or blank.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.raw(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The first value of a name as it was sent.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

impl FromRequestParts<Arc<Portal>> for Visit {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, portal: &Arc<Portal>) -> Result<Self, Turned> {
        let Some(token) = portal.cookies.read(Jar::Session, &parts.headers) else {
            return Err(sign_in(&parts.method, &parts.uri));
        };
        let session = portal.store.session(&token.hash(), portal.now()).await;
        let Some(session) = session.map_err(Fault::from)? else {
            return Err(sign_in(&parts.method, &parts.uri));
        };
        Ok(Self {
            portal: Arc::clone(portal),
            visitor: session.visitor,
            expires: session.expires,
            address: client_address(parts),
            query: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            token,
        })
    }
}

impl FromRequestParts<Arc<Portal>> for AtCompany {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, portal: &Arc<Portal>) -> Result<Self, Turned> {
        let visit = Visit::from_request_parts(parts, portal).await?;
        let params = RawPathParams::from_request_parts(parts, portal).await;
        let params = params.map_err(|_| Fault::NotFound)?;
        let params: Vec<(String, String)> = params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let named = params.iter().find(|(name, _)| name == "company");
        let company = named.and_then(|(_, value)| CompanyId::parse(value).ok());
        match company {
            Some(company) if visit.visitor.may_see(&company) => Ok(Self {
                visit,
                company,
                params,
            }),
            _ => Err(Fault::NotFound.into()),
        }
    }
}

impl FromRequest<Arc<Portal>> for Posted {
    type Rejection = Turned;

    async fn from_request(request: Request, portal: &Arc<Portal>) -> Result<Self, Turned> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, portal).await?;
        let fields = visit.read_form(body).await?;
        Ok(Self { visit, fields })
    }
}

impl FromRequest<Arc<Portal>> for PostedAt {
    type Rejection = Turned;

    async fn from_request(request: Request, portal: &Arc<Portal>) -> Result<Self, Turned> {
        let (mut parts, body) = request.into_parts();
        let at = AtCompany::from_request_parts(&mut parts, portal).await?;
        // Before the form, which may be a long time coming.
        if !at.visit.visitor.may_change(&at.company) {
            return Err(Fault::ReadOnly.into());
        }
        let fields = at.visit.read_form(body).await?;
        Ok(Self { at, fields })
    }
}

/// Reads a form, if it arrives in time, and judges its token against the cookie that the request
/// came with.
pub(crate) async fn read_form(
    cookie: &PortalToken,
    body: Body,
    arrives_within: Duration,
) -> Result<Fields, Fault> {
    let body = Limited::new(body, FORM_BYTES_MAX).collect();
    let body = tokio::time::timeout(arrives_within, body).await;
    let bytes = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Fault::TooLarge);
        }
        _ => return Err(Fault::Malformed),
    };
    let fields = Fields::parse(&bytes);
    match fields.raw("csrf") {
        Some(token) if csrf::is_valid(cookie, token) => Ok(fields),
        _ => Err(Fault::Forged),
    }
}

/// Where a request came from, as the listener found out.
pub(crate) fn client_address(parts: &Parts) -> Option<IpAddr> {
    let address = parts.extensions.get::<ClientAddress>();
    address.map(|ClientAddress(address)| *address)
}

/// Who is not signed in is sent there, and from there back to the page.
fn sign_in(method: &Method, uri: &Uri) -> Turned {
    if method != Method::GET {
        return Turned::Away(Fault::SignedOut);
    }
    let path = uri.path_and_query().map_or("/portal", |path| path.as_str());
    let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    Turned::ToSignIn(format!("/portal/sign-in?next={next}"))
}

impl From<Fault> for Turned {
    fn from(fault: Fault) -> Self {
        Self::Away(fault)
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::Away(fault) => fault.into_response(),
            Self::ToSignIn(path) => Redirect::to(&path).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures_util::stream;
    use tidings_domain::random::SeededRandom;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_arrive_is_not_waited_for() {
        let cookie = PortalToken::generate(&SeededRandom::new(1));
        let within = Duration::from_secs(10);
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let begun = Instant::now();
        let read = read_form(&cookie, never, within).await;
        assert_eq!(read.unwrap_err(), Fault::Malformed);
        assert_eq!(begun.elapsed(), within);
    }
}
