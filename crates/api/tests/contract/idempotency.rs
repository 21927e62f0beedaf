//! The same key and request: the first answer again, and no second event.

use http::Method;
use serde_json::json;
use tidings_api::CatalogEnforcement;

use crate::harness::{Answer, App, BOOTSTRAP, EVENTS, Settings, request, with_field};

const EVENT: &str = r#"{"type":"a.b","payload":{"n":1}}"#;

async fn publish(app: &App, key: &str, idempotency_key: &str, path: &str, body: &str) -> Answer {
    let ask = request(Method::POST, key, path, body);
    app.send(with_field(ask, "idempotency-key", idempotency_key))
        .await
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let app = App::new();
    let key = app.admin("acme").await;
    let first = publish(&app, &key, "k-1", EVENTS, EVENT).await;
    assert_eq!(
        (first.status.as_u16(), first.field("idempotency-replayed")),
        (201, "")
    );
    app.clock.advance(1000);
    // White space and the order of members are not what was asked; quotes are not the key.
    let same = r#" { "payload" : {"n":1} , "type":"A.B", "metadata":{} } "#;
    for (idempotency_key, body) in [("k-1", EVENT), ("\"k-1\"", EVENT), ("k-1", same)] {
        let again = publish(&app, &key, idempotency_key, EVENTS, body).await;
        assert_eq!(again.status, 201);
        assert_eq!(again.field("idempotency-replayed"), "true");
        assert_eq!(again.body, first.body);
        assert_eq!(again.field("location"), first.field("location"));
    }
    assert_eq!(app.get(&key, EVENTS).await.ids().len(), 1);
}

