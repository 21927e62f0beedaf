//! The `AsyncAPI` document: the catalog as the messages that receivers get, for programs that make
//! code and documentation of it.
//!
//! Source: the `AsyncAPI` specification 3.0.0.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde_json::{Map, Value, json};
use tidings_domain::{api_key::Scope, catalog::CatalogType};

use crate::{answer, call::Call, problem::Problem, state::Api};

/// The channel that stands for a subscription's URL.
const CHANNEL: &str = "subscription";

/// The catalog as an `AsyncAPI` document
///
/// `AsyncAPI` 3.0: one message for each event type of the catalog, as it is delivered to a
/// subscription's URL, with its header fields, its schema and an example. Made anew at each request.
#[utoipa::path(
    get,
    path = "/api/v1/asyncapi.json",
    operation_id = "getAsyncApi",
    tag = "Event types",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "The document", body = Object,
        example = json!({"asyncapi": "3.0.0"})))
)]
pub(crate) async fn serve(State(api): State<Arc<Api>>, call: Call) -> Result<Response, Problem> {
    call.caller(Scope::WebhooksRead)?;
    let types = api.store.event_types().await?;
    Ok(answer::json(&document(&types, api.public_url.as_str())))
}

/// The document of a catalog.
fn document(types: &[CatalogType], server: &str) -> Value {
    let mut messages = Map::new();
    let mut in_channel = Map::new();
    let mut in_operation = Vec::new();
    for entry in types {
        let name = entry.name.as_str();
        messages.insert(name.to_owned(), message(entry));
        let reference = format!("#/components/messages/{name}");
        in_channel.insert(name.to_owned(), json!({"$ref": reference}));
        let reference = format!("#/channels/{CHANNEL}/messages/{name}");
        in_operation.push(json!({"$ref": reference}));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidings events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "The event types of the catalog at {server}, as they are delivered: signed HTTP POSTs \
                 (Standard Webhooks 1.0.0), at least once, in approximate order. Types that are not \
                 listed may be delivered as well."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            CHANNEL: {
                "address": null,
                "title": "A subscription's URL",
                "description": "The URL that a company gave for the event types that it wants.",
                "messages": in_channel,
            },
        },
        "operations": {
            "deliver": {
                "action": "send",
                "summary": "Deliver an event to whoever subscribed to its type.",
                "channel": {"$ref": format!("#/channels/{CHANNEL}")},
                "messages": in_operation,
            },
        },
        "components": {
            "messages": messages,
            "schemas": {"DeliveryHeaders": headers()},
        },
    })
}

fn message(entry: &CatalogType) -> Value {
    let name = entry.name.as_str();
    let read =
        |text: &Option<String>| -> Option<Value> { serde_json::from_str(text.as_deref()?).ok() };
    let mut schema = read(&entry.schema).unwrap_or_else(|| json!({"type": "object"}));
    let place = format!("/components/messages/{name}/payload/properties/payload");
    move_references(&mut schema, &place);
    let mut message = json!({
        "name": name,
        "title": name,
        "summary": entry.description,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/DeliveryHeaders"},
        "payload": {
            "type": "object",
            "required": ["id", "type", "createdUtc", "companyId", "payload", "metadata"],
            "properties": {
                "id": {"type": "string", "description": "The same on every attempt: tell duplicates by it."},
                "type": {"const": name},
                "createdUtc": {"type": "string", "format": "date-time"},
                "companyId": {"type": "string"},
                "payload": schema,
                "metadata": {"type": "object"},
            },
        },
    });
    if entry.deprecated {
        message["tags"] = json!([{"name": "deprecated"}]);
    }
    if let Some(sample) = read(&entry.sample_payload) {
        message["examples"] = json!([{
            "name": "sample",
            "payload": {
                "id": "evt_01k3zt5w9hf0bvv8d6n7q2m4xe",
                "type": name,
                "createdUtc": "2026-01-31T08:00:00.000Z",
                "companyId": "acme",
                "payload": sample,
                "metadata": {},
            },
        }]);
    }
    message
}

/// Makes a schema's references to its own parts hold where it stands within the document: a JSON
/// pointer begins at the root of the whole.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Array(schemas) => {
            for schema in schemas {
                move_references(schema, place);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    // Values, in which everything means itself.
                    ("const" | "enum" | "default" | "examples", _) => {}
                    // Schemas by names that people choose.
                    (
                        "properties" | "patternProperties" | "dependentSchemas" | "$defs"
                        | "definitions",
                        Value::Object(named),
                    ) => {
                        for schema in named.values_mut() {
                            move_references(schema, place);
                        }
                    }
                    ("$ref", Value::String(to)) if to.as_str() == "#" || to.starts_with("#/") => {
                        to.insert_str(1, place);
                    }
                    (_, value) => move_references(value, place),
                }
            }
        }
        _ => {}
    }
}

/// The header fields of every delivery.
fn headers() -> Value {
    let field = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        "properties": {
            "webhook-id": field("The event's id."),
            "webhook-timestamp": field("When this attempt was made, in seconds since 1970."),
            "webhook-signature": field("One signature of Standard Webhooks for each secret that is valid, separated by spaces."),
            "X-Hub-Signature-256": field("sha256= and the HMAC-SHA256 of the body, in hexadecimal."),
            "X-Webhook-Event": field("The event's type."),
            "X-Webhook-Subscription": field("The subscription."),
            "X-Webhook-Attempt": field("The number of the attempt, from 1."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_refers_to_its_own_parts_where_it_stands() {
        let mut schema = json!({
            "$defs": {"enum": {"anyOf": [{"$ref": "#"}, {"$ref": "https://example.com/#/x"}]}},
            "properties": {"a": {"items": {"$ref": "#/$defs/enum"}}, "$ref": {"const": {"$ref": "#"}}},
            "examples": [{"$ref": "#"}],
        });
        move_references(&mut schema, "/at");
        assert_eq!(
            schema,
            json!({
                "$defs": {"enum": {"anyOf": [{"$ref": "#/at"}, {"$ref": "https://example.com/#/x"}]}},
                "properties": {
                    "a": {"items": {"$ref": "#/at/$defs/enum"}},
                    "$ref": {"const": {"$ref": "#"}},
                },
                "examples": [{"$ref": "#"}],
            })
        );
    }
}
