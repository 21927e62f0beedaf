//! The catalog of event types: what the platform says it publishes. Read by whoever makes
//! subscriptions, changed by the platform alone.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_domain::{
    api_key::Scope,
    catalog::{
        CATALOG_TYPES_MAX, CatalogType, TYPE_DESCRIPTION_CHARS_MAX, TYPE_DOCUMENT_BYTES_MAX,
    },
    event_type::EventType,
};
use tidings_store::TypeSaved;
use utoipa::ToSchema;

use crate::{
    answer,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    caller,
    fields::{Fault, Form},
    payload_check,
    problem::Problem,
    state::Api,
    values,
};

/// What a company's key is told that would change the catalog.
const PLATFORM_ONLY: &str = "the catalog is the platform's: only a key of the platform changes it";

/// An event type of the catalog.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventType)]
pub(crate) struct TypeView<'a> {
    /// Its name.
    #[schema(example = "client.created")]
    name: &'a str,
    /// What it means.
    #[schema(example = "A client was added.")]
    description: &'a str,
    /// A payload as it may be.
    #[schema(required = true, value_type = Option<Object>, example = json!({"client_id": "cl_20417"}))]
    sample_payload: Option<&'a RawValue>,
    /// What payloads must be like: a JSON Schema (2020-12).
    #[schema(required = true, value_type = Option<Object>, example = json!(null))]
    schema: Option<&'a RawValue>,
    /// Whether it should not be used any more.
    deprecated: bool,
}

/// What a type is to be. What is left out is empty.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SaveEventType)]
#[expect(
    dead_code,
    reason = "describes the request; its fields are read one by one"
)]
pub(crate) struct TypeFields {
    /// The name in the path once more, if you like.
    #[schema(value_type = Option<String>, example = "client.created")]
    name: (),
    /// What it means, for people: at most 1000 characters.
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: (),
    /// A payload as it may be: at most 64 KiB.
    #[schema(rename = "samplePayload", value_type = Option<Object>)]
    sample_payload: (),
    /// What payloads must be like: a JSON Schema (2020-12) that stands for itself, at most 64 KiB.
    /// What becomes of a payload that breaks it is a setting of the server.
    #[schema(value_type = Option<Object>)]
    schema: (),
    /// Whether it should not be used any more.
    #[schema(value_type = Option<bool>, default = false)]
    deprecated: (),
}

/// List event types
///
/// The catalog of the whole platform, in the order of the names. Types that are not listed may be
/// published and subscribed to as well.
#[utoipa::path(
    get,
    path = "/api/v1/event-types",
    operation_id = "listEventTypes",
    tag = "Event types",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "All of them", body = Vec<TypeView<'_>>))
)]
pub(crate) async fn list(State(api): State<Arc<Api>>, call: Call) -> Result<Response, Problem> {
    call.caller(Scope::WebhooksRead)?;
    let types = api.store.event_types().await?;
    let views: Result<Vec<_>, _> = types.iter().map(view).collect();
    Ok(answer::json(&views?))
}

/// Read one event type
#[utoipa::path(
    get,
    path = "/api/v1/event-types/{name}",
    operation_id = "getEventType",
    tag = "Event types",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    params(("name" = String, Path, description = "Its name", example = "client.created")),
    responses((status = 200, description = "The type", body = TypeView<'_>))
)]
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    call.caller(Scope::WebhooksRead)?;
    let found = api.store.event_type(&ids.event_type()?).await?;
    let found = found.ok_or_else(|| Problem::not_found("event type"))?;
    Ok(answer::json(&view(&found)?))
}

