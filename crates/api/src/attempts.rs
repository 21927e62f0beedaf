//! The delivery log of a subscription, as it is shown.

use std::{borrow::Cow, sync::Arc};

use axum::{extract::State, response::Response};
use serde::{Serialize, Serializer};
use tidings_domain::{
    api_key::Scope,
    attempt::{Attempt, AttemptOutcome},
    cursor::Order,
    event_type::EventType,
    id::{AttemptId, EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{AttemptFilter, OutcomeFilter};
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Call, PathIds},
    paging::{Asked, Listing},
    problem::Problem,
    query::Query,
    state::Api,
};

/// Header fields as a JSON object: fields of the same name are one member, joined with commas
/// (RFC 9110, section 5.3).
struct HeaderObject<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> HeaderObject<'a> {
    fn new(fields: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> Self {
        let mut members: Vec<(&str, Cow<'_, str>)> = Vec::new();
        for (name, value) in fields {
            let same = |member: &&mut (&str, Cow<'_, str>)| member.0.eq_ignore_ascii_case(name);
            match members.iter_mut().find(same) {
                Some((_, values)) => {
                    let values = values.to_mut();
                    values.push_str(", ");
                    values.push_str(&value);
                }
                None => members.push((name, value)),
            }
        }
        Self(members)
    }
}

impl Serialize for HeaderObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// One attempt: an HTTP request made for a delivery, and what came of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
struct AttemptView<'a> {
    /// `att_…`.
    #[schema(value_type = String, example = "att_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    id: AttemptId,
    /// To whom.
    #[schema(value_type = String, example = "sub_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    subscription_id: SubscriptionId,
    /// Of what.
    #[schema(value_type = String, example = "evt_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    event_id: EventId,
    /// The event's type.
    #[schema(value_type = String, example = "client.created")]
    event_type: &'a str,
    /// Number within its delivery.
    #[schema(minimum = 1, example = 1)]
    attempt: u32,
    /// When it began.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T08:30:00.000Z")]
    attempted_utc: UtcMillis,
    /// `succeeded` (2xx) or `failed`.
    #[schema(pattern = "^(succeeded|failed)$", example = "failed")]
    outcome: &'static str,
    /// The status of the answer; null where there was none.
    #[schema(required = true, example = 503)]
    status_code: Option<u16>,
    /// Null, or why it failed.
    #[schema(required = true, value_type = Option<String>, example = "status",
        pattern = "^(timeout|dns|connect|tls|blockedAddress|redirect|protocol|status)$")]
    error: Option<&'static str>,
    /// From connecting to the verdict.
    #[schema(example = 42)]
    elapsed_ms: u32,
    /// The body of the answer, at most 4000 characters; null where there was none.
    #[schema(required = true)]
    response_body: Option<&'a str>,
    /// Whether there was more of it.
    response_body_truncated: bool,
    /// Where it was sent.
    #[schema(example = "https://example.com/hooks")]
    request_url: &'a str,
    /// The header fields that were sent.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    request_headers: HeaderObject<'a>,
    /// The header fields of the answer; empty where there was none.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    response_headers: HeaderObject<'a>,
    /// When the next attempt is due; null after the last.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    next_attempt_utc: Option<UtcMillis>,
}

impl<'a> From<&'a Attempt> for AttemptView<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        let (outcome, error) = match attempt.outcome {
            AttemptOutcome::Succeeded => ("succeeded", None),
            AttemptOutcome::Failed(error) => ("failed", Some(error.as_str())),
        };
        let response = &attempt.response;
        let sent = attempt.request_headers().into_iter();
        let received = response.headers.iter();
        Self {
            id: attempt.id,
            subscription_id: attempt.subscription,
            event_id: attempt.event,
            event_type: attempt.event_type.as_str(),
            attempt: attempt.number,
            attempted_utc: attempt.attempted,
            outcome,
            status_code: response.status,
            error,
            elapsed_ms: attempt.elapsed_ms,
            response_body: response.status.map(|_| response.body.as_str()),
            response_body_truncated: response.body_truncated,
            request_url: &attempt.request.url,
            request_headers: HeaderObject::new(sent.map(|(name, value)| (name, value.into()))),
            response_headers: HeaderObject::new(
                received.map(|(name, value)| (name.as_str(), value.as_str().into())),
            ),
            next_attempt_utc: attempt.next_attempt,
        }
    }
}

