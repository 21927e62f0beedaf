//! Publishing one event: the hot path.
//!
//! The body is split into raw members, the envelope is built once, and the store makes it durable
//! together with everything that is owed for it. What happens after the 201 is the dispatcher's.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, HeaderValue};
use tidings_domain::{
    api_key::Scope, company::CompanyId, event::Event, event_type::EventType, id::EventId,
    json_object::JsonObject, time::UtcMillis,
};
use tidings_store::{Appended, Publication, StoreError};
use utoipa::ToSchema;

use crate::{
    answer,
    body::Accepts,
    call::Call,
    caller,
    envelope::Envelope,
    fields::Form,
    idempotency::{self, IDEMPOTENCY_REPLAYED, Kind},
    large_answer,
    openapi::{CompanyIdSchema, MetadataSchema, PayloadSchema},
    overload::AnswerRoom,
    problem::{Code, FieldError, Problem},
    state::Api,
    values,
};

/// Bytes that an envelope has beside what its publisher sent: at most so many.
pub(crate) const ENVELOPE_OWN_BYTES_MAX: usize = 256;

/// An event as its publisher describes it.
#[derive(Debug, ToSchema)]
#[schema(as = PublishRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft<'a> {
    /// What happened, by convention `{domain}.{action}`: dot-separated segments of `a-z 0-9 _ -`.
    /// Upper case is accepted and folded to lower.
    #[schema(rename = "type", value_type = String, min_length = 1, max_length = 128,
        example = "client.created")]
    pub(crate) event_type: EventType,
    /// What there is to say about it. Kept byte for byte; nested at most 100 deep.
    #[schema(value_type = PayloadSchema, inline)]
    pub(crate) payload: JsonObject<'a>,
    /// What is not part of the matter itself, such as a trace id. Kept byte for byte; `{}`, if not
    /// given.
    #[schema(value_type = Option<MetadataSchema>, inline, nullable = false)]
    pub(crate) metadata: JsonObject<'a>,
    /// When it happened; now, if not given.
    #[schema(rename = "createdUtc", value_type = Option<String>, format = DateTime)]
    pub(crate) created: Option<UtcMillis>,
    /// Whose event it is. Needed with a platform key, and may be in the query instead.
    #[schema(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    #[expect(
        dead_code,
        reason = "describes a member that is read with the caller in view"
    )]
    company: (),
}

impl<'a> Draft<'a> {
    /// Reads everything but the company.
    pub(crate) fn read(form: &mut Form<'a>) -> Option<Self> {
        let event_type = form.required("type", values::event_type);
        let payload = form.required("payload", values::object);
        let metadata = form.present("metadata", values::object);
        let created = form.optional("createdUtc", values::instant);
        Some(Self {
            event_type: event_type?,
            payload: payload?,
            metadata: metadata.unwrap_or(JsonObject::EMPTY),
            created,
            company: (),
        })
    }

    /// The event, with an id of its own.
    pub(crate) fn into_event(self, api: &Api, company: &CompanyId, now: UtcMillis) -> Arc<Event> {
        Arc::new(Event::new(
            EventId::new(now, api.random.as_ref()),
            self.event_type,
            self.created.unwrap_or(now),
            company.clone(),
            self.payload,
            self.metadata,
        ))
    }
}

