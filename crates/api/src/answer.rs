//! Answers that say yes.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// The media type of every answer but problems.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// 200 with a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Response {
    // Views are made of strings, numbers and lists, which always serialise.
    json_bytes(serde_json::to_vec(value).unwrap_or_default().into())
}

/// 200 with JSON that is serialised already.
pub(crate) fn json_bytes(json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// 201 for something that can be read at `location`.
pub(crate) fn created(mut response: Response, location: String) -> Response {
    *response.status_mut() = StatusCode::CREATED;
    // Paths and ids are visible ASCII, which a field value may be.
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The same answer with another status.
pub(crate) fn with_status(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    response
}

/// 204.
pub(crate) fn no_content() -> Response {
    with_status(Response::new(Body::empty()), StatusCode::NO_CONTENT)
}