/// Save an event type
///
/// Makes it, or replaces it as a whole. Only a platform key may.
#[utoipa::path(
    put,
    path = "/api/v1/event-types/{name}",
    operation_id = "saveEventType",
    tag = "Event types",
    security(("apiKey" = ["admin"]), ("bearer" = ["admin"])),
    params(("name" = String, Path, description = "Its name", example = "client.created")),
    request_body = TypeFields,
    responses(
        (status = 200, description = "It was there, and is now as given", body = TypeView<'_>),
        (status = 201, description = "It is new", body = TypeView<'_>,
            headers(("Location" = String, description = "Path of the type"))),
    )
)]
pub(crate) async fn save(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
    body: Body,
) -> Result<Response, Problem> {
    let (caller, body) = call
        .receive(
            &api,
            body,
            Scope::Admin,
            SMALL_BODY_BYTES_MAX,
            Accepts::Json,
        )
        .await?;
    caller::platform_only(caller, PLATFORM_ONLY)?;
    let name = ids.new_event_type()?;
    let entry = read(&name, Form::read(&body.bytes)?)?;
    let saved = api
        .store
        .save_event_type(entry.clone(), api.clock.now(), &call.actor(caller))
        .await?;
    api.payload_check.forget();
    let response = answer::json(&view(&entry)?);
    match saved {
        TypeSaved::Replaced => Ok(response),
        TypeSaved::Created => {
            let location = format!("/api/v1/event-types/{name}");
            Ok(answer::created(response, location))
        }
        TypeSaved::Full => Err(Problem::invalid_field(
            "",
            format!("the catalog has {CATALOG_TYPES_MAX} types, which is the most; delete one"),
        )),
    }
}

/// Delete an event type
///
/// From the catalog alone: events and subscriptions of that type stay as they are. Only a platform
/// key may.
#[utoipa::path(
    delete,
    path = "/api/v1/event-types/{name}",
    operation_id = "deleteEventType",
    tag = "Event types",
    security(("apiKey" = ["admin"]), ("bearer" = ["admin"])),
    params(("name" = String, Path, description = "Its name", example = "client.created")),
    responses((status = 204, description = "It is gone"))
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::Admin)?;
    caller::platform_only(caller, PLATFORM_ONLY)?;
    let name = ids.event_type()?;
    let by = call.actor(caller);
    let deleted = api
        .store
        .delete_event_type(&name, api.clock.now(), &by)
        .await?;
    api.payload_check.forget();
    if deleted {
        Ok(answer::no_content())
    } else {
        Err(Problem::not_found("event type"))
    }
}

fn read(name: &EventType, mut form: Form<'_>) -> Result<CatalogType, Problem> {
    form.optional("name", |value| {
        let given = values::event_type(value)?;
        if given == *name {
            Ok(())
        } else {
            Err(Fault::from("must be the name in the path"))
        }
    });
    let description = form.optional("description", |value| {
        values::people_text(value, TYPE_DESCRIPTION_CHARS_MAX)
    });
    let sample_payload = form.optional("samplePayload", document);
    let schema = form.optional("schema", |value| {
        let text = document(value)?;
        payload_check::check_schema(&text).map_err(Fault::from)?;
        Ok(text)
    });
    let deprecated = form.optional("deprecated", values::boolean);
    form.finish(Some(CatalogType {
        name: name.clone(),
        description: description.unwrap_or_default(),
        sample_payload,
        schema,
        deprecated: deprecated.unwrap_or(false),
    }))
}

/// An object of bounded size, as it was sent.
fn document(value: &RawValue) -> Result<String, Fault> {
    let object = values::object(value)?;
    if object.as_str().len() > TYPE_DOCUMENT_BYTES_MAX {
        return Err(format!("must be at most {TYPE_DOCUMENT_BYTES_MAX} bytes").into());
    }
    Ok(object.as_str().to_owned())
}

fn view(entry: &CatalogType) -> Result<TypeView<'_>, Problem> {
    Ok(TypeView {
        name: entry.name.as_str(),
        description: &entry.description,
        sample_payload: raw(entry.sample_payload.as_deref())?,
        schema: raw(entry.schema.as_deref())?,
        deprecated: entry.deprecated,
    })
}

/// JSON that was checked before it was stored.
fn raw(json: Option<&str>) -> Result<Option<&RawValue>, Problem> {
    json.map(serde_json::from_str)
        .transpose()
        .map_err(|_| Problem::internal("a document of the catalog does not read back"))
}
