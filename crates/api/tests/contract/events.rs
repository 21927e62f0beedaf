//! Publishing one event and reading it back.

use serde_json::json;

use crate::harness::{App, EVENTS, START};

#[tokio::test]
async fn the_answer_is_the_envelope_in_order_with_the_publishers_bytes() {
    let app = App::new();
    let key = app.admin("acme").await;
    let payload = r#"{ "b":99.00, "a" : 123456789012345678901234567890,"e":"\u00e9\/\ud83d\ude00",
        "twice":1,"twice":2, "n":1E+400, "nested":{"x":[ ]}}"#;
    let metadata = r#"{"trace" :"t-1"}"#;
    let body = format!(
        r#" {{"metadata": {metadata} , "type":"Client.Created", "payload": {payload},"createdUtc":"2026-01-31T09:30:00.1234+01:00"}} "#
    );
    let answer = app.post(&key, EVENTS, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.field("content-type"), "application/json");
    let id = answer.field("location").strip_prefix("/api/v1/events/");
    let id = id.unwrap().to_owned();
    assert!(id.starts_with("evt_") && id.len() == 30);
    let expected = format!(
        r#"{{"id":"{id}","type":"client.created","createdUtc":"2026-01-31T08:30:00.123Z","companyId":"acme","payload":{payload},"metadata":{metadata}}}"#
    );
    assert_eq!(answer.text(), expected);
    let read = app.get(&key, &format!("{EVENTS}/{id}")).await;
    assert_eq!(read.text(), expected);
    let polled = app.get(&key, EVENTS).await;
    assert_eq!(polled.text(), format!("[{expected}]"));
}

