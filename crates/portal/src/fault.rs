//! Faults: what goes wrong with a request, and the page that says so.

use std::borrow::Cow;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tidings_domain::subscription::ManagedBy;
use tidings_store::StoreError;

use crate::{
    page::Page,
    texts::{self, Texts},
};

/// Seconds after which a busy or broken server is worth another try.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why a request gets no page of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is there, or it is somebody else's: the same to whoever asks.
    NotFound,
    /// There is something, but not for this method.
    MethodNotAllowed,
    /// A viewer wants to change something.
    ReadOnly,
    /// A viewer wants to see what only admins may.
    AdminsOnly,
    /// Another product manages the webhook that somebody wants to change by hand.
    ManagedElsewhere(ManagedBy),
    /// The form did not come from a page of ours, or from one of an earlier session.
    Forged,
    /// A link that was used, has expired, or never was.
    LinkGone,
    /// The body is too large.
    TooLarge,
    /// The body or the query is none that our pages would send.
    Malformed,
    /// Too many tries; seconds to wait.
    TooMany(u64),
    /// Nobody is signed in, and the request is none to come back to.
    SignedOut,
    /// Too much at a time.
    Busy,
    /// The store is out of reach.
    Unavailable,
    /// Our mistake; it is in the log.
    Internal,
}

impl Fault {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ReadOnly | Self::AdminsOnly | Self::ManagedElsewhere(_) | Self::Forged => {
                StatusCode::FORBIDDEN
            }
            Self::LinkGone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::Busy | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened, and what to do.
    fn told(&self, t: &'static Texts) -> (&'static str, Cow<'static, str>) {
        let webhooks = &t.webhooks;
        let t = &t.faults;
        let (what, advice) = match self {
            Self::ManagedElsewhere(manager) => {
                return (t.managed_elsewhere, webhooks.managed(*manager).into());
            }
            Self::NotFound => t.not_found,
            Self::MethodNotAllowed => t.method_not_allowed,
            Self::ReadOnly => t.read_only,
            Self::AdminsOnly => t.admins_only,
            Self::Forged => t.forged,
            Self::LinkGone => t.link_gone,
            Self::TooLarge => t.too_large,
            Self::Malformed => t.malformed,
            Self::TooMany(_) => t.too_many,
            Self::SignedOut => t.signed_out,
            Self::Busy => t.busy,
            Self::Unavailable => t.unavailable,
            Self::Internal => t.internal,
        };
        (what, advice.into())
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::TooMany(seconds) => Some(HeaderValue::from(*seconds)),
            Self::Busy | Self::Unavailable => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    page: Page,
    what: &'static str,
    advice: Cow<'static, str>,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let t = texts::default();
        let (what, advice) = self.told(t);
        let page = Page::bare(what.to_owned());
        let body = FaultPage { page, what, advice }.render();
        let mut response = (self.status(), Html(body.unwrap_or_default())).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::Overloaded => Self::Busy,
            error @ StoreError::Broken(_) => {
                tracing::error!(%error, "the portal's store failed");
                Self::Internal
            }
        }
    }
}
