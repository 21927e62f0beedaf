//! What became of an event at each subscription, and delivering it once more.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use tidings_domain::{
    api_key::Scope,
    attempt::AttemptError,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{DeliveryState, DeliveryTrace, Redelivered, audit_log};
use utoipa::ToSchema;

use crate::{
    answer, audit,
    call::{Call, PathIds},
    problem::{Code, Problem},
    state::Api,
};

/// What became of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = EventDeliveries)]
struct TraceView {
    /// One for each subscription of the company, the oldest first.
    deliveries: Vec<DeliveryView>,
}

/// What became of an event at one subscription: the newest delivery there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
struct DeliveryView {
    /// To whom.
    #[schema(value_type = String, example = "sub_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    subscription_id: SubscriptionId,
    /// `pending` (not yet attempted), `retrying`, `succeeded`, `failed` (given up), `notMatched`
    /// (not wanted, or the subscription did not exist yet), `disabled`.
    #[schema(
        pattern = "^(pending|retrying|succeeded|failed|notMatched|disabled)$",
        example = "retrying"
    )]
    state: &'static str,
    /// A sentence that says why.
    reason: String,
    /// Attempts so far.
    attempts: u32,
    /// When the next one is due; null where there is none.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    next_attempt_utc: Option<UtcMillis>,
    /// The last attempt's status; null where it had none.
    #[schema(required = true)]
    last_status_code: Option<u16>,
    /// The last attempt's error; null where it succeeded.
    #[schema(required = true)]
    last_error: Option<&'static str>,
}

impl From<DeliveryTrace> for DeliveryView {
    fn from(trace: DeliveryTrace) -> Self {
        Self {
            subscription_id: trace.subscription,
            state: match trace.state {
                DeliveryState::Pending => "pending",
                DeliveryState::Retrying => "retrying",
                DeliveryState::Succeeded => "succeeded",
                DeliveryState::Failed => "failed",
                DeliveryState::NotMatched => "notMatched",
                DeliveryState::Disabled => "disabled",
            },
            reason: trace.reason,
            attempts: trace.attempts,
            next_attempt_utc: trace.next_attempt,
            last_status_code: trace.last_status,
            last_error: trace.last_error.map(AttemptError::as_str),
        }
    }
}

/// See what became of an event
///
/// For every subscription of the company: whether the event was owed there, what became of it, and
/// why.
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}/deliveries",
    operation_id = "listEventDeliveries",
    tag = "Events",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, description = "One line for each subscription", body = TraceView))
)]
pub(crate) async fn deliveries(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::WebhooksRead)?;
    let company = call.company(caller)?;
    let trace = api.store.trace(company.as_ref(), ids.event()?).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("event"))?;
    let deliveries = trace.into_iter().map(DeliveryView::from).collect();
    Ok(answer::json(&TraceView { deliveries }))
}

/// What is owed again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Redelivery)]
struct RedeliveryView {
    /// The event.
    #[schema(value_type = String, example = "evt_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    event_id: EventId,
    /// To whom.
    #[schema(value_type = String, example = "sub_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    subscription_id: SubscriptionId,
}

/// Deliver an event once more
///
/// Makes a new delivery of the same event, due now, with attempts counted from 1 and 24 hours of
/// its own.
#[utoipa::path(
    post,
    path = "/api/v1/events/{id}/deliveries/{subscriptionId}/redeliver",
    operation_id = "redeliverEvent",
    tag = "Events",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(
        ("id" = String, Path, description = "`evt_…`"),
        ("subscriptionId" = String, Path, description = "`sub_…`"),
    ),
    responses(
        (status = 202, description = "Owed again", body = RedeliveryView),
        (status = 409, description = "The subscription is disabled",
            body = crate::problem::ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn redeliver(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::WebhooksWrite)?;
    let company = call.company(caller)?;
    let event = ids.event()?;
    let subscription = ids.subscription_of_event()?;
    let by = call.actor(caller);
    let redelivered = call.see_through(async move {
        let now = api.clock.now();
        let owner = audit::owner(&api, company.as_ref(), subscription).await?;
        let redelivered = api
            .store
            .redeliver(company.as_ref(), event, subscription, now)
            .await?;
        if redelivered == Redelivered::Queued {
            let line = audit_log::redelivered(owner, subscription, event, now, &by);
            audit_log::record_what_was_done(api.store.as_ref(), line).await;
        }
        Ok(redelivered)
    });
    match redelivered.await? {
        Redelivered::Queued => {
            let view = RedeliveryView {
                event_id: event,
                subscription_id: subscription,
            };
            Ok(answer::with_status(
                answer::json(&view),
                StatusCode::ACCEPTED,
            ))
        }
        Redelivered::NoEvent => Err(Problem::not_found("event")),
        Redelivered::NoSubscription => Err(Problem::not_found("subscription")),
        Redelivered::Disabled => Err(Problem::new(
            Code::SubscriptionDisabled,
            "the subscription is disabled and owed nothing; enable it first",
        )),
    }
}
