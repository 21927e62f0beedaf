//! Replay: owing a window of events to a subscription once more.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use tidings_domain::{api_key::Scope, time::UtcMillis};
use tidings_store::{ReplayScope, ReplayWindow, Replayed, audit_log};
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
/// counted from 1 and 24 hours of their own.
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
        let replayed = api
            .store
            .replay(company.as_ref(), id, window, now, None)
            .await?;
        if let Replayed::Queued(deliveries) = replayed {
            let line = audit_log::replayed(owner, id, window, deliveries, now, &by);
            audit::record(&api, line).await;
        }
        Ok(replayed)
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
