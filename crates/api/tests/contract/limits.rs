//! Sizes and overload.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use tidings_api::Limits;

use crate::harness::{App, EVENTS, SUBSCRIPTIONS, Settings, request, with_field};

const KIB: usize = 1024;

fn event_of(bytes: usize) -> String {
    let around = r#"{"type":"a","payload":{"x":""}}"#.len();
    format!(
        r#"{{"type":"a","payload":{{"x":"{}"}}}}"#,
        "y".repeat(bytes - around)
    )
}

fn chunked(key: &str, path: &str, body: &str) -> Request<Body> {
    let chunks: Vec<Result<Bytes, std::io::Error>> = body
        .as_bytes()
        .chunks(60_000)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    Request::post(path)
        .header("x-api-key", key)
        .header("content-type", "application/json")
        .body(Body::from_stream(futures_util::stream::iter(chunks)))
        .unwrap()
}

#[tokio::test]
async fn an_event_is_at_most_256_kib_with_and_without_a_length() {
    let app = App::new();
    let key = app.admin("acme").await;
    let (fits, over) = (event_of(256 * KIB), event_of(256 * KIB + 1));
    assert_eq!(app.post(&key, EVENTS, &fits).await.status, 201);
    assert_eq!(app.send(chunked(&key, EVENTS, &fits)).await.status, 201);
    app.post(&key, EVENTS, &over)
        .await
        .problem(413, "body_too_large");
    app.send(chunked(&key, EVENTS, &over))
        .await
        .problem(413, "body_too_large");
    let announced = with_field(
        request(Method::POST, &key, EVENTS, "{}"),
        "content-length",
        "999999999",
    );
    app.send(announced).await.problem(413, "body_too_large");
    let large = format!(r#"{{"url":"{}"}}"#, "x".repeat(256 * KIB));
    app.post(&key, SUBSCRIPTIONS, &large)
        .await
        .problem(413, "body_too_large");
}

#[tokio::test]
async fn a_batch_is_at_most_8_mib() {
    let app = App::new();
    let key = app.admin("acme").await;
    let event = event_of(200 * KIB);
    let fits = format!(r#"{{"events":[{}]}}"#, vec![event.as_str(); 40].join(","));
    assert!(fits.len() <= 8 * KIB * KIB);
    assert_eq!(
        app.send(chunked(&key, "/api/v1/events/batch", &fits))
            .await
            .status,
        201
    );
    let over = format!(r#"{{"events":[{}]}}"#, vec![event.as_str(); 42].join(","));
    app.post(&key, "/api/v1/events/batch", &over)
        .await
        .problem(413, "body_too_large");
    app.send(chunked(&key, "/api/v1/events/batch", &over))
        .await
        .problem(413, "body_too_large");
    let page = app.get(&key, "/api/v1/events?limit=1000").await;
    assert!(
        page.body.len() < 30 * KIB * KIB,
        "a page ends where it grows large"
    );
}

#[tokio::test]
async fn beyond_its_limits_the_server_is_overloaded() {
    let app = App::with(Settings {
        limits: Limits {
            body_bytes_in_flight_max: 10 * KIB,
            ..Limits::default()
        },
        ..Settings::default()
    });
    let key = app.admin("acme").await;
    let answer = app.post(&key, EVENTS, &event_of(20 * KIB)).await;
    answer.problem(503, "overloaded");
    assert_eq!(answer.field("retry-after"), "1");
    for _ in 0..3 {
        assert_eq!(
            app.post(&key, EVENTS, &event_of(9 * KIB)).await.status,
            201,
            "it is given back"
        );
    }
    let none = App::with(Settings {
        limits: Limits {
            requests_max: 0,
            ..Limits::default()
        },
        ..Settings::default()
    });
    let answer = none.get("", "/api/v1/me").await;
    answer.problem(503, "overloaded");
    assert_eq!(
        none.get("", "/healthz").await.status,
        200,
        "health is always answered"
    );
    assert_eq!(none.get("", "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_408() {
    let app = App::with(Settings {
        limits: Limits {
            body_timeout_ms: 20,
            ..Limits::default()
        },
        ..Settings::default()
    });
    let key = app.admin("acme").await;
    let stuck = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let ask = Request::post(EVENTS)
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .body(Body::from_stream(stuck))
        .unwrap();
    app.send(ask).await.problem(408, "request_timeout");
}
