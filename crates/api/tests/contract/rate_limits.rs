//! Rate limits, per key and class.

use std::num::NonZeroU32;

use http::Method;
use tidings_api::RateLimits;

use crate::harness::{App, BOOTSTRAP, EVENTS, Settings};

fn app() -> App {
    App::with(Settings {
        rate_limits: RateLimits {
            read: NonZeroU32::new(2),
            write: None,
            publish: NonZeroU32::new(1),
        },
        ..Settings::default()
    })
}

const EVENT: &str = r#"{"type":"a","payload":{}}"#;

#[tokio::test]
async fn they_count_per_key_and_class_and_say_where_the_key_stands() {
    let app = app();
    let (key, other) = (app.admin("acme").await, app.admin("acme").await);
    for remaining in ["1", "0"] {
        let answer = app.get(&key, EVENTS).await;
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("limit", "2"),
            ("remaining", remaining),
            ("window", "60"),
            ("policy", "2;w=60"),
        ] {
            assert_eq!(
                answer.field(&format!("x-ratelimit-{name}")),
                value,
                "{name}"
            );
        }
        let reset: i64 = answer.field("x-ratelimit-reset").parse().unwrap();
        assert_eq!(
            reset,
            1_795_422_600 + 60,
            "the end of the window in Unix seconds"
        );
    }
    app.clock.advance(20_500);
    let refused = app.get(&key, "/api/v1/me").await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.field("retry-after"), "40");
    assert_eq!(refused.field("x-ratelimit-remaining"), "0");
    assert_eq!(app.get(&other, EVENTS).await.status, 200, "another key");
    assert_eq!(
        app.post(&key, EVENTS, EVENT).await.status,
        201,
        "another class"
    );
    app.post(&key, EVENTS, EVENT)
        .await
        .problem(429, "rate_limited");
    let batch = format!(r#"{{"events":[{EVENT}]}}"#);
    app.post(&key, "/api/v1/events/batch", &batch)
        .await
        .problem(429, "rate_limited");
    app.clock.advance(39_500);
    assert_eq!(app.get(&key, EVENTS).await.status, 200, "a new window");
}

#[tokio::test]
async fn errors_have_the_fields_too_and_unlimited_classes_have_none() {
    let app = app();
    let key = app.admin("acme").await;
    let bad = app.post(&key, EVENTS, "{").await;
    assert_eq!(
        (bad.status.as_u16(), bad.field("x-ratelimit-limit")),
        (400, "1")
    );
    let missing = app.get(&key, "/api/v1/events/evt_x").await;
    assert_eq!(
        (missing.status.as_u16(), missing.field("x-ratelimit-limit")),
        (404, "2")
    );
    let write = app
        .ask(Method::DELETE, &key, "/api/v1/api-keys/key_x", "")
        .await;
    assert_eq!(write.field("x-ratelimit-limit"), "");
    for _ in 0..5 {
        assert_eq!(app.get("", "/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn they_are_off_unless_configured() {
    let app = App::new();
    for _ in 0..50 {
        let answer = app.get(BOOTSTRAP, "/api/v1/me").await;
        assert_eq!(
            (answer.status.as_u16(), answer.field("x-ratelimit-limit")),
            (200, "")
        );
    }
}
