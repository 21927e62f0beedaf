//! The description of the API: a snapshot, and sound in itself.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::App;

fn snapshot() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
}

/// With `UPDATE_OPENAPI=1`, as `cargo xtask openapi` sets it, the file is written instead.
#[test]
fn openapi_json_is_the_snapshot() {
    let json = tidings_api::openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(snapshot(), &json).unwrap();
    }
    let stored = std::fs::read_to_string(snapshot()).unwrap_or_default();
    assert!(
        stored == json,
        "the API's description changed; look at it with: cargo xtask openapi"
    );
}

#[tokio::test]
async fn openapi_is_served_to_anybody() {
    let app = App::new();
    let answer = app.get("", "/api/v1/openapi.json").await;
    assert_eq!(
        (answer.status.as_u16(), answer.field("content-type")),
        (200, "application/json")
    );
    assert_eq!(answer.json(), tidings_api::openapi_document());
    assert_eq!(answer.json()["openapi"], "3.1.0");
}

#[test]
fn openapi_references_lead_somewhere() {
    fn check(value: &Value, document: &Value, seen: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    *seen += 1;
                }
                members
                    .values()
                    .for_each(|value| check(value, document, seen));
            }
            Value::Array(items) => items.iter().for_each(|value| check(value, document, seen)),
            _ => {}
        }
    }
    let document = tidings_api::openapi_document();
    let mut seen = 0;
    check(&document, &document, &mut seen);
    assert!(seen > 100, "{seen}");
}

#[test]
fn openapi_describes_every_operation_in_full() {
    let document = tidings_api::openapi_document();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{place}: an id used twice");
            assert!(operation["summary"].is_string(), "{place}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{place}"
            );
            if path.starts_with("/api/v1/") {
                for status in ["401", "403", "429", "503"] {
                    assert!(responses.contains_key(status), "{place} {status}");
                }
                let security = operation["security"].as_array().unwrap();
                assert_eq!(security.len(), 2, "{place}");
            }
            assert_eq!(path.contains('{'), responses.contains_key("404"), "{place}");
            if !operation["requestBody"].is_null() {
                for status in ["400", "413", "415", "422"] {
                    assert!(responses.contains_key(status), "{place} {status}");
                }
            }
            for parameter in path.split('{').skip(1) {
                let name = parameter.split('}').next().unwrap();
                let listed = operation["parameters"].as_array().unwrap().iter();
                assert!(
                    listed.clone().any(|one| one["name"] == name),
                    "{place} {name}"
                );
            }
        }
    }
    let rotation =
        "/paths/~1api~1v1~1webhooks~1subscriptions~1{id}~1secret~1rotate/post/requestBody";
    assert_eq!(document.pointer(rotation).unwrap()["required"], false);
    assert_eq!(ids.len(), 29);
    let webhook = &document["webhooks"]["event"]["post"];
    assert_eq!(webhook["parameters"].as_array().unwrap().len(), 7);
}

/// Every request and every answer with a body has an example, which is what its schema says.
#[test]
fn openapi_shows_an_example_of_everything() {
    let document = tidings_api::openapi_document();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().into_iter().flatten();
            let responses = responses.map(|(status, response)| (status.as_str(), response));
            let bodies = operation
                .get("requestBody")
                .map(|body| ("request", body))
                .into_iter()
                .chain(responses);
            for (what, body) in bodies {
                let body = resolve(&document, body);
                for content in body["content"].as_object().into_iter().flatten() {
                    let place = format!("{method} {path} {what} {}", content.0);
                    check_example(&document, &place, content.1);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

fn check_example(document: &Value, place: &str, content: &Value) {
    let example = content.get("example");
    let example = example.unwrap_or_else(|| panic!("{place} has no example"));
    let schema = serde_json::json!({
        "components": document["components"],
        "allOf": [content["schema"]],
    });
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(example)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{place}: {errors:#?}");
}
