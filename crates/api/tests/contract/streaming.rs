//! Streams: the promise of polling without asking again.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt as _;
use http::{Method, Request};
use tidings_api::Limits;
use tidings_domain::clock::Clock as _;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::harness::{App, BOOTSTRAP, EVENTS, Settings, request, with_field};

const PATIENCE: Duration = Duration::from_secs(20);
const STREAM: &str = "/api/v1/events/stream";

/// One block of a stream: its fields by name, comments under the empty one.
#[derive(Debug, Default, PartialEq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Vec<String>,
    comment: Option<String>,
}

struct Reader {
    parts: BodyDataStream,
    text: String,
    /// The place at which it begins.
    begins: String,
    /// How long a part may take; none while the clock stands still, which a time-out would turn.
    patience: Option<Duration>,
}

impl Reader {
    async fn open(app: &App, asked: Request<Body>) -> Self {
        let response = app.router.clone().oneshot(asked).await.unwrap();
        assert_eq!(response.status(), 200);
        let field = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(field("content-type"), "text/event-stream");
        assert_eq!(field("cache-control"), "no-store");
        assert!(!field("x-request-id").is_empty());
        let mut reader = Self {
            parts: response.into_body().into_data_stream(),
            text: String::new(),
            begins: String::new(),
            patience: Some(PATIENCE),
        };
        let greeting = reader.raw().await.unwrap();
        let place = greeting.strip_prefix(": hello\nretry: 1000\nid: ");
        place.unwrap().clone_into(&mut reader.begins);
        reader
    }

    async fn of(app: &App, key: &str, query: &str) -> Self {
        Self::open(app, get(key, query)).await
    }

    /// The text of the next block; none at the end.
    async fn raw(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let part = match self.patience {
                Some(patience) => timeout(patience, self.parts.next()).await.expect("in time"),
                None => self.parts.next().await,
            };
            self.text
                .push_str(std::str::from_utf8(&part?.unwrap()).unwrap());
        }
    }

    async fn block(&mut self) -> Option<Block> {
        let raw = self.raw().await?;
        let mut block = Block::default();
        for line in raw.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let value = value.to_owned();
            match name {
                "id" => block.id = Some(value),
                "event" => block.event = Some(value),
                "data" => block.data.push(value),
                "" => block.comment = Some(value),
                other => panic!("a field {other}"),
            }
        }
        Some(block)
    }

    /// The ids of so many events.
    async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let block = self.block().await.unwrap();
            if !block.data.is_empty() {
                let json: serde_json::Value = serde_json::from_str(&block.data.join("\n")).unwrap();
                ids.push(json["id"].as_str().unwrap().to_owned());
            }
        }
        ids
    }
}

fn get(key: &str, query: &str) -> Request<Body> {
    request(Method::GET, key, &format!("{STREAM}?{query}"), "")
}

#[tokio::test]
async fn what_is_there_comes_first_and_then_what_happens() {
    let app = Arc::new(App::new());
    let key = app.key("acme", &["events:read", "events:write"]).await;
    let mut expected = vec![app.publish(&key, "a").await, app.publish(&key, "b").await];
    let mut reader = Reader::of(&app, &key, "").await;
    assert_eq!(reader.ids(2).await, expected);
    let other = app.admin("other").await;
    app.publish(&other, "a").await;
    for _ in 0..120 {
        expected.push(app.publish(&key, "c").await);
    }
    assert_eq!(reader.ids(120).await, expected[2..]);
}

