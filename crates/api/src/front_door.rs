//! The front door: the one middleware. It numbers requests, bounds how many there are, finds out
//! who calls, counts against rate limits, writes problems out, and measures.
//!
//! It is one function instead of a stack of layers, since each layer costs every request.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    body,
    call::Admitted,
    caller, large_answer,
    problem::{Code, Problem},
    rate_limit::{Class, Standing},
    request_id::X_REQUEST_ID,
    state::Api,
};

/// Everything below needs a key, but for the description of the API itself.
const API_PREFIX: &str = "/api/v1/";
/// The one path below [`API_PREFIX`] that anybody may read.
pub(crate) const OPENAPI_PATH: &str = "/api/v1/openapi.json";

/// Lets a request in and its answer out.
pub(crate) async fn front_door(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let request_id = api.request_ids.of(request.headers());
    let uri = request.uri().clone();
    let class = Class::of(request.method(), uri.path());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut standing = None;
    let mut response = if is_keyed(&uri) && request.method() != Method::OPTIONS {
        match admit(&api, request.headers(), class, &mut standing, uri.path()).await {
            Ok(admitted) => {
                let admitted = Arc::new(admitted);
                request.extensions_mut().insert(Arc::clone(&admitted));
                let method = request.method().clone();
                let response = handle(request, next).await;
                let caller = admitted.caller.as_ref().ok();
                let company = caller.and_then(|key| key.company.as_ref());
                large_answer::count(&api.overload, &method, company, response).await
            }
            Err(problem) => {
                let (parts, body) = request.into_parts();
                body::discard(&parts.headers, body).await;
                problem.into_response()
            }
        }
    } else {
        handle(request, next).await
    };
    response = written_out(response, &request_id, uri.path());
    dress(response.headers_mut(), request_id, standing, &uri);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    api.metrics
        .observe(route, class, response.status(), started.elapsed());
    response
}

/// The answer itself, where the response stands for a problem.
pub(crate) fn written_out(
    mut response: Response,
    request_id: &HeaderValue,
    path: &str,
) -> Response {
    let Some(problem) = Problem::of(&mut response) else {
        return response;
    };
    let headers = std::mem::take(response.headers_mut());
    // Every id in use is visible ASCII.
    let id = request_id.to_str().unwrap_or_default();
    problem.log(id, path);
    problem.render(id, path, headers)
}

fn is_keyed(uri: &http::Uri) -> bool {
    uri.path().starts_with(API_PREFIX) && uri.path() != OPENAPI_PATH
}

/// Takes a request on, or says why not. `standing` is where its key stands, also when it is one
/// too many.
async fn admit(
    api: &Api,
    headers: &HeaderMap,
    class: Class,
    standing: &mut Option<Standing>,
    path: &str,
) -> Result<Admitted, Problem> {
    let permit = api.overload.admit_request().inspect_err(|_| {
        api.metrics.refused_for_overload.inc();
        tracing::debug!(path, "refused for overload");
    })?;
    let caller = caller::identify(api, headers).await;
    if let Ok(key) = &caller {
        *standing = api.rate_limiter.count(key.id, class, api.clock.now());
        if let Some(standing) = *standing {
            standing.check()?;
        }
    }
    Ok(Admitted {
        caller,
        permit: Mutex::new(Some(permit)),
    })
}

/// Runs the handler. A panic in it is a 500 of this request, not the end of its connection.
async fn handle(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Problem::internal("the handler panicked").into_response(),
    }
}

/// Adds the header fields that every answer has.
fn dress(
    headers: &mut HeaderMap,
    request_id: HeaderValue,
    standing: Option<Standing>,
    uri: &http::Uri,
) {
    headers.insert(X_REQUEST_ID, request_id);
    if let Some(standing) = standing {
        standing.write(headers);
    }
    if is_keyed(uri) {
        // Caches know what Authorization means, but not what X-Api-Key means.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Answers for a path that does not exist.
pub(crate) async fn not_found() -> Problem {
    let detail = "there is no such path; /docs shows which there are";
    Problem::new(Code::NotFound, detail)
}

/// Answers for a method that a path does not have; `OPTIONS` is told which it has. The router
/// adds `Allow`.
pub(crate) async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let detail = "the path has other methods only, see Allow";
    Problem::new(Code::MethodNotAllowed, detail).into_response()
}
