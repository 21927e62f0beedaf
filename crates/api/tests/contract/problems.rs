//! Paths, methods, request ids: what every answer has in common.

use http::Method;

use crate::harness::{App, BOOTSTRAP, EVENTS, SUBSCRIPTIONS, request, with_field};

#[tokio::test]
async fn an_unknown_path_is_a_404() {
    let app = App::new();
    for path in [
        "/",
        "/x",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/events/",
        "/api/v2/events",
        "/docs/x",
        "//api/v1/events",
    ] {
        for key in ["", BOOTSTRAP] {
            let problem = app.get(key, path).await.problem(404, "not_found");
            assert_eq!(problem["instance"], path);
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_with_allow() {
    let app = App::new();
    for (method, path, allow) in [
        (Method::DELETE, EVENTS, "GET,HEAD,POST"),
        (Method::PUT, EVENTS, "GET,HEAD,POST"),
        (Method::GET, "/api/v1/events/batch", "POST"),
        (Method::POST, "/api/v1/events/evt_x", "GET,HEAD"),
        (
            Method::PUT,
            "/api/v1/webhooks/subscriptions/sub_x",
            "DELETE,GET,HEAD,PATCH",
        ),
        (Method::POST, "/healthz", "GET,HEAD"),
        (Method::TRACE, "/api/v1/me", "GET,HEAD"),
    ] {
        let answer = app.ask(method, "", path, "").await;
        answer.problem(405, "method_not_allowed");
        let mut methods: Vec<&str> = answer.field("allow").split(',').collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allow, "{path}");
    }
}

#[tokio::test]
async fn options_tells_the_methods_and_head_is_get_without_a_body() {
    let app = App::new();
    let options = app.ask(Method::OPTIONS, "", EVENTS, "").await;
    assert_eq!((options.status.as_u16(), options.text()), (204, ""));
    assert!(options.field("allow").contains("POST"));
    app.ask(Method::OPTIONS, "", "/nothing", "")
        .await
        .problem(404, "not_found");
    let key = app.admin("acme").await;
    let event = app.publish(&key, "a").await;
    let path = format!("{EVENTS}/{event}");
    let (get, head) = (
        app.get(&key, &path).await,
        app.ask(Method::HEAD, &key, &path, "").await,
    );
    assert_eq!((head.status, head.text()), (get.status, ""));
    assert_eq!(head.field("content-length"), get.body.len().to_string());
    let listed = app.ask(Method::HEAD, &key, EVENTS, "").await;
    assert!(!listed.cursor().is_empty());
    let refused = app.ask(Method::HEAD, "", EVENTS, "").await;
    assert_eq!((refused.status.as_u16(), refused.text()), (401, ""));
}

#[tokio::test]
async fn a_sane_request_id_comes_back() {
    let app = App::new();
    let ask =
        |path: &str, id: &str| with_field(request(Method::GET, "", path, ""), "x-request-id", id);
    for path in ["/healthz", EVENTS, "/nothing", "/docs"] {
        let answer = app.send(ask(path, "my-id.1")).await;
        assert_eq!(answer.field("x-request-id"), "my-id.1");
        for bad in ["two words", &"x".repeat(129), ""] {
            let answer = app.send(ask(path, bad)).await;
            let id = answer.field("x-request-id");
            assert!(id != bad && !id.is_empty());
        }
    }
    let problem = app
        .send(ask("/nothing", "my-id.2"))
        .await
        .problem(404, "not_found");
    assert_eq!(problem["requestId"], "my-id.2");
}

#[tokio::test]
async fn nobody_caches_what_a_key_was_needed_for() {
    let app = App::new();
    for path in [EVENTS, SUBSCRIPTIONS, "/api/v1/me"] {
        assert_eq!(
            app.get(BOOTSTRAP, path).await.field("cache-control"),
            "no-store"
        );
    }
}

#[tokio::test]
async fn the_documentation_is_a_page_that_runs_nothing() {
    let app = App::new();
    let page = app.get("", "/docs").await;
    assert_eq!(
        (page.status.as_u16(), page.field("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = page.field("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(page.text().contains("publishEvent"));
}
