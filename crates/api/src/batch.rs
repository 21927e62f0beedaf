//! Publishing many events at once, all or nothing.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::value::RawValue;
use tidings_domain::{
    api_key::{ApiKey, Scope},
    company::CompanyId,
};
use utoipa::ToSchema;

use crate::{
    answer,
    body::Accepts,
    call::Call,
    caller::{self, COMPANY_NEEDED},
    envelope::{Envelope, joined},
    fields::Form,
    idempotency::Kind,
    large_answer,
    openapi::CompanyIdSchema,
    overload::AnswerRoom,
    problem::Problem,
    publish::{Draft, ENVELOPE_OWN_BYTES_MAX, append, finish},
    state::Api,
    values,
};

/// The most events of one batch.
const BATCH_EVENTS_MAX: usize = 1000;

/// Events to publish, all of one company.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the request; its fields are read one by one"
)]
pub(crate) struct BatchRequest {
    /// In the order in which they are stored.
    #[schema(value_type = Vec<Draft<'_>>, min_items = 1, max_items = 1000)]
    events: (),
    /// Whose events they are. Needed with a platform key, unless each event names it.
    #[schema(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company_id: (),
}

/// The events of a batch.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the answer, which is joined from stored envelopes"
)]
pub(crate) struct BatchResponse {
    /// In the order of the request.
    #[schema(value_type = Vec<Envelope>)]
    events: (),
}

/// Publish up to 1000 events
///
/// All or nothing: if one of them is not allowed, the answer is 422 with its index in `errors`, and
/// none is stored. The body may be up to 8 MiB.
#[utoipa::path(
    post,
    path = "/api/v1/events/batch",
    operation_id = "publishBatch",
    tag = "Events",
    security(("apiKey" = ["events:write"]), ("bearer" = ["events:write"])),
    params(
        ("companyId" = inline(Option<CompanyIdSchema>), Query, description = "See the body."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 255 printable ASCII characters, kept for 24 hours per company.",
            example = "import-2026-11-23"),
    ),
    request_body = BatchRequest,
    responses(
        (status = 201, description = "All of them are stored, with everything that is owed for them",
            body = BatchResponse,
            headers(("Idempotency-Replayed" = String,
                description = "`true` where this answer was given before"))),
        (status = 409, description = "The first request with this Idempotency-Key is still running",
            body = crate::problem::ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn publish_batch(
    State(api): State<Arc<Api>>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let bytes_max = api.limits.batch_bytes_max;
    let (caller, body) = call
        .receive(&api, body, Scope::EventsWrite, bytes_max, Accepts::Json)
        .await?;
    let mut query = call.query();
    let in_query = query.company();
    query.finish()?;
    let mut form = Form::read(&body.bytes)?;
    let items = form.required("events", |value| {
        let items = values::array(value, BATCH_EVENTS_MAX + 1)?;
        if (1..=BATCH_EVENTS_MAX).contains(&items.len) {
            Ok(items.items)
        } else {
            Err(format!("must have 1 to {BATCH_EVENTS_MAX} events").into())
        }
    });
    let items = items.unwrap_or_default();
    let (company, drafts) = read_items(&api, caller, &mut form, items, in_query)?;
    let (company, drafts) = finish(&api, Kind::Batch, form, company, drafts).await?;
    // As for a single event.
    let mut room = AnswerRoom::none_yet(caller.company.as_ref());
    let own_bytes = drafts.len() * ENVELOPE_OWN_BYTES_MAX;
    room.grow_to(&api.overload, body.bytes.len() + own_bytes)?;
    let stored = append(&api, &call.headers, Kind::Batch, company, drafts).await?;
    let envelopes = stored.events.iter().map(|event| event.json());
    let json: Bytes = joined(r#"{"events":["#, envelopes, "]}");
    let response = answer::with_status(answer::json_bytes(json), StatusCode::CREATED);
    Ok(large_answer::pin(stored.mark(response), room))
}

/// Reads the events and finds the one company that they belong to. What is not allowed is none, and
/// noted in `form`.
fn read_items<'a>(
    api: &Api,
    caller: &ApiKey,
    form: &mut Form<'a>,
    items: Vec<&'a RawValue>,
    in_query: Option<CompanyId>,
) -> Result<(Option<CompanyId>, Vec<Option<Draft<'a>>>), Problem> {
    let item_bytes_max = api.limits.event_bytes_max;
    let mut read = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let mut inner = Form::within(item, format!("/events/{index}"))?;
        if item.get().len() > item_bytes_max {
            inner.refuse_whole(format!("must be at most {item_bytes_max} bytes"));
        }
        let draft = Draft::read(&mut inner);
        let company = inner.attempt("companyId", values::company);
        read.push((inner, draft, company));
    }
    let by_items = read
        .iter()
        .find_map(|(_, _, company)| company.clone().flatten());
    let in_body = form.attempt("companyId", values::company);
    let unreadable = in_body.is_none() || read.iter().any(|(_, _, company)| company.is_none());
    let whole = named_for_all(caller, form, in_body.flatten(), in_query)?;
    let company = whole.clone().or(by_items);
    if company.is_none() && !unreadable {
        form.refuse("companyId", COMPANY_NEEDED);
    }
    let mut drafts = Vec::with_capacity(read.len());
    for (mut inner, draft, named) in read {
        match named {
            Some(Some(named)) => {
                caller::reach(caller, Some(named.clone()))?;
                if company.as_ref() != Some(&named) {
                    inner.refuse("companyId", "must be the same in the whole batch");
                }
            }
            Some(None) if whole.is_none() && company.is_some() => {
                inner.refuse("companyId", COMPANY_NEEDED);
            }
            _ => {}
        }
        drafts.push(draft);
        form.absorb(inner);
    }
    Ok((company, drafts))
}

/// The company that key, body or query name for the whole batch.
fn named_for_all(
    caller: &ApiKey,
    form: &mut Form<'_>,
    in_body: Option<CompanyId>,
    in_query: Option<CompanyId>,
) -> Result<Option<CompanyId>, Problem> {
    match (
        caller::reach(caller, in_body)?,
        caller::reach(caller, in_query)?,
    ) {
        (Some(body), Some(query)) if body != query => {
            form.refuse("companyId", "must be the same in body and query");
            Ok(None)
        }
        (body, query) => Ok(body.or(query)),
    }
}