/// Which attempts to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query, whose parameters are read one by one"
)]
pub(crate) struct AttemptListQuery {
    /// Only with this outcome.
    #[param(value_type = Option<String>, pattern = "^(succeeded|failed)$")]
    outcome: (),
    /// Only of this event type.
    #[param(rename = "eventType", value_type = Option<String>, example = "client.created")]
    event_type: (),
    /// Only of this event.
    #[param(rename = "eventId", value_type = Option<String>)]
    event_id: (),
    /// At most so many.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    limit: (),
    /// `X-Paging-Cursor` of an earlier answer: go on from there.
    #[param(value_type = Option<String>)]
    cursor: (),
    /// `desc`: newest first. `asc`: oldest first.
    #[param(value_type = Option<String>, default = "desc", pattern = "^(asc|desc)$")]
    order: (),
}

/// What a request, or the cursor that it gives, filters by.
#[derive(Debug, Default)]
struct Filters {
    outcome: Option<OutcomeFilter>,
    event_type: Option<EventType>,
    event: Option<EventId>,
}

impl Filters {
    fn read(query: &mut Query<'_>) -> Self {
        Self {
            outcome: query.optional("outcome", |text| match text {
                "succeeded" => Ok(OutcomeFilter::Succeeded),
                "failed" => Ok(OutcomeFilter::Failed),
                _ => Err("must be succeeded or failed"),
            }),
            event_type: query.optional("eventType", EventType::parse),
            event: query.optional("eventId", EventId::parse),
        }
    }

    /// As query parameters in one order, which is a normal form; none where nothing is given.
    fn normal_form(&self) -> Option<Vec<String>> {
        let outcome = self.outcome.map(|outcome| match outcome {
            OutcomeFilter::Succeeded => "outcome=succeeded".to_owned(),
            OutcomeFilter::Failed => "outcome=failed".to_owned(),
        });
        let event_type = self.event_type.as_ref();
        let parameters: Vec<String> = outcome
            .into_iter()
            .chain(event_type.map(|event_type| format!("eventType={event_type}")))
            .chain(self.event.map(|event| format!("eventId={event}")))
            .collect();
        (!parameters.is_empty()).then_some(parameters)
    }

    /// Reads [`Filters::normal_form`] back.
    fn of_normal_form(parameters: &[String]) -> Self {
        let query = parameters.join("&");
        Self::read(&mut Query::read(Some(&query)))
    }
}

/// Read the delivery log
///
/// Every attempt made for the subscription, newest first. It stays readable when the subscription
/// is deleted.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/subscriptions/{id}/attempts",
    operation_id = "listAttempts",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    params(("id" = String, Path, description = "`sub_…`"), AttemptListQuery),
    responses((status = 200, description = "A page, possibly empty", body = Vec<AttemptView<'_>>,
        headers(
            ("X-Paging-Cursor" = String, description = "Where to go on"),
            ("X-Paging-Has-More" = String, description = "`true` where more follow"),
            ("Link" = String, description = "The next page, with `rel=\"next\"`, where there is more"),
        )))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::WebhooksRead)?;
    let company = call.company(caller)?;
    let subscription = ids.subscription()?;
    let mut query = call.query();
    let asked = Asked::read(&mut query);
    let given = Filters::read(&mut query);
    query.finish()?;
    let owner = subscription.to_string();
    let place = asked.place(
        &api,
        Listing {
            name: "attempts",
            owner: Some(&owner),
            filters: given.normal_form(),
            default_order: Order::Descending,
            has_now: false,
        },
    )?;
    let filters = Filters::of_normal_form(&place.filters);
    let filter = AttemptFilter {
        subscription,
        outcome: filters.outcome,
        event_type: filters.event_type,
        event: filters.event,
        order: place.order,
        after: place.after(),
        limit: place.limit,
    };
    let page = api.store.attempts(company.as_ref(), filter).await?;
    let page = page.ok_or_else(|| Problem::not_found("subscription"))?;
    let views: Vec<AttemptView<'_>> = page.attempts.iter().map(Into::into).collect();
    let json = serde_json::to_vec(&views).unwrap_or_default().into();
    Ok(place.answer(&api, call.path(), json, page.next, page.has_more))
}
