//! `/healthz` (the process lives) and `/readyz` (it can do its work).

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use utoipa::ToSchema;

use crate::{answer, problem::Problem, state::Api};

/// How long an answer of the readiness check is given again: a check is a commit.
const REMEMBERED: Duration = Duration::from_secs(1);
/// How long the store may take for it.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// The newest answer of the readiness check. The lock makes those who ask meanwhile wait for one
/// check instead of making their own.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Result<(), Problem>)>>);

/// That all is well.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process lives
///
/// Answers 200 as long as it answers at all; restart the process when it does not.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getHealth",
    tag = "Operations",
    security(()),
    responses((status = 200, description = "It lives", body = HealthView))
)]
pub(crate) async fn healthz() -> Response {
    answer::json(&HealthView { status: "ok" })
}

/// Whether the server can do its work
///
/// 503 while it cannot commit, while its dispatcher has stalled, and while it shuts down. Send no
/// requests then. The answer is at most a second old.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "getReadiness",
    tag = "Operations",
    security(()),
    responses(
        (status = 200, description = "It can", body = HealthView),
        (status = 503, description = "It cannot, right now", body = crate::problem::ProblemBody<'_>,
            content_type = "application/problem+json",
            headers(("Retry-After" = i64, description = "Seconds to wait"))),
    )
)]
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    if api.shutdown.is_cancelled() {
        return Err(Problem::not_ready("the server is shutting down"));
    }
    let mut newest = api.readiness.0.lock().await;
    let result = match &*newest {
        Some((when, result)) if when.elapsed() < REMEMBERED => result.clone(),
        _ => {
            let result = check(&api).await;
            *newest = Some((Instant::now(), result.clone()));
            result
        }
    };
    result.map(|()| answer::json(&HealthView { status: "ok" }))
}

async fn check(api: &Api) -> Result<(), Problem> {
    match timeout(CHECK_TIMEOUT, api.store.check()).await {
        Ok(Ok(())) if api.health.dispatcher_stalled() => {
            tracing::warn!("not ready: the dispatcher has stalled");
            Err(Problem::not_ready("the dispatcher has stalled"))
        }
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the store cannot commit");
            Err(Problem::not_ready("the store cannot commit"))
        }
        Err(_) => {
            tracing::warn!("not ready: the store did not answer in time");
            Err(Problem::not_ready("the store did not answer in time"))
        }
    }
}
