//! The portal's door: bounds how many requests there are, catches what breaks, and puts the
//! security headers on every answer.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, header};

use crate::{fault::Fault, state::Portal};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Lets a request in and its answer out.
pub(crate) async fn door(
    State(portal): State<Arc<Portal>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = match portal.requests.try_acquire() {
        Err(_) => Fault::Busy.into_response(),
        Ok(_permit) => {
            let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
            answer.unwrap_or_else(|_| {
                tracing::error!(path = shown(&path), "a page broke");
                Fault::Internal.into_response()
            })
        }
    };
    dress(&portal, &mut response);
    response
}

/// What is below `/portal` and leads nowhere.
pub(crate) async fn not_found() -> Fault {
    Fault::NotFound
}

/// What is there, but not for this method.
pub(crate) async fn method_not_allowed() -> Fault {
    Fault::MethodNotAllowed
}

fn dress(portal: &Portal, response: &mut Response) {
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(&portal.content_security_policy);
    // Origins were checked when they were read, so the policy is a valid field value.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        policy.unwrap_or(HeaderValue::from_static("default-src 'none'")),
    );
    if !portal.framed {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Forms need an `Origin`, so not `no-referrer`; other sites learn nothing.
        (header::REFERRER_POLICY, "same-origin"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (
            PERMISSIONS_POLICY,
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let id = crate::page::request_id(portal.random.as_ref());
    headers.entry(X_REQUEST_ID).or_insert(id);
}

/// A path as the log may show it: links carry tokens.
fn shown(path: &str) -> &str {
    let secret = ["/portal/enter/", "/portal/setup/"];
    secret
        .into_iter()
        .find(|prefix| path.starts_with(prefix))
        .unwrap_or(path)
}
