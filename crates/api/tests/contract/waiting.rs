//! Long polls: held until an event is there, the time is over, or the server stops.

use std::{sync::Arc, time::Duration};

use tidings_api::Limits;
use tidings_store::EventLog as _;
use tokio::time::{Instant, timeout};

use crate::harness::{Answer, App, EVENTS, Settings};

const PATIENCE: Duration = Duration::from_secs(10);

fn poll(app: &Arc<App>, key: &str, query: &str) -> tokio::task::JoinHandle<Answer> {
    let (app, key, path) = (Arc::clone(app), key.to_owned(), format!("{EVENTS}?{query}"));
    tokio::spawn(async move { app.get(&key, &path).await })
}

async fn until_waiting(app: &App, polls: usize) {
    let waiting = async {
        loop {
            let page = app.get("", "/metrics").await;
            if page
                .text()
                .contains(&format!("tidings_api_long_polls {polls}\n"))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("the poll should be waiting by now");
}

#[tokio::test]
async fn an_event_ends_the_wait_and_another_type_does_not() {
    let app = Arc::new(App::new());
    let key = app.admin("acme").await;
    let other = app.admin("other").await;
    let waiting = poll(&app, &key, "wait=30&type=a.*");
    until_waiting(&app, 1).await;
    app.publish(&other, "a.foreign").await;
    app.publish(&key, "b.else").await;
    assert!(!waiting.is_finished());
    let id = app.publish(&key, "a.it").await;
    let page = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(page.ids(), [id]);
    until_waiting(&app, 0).await;
}

#[tokio::test]
async fn what_is_there_already_is_answered_at_once() {
    let app = Arc::new(App::new());
    let key = app.admin("acme").await;
    app.publish(&key, "a").await;
    for query in [
        "wait=30",
        "wait=30&order=desc",
        "wait=30&order=desc&type=none",
    ] {
        let page = timeout(PATIENCE, poll(&app, &key, query))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(page.status, 200, "{query}");
    }
}

#[tokio::test]
async fn the_time_ends_the_wait_with_an_empty_page() {
    let app = Arc::new(App::new());
    let key = app.admin("acme").await;
    let began = Instant::now();
    let page = timeout(PATIENCE, poll(&app, &key, "wait=1"))
        .await
        .unwrap()
        .unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (page.text(), page.field("x-paging-has-more")),
        ("[]", "false")
    );
    let id = app.publish(&key, "a").await;
    let next = app
        .get(&key, &format!("{EVENTS}?cursor={}", page.cursor()))
        .await;
    assert_eq!(next.ids(), [id]);
}

#[tokio::test]
async fn shutting_down_ends_the_wait() {
    let app = Arc::new(App::new());
    let key = app.admin("acme").await;
    let waiting = poll(&app, &key, "wait=30&cursor=now");
    until_waiting(&app, 1).await;
    app.shutdown.cancel();
    let page = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!((page.status.as_u16(), page.text()), (200, "[]"));
}

#[tokio::test]
async fn those_who_wait_are_bounded_and_do_not_count_as_work() {
    let limits = Limits {
        requests_max: 1,
        waiters_max: 1,
        ..Limits::default()
    };
    let app = Arc::new(App::with(Settings {
        limits,
        ..Settings::default()
    }));
    let key = app.admin("acme").await;
    let waiting = poll(&app, &key, "wait=30");
    until_waiting(&app, 1).await;
    let second = app.get(&key, &format!("{EVENTS}?wait=30")).await;
    second.problem(503, "overloaded");
    assert_eq!(second.field("retry-after"), "1");
    let id = app.publish(&key, "a").await;
    let page = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(page.ids(), [id]);
    assert_eq!(app.store.head().await.unwrap(), 1);
}

#[tokio::test]
async fn a_key_that_is_revoked_while_it_waits_sees_nothing_more() {
    let app = Arc::new(App::new());
    let admin = app.admin("acme").await;
    let body = r#"{"name":"reader","scopes":["events:read"]}"#;
    let made = app.post(&admin, "/api/v1/api-keys", body).await.json();
    let waiting = poll(&app, made["key"].as_str().unwrap(), "wait=30");
    until_waiting(&app, 1).await;
    let key = made["id"].as_str().unwrap();
    let revoked = app.delete(&admin, &format!("/api/v1/api-keys/{key}")).await;
    assert_eq!(revoked.status.as_u16(), 204);
    app.publish(&admin, "a").await;
    let page = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    page.problem(401, "unauthenticated");
}