/// Publish an event
///
/// 201 means that the event, and everything that is owed for it, is durable. The answer is the
/// envelope, with the very bytes of `payload` and `metadata`.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    operation_id = "publishEvent",
    tag = "Events",
    security(("apiKey" = ["events:write"]), ("bearer" = ["events:write"])),
    params(
        ("companyId" = inline(Option<CompanyIdSchema>), Query, description = "See the body."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 255 printable ASCII characters, kept for 24 hours per company. \
                The same key with the same request gives the first answer again.",
            example = "order-4711-paid"),
    ),
    request_body = Draft<'_>,
    responses(
        (status = 201, description = "Stored, with everything that is owed for it", body = Envelope,
            headers(
                ("Location" = String, description = "Path of the event"),
                ("Idempotency-Replayed" = String,
                    description = "`true` where this answer was given before"),
            )),
        (status = 409, description = "The first request with this Idempotency-Key is still running",
            body = crate::problem::ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn publish(
    State(api): State<Arc<Api>>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let bytes_max = api.limits.event_bytes_max;
    let (caller, body) = call
        .receive(&api, body, Scope::EventsWrite, bytes_max, Accepts::Json)
        .await?;
    let mut query = call.query();
    let in_query = query.company();
    query.finish()?;
    let mut form = Form::read(&body.bytes)?;
    let draft = Draft::read(&mut form);
    let company = caller::company_for(caller, &mut form, in_query)?;
    let (company, drafts) = finish(&api, Kind::Single, form, company, vec![draft]).await?;
    // Before anything is stored: a publisher who is refused may send it again.
    let mut room = AnswerRoom::none_yet(caller.company.as_ref());
    room.grow_to(&api.overload, body.bytes.len() + ENVELOPE_OWN_BYTES_MAX)?;
    let stored = append(&api, &call.headers, Kind::Single, company, drafts).await?;
    let [event] = stored.events.as_slice() else {
        return Err(Problem::internal("one event did not come back as one"));
    };
    let location = format!("/api/v1/events/{}", event.id());
    let response = answer::created(answer::json_bytes(event.json().clone()), location);
    Ok(large_answer::pin(stored.mark(response), room))
}

/// What was read, if nothing was wrong with it; else all that was, the schemas of the catalog
/// included. A draft is none where its type or its payload could not be read.
pub(crate) async fn finish<'a>(
    api: &Api,
    kind: Kind,
    mut form: Form<'a>,
    company: Option<CompanyId>,
    drafts: Vec<Option<Draft<'a>>>,
) -> Result<(CompanyId, Vec<Draft<'a>>), Problem> {
    if !form.is_sound() && api.payload_check.refuses() {
        let now = api.clock.now();
        let readable = drafts.iter().enumerate();
        let readable = readable.filter_map(|(index, draft)| Some((index, draft.as_ref()?)));
        let judged = judge(api, kind, readable, now).await;
        // The request is refused anyway; that the store does not answer is told to a better one.
        form.refuse_all(judged.unwrap_or_default());
    }
    form.finish(company.zip(drafts.into_iter().collect()))
}

/// What is wrong with the payloads of drafts by the schemas of their types.
async fn judge<'a>(
    api: &Api,
    kind: Kind,
    drafts: impl Iterator<Item = (usize, &'a Draft<'a>)>,
    now: UtcMillis,
) -> Result<Vec<FieldError>, StoreError> {
    let pointer = |index: usize| match kind {
        Kind::Single => String::new(),
        Kind::Batch => format!("/events/{index}"),
    };
    let payloads = drafts.map(|(index, draft)| (pointer(index), &draft.event_type, draft.payload));
    api.payload_check
        .judge(api.store.as_ref(), now, payloads)
        .await
}

/// Events that are durable.
pub(crate) struct Stored {
    /// In the order of the request.
    pub(crate) events: Vec<Arc<Event>>,
    replayed: bool,
}

impl Stored {
    /// What came of a publication of these events.
    fn of(appended: Appended, events: Vec<Arc<Event>>) -> Result<Self, Problem> {
        match appended {
            Appended::Stored => Ok(Self {
                events,
                replayed: false,
            }),
            Appended::Replayed(events) => Ok(Self {
                events,
                replayed: true,
            }),
            Appended::KeyReused => Err(Problem::new(
                Code::IdempotencyKeyReused,
                "the Idempotency-Key was used for another request",
            )),
        }
    }

    /// Says so where the answer was given before.
    pub(crate) fn mark(&self, mut response: Response) -> Response {
        if self.replayed {
            let replayed = HeaderValue::from_static("true");
            response
                .headers_mut()
                .insert(IDEMPOTENCY_REPLAYED, replayed);
        }
        response
    }
}

/// Makes events of drafts and stores them: all or nothing, and once for each idempotency key.
pub(crate) async fn append(
    api: &Api,
    headers: &HeaderMap,
    kind: Kind,
    company: CompanyId,
    drafts: Vec<Draft<'_>>,
) -> Result<Stored, Problem> {
    let now = api.clock.now();
    let key = idempotency::key_of(headers)?;
    let promise = key.map(|key| idempotency::promise(&key, kind, &company, &drafts, now));
    let running = promise.as_ref();
    let running = running.map(|promise| api.in_flight.begin(&company, &promise.key));
    let _running = running.transpose()?;
    let violations = judge(api, kind, drafts.iter().enumerate(), now).await?;
    if !violations.is_empty() {
        // What was accepted stays so, however the catalog has changed since.
        let used = match &promise {
            Some(promise) => api.store.replayed(&company, promise, now).await?,
            None => None,
        };
        return match used {
            Some(used) => Stored::of(used, Vec::new()),
            None => Err(Problem::invalid(violations)),
        };
    }
    let events: Vec<Arc<Event>> = drafts
        .into_iter()
        .map(|draft| draft.into_event(api, &company, now))
        .collect();
    let publication = Publication {
        company,
        events: events.clone(),
        idempotency: promise,
        now,
    };
    Stored::of(api.store.append(publication).await?, events)
}
