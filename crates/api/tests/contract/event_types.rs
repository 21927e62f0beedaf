//! The catalog: read by everybody who makes subscriptions, changed by the platform, and what
//! payloads are judged by where that is asked for.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tidings_api::CatalogEnforcement;

use crate::harness::{App, BOOTSTRAP, EVENTS, SUBSCRIPTIONS, Settings};

const TYPES: &str = "/api/v1/event-types";

async fn put(app: &App, key: &str, name: &str, body: &Value) -> crate::harness::Answer {
    let path = format!("{TYPES}/{name}");
    app.ask(Method::PUT, key, &path, &body.to_string()).await
}

fn enforcing(catalog_enforcement: CatalogEnforcement) -> App {
    App::with(Settings {
        catalog_enforcement,
        ..Settings::default()
    })
}

#[tokio::test]
async fn ten_types_are_there_from_the_start() {
    let app = App::new();
    let key = app.key("acme", &["webhooks:read"]).await;
    let types = app.get(&key, TYPES).await.json();
    let names: Vec<&str> = types
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 10);
    assert!(names.is_sorted() && names.contains(&"invoice.status_changed"));
    let one = app.get(&key, &format!("{TYPES}/Client.Created")).await;
    let one = one.json();
    assert_eq!(one["name"], "client.created");
    assert_eq!(one["samplePayload"]["first_name"], "Amara");
    assert_eq!(one["schema"], Value::Null);
    assert_eq!(one["deprecated"], false);
    for name in ["case.opened", "no%20type"] {
        let missing = app.get(&key, &format!("{TYPES}/{name}")).await;
        missing.problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_platform_saves_and_deletes_types() {
    let app = App::new();
    let entry = json!({
        "description": "A case was opened.",
        "samplePayload": {"amount": 1},
        "schema": {"type": "object", "required": ["amount"]},
        "deprecated": true,
    });
    let made = put(&app, BOOTSTRAP, "Case.Opened", &entry).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.field("location"), "/api/v1/event-types/case.opened");
    let mut expected = entry.clone();
    expected["name"] = "case.opened".into();
    assert_eq!(made.json(), expected);
    let again = put(
        &app,
        BOOTSTRAP,
        "case.opened",
        &json!({"name": "case.opened"}),
    )
    .await;
    assert_eq!(again.status, 200);
    let read = app.get(BOOTSTRAP, &format!("{TYPES}/case.opened")).await;
    assert_eq!(
        read.json(),
        json!({"name": "case.opened", "description": "", "samplePayload": null, "schema": null,
            "deprecated": false})
    );
    let path = format!("{TYPES}/case.opened");
    assert_eq!(app.delete(BOOTSTRAP, &path).await.status, 204);
    app.delete(BOOTSTRAP, &path).await.problem(404, "not_found");
}

#[tokio::test]
async fn companies_and_lesser_keys_change_nothing() {
    let app = App::new();
    let company = app.admin("acme").await;
    let refused = put(&app, &company, "case.opened", &json!({})).await;
    refused.problem(403, "platform_only");
    let path = format!("{TYPES}/client.created");
    app.delete(&company, &path)
        .await
        .problem(403, "platform_only");
    let body = json!({"name": "x", "scopes": ["webhooks:write"]}).to_string();
    let lesser = app.post(BOOTSTRAP, "/api/v1/api-keys", &body).await;
    let lesser = lesser.json()["key"].as_str().unwrap().to_owned();
    let refused = put(&app, &lesser, "case.opened", &json!({})).await;
    refused.problem(403, "missing_scope");
    let reader = app.key("acme", &["events:read"]).await;
    app.get(&reader, TYPES).await.problem(403, "missing_scope");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let app = App::new();
    let wrong = json!({
        "name": "another.name",
        "description": "x".repeat(1001),
        "samplePayload": [],
        "schema": {"type": "thing"},
        "deprecated": "no",
        "else": 1,
    });
    let mut pointers = put(&app, BOOTSTRAP, "case.opened", &wrong).await.invalid();
    pointers.sort();
    assert_eq!(
        pointers,
        [
            "/deprecated",
            "/description",
            "/else",
            "/name",
            "/samplePayload",
            "/schema"
        ]
    );
    let elsewhere = json!({"schema": {"$ref": "https://example.com/schema.json"}});
    let refused = put(&app, BOOTSTRAP, "case.opened", &elsewhere).await;
    assert_eq!(refused.invalid(), ["/schema"]);
    let refused = put(&app, BOOTSTRAP, "no%20type", &json!({})).await;
    assert_eq!(refused.invalid(), ["/name"]);
    let large = json!({"samplePayload": {"a": "x".repeat(200 << 10)}});
    let refused = put(&app, BOOTSTRAP, "case.opened", &large).await;
    assert_eq!(refused.invalid(), ["/samplePayload"]);
}