#[tokio::test]
async fn another_request_with_the_key_is_a_422() {
    let app = App::new();
    let key = app.admin("acme").await;
    publish(&app, &key, "k-1", EVENTS, EVENT).await;
    for other in [
        r#"{"type":"a.c","payload":{"n":1}}"#,
        r#"{"type":"a.b","payload":{"n":1.0}}"#,
        r#"{"type":"a.b","payload":{"n": 1}}"#,
        r#"{"type":"a.b","payload":{"n":1},"metadata":{"x":1}}"#,
        r#"{"type":"a.b","payload":{"n":1},"createdUtc":"2026-11-23T08:30:00Z"}"#,
    ] {
        let answer = publish(&app, &key, "k-1", EVENTS, other).await;
        answer.problem(422, "idempotency_key_reused");
    }
    let batch = format!(r#"{{"events":[{EVENT}]}}"#);
    let answer = publish(&app, &key, "k-1", "/api/v1/events/batch", &batch).await;
    answer.problem(422, "idempotency_key_reused");
    assert_eq!(app.get(&key, EVENTS).await.ids().len(), 1);
}

#[tokio::test]
async fn batches_are_repeated_as_a_whole() {
    let app = App::new();
    let key = app.admin("acme").await;
    let batch =
        json!({"events": [{"type": "a", "payload": {}}, {"type": "b", "payload": {}}]}).to_string();
    let first = publish(&app, &key, "b-1", "/api/v1/events/batch", &batch).await;
    let again = publish(&app, &key, "b-1", "/api/v1/events/batch", &batch).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(again.field("idempotency-replayed"), "true");
    assert_eq!(again.body, first.body);
    assert_eq!(app.get(&key, EVENTS).await.ids().len(), 2);
}

#[tokio::test]
async fn keys_are_kept_for_24_hours_and_per_company() {
    let app = App::new();
    let (acme, other) = (app.admin("acme").await, app.admin("other").await);
    let first = publish(&app, &acme, "k-1", EVENTS, EVENT).await;
    let foreign = publish(&app, &other, "k-1", EVENTS, EVENT).await;
    assert_eq!(foreign.field("idempotency-replayed"), "");
    let named = r#"{"type":"a.b","payload":{"n":1},"companyId":"acme"}"#;
    let platform = publish(&app, BOOTSTRAP, "k-1", EVENTS, named).await;
    assert_eq!(
        platform.body, first.body,
        "the company's, whoever acts for it"
    );
    app.clock.advance(24 * 3_600_000 - 1);
    let late = publish(&app, &acme, "k-1", EVENTS, EVENT).await;
    assert_eq!(late.field("idempotency-replayed"), "true");
    app.clock.advance(1);
    let over = publish(&app, &acme, "k-1", EVENTS, EVENT).await;
    assert_eq!(over.field("idempotency-replayed"), "");
    assert_ne!(over.body, first.body);
}

#[tokio::test]
async fn a_bad_request_uses_no_key_up() {
    let app = App::new();
    let key = app.admin("acme").await;
    assert_eq!(publish(&app, &key, "k-1", EVENTS, "{}").await.status, 422);
    let answer = publish(&app, &key, "k-1", EVENTS, EVENT).await;
    assert_eq!(
        (answer.status.as_u16(), answer.field("idempotency-replayed")),
        (201, "")
    );
}

#[tokio::test]
async fn a_bad_key_is_a_422() {
    let app = App::new();
    let key = app.admin("acme").await;
    let long = "x".repeat(256);
    for bad in ["", "\"\"", long.as_str(), "caf\u{e9}"] {
        let mut ask = request(Method::POST, &key, EVENTS, EVENT);
        let value = http::HeaderValue::from_bytes(bad.as_bytes()).unwrap();
        ask.headers_mut().insert("idempotency-key", value);
        assert_eq!(app.send(ask).await.invalid(), ["/Idempotency-Key"], "{bad}");
    }
    assert_eq!(
        publish(&app, &key, &"x".repeat(255), EVENTS, EVENT)
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn of_two_at_once_one_publishes() {
    let app = App::new();
    let key = app.admin("acme").await;
    let two =
        futures_util::future::join_all((0..8).map(|_| publish(&app, &key, "k-1", EVENTS, EVENT)));
    for answer in two.await {
        match answer.status.as_u16() {
            201 => {}
            _ => {
                answer.problem(409, "idempotency_key_in_use");
            }
        }
    }
    assert_eq!(app.get(&key, EVENTS).await.ids().len(), 1);
}

#[tokio::test]
async fn what_was_accepted_is_so_however_the_catalog_changes() {
    let app = App::with(Settings {
        catalog_enforcement: CatalogEnforcement::Reject,
        ..Settings::default()
    });
    let key = app.admin("acme").await;
    let batch_path = format!("{EVENTS}/batch");
    let batch = format!(r#"{{"events":[{EVENT},{EVENT}]}}"#);
    let first = publish(&app, &key, "k-1", EVENTS, EVENT).await;
    let first_batch = publish(&app, &key, "k-2", &batch_path, &batch).await;
    assert_eq!(
        (first.status.as_u16(), first_batch.status.as_u16()),
        (201, 201)
    );
    let schema = json!({"schema": {"required": ["name"]}}).to_string();
    let path = "/api/v1/event-types/a.b";
    let saved = app.ask(Method::PUT, BOOTSTRAP, path, &schema).await;
    assert_eq!(saved.status, 201);
    let again = publish(&app, &key, "k-1", EVENTS, EVENT).await;
    assert_eq!(
        (again.status.as_u16(), again.field("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.body, first.body);
    let again = publish(&app, &key, "k-2", &batch_path, &batch).await;
    assert_eq!(again.body, first_batch.body);
    // Another request is judged, whatever its key.
    let refused = publish(&app, &key, "k-3", EVENTS, EVENT).await;
    assert_eq!(refused.invalid(), ["/payload"]);
    let other = r#"{"type":"a.b","payload":{"n":2}}"#;
    let refused = publish(&app, &key, "k-1", EVENTS, other).await;
    refused.problem(422, "idempotency_key_reused");
    assert_eq!(app.get(&key, EVENTS).await.ids().len(), 3);
    // What was refused has not used its key.
    let good = r#"{"type":"a.b","payload":{"name":"x"}}"#;
    assert_eq!(publish(&app, &key, "k-3", EVENTS, good).await.status, 201);
    app.clock.advance(24 * 60 * 60 * 1000);
    let refused = publish(&app, &key, "k-1", EVENTS, EVENT).await;
    assert_eq!(refused.invalid(), ["/payload"]);
}
