//! Hostile and odd bodies: what is malformed, what is a wrong type, and nothing that hurts.

use axum::body::Body;
use http::{Method, Request};

use crate::harness::{App, EVENTS, SUBSCRIPTIONS, request, with_field};

#[tokio::test]
async fn malformed_json_is_a_400() {
    let app = App::new();
    let key = app.admin("acme").await;
    let deep_open = "[".repeat(100_000);
    let deep_member = format!(r#"{{"type":{}"#, r#"{"a":"#.repeat(40_000));
    for body in [
        "{",
        "}",
        "nonsense",
        r#"{"type":"a","payload":{}"#,
        r#"{"type":"a","payload":{}}x"#,
        r#"{"type":"a","payload":{},}"#,
        r"{'type':'a'}",
        r#"{"type":"a","payload":{"x":01}}"#,
        r#"{"type":"a","payload":{"x":NaN}}"#,
        r#"{"type":"a","payload":{"x":+1}}"#,
        "{\"type\":\"a\",\"payload\":{\"x\":\"\u{1}\"}}",
        r#"{"type":"a","payload":{"x":"\x"}}"#,
        "\u{feff}{\"type\":\"a\",\"payload\":{}}",
        r#"{"\ud800":1}"#,
        "   ",
        &deep_open,
        &deep_member,
    ] {
        let answer = app.post(&key, EVENTS, body).await;
        answer.problem(400, "malformed_json");
    }
    let empty = with_field(
        request(Method::POST, &key, EVENTS, ""),
        "content-type",
        "application/json",
    );
    app.send(empty).await.problem(400, "malformed_json");
}

#[tokio::test]
async fn a_member_given_twice_is_a_400_but_not_inside_the_payload() {
    let app = App::new();
    let key = app.admin("acme").await;
    for body in [
        r#"{"type":"a","payload":{},"type":"a"}"#,
        r#"{"type":"a","payload":{},"\u0074ype":"b"}"#,
        r#"{"type":"a","payload":{},"x":1,"x":2}"#,
    ] {
        app.post(&key, EVENTS, body)
            .await
            .problem(400, "malformed_json");
    }
    let many: Vec<String> = (0..50).map(|number| format!(r#""m{number}":1"#)).collect();
    let body = format!(r#"{{{},"m0":1}}"#, many.join(","));
    app.post(&key, EVENTS, &body)
        .await
        .problem(400, "malformed_json");
    let inside = r#"{"type":"a","payload":{"x":1,"x":2}}"#;
    assert_eq!(app.post(&key, EVENTS, inside).await.status, 201);
    let twice = r#"{"url":"https://a.example","eventTypes":["*"],"url":"https://b.example"}"#;
    app.post(&key, SUBSCRIPTIONS, twice)
        .await
        .problem(400, "malformed_json");
}

#[tokio::test]
async fn invalid_utf8_is_a_400_wherever_it_stands() {
    let app = App::new();
    let key = app.admin("acme").await;
    for body in [
        &b"{\"type\":\"a\",\"payload\":{\"x\":\"\xff\"}}"[..],
        b"{\"type\":\"a\",\"payload\":{\"\xc3\x28\":1}}",
        b"\xff",
        b"{\"type\":\"\xed\xa0\x80\",\"payload\":{}}",
    ] {
        let mut ask = request(Method::POST, &key, EVENTS, "x");
        *ask.body_mut() = Body::from(body);
        app.send(ask).await.problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn json_that_is_no_object_is_a_422() {
    let app = App::new();
    let key = app.admin("acme").await;
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{open}{close}");
    for body in ["[]", "null", "1", "\"x\"", "true", " [ {} ] ", &deep] {
        assert_eq!(
            app.post(&key, EVENTS, body).await.invalid(),
            [""],
            "{}",
            &body[..body.len().min(20)]
        );
    }
}

#[tokio::test]
async fn hostile_depth_costs_no_stack() {
    let app = App::new();
    let key = app.admin("acme").await;
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    for (body, pointers) in [
        (
            format!(r#"{{"type":"a","payload":{{"x":{open}{close}}}}}"#),
            vec!["/payload"],
        ),
        (
            format!(r#"{{"type":{open}{close},"payload":{{}}}}"#),
            vec!["/type"],
        ),
        (
            format!(r#"{{"type":"a","payload":{{}},"metadata":{open}{close}}}"#),
            vec!["/metadata"],
        ),
        (
            format!(r#"{{"type":"a","payload":{{}},"extra":{open}{close}}}"#),
            vec!["/extra"],
        ),
    ] {
        assert_eq!(app.post(&key, EVENTS, &body).await.invalid(), pointers);
    }
    let body = format!(r#"{{"events":{open}{close}}}"#);
    let pointers = app
        .post(&key, "/api/v1/events/batch", &body)
        .await
        .invalid();
    assert!(pointers.contains(&"/events/0".to_owned()));
}

#[tokio::test]
async fn many_members_and_many_errors_are_bounded() {
    let app = App::new();
    let key = app.admin("acme").await;
    let many: Vec<String> = (0..20_000)
        .map(|number| format!(r#""m{number}":1"#))
        .collect();
    let body = format!("{{{}}}", many.join(","));
    assert_eq!(app.post(&key, EVENTS, &body).await.invalid(), [""]);
    let event = format!("{{{}}}", many[..900].join(","));
    let body = format!(r#"{{"events":[{}]}}"#, vec![event; 500].join(","));
    let answer = app.post(&key, "/api/v1/events/batch", &body).await;
    assert_eq!(answer.invalid().len(), 10_000);
    let numbers = format!(r#"{{"events":[{}1]}}"#, "1,".repeat(2_000_000));
    assert_eq!(
        app.post(&key, "/api/v1/events/batch", &numbers)
            .await
            .invalid(),
        ["/events"]
    );
}

#[tokio::test]
async fn the_content_type_has_to_be_json() {
    let app = App::new();
    let key = app.admin("acme").await;
    let event = r#"{"type":"a","payload":{}}"#;
    for (media, status) in [
        ("application/json", 201),
        ("application/json;charset=UTF-8", 201),
        ("APPLICATION/JSON", 201),
        ("application/json ; a=b", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
        ("application/merge-patch+json", 415),
        ("", 415),
    ] {
        let ask = request(Method::POST, &key, EVENTS, event);
        let answer = app.send(with_field(ask, "content-type", media)).await;
        if status == 415 {
            answer.problem(415, "unsupported_media_type");
        } else {
            assert_eq!(answer.status, status, "{media}");
        }
    }
    let mut none = request(Method::POST, &key, EVENTS, event);
    none.headers_mut().remove("content-type");
    app.send(none).await.problem(415, "unsupported_media_type");
    let packed = with_field(
        request(Method::POST, &key, EVENTS, event),
        "content-encoding",
        "gzip",
    );
    app.send(packed)
        .await
        .problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_400() {
    let app = App::new();
    let key = app.admin("acme").await;
    let broken = futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(b"{\"type\"")),
        Err(std::io::Error::other("gone")),
    ]);
    let ask = Request::post(EVENTS)
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .body(Body::from_stream(broken))
        .unwrap();
    app.send(ask).await.problem(400, "malformed_json");
}
