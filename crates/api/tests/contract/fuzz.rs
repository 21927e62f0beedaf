//! Whatever is sent to whichever endpoint: an answer, and never a 500.

use http::Method;
use proptest::{prelude::*, test_runner::Config};

use crate::{
    harness::{App, BOOTSTRAP, EVENTS, SUBSCRIPTIONS, request},
    portal_sessions::SESSIONS,
};

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        Just(r#""*""#.to_owned()),
        Just(r#""a.b""#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#""\u0000""#.to_owned()),
        Just(r#""https://example.com/""#.to_owned()),
        Just(r#""2026-11-23T08:30:00Z""#.to_owned()),
        Just(r#""9999-12-31T23:59:59Z""#.to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        ".{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(("[a-z]{0,3}", inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(name, value)| format!(r#""{name}":{value}"#))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("type"),
        Just("payload"),
        Just("metadata"),
        Just("createdUtc"),
        Just("companyId"),
        Just("events"),
        Just("url"),
        Just("eventTypes"),
        Just("secret"),
        Just("description"),
        Just("enabled"),
        Just("managedBy"),
        Just("overlapHours"),
        Just("eventType"),
        Just("useSamplePayload"),
        Just("samplePayload"),
        Just("sinceUtc"),
        Just("untilUtc"),
        Just("only"),
        Just("name"),
        Just("scopes"),
        Just("expiresUtc"),
        Just("role"),
        Just("expiresInMinutes"),
        Just("x"),
    ];
    let object = proptest::collection::vec((name, json_value()), 0..6).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| format!(r#""{name}":{value}"#))
            .collect();
        format!("{{{}}}", members.join(","))
    });
    prop_oneof![4 => object, 1 => json_value(), 1 => ".{0,30}"]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("type"),
        Just("limit"),
        Just("cursor"),
        Just("order"),
        Just("companyId"),
        Just("outcome"),
        Just("eventType"),
        Just("eventId"),
        Just("x"),
    ];
    let value = prop_oneof![
        Just("now".to_owned()),
        Just("desc".to_owned()),
        Just("acme".to_owned()),
        Just("a.*".to_owned()),
        Just("5".to_owned()),
        "[-A-Za-z0-9_.*,%&=+]{0,12}",
    ];
    proptest::collection::vec((name, value), 0..4).prop_map(|pairs| {
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    })
}

#[test]
fn nothing_that_is_sent_is_a_500() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let app = App::new();
    let (key, sub, event) = runtime.block_on(async {
        let key = app.admin("acme").await;
        let sub = app.subscribe(&key, &["none"]).await;
        let event = app.publish(&key, "a.b").await;
        (key, sub, event)
    });
    let endpoints = [
        (Method::POST, EVENTS.to_owned()),
        (Method::POST, format!("{EVENTS}/batch")),
        (Method::GET, EVENTS.to_owned()),
        (Method::GET, format!("{EVENTS}/{event}")),
        (Method::GET, format!("{EVENTS}/{event}/deliveries")),
        (
            Method::POST,
            format!("{EVENTS}/{event}/deliveries/{sub}/redeliver"),
        ),
        (Method::POST, SUBSCRIPTIONS.to_owned()),
        (Method::GET, SUBSCRIPTIONS.to_owned()),
        (Method::GET, format!("{SUBSCRIPTIONS}/{sub}")),
        (Method::PATCH, format!("{SUBSCRIPTIONS}/{sub}")),
        (Method::POST, format!("{SUBSCRIPTIONS}/{sub}/secret/rotate")),
        (Method::POST, format!("{SUBSCRIPTIONS}/{sub}/test")),
        (Method::GET, format!("{SUBSCRIPTIONS}/{sub}/attempts")),
        (Method::POST, format!("{SUBSCRIPTIONS}/{sub}/replay")),
        (Method::GET, "/api/v1/api-keys".to_owned()),
        (Method::POST, "/api/v1/api-keys".to_owned()),
        (Method::GET, "/api/v1/me".to_owned()),
        (Method::POST, SESSIONS.to_owned()),
    ];
    let endpoint = proptest::sample::select(endpoints.to_vec());
    let config = Config {
        cases: 1500,
        failure_persistence: None,
        ..Config::default()
    };
    proptest!(config, |((method, path) in endpoint, body in body(), query in query())| {
        let key = if path == SESSIONS { BOOTSTRAP } else { &key };
        let path = if query.is_empty() { path } else { format!("{path}?{query}") };
        if path.parse::<http::Uri>().is_ok() {
            let answer = runtime.block_on(app.send(request(method, key, &path, &body)));
            prop_assert!(answer.status.as_u16() < 500, "{} {}: {:?}", path, body, answer);
            if answer.status.as_u16() >= 400 {
                prop_assert_eq!(answer.field("content-type"), "application/problem+json");
            }
        }
    });
}
