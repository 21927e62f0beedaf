//! A test: one signed attempt, made now, of an event that is in no list.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use serde::Serialize;
use tidings_domain::{
    api_key::Scope,
    attempt::{Attempt, AttemptOutcome},
    event_type::EventType,
    json_object::JsonObject,
    test_event::{SAMPLE_PAYLOAD, default_type, test_event},
};
use utoipa::ToSchema;

use crate::{
    answer,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    fields::Form,
    problem::Problem,
    state::Api,
    subscriptions::found,
    values,
};

/// A test. The body may be missing.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TestSubscription)]
pub(crate) struct TestFields<'a> {
    /// The event's type. If not given: the first type that the subscription names exactly, or
    /// `webhook.test`.
    #[schema(rename = "eventType", value_type = Option<String>, example = "client.created")]
    event_type: Option<EventType>,
    /// Whether to send a sample as payload where `samplePayload` is not given; `{}` otherwise.
    #[schema(rename = "useSamplePayload", value_type = Option<bool>, default = true)]
    use_sample_payload: bool,
    /// The payload to send.
    #[schema(rename = "samplePayload", value_type = Option<Object>)]
    sample_payload: Option<JsonObject<'a>>,
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TestResult)]
struct TestView<'a> {
    /// Whether the receiver answered 2xx.
    success: bool,
    /// Its status; null where there was no answer.
    #[schema(required = true, example = 200)]
    status_code: Option<u16>,
    /// From connecting to the verdict.
    #[schema(example = 42)]
    elapsed_ms: u32,
    /// The body of its answer, at most 4000 characters; null where there was no answer.
    #[schema(required = true)]
    response_body: Option<&'a str>,
    /// Whether there was more of it.
    response_body_truncated: bool,
    /// Where it was sent.
    #[schema(example = "https://example.com/hooks")]
    target_url_used: &'a str,
    /// Null, or why it failed.
    #[schema(required = true, value_type = Option<String>,
        pattern = "^(timeout|dns|connect|tls|blockedAddress|redirect|protocol|status)$")]
    error: Option<&'static str>,
}

impl<'a> From<&'a Attempt> for TestView<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        let error = match attempt.outcome {
            AttemptOutcome::Succeeded => None,
            AttemptOutcome::Failed(error) => Some(error.as_str()),
        };
        let response = &attempt.response;
        Self {
            success: error.is_none(),
            status_code: response.status,
            elapsed_ms: attempt.elapsed_ms,
            response_body: response.status.map(|_| response.body.as_str()),
            response_body_truncated: response.body_truncated,
            target_url_used: &attempt.request.url,
            error,
        }
    }
}

/// Send a test event
///
/// Makes one signed attempt, now, also while the subscription is disabled. The event is in no list,
/// and its metadata is `{"test": true}`. A receiver that fails is a result, not an error: the answer
/// is 200 with `success: false`. A company has at most 16 tests under way; beyond it the answer is
/// 503.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/subscriptions/{id}/test",
    operation_id = "testSubscription",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`sub_…`")),
    request_body = Option<TestFields<'_>>,
    responses((status = 200, description = "What came of it", body = TestView<'_>))
)]
pub(crate) async fn test(
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
    let mut form = Form::read_or_empty(&body.bytes)?;
    let fields = TestFields {
        event_type: form.optional("eventType", values::event_type),
        use_sample_payload: form
            .optional("useSamplePayload", values::boolean)
            .unwrap_or(true),
        sample_payload: form.optional("samplePayload", values::object),
    };
    let fields = form.finish(Some(fields))?;
    let subscription = found(&api, company.as_ref(), id).await?;
    let endpoint = api.store.endpoint_as_stored(id).await?;
    let endpoint = endpoint.ok_or_else(|| Problem::not_found("subscription"))?;
    let default = || default_type(&subscription);
    let event_type = fields.event_type.unwrap_or_else(default);
    let listed = api.store.event_type(&event_type).await?;
    let payload = match (fields.sample_payload, &listed) {
        (Some(payload), _) => payload,
        (None, _) if !fields.use_sample_payload => JsonObject::EMPTY,
        (None, Some(listed)) => listed.sample().unwrap_or(SAMPLE_PAYLOAD),
        (None, None) => SAMPLE_PAYLOAD,
    };
    let (now, random) = (api.clock.now(), api.random.as_ref());
    let event = test_event(&subscription, Some(event_type), payload, now, random);
    let _share = api.overload.admit_test(&subscription.company)?;
    let attempt = api.outbound.send_test(endpoint, Arc::new(event)).await;
    Ok(answer::json(&TestView::from(&attempt)))
}
