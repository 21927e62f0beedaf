//! Publishing many at once: all or nothing.

use serde_json::{Value, json};

use crate::harness::{App, BOOTSTRAP, EVENTS, Settings};
use tidings_api::Limits;

const BATCH: &str = "/api/v1/events/batch";

fn batch(events: &[Value]) -> String {
    json!({ "events": events }).to_string()
}

#[tokio::test]
async fn the_envelopes_come_back_in_order() {
    let app = App::new();
    let key = app.admin("acme").await;
    let body = r#"{"events":[{"type":"a.one","payload":{"x":1.0}},{"type":"a.two","payload":{},"metadata":{"m":1}}]}"#;
    let answer = app.post(&key, BATCH, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let listed = app.get(&key, EVENTS).await;
    assert_eq!(answer.text(), format!(r#"{{"events":{}}}"#, listed.text()));
    assert!(answer.text().contains(r#""payload":{"x":1.0}"#));
    let types: Vec<Value> = listed
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(types, ["a.one", "a.two"]);
}

#[tokio::test]
async fn one_bad_event_spoils_all_and_is_named() {
    let app = App::new();
    let key = app.admin("acme").await;
    let good = json!({"type": "a", "payload": {}});
    let bad = json!({"type": "a b", "payload": {}});
    let answer = app
        .post(
            &key,
            BATCH,
            &batch(&[good.clone(), bad, json!(3), json!({})]),
        )
        .await;
    assert_eq!(
        answer.invalid(),
        [
            "/events/1/type",
            "/events/2",
            "/events/3/type",
            "/events/3/payload"
        ]
    );
    assert!(app.get(&key, EVENTS).await.ids().is_empty());
    let unknown = json!({"type": "a", "payload": {}, "id": "evt_1"});
    let answer = app.post(&key, BATCH, &batch(&[good, unknown])).await;
    assert_eq!(answer.invalid(), ["/events/1/id"]);
}

#[tokio::test]
async fn it_holds_1_to_1000_events() {
    let app = App::new();
    let key = app.admin("acme").await;
    let event = json!({"type": "a", "payload": {}});
    assert_eq!(
        app.post(&key, BATCH, &batch(&[])).await.invalid(),
        ["/events"]
    );
    let most = batch(&vec![event.clone(); 1000]);
    assert_eq!(app.post(&key, BATCH, &most).await.status, 201);
    let more = batch(&vec![event; 1001]);
    assert_eq!(app.post(&key, BATCH, &more).await.invalid(), ["/events"]);
    for bad in [
        "{}",
        r#"{"events":null}"#,
        r#"{"events":{}}"#,
        r#"{"events":"x"}"#,
    ] {
        assert_eq!(
            app.post(&key, BATCH, bad).await.invalid(),
            ["/events"],
            "{bad}"
        );
    }
    assert_eq!(
        app.get(&key, "/api/v1/events?limit=1000").await.ids().len(),
        1000
    );
}

#[tokio::test]
async fn a_member_given_twice_is_malformed_in_the_events_too() {
    let app = App::new();
    let key = app.admin("acme").await;
    for body in [
        r#"{"events":[],"events":[]}"#,
        r#"{"events":[{"type":"a","type":"b","payload":{}}]}"#,
    ] {
        app.post(&key, BATCH, body)
            .await
            .problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn an_event_in_it_is_no_larger_than_one_alone() {
    let limits = Limits {
        event_bytes_max: 200,
        ..Limits::default()
    };
    let app = App::with(Settings {
        limits,
        ..Settings::default()
    });
    let key = app.admin("acme").await;
    let small = json!({"type": "a", "payload": {}});
    let large = json!({"type": "a", "payload": {"x": "y".repeat(200)}});
    let answer = app.post(&key, BATCH, &batch(&[small.clone(), large])).await;
    assert_eq!(answer.invalid(), ["/events/1"]);
    assert_eq!(
        app.post(&key, BATCH, &batch(&vec![small; 50])).await.status,
        201
    );
}

#[tokio::test]
async fn all_of_it_belongs_to_one_company() {
    let app = App::new();
    let of = |company: Option<&str>| match company {
        Some(company) => json!({"type": "a", "payload": {}, "companyId": company}),
        None => json!({"type": "a", "payload": {}}),
    };
    let same = batch(&[of(Some("acme")), of(Some("acme"))]);
    let answer = app.post(BOOTSTRAP, BATCH, &same).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["events"][1]["companyId"], "acme");
    let mixed = batch(&[of(Some("acme")), of(Some("other")), of(None)]);
    let answer = app.post(BOOTSTRAP, BATCH, &mixed).await;
    assert_eq!(
        answer.invalid(),
        ["/events/1/companyId", "/events/2/companyId"]
    );
    let named = app
        .post(
            BOOTSTRAP,
            "/api/v1/events/batch?companyId=acme",
            &batch(&[of(None)]),
        )
        .await;
    assert_eq!(named.json()["events"][0]["companyId"], "acme");
    let body = json!({"companyId": "acme", "events": [of(Some("other"))]}).to_string();
    assert_eq!(
        app.post(BOOTSTRAP, BATCH, &body).await.invalid(),
        ["/events/0/companyId"]
    );
}
