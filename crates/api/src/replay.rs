//! Replay: owing a window of events to a subscription once more.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use tidings_domain::{api_key::Scope, time::UtcMillis};
use tidings_store::{ReplayScope, ReplayWindow, Replayed, StoreError, audit_log};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{
    answer, audit,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    fields::Form,
    problem::{Code, Problem},
    state::Api,
    values,
};

/// Which events to replay.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Replay)]
pub(crate) struct ReplayFields {
    /// Events whose `createdUtc` is this or later.
    #[schema(rename = "sinceUtc", value_type = String, format = DateTime,
        example = "2026-11-22T00:00:00Z")]
    since: UtcMillis,
    /// And earlier than this; if not given, everything that is stored by now.
    #[schema(rename = "untilUtc", value_type = Option<String>, format = DateTime)]
    until: Option<UtcMillis>,
    /// `failed`: those that did not succeed there, the missed ones included. `all`: those that did,
    /// too.
    #[schema(value_type = String, pattern = "^(failed|all)$", example = "failed")]
    only: ReplayScope,
}

/// How many are owed now.
#[derive(Serialize, ToSchema)]
#[schema(as = Replayed)]
struct ReplayView {
    /// Deliveries.
    #[schema(example = 42)]
    replayed: u64,
}

impl ReplayFields {
    fn read(mut form: Form<'_>) -> Result<Self, Problem> {
        let since = form.required("sinceUtc", values::instant);
        let until = form.optional("untilUtc", values::instant);
        let only = form.required("only", |value| {
            values::word(value, ReplayScope::parse, "failed, all")
        });
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            form.refuse("untilUtc", "must be later than sinceUtc");
        }
        let fields = since
            .zip(only)
            .map(|(since, only)| Self { since, until, only });
        form.finish(fields)
    }
}

/// Replay events
///
/// Owes the events of a window that match the subscription's types to it once more, with attempts
/// counted from 1 and 24 hours of their own. One that breaks off, or that the server's stop ends
/// (503), leaves what it has asked for so far; what waits already is not asked for again. A company
/// has at most 4 replays under way; beyond it the answer is 503.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/subscriptions/{id}/replay",
    operation_id = "replayEvents",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`sub_…`")),
    request_body = ReplayFields,
    responses(
        (status = 202, description = "Owed again", body = ReplayView),
        (status = 409, description = "The subscription is disabled",
            body = crate::problem::ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn replay(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
    body: Body,
) -> Result<Response, Problem> {
    let (caller, body) = call
        .receive(
            &api,
            body,
            Scope::WebhooksWrite,
            SMALL_BODY_BYTES_MAX,
            Accepts::Json,
        )
        .await?;
    let company = call.company(caller)?;
    let id = ids.subscription()?;
    let fields = ReplayFields::read(Form::read(&body.bytes)?)?;
    let window = ReplayWindow {
        since: fields.since,
        until: fields.until,
        scope: fields.only,
    };
    let by = call.actor(caller);
    let replayed = call.see_through(async move {
        let now = api.clock.now();
        let owner = audit::owner(&api, company.as_ref(), id).await?;
        let share = owner.as_ref().map(|owner| api.overload.admit_replay(owner));
        let _share = share.transpose()?;
        let queued = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&queued);
        let progress = Arc::new(move |queued| counted.store(queued, Ordering::Relaxed));
        let store = &api.store;
        let replay = store.replay(company.as_ref(), id, window, now, Some(progress));
        let end = follow(replay, &queued, &api.shutdown).await;
        if let Some(deliveries) = end.to_record {
            let line = audit_log::replayed(owner, id, window, deliveries, now, &by);
            audit_log::record_what_was_done(api.store.as_ref(), line).await;
        }
        end.outcome
    });
    match replayed.await? {
        Replayed::Queued(replayed) => {
            let response = answer::json(&ReplayView { replayed });
            Ok(answer::with_status(response, StatusCode::ACCEPTED))
        }
        Replayed::NoSubscription => Err(Problem::not_found("subscription")),
        Replayed::Disabled => Err(Problem::new(
            Code::SubscriptionDisabled,
            "the subscription is disabled and owed nothing; enable it first",
        )),
    }
}

/// How a replay ended.
struct End {
    outcome: Result<Replayed, Problem>,
    /// The deliveries that the audit log is to tell of; none where nothing was done.
    to_record: Option<u64>,
}

/// Runs a replay to its end, or until the server is asked to stop: it may take longer than the
/// server has then. `queued` is how far it tells that it is.
async fn follow(
    replay: impl Future<Output = Result<Replayed, StoreError>>,
    queued: &AtomicU64,
    shutdown: &CancellationToken,
) -> End {
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        ended = replay => Some(ended),
    };
    let queued = queued.load(Ordering::Relaxed);
    let where_any = (queued > 0).then_some(queued);
    match ended {
        Some(Ok(Replayed::Queued(deliveries))) => End {
            outcome: Ok(Replayed::Queued(deliveries)),
            to_record: Some(deliveries),
        },
        // Disabled or deleted meanwhile.
        Some(Ok(replayed)) => End {
            outcome: Ok(replayed),
            to_record: where_any,
        },
        Some(Err(error)) => End {
            outcome: Err(error.into()),
            to_record: where_any,
        },
        // The step under way may be done all the same, so there is a line in any case.
        None => End {
            outcome: Err(Problem::overloaded(
                "the server is being stopped and the replay is not complete; ask for it again",
            )),
            to_record: Some(queued),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// What is recorded of a replay that ends so after so many deliveries.
    async fn recorded(ended: Result<Replayed, StoreError>, queued: u64) -> Option<u64> {
        let shutdown = CancellationToken::new();
        let queued = AtomicU64::new(queued);
        follow(ready(ended), &queued, &shutdown).await.to_record
    }

    #[tokio::test]
    async fn whatever_was_asked_for_is_recorded_however_it_ended() {
        let broken = || Err(StoreError::Unavailable("as a test".into()));
        for (ended, queued, expected) in [
            (Ok(Replayed::Queued(3)), 2, Some(3)),
            (Ok(Replayed::Queued(0)), 0, Some(0)),
            (Ok(Replayed::Disabled), 2, Some(2)),
            (Ok(Replayed::Disabled), 0, None),
            (Ok(Replayed::NoSubscription), 2, Some(2)),
            (Ok(Replayed::NoSubscription), 0, None),
            (broken(), 2, Some(2)),
            (broken(), 0, None),
        ] {
            assert_eq!(recorded(ended, queued).await, expected, "{queued}");
        }
    }

    #[tokio::test]
    async fn the_servers_stop_ends_it() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let end = follow(pending(), &AtomicU64::new(5), &shutdown).await;
        assert!(end.outcome.is_err());
        assert_eq!(end.to_record, Some(5));
    }
}
