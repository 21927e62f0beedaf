//! The delivery log as it grows: server-sent events.

use http::{Request, header};
use http_body_util::BodyExt as _;
use tidings_domain::{attempt::AttemptOutcome, portal_token::PortalToken};
use tidings_store::People as _;
use tower::ServiceExt as _;

use crate::stage::{Browser, Stage, answered, failed};

const LIVE: &str = "/portal/c/acme/log/live";

/// A page that updates itself.
struct Page {
    body: axum::body::Body,
    text: String,
}

impl Page {
    async fn open(stage: &Stage, browser: &Browser, query: &str, last_id: Option<&str>) -> Self {
        let response = respond(stage, browser, query, last_id).await;
        assert_eq!(response.status(), 200);
        let kind = response.headers().get(header::CONTENT_TYPE).unwrap();
        assert_eq!(kind, "text/event-stream");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event, in full; none where the stream ended. Comments are passed over.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if !event.starts_with(':') {
                    return Some(event);
                }
                continue;
            }
            let frame = self.body.frame().await?.unwrap();
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

async fn respond(
    stage: &Stage,
    browser: &Browser,
    query: &str,
    last_id: Option<&str>,
) -> http::Response<axum::body::Body> {
    respond_at(stage, browser, &format!("{LIVE}?{query}"), last_id).await
}

async fn respond_at(
    stage: &Stage,
    browser: &Browser,
    path: &str,
    last_id: Option<&str>,
) -> http::Response<axum::body::Body> {
    let session = browser.cookie("tidings_session").unwrap_or_default();
    let mut request =
        Request::get(path).header(header::COOKIE, format!("tidings_session={session}"));
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let request = request.body(axum::body::Body::empty()).unwrap();
    stage.router.clone().oneshot(request).await.unwrap()
}

/// What the page says it wants to be told.
async fn query_of(browser: &Browser, path: &str) -> String {
    let page = browser.get(path).await.is(200);
    let from = page.text.split("data-from=\"").nth(1).unwrap();
    let from = from.split('"').next().unwrap().replace("&#38;", "&");
    from.strip_prefix(&format!("{LIVE}?")).unwrap().to_owned()
}

fn success() -> (AttemptOutcome, tidings_domain::attempt::ReceivedResponse) {
    (AttemptOutcome::Succeeded, answered(200, "ok"))
}

async fn attempt_one(stage: &Stage, event_type: &str) -> String {
    let event = stage.publish("acme", event_type, "{}").await;
    assert_eq!(stage.attempt_all(success()).await, 1);
    event.to_string()
}

#[tokio::test]
async fn what_comes_is_told_once_and_by_the_pages_filters() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    stage
        .subscribe("acme", "https://example.com/", &["*"])
        .await;
    let before = attempt_one(&stage, "client.created").await;
    // What is on the page is old by now, so it is not told again.
    stage.clock.advance(60_000);
    let query = query_of(&admin, "/portal/c/acme/log?type=client.*").await;
    let mut page = Page::open(&stage, &admin, &query, None).await;
    attempt_one(&stage, "invoice.paid").await;
    let first = attempt_one(&stage, "client.changed").await;
    tokio::time::pause();
    let event = page.next().await.unwrap();
    assert!(
        event.contains("event: lines") && event.contains("data: <tr id="),
        "{event}"
    );
    assert!(
        event.contains(&first) && !event.contains(&before),
        "{event}"
    );
    assert!(!event.contains("invoice.paid"), "{event}");
    tokio::time::resume();
    let second = attempt_one(&stage, "client.deleted").await;
    tokio::time::pause();
    let event = page.next().await.unwrap();
    assert!(
        event.contains(&second) && !event.contains(&first),
        "{event}"
    );
}

#[tokio::test]
async fn a_browser_that_comes_again_goes_on_where_it_was() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    stage
        .subscribe("acme", "https://example.com/", &["*"])
        .await;
    for _ in 0..60 {
        stage.publish("acme", "a", "{}").await;
    }
    stage.attempt_all(failed(500, "")).await;
    stage.clock.advance(60_000);
    let query = query_of(&admin, "/portal/c/acme/log").await;
    let after = query.strip_prefix("after=").unwrap().to_owned();
    let missed = attempt_one(&stage, "b").await;
    let mut page = Page::open(&stage, &admin, "after=0", Some(&after)).await;
    tokio::time::pause();
    let event = page.next().await.unwrap();
    assert!(event.contains(&missed), "{event}");
    assert_eq!(event.matches("<tr id=").count(), 1, "{event}");
}

#[tokio::test]
async fn it_ends_with_the_session_and_with_the_server() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    stage
        .subscribe("acme", "https://example.com/", &["*"])
        .await;
    let query = query_of(&admin, "/portal/c/acme/log").await;
    let mut signed_out = Page::open(&stage, &admin, &query, None).await;
    let other = stage.admin("acme").await;
    let mut stopped = Page::open(&stage, &other, &query, None).await;
    let token = PortalToken::parse(&admin.cookie("tidings_session").unwrap()).unwrap();
    stage.store.end_session(&token.hash()).await.unwrap();
    attempt_one(&stage, "client.created").await;
    tokio::time::pause();
    let event = signed_out.next().await.unwrap();
    assert!(
        event.contains("event: end\ndata: ") && !event.contains("<tr"),
        "{event}"
    );
    assert_eq!(signed_out.next().await, None);
    assert!(stopped.next().await.unwrap().contains("event: lines"));
    stage.shutdown.cancel();
    assert_eq!(stopped.next().await, None);
}

#[tokio::test]
async fn an_idle_page_notices_too_that_its_session_is_over() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let mut page = Page::open(&stage, &admin, "after=0", None).await;
    let token = PortalToken::parse(&admin.cookie("tidings_session").unwrap()).unwrap();
    stage.store.end_session(&token.hash()).await.unwrap();
    tokio::time::pause();
    assert!(page.next().await.unwrap().contains("event: end"));
}

#[tokio::test]
async fn what_no_page_of_ours_asks_is_refused() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    for (query, status) in [
        ("", 400),
        ("after=x", 400),
        ("after=0&status=odd", 400),
        ("after=0&webhook=sub_01h455vb4pex5vsknk084sn02q", 404),
    ] {
        let response = respond(&stage, &admin, query, None).await;
        assert_eq!(response.status(), status, "{query}");
    }
    let nobody = respond(&stage, &stage.browser(), "after=0", None).await;
    assert_eq!(nobody.status(), 204, "a browser asks no more");
}

#[tokio::test]
async fn only_so_many_pages_update_themselves() {
    const COMPANIES_MAX: usize = 10;
    const EACH_MAX: usize = 100;
    let stage = Stage::new();
    let operator = stage.operator().await;
    let live = async |company: &str| {
        let path = format!("/portal/c/{company}/log/live?after=0");
        respond_at(&stage, &operator, &path, None).await
    };
    let mut open = Vec::new();
    for n in 0..COMPANIES_MAX {
        let company = format!("c{n}");
        for _ in 0..EACH_MAX {
            let response = live(&company).await;
            assert_eq!(response.status(), 200, "{company}");
            open.push(response);
        }
        // One company does not take what is there for all.
        assert_eq!(live(&company).await.status(), 503, "{company}");
    }
    assert_eq!(live("another").await.status(), 503, "and all together");
    open.pop();
    assert_eq!(live("another").await.status(), 200);
}