#[tokio::test]
async fn metadata_and_time_have_defaults() {
    let app = App::new();
    let key = app.admin("acme").await;
    let answer = app.post(&key, EVENTS, r#"{"type":"a","payload":{}}"#).await;
    assert!(answer.text().ends_with(r#","payload":{},"metadata":{}}"#));
    assert_eq!(answer.json()["createdUtc"], START);
}

#[tokio::test]
async fn everything_that_is_wrong_is_listed() {
    let app = App::new();
    let key = app.admin("acme").await;
    let body = r#"{"type":"no spaces","payload":[],"metadata":1,"createdUtc":"yesterday","companyId":"a b","a/b~c":1}"#;
    let mut pointers = app.post(&key, EVENTS, body).await.invalid();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/a~1b~0c",
            "/companyId",
            "/createdUtc",
            "/metadata",
            "/payload",
            "/type"
        ]
    );
    assert_eq!(
        app.post(&key, EVENTS, "{}").await.invalid(),
        ["/type", "/payload"]
    );
}

#[tokio::test]
async fn each_wrong_value_is_a_422() {
    let app = App::new();
    let key = app.admin("acme").await;
    let long = "a".repeat(129);
    for bad in [
        json!(null),
        json!(1),
        json!(""),
        json!("a..b"),
        json!(".a"),
        json!("a."),
        json!("a b"),
        json!("é"),
        json!("*"),
        json!("a.*"),
        json!(long),
    ] {
        let body = json!({"type": bad, "payload": {}}).to_string();
        assert_eq!(
            app.post(&key, EVENTS, &body).await.invalid(),
            ["/type"],
            "{bad}"
        );
    }
    for bad in [json!(null), json!([]), json!("{}"), json!(1), json!(true)] {
        let body = json!({"type": "a", "payload": bad}).to_string();
        assert_eq!(
            app.post(&key, EVENTS, &body).await.invalid(),
            ["/payload"],
            "{bad}"
        );
        let body = json!({"type": "a", "payload": {}, "metadata": bad}).to_string();
        assert_eq!(
            app.post(&key, EVENTS, &body).await.invalid(),
            ["/metadata"],
            "{bad}"
        );
    }
    for bad in [
        json!(1),
        json!(""),
        json!("2026-01-01"),
        json!("2026-01-01T00:00:00"),
        json!("2026-13-01T00:00:00Z"),
    ] {
        let body = json!({"type": "a", "payload": {}, "createdUtc": bad}).to_string();
        assert_eq!(
            app.post(&key, EVENTS, &body).await.invalid(),
            ["/createdUtc"],
            "{bad}"
        );
    }
    for bad in [
        json!(1.5),
        json!(true),
        json!([]),
        json!(""),
        json!("a.b"),
        json!("x".repeat(65)),
    ] {
        let body = json!({"type": "a", "payload": {}, "companyId": bad}).to_string();
        assert_eq!(
            app.post(&key, EVENTS, &body).await.invalid(),
            ["/companyId"],
            "{bad}"
        );
    }
    assert!(
        app.get(&key, EVENTS).await.ids().is_empty(),
        "nothing was stored"
    );
}

#[tokio::test]
async fn nesting_is_allowed_to_100_and_no_deeper() {
    let app = App::new();
    let key = app.admin("acme").await;
    let nested = |depth: usize| {
        // The payload itself is level 1.
        let (open, close) = (r#"{"a":"#.repeat(depth - 1), "}".repeat(depth - 1));
        format!(r#"{{"type":"a","payload":{open}{{}}{close}}}"#)
    };
    assert_eq!(app.post(&key, EVENTS, &nested(100)).await.status, 201);
    assert_eq!(
        app.post(&key, EVENTS, &nested(101)).await.invalid(),
        ["/payload"]
    );
}

#[tokio::test]
async fn an_id_that_names_nothing_is_a_404() {
    let app = App::new();
    let key = app.admin("acme").await;
    for id in [
        "evt_01h455vb4pex5vsknk084sn02q",
        "sub_01h455vb4pex5vsknk084sn02q",
        "evt_",
        "x",
        "%00",
        "%ff",
        "evt_01H455VB4PEX5VSKNK084SN02Q",
    ] {
        app.get(&key, &format!("{EVENTS}/{id}"))
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn lists_filter_by_type_and_keep_the_order_of_storing() {
    let app = App::new();
    let key = app.admin("acme").await;
    let mut ids = Vec::new();
    for event_type in [
        "client.created",
        "invoice.paid",
        "client.address.changed",
        "clients",
    ] {
        ids.push(app.publish(&key, event_type).await);
    }
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (query, expected) in [
        ("", vec![0, 1, 2, 3]),
        ("?type=*", vec![0, 1, 2, 3]),
        ("?type=client.*", vec![0, 2]),
        ("?type=CLIENT.Created", vec![0]),
        ("?type=client.created,invoice.paid", vec![0, 1]),
        ("?type=client.created&type=clients", vec![0, 3]),
        ("?type=nothing", vec![]),
        ("?order=desc", vec![3, 2, 1, 0]),
        ("?order=desc&limit=2", vec![3, 2]),
        ("?limit=1", vec![0]),
        ("?unknown=x", vec![0, 1, 2, 3]),
    ] {
        let expected: Vec<&str> = expected
            .into_iter()
            .map(|index: usize| all[index])
            .collect();
        assert_eq!(
            app.get(&key, &format!("{EVENTS}{query}")).await.ids(),
            expected,
            "{query}"
        );
    }
    let other = app.admin("other").await;
    let foreign = app.get(&other, EVENTS).await;
    assert_eq!(
        (foreign.text(), foreign.field("x-paging-has-more")),
        ("[]", "false")
    );
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let app = App::new();
    let key = app.admin("acme").await;
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=-1", "/limit"),
        ("limit=%2B5", "/limit"),
        ("limit=", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("limit=99999999999999999999", "/limit"),
        ("order=up", "/order"),
        ("wait=31", "/wait"),
        ("wait=0.5", "/wait"),
        ("type=", "/type"),
        ("type=a,,b", "/type"),
        ("type=a.**", "/type"),
        ("companyId=", "/companyId"),
    ] {
        let answer = app.get(&key, &format!("{EVENTS}?{query}")).await;
        assert_eq!(answer.invalid(), [pointer], "{query}");
    }
    let several = app
        .get(&key, &format!("{EVENTS}?limit=x&order=y&wait=z"))
        .await;
    assert_eq!(several.invalid().len(), 3);
    for fine in ["limit=1000", "limit=1", "wait=0", "order=asc"] {
        assert_eq!(
            app.get(&key, &format!("{EVENTS}?{fine}")).await.status,
            200,
            "{fine}"
        );
    }
}
