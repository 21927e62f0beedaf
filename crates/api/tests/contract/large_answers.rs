//! Large answers, which are counted until whoever asked for them has taken them.

use axum::response::Response;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use tidings_api::Limits;
use tower::ServiceExt as _;

use crate::harness::{App, EVENTS, Settings, request};

const KIB: usize = 1024;

fn app(answer_bytes_in_flight_max: usize, answer_bytes_per_company_max: usize) -> App {
    App::with(Settings {
        limits: Limits {
            answer_bytes_in_flight_max,
            answer_bytes_per_company_max,
            ..Limits::default()
        },
        ..Settings::default()
    })
}

fn event_of(kib: usize) -> String {
    json!({"type": "a", "payload": {"x": "y".repeat(kib * KIB)}}).to_string()
}

/// An answer that is not taken yet.
async fn untaken(app: &App, key: &str, path: &str) -> Response {
    let request = request(Method::GET, key, path, "");
    let response = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test]
async fn they_are_bounded_until_they_are_written() {
    let app = app(150 * KIB, 150 * KIB);
    let key = app.admin("acme").await;
    for _ in 0..2 {
        assert_eq!(app.post(&key, EVENTS, &event_of(45)).await.status, 201);
    }
    let held = untaken(&app, &key, EVENTS).await;
    let refused = app.get(&key, EVENTS).await;
    refused.problem(503, "overloaded");
    assert_eq!(refused.field("retry-after"), "1");
    let small = app.get(&key, "/api/v1/events?limit=1").await;
    assert_eq!((small.status.as_u16(), small.ids().len()), (200, 1));
    // The connection takes the body at once, and then holds its bytes.
    let bytes = held.into_body().frame().await.unwrap().unwrap();
    app.get(&key, EVENTS).await.problem(503, "overloaded");
    drop(bytes);
    for _ in 0..3 {
        let answer = app.get(&key, EVENTS).await;
        assert_eq!(answer.status, 200, "it is given back");
        let length = answer.body.len();
        assert!(length > 90 * KIB);
        assert_eq!(answer.ids().len(), 2);
    }
    let whole = untaken(&app, &key, EVENTS).await;
    let hint = axum::body::HttpBody::size_hint(whole.body()).exact();
    assert!(hint.is_some(), "its length is known beforehand");
}

#[tokio::test]
async fn a_publisher_is_refused_before_anything_is_stored() {
    let app = app(150 * KIB, 150 * KIB);
    let key = app.admin("acme").await;
    assert_eq!(app.post(&key, EVENTS, &event_of(100)).await.status, 201);
    let held = untaken(&app, &key, EVENTS).await;
    app.post(&key, EVENTS, &event_of(70))
        .await
        .problem(503, "overloaded");
    let batch = format!(r#"{{"events":[{},{}]}}"#, event_of(40), event_of(40));
    app.post(&key, "/api/v1/events/batch", &batch)
        .await
        .problem(503, "overloaded");
    assert_eq!(app.post(&key, EVENTS, &event_of(40)).await.status, 201);
    drop(held);
    let after = app.get(&key, "/api/v1/events?order=desc&limit=1").await;
    let newest = after.ids();
    assert_eq!(after.body.len() / KIB, 40, "the last one that was taken");
    let page = app.get(&key, EVENTS).await;
    assert_eq!(page.ids()[1..], newest, "and nothing in between");
    drop(page);
    let stored = app.post(&key, "/api/v1/events/batch", &batch).await;
    assert_eq!(stored.status, 201);
}

#[tokio::test]
async fn one_company_leaves_room_for_others() {
    let app = app(400 * KIB, 150 * KIB);
    let (acme, globex) = (app.admin("acme").await, app.admin("globex").await);
    for key in [&acme, &globex] {
        assert_eq!(app.post(key, EVENTS, &event_of(100)).await.status, 201);
    }
    let _held = untaken(&app, &acme, EVENTS).await;
    app.get(&acme, EVENTS).await.problem(503, "overloaded");
    assert_eq!(app.get(&globex, EVENTS).await.status, 200);
}
