//! Health, figures, and what happens while the store is gone.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;
use tidings_store::Upkeep as _;
use tokio::time::timeout;

use crate::harness::{App, EVENTS, SUBSCRIPTIONS};

async fn until_unready(app: &App) {
    // The last answer is given for up to a second.
    let unready = async {
        while app.get("", "/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), unready)
        .await
        .expect("it should notice");
}

#[tokio::test]
async fn both_are_well_at_first() {
    let app = App::new();
    for path in ["/healthz", "/readyz"] {
        let answer = app.get("", path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, json!({"status": "ok"}))
        );
    }
}

#[tokio::test]
async fn a_stalled_dispatcher_is_not_ready() {
    let app = App::new();
    app.health.stalled.store(true, Ordering::SeqCst);
    let answer = app.get("", "/readyz").await;
    answer.problem(503, "not_ready");
    assert_eq!(app.get("", "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_store_that_is_gone_is_a_503_everywhere() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    app.store.close().await.unwrap();
    let event = r#"{"type":"a","payload":{}}"#;
    let subscription = r#"{"url":"https://example.com","eventTypes":["*"]}"#;
    for answer in [
        app.post(&key, EVENTS, event).await,
        app.post(&key, SUBSCRIPTIONS, subscription).await,
        app.delete(&key, &format!("{SUBSCRIPTIONS}/{sub}")).await,
    ] {
        answer.problem(503, "store_unavailable");
        assert!(!answer.field("retry-after").is_empty());
    }
    until_unready(&app).await;
    app.get("", "/readyz").await.problem(503, "not_ready");
    assert_eq!(app.get("", "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let app = App::new();
    app.shutdown.cancel();
    app.get("", "/readyz").await.problem(503, "not_ready");
    assert_eq!(app.get("", "/healthz").await.status, 200);
}

#[tokio::test]
async fn figures_have_route_templates_and_no_names() {
    let app = App::new();
    let key = app.admin("acme-corp").await;
    let event = app.publish(&key, "a").await;
    app.get(&key, &format!("{EVENTS}/{event}")).await;
    app.get(&key, "/no/such/path").await;
    let page = app.get("", "/metrics").await;
    assert!(
        page.field("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = page.text();
    for line in [
        r#"tidings_api_requests_total{route="/api/v1/events",status="2xx"} 1"#,
        r#"tidings_api_requests_total{route="/api/v1/events/{id}",status="2xx"} 1"#,
        r#"tidings_api_requests_total{route="none",status="4xx"} 1"#,
        "tidings_api_publish_seconds_count 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for name in ["acme-corp", event.as_str(), "/no/such/path", "tdg_", "key_"] {
        assert!(!text.contains(name), "{name}");
    }
}