#[tokio::test]
async fn each_event_has_its_type_its_envelope_and_its_cursor() {
    let app = App::new();
    let key = app.admin("acme").await;
    let body = "{\"type\":\"a.b\",\"payload\":{\"amount\":\n99.00}}";
    let published = app.post(&key, EVENTS, body).await;
    let next = app.publish(&key, "c").await;
    let block = Reader::of(&app, &key, "").await.block().await.unwrap();
    assert_eq!(block.event.as_deref(), Some("a.b"));
    assert_eq!(block.data.join("\n"), published.text());
    // The cursor is one of polling, too.
    let cursor = block.id.unwrap();
    let page = app.get(&key, &format!("{EVENTS}?cursor={cursor}")).await;
    assert_eq!(page.ids(), [next]);
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was() {
    let app = App::new();
    let key = app.admin("acme").await;
    for _ in 0..3 {
        app.publish(&key, "a").await;
        app.publish(&key, "b").await;
    }
    let mut reader = Reader::of(&app, &key, "type=a").await;
    let first = reader.block().await.unwrap().id.unwrap();
    let rest = reader.ids(2).await;
    let mut again = Reader::of(&app, &key, &format!("cursor={first}")).await;
    assert_eq!(again.ids(2).await, rest);
    // A browser repeats its address and adds what it saw last, which goes before it.
    let asked = with_field(get(&key, "type=a&cursor=now"), "last-event-id", &first);
    let mut again = Reader::open(&app, asked).await;
    assert_eq!(again.ids(2).await, rest);
    // A cursor of a poll is good for a stream.
    let page = app.get(&key, &format!("{EVENTS}?type=a&limit=1")).await;
    let query = format!("cursor={}", page.field("x-paging-cursor"));
    assert_eq!(Reader::of(&app, &key, &query).await.ids(2).await, rest);
}

#[tokio::test]
async fn it_begins_now_or_at_a_time() {
    let app = App::new();
    let key = app.admin("acme").await;
    app.publish(&key, "a").await;
    app.clock.advance(60_000);
    let since = app.clock.now();
    let later = app.publish(&key, "a").await;
    let mut now = Reader::of(&app, &key, "cursor=now").await;
    let mut dated = Reader::of(&app, &key, &format!("sinceUtc={since}")).await;
    assert_eq!(dated.ids(1).await, [later]);
    let newest = app.publish(&key, "a").await;
    assert_eq!(now.ids(1).await, std::slice::from_ref(&newest));
    // Who was cut off before anything happened comes back to where it began.
    let query = format!("cursor={}", now.begins);
    let again = Reader::of(&app, &key, &query).await.ids(1).await;
    assert_eq!(again, std::slice::from_ref(&newest));
    assert_eq!(dated.ids(1).await, [newest]);
}

#[tokio::test]
async fn silence_is_broken_by_a_comment_that_brings_the_place_along() {
    let app = App::new();
    let key = app.admin("acme").await;
    let mut reader = Reader::of(&app, &key, "type=rare").await;
    for _ in 0..3 {
        app.publish(&key, "common").await;
    }
    reader.patience = None;
    tokio::time::pause();
    let quiet = loop {
        let block = reader.block().await.unwrap();
        assert!(block.comment.is_some() && block.data.is_empty());
        if block.id.is_some() {
            break block;
        }
    };
    tokio::time::resume();
    let cursor = quiet.id.unwrap();
    let page = app.get(&key, &format!("{EVENTS}?cursor={cursor}")).await;
    assert!(page.ids().is_empty(), "what did not match lies behind");
}

#[tokio::test]
async fn what_it_takes_to_be_let_in() {
    let app = App::new();
    let key = app.admin("acme").await;
    app.get("", STREAM).await.problem(401, "unauthenticated");
    let writer = app.key("acme", &["events:write"]).await;
    let refused = app.get(&writer, STREAM).await;
    assert_eq!(
        refused.problem(403, "missing_scope")["requiredScope"],
        "events:read"
    );
    assert_eq!(app.get(BOOTSTRAP, STREAM).await.invalid(), ["/companyId"]);
    let path = |query: &str| format!("{STREAM}?{query}");
    for (query, pointer) in [
        ("order=desc", "/order"),
        ("type=no%20type", "/type"),
        ("sinceUtc=yesterday", "/sinceUtc"),
    ] {
        assert_eq!(app.get(&key, &path(query)).await.invalid(), [pointer]);
    }
    let page = app.get(&key, &format!("{EVENTS}?type=a")).await;
    let cursor = page.field("x-paging-cursor").to_owned();
    let page = app.get(&key, &format!("{EVENTS}?order=desc")).await;
    let backwards = page.field("x-paging-cursor").to_owned();
    let other = app.admin("other").await;
    for (key, query) in [
        (&key, "cursor=changed".to_owned()),
        (&key, format!("cursor={backwards}")),
        (&key, format!("cursor={cursor}&type=b")),
        (&other, format!("cursor={cursor}")),
    ] {
        let refused = app.get(key, &path(&query)).await;
        refused.problem(400, "invalid_cursor");
    }
    let asked = with_field(get(&key, ""), "last-event-id", "changed");
    app.send(asked).await.problem(400, "invalid_cursor");
}

#[tokio::test]
async fn a_revoked_key_ends_it_and_so_does_the_server() {
    let app = App::new();
    let (key, other) = (app.admin("acme").await, app.admin("acme").await);
    let mut revoked = Reader::of(&app, &key, "").await;
    let mut stopped = Reader::of(&app, &other, "").await;
    let me = app.get(&key, "/api/v1/me").await.json();
    let path = format!("/api/v1/api-keys/{}", me["keyId"].as_str().unwrap());
    assert_eq!(app.delete(&other, &path).await.status, 204);
    app.publish(&other, "a").await;
    assert_eq!(revoked.raw().await, None, "a revoked key sees nothing more");
    stopped.ids(1).await;
    app.shutdown.cancel();
    assert_eq!(stopped.raw().await, None);
}

#[tokio::test]
async fn the_end_comes_before_what_was_read_and_not_sent() {
    let app = App::new();
    let (key, other) = (app.admin("acme").await, app.admin("acme").await);
    for _ in 0..3 {
        app.publish(&key, "a").await;
    }
    let mut revoked = Reader::of(&app, &key, "").await;
    let mut stopped = Reader::of(&app, &other, "").await;
    revoked.ids(1).await;
    stopped.ids(1).await;
    let me = app.get(&key, "/api/v1/me").await.json();
    let path = format!("/api/v1/api-keys/{}", me["keyId"].as_str().unwrap());
    assert_eq!(app.delete(&other, &path).await.status, 204);
    assert_eq!(revoked.raw().await, None);
    app.shutdown.cancel();
    assert_eq!(stopped.raw().await, None);
}

#[tokio::test]
async fn comments_come_while_events_do() {
    let app = App::new();
    let key = app.admin("acme").await;
    for _ in 0..3 {
        app.publish(&key, "a").await;
    }
    let mut reader = Reader::of(&app, &key, "").await;
    reader.ids(1).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    tokio::time::resume();
    reader.ids(2).await;
    assert!(reader.block().await.unwrap().comment.is_some());
}

#[tokio::test]
async fn one_company_does_not_take_all_of_them() {
    let settings = Settings {
        limits: Limits {
            streams_per_company_max: 1,
            ..Limits::default()
        },
        ..Settings::default()
    };
    let app = App::with(settings);
    let (key, other) = (app.admin("acme").await, app.admin("other").await);
    let reader = Reader::of(&app, &key, "").await;
    app.get(&key, STREAM).await.problem(503, "overloaded");
    Reader::of(&app, &other, "").await;
    drop(reader);
    Reader::of(&app, &key, "").await;
}

#[tokio::test]
async fn there_are_so_many_at_a_time() {
    let settings = Settings {
        limits: Limits {
            streams_max: 1,
            requests_max: 1,
            ..Limits::default()
        },
        ..Settings::default()
    };
    let app = App::with(settings);
    let key = app.admin("acme").await;
    let reader = Reader::of(&app, &key, "").await;
    // It takes a place among streams and none among requests.
    let metrics = app.get("", "/metrics").await;
    assert!(metrics.text().contains("tidings_api_streams 1\n"));
    app.publish(&key, "a").await;
    let refused = app.get(&key, STREAM).await;
    refused.problem(503, "overloaded");
    assert!(!refused.field("retry-after").is_empty());
    drop(reader);
    Reader::of(&app, &key, "").await;
    let metrics = app.get("", "/metrics").await;
    assert!(metrics.text().contains("tidings_api_streams 0\n"));
}