#[tokio::test]
async fn payloads_are_judged_where_that_is_asked_for() {
    let schema = json!({
        "type": "object",
        "required": ["amount"],
        "properties": {"amount": {"type": "number", "minimum": 0}},
        "additionalProperties": false,
    });
    for (mode, status) in [
        (CatalogEnforcement::Off, 201),
        (CatalogEnforcement::Warn, 201),
        (CatalogEnforcement::Reject, 422),
    ] {
        let app = enforcing(mode);
        let key = app.admin("acme").await;
        // What was looked at before is looked at anew after a change.
        app.publish(&key, "case.opened").await;
        put(&app, BOOTSTRAP, "case.opened", &json!({"schema": schema})).await;
        let good = json!({"type": "case.opened", "payload": {"amount": 1}}).to_string();
        assert_eq!(app.post(&key, EVENTS, &good).await.status, 201);
        let bad = json!({"type": "case.opened", "payload": {"amount": -1, "x": 1}});
        let answer = app.post(&key, EVENTS, &bad.to_string()).await;
        assert_eq!(answer.status, status, "{mode:?}");
        let other = json!({"type": "case.closed", "payload": {"x": 1}}).to_string();
        assert_eq!(app.post(&key, EVENTS, &other).await.status, 201);
        let metrics = app.get("", "/metrics").await;
        let counted = u8::from(mode != CatalogEnforcement::Off);
        let line = format!("tidings_api_payload_violations_total {counted}\n");
        assert!(metrics.text().contains(&line), "{mode:?}");
        if mode == CatalogEnforcement::Reject {
            let mut pointers = answer.invalid();
            pointers.sort();
            assert_eq!(pointers, ["/payload", "/payload/amount"]);
            let before = app.get(&key, EVENTS).await.ids().len();
            let batch = json!({"events": [serde_json::from_str::<Value>(&good).unwrap(), bad]});
            let answer = app
                .post(&key, &format!("{EVENTS}/batch"), &batch.to_string())
                .await;
            let mut pointers = answer.invalid();
            pointers.sort();
            assert_eq!(pointers, ["/events/1/payload", "/events/1/payload/amount"]);
            assert_eq!(app.get(&key, EVENTS).await.ids().len(), before);
        }
    }
}

/// Violations are told beside everything else that is wrong, of each event that can be read.
#[tokio::test]
async fn violations_are_listed_with_the_other_errors() {
    let app = enforcing(CatalogEnforcement::Reject);
    let key = app.admin("acme").await;
    let schema = json!({"schema": {"properties": {"amount": {"minimum": 0}}}});
    put(&app, BOOTSTRAP, "case.opened", &schema).await;
    let bad =
        json!({"type": "case.opened", "payload": {"amount": -1}, "createdUtc": "soon", "x": 1});
    let answer = app.post(&key, EVENTS, &bad.to_string()).await;
    let mut pointers = answer.invalid();
    pointers.sort();
    assert_eq!(pointers, ["/createdUtc", "/payload/amount", "/x"]);
    let unreadable = json!({"type": "case.opened", "payload": []});
    let batch = json!({"events": [unreadable, bad]}).to_string();
    let answer = app.post(&key, &format!("{EVENTS}/batch"), &batch).await;
    let mut pointers = answer.invalid();
    pointers.sort();
    let expected = [
        "/events/0/payload",
        "/events/1/createdUtc",
        "/events/1/payload/amount",
        "/events/1/x",
    ];
    assert_eq!(pointers, expected);
}

#[tokio::test]
async fn a_change_holds_at_once_for_all_who_publish_at_the_same_time() {
    let app = enforcing(CatalogEnforcement::Reject);
    let key = app.admin("acme").await;
    for (required, status) in [("amount", 422), ("other", 422), ("n", 201)] {
        let schema = json!({"schema": {"required": [required]}});
        put(&app, BOOTSTRAP, "case.opened", &schema).await;
        let event = json!({"type": "case.opened", "payload": {"n": 1}}).to_string();
        let answers = (0..16).map(|_| app.post(&key, EVENTS, &event));
        for answer in join_all(answers).await {
            assert_eq!(answer.status, status, "{required}");
        }
    }
}

#[tokio::test]
async fn test_sends_use_the_sample_of_the_type() {
    let app = App::new();
    let key = app.admin("acme").await;
    let id = app.subscribe(&key, &["client.created", "a.b"]).await;
    let path = format!("{SUBSCRIPTIONS}/{id}/test");
    for (body, field, value) in [
        ("", "client_id", "cl_20417"),
        (r#"{"eventType":"a.b"}"#, "message", "This is a test event."),
        (
            r#"{"eventType":"payment.failed"}"#,
            "payment_id",
            "pm_90211",
        ),
        (r#"{"samplePayload":{"own":"yes"}}"#, "own", "yes"),
    ] {
        assert_eq!(app.post(&key, &path, body).await.status, 200);
        let sent = app.outbound.sent.lock().pop().unwrap().1;
        let json: Value = serde_json::from_slice(sent.json()).unwrap();
        assert_eq!(json["payload"][field], value, "{body}");
    }
}

#[tokio::test]
async fn the_catalog_is_told_as_an_asyncapi_document() {
    let app = App::new();
    app.get("", "/api/v1/asyncapi.json")
        .await
        .problem(401, "unauthenticated");
    let entry = json!({"schema": {"required": ["amount"]}, "deprecated": true});
    put(&app, BOOTSTRAP, "case.opened", &entry).await;
    let key = app.key("acme", &["webhooks:read"]).await;
    let document = app.get(&key, "/api/v1/asyncapi.json").await.json();
    assert_eq!(document["asyncapi"], "3.0.0");
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!(messages.len(), 11);
    let opened = &messages["case.opened"];
    let payload = &opened["payload"]["properties"]["payload"];
    assert_eq!(*payload, entry["schema"]);
    assert_eq!(opened["tags"][0]["name"], "deprecated");
    let sample = &messages["payment.failed"]["examples"][0]["payload"];
    assert_eq!(sample["payload"]["payment_id"], "pm_90211");
}
