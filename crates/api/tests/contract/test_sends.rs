//! Test sends: one attempt, now, of an event that is in no list.

use serde_json::{Value, json};
use tidings_domain::attempt::{AttemptError, AttemptOutcome, ReceivedResponse};

use crate::harness::{App, EVENTS, START, SUBSCRIPTIONS, answered};

#[tokio::test]
async fn it_sends_a_sample_that_is_in_no_list() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["a.*", "client.created"]).await;
    let path = format!("{SUBSCRIPTIONS}/{sub}/test");
    let answer = app.post(&key, &path, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (
            200,
            json!({"success": true, "statusCode": 200, "elapsedMs": 42, "responseBody": "ok",
            "responseBodyTruncated": false, "targetUrlUsed": "https://example.com/hook", "error": null})
        )
    );
    let (endpoint, event) = app.outbound.sent.lock()[0].clone();
    assert_eq!(endpoint.id.to_string(), sub);
    let envelope: Value = serde_json::from_slice(event.json()).unwrap();
    assert_eq!(envelope["type"], "client.created", "the first exact type");
    assert_eq!(envelope["metadata"], json!({"test": true}));
    assert_eq!(
        (&envelope["companyId"], &envelope["createdUtc"]),
        (&json!("acme"), &json!(START))
    );
    let id = envelope["id"].as_str().unwrap();
    app.get(&key, &format!("{EVENTS}/{id}"))
        .await
        .problem(404, "not_found");
    assert_eq!(app.get(&key, EVENTS).await.text(), "[]");
    assert_eq!(
        app.get(&key, &format!("{SUBSCRIPTIONS}/{sub}/attempts"))
            .await
            .text(),
        "[]"
    );
}

#[tokio::test]
async fn type_and_payload_may_be_chosen() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{sub}/test");
    for (body, event_type, payload) in [
        (
            "{}",
            "webhook.test",
            r#"{"message":"This is a test event."}"#,
        ),
        (
            r#"{"eventType":"Invoice.Paid","useSamplePayload":false}"#,
            "invoice.paid",
            "{}",
        ),
        (
            r#"{"samplePayload":{"a": 1.00}}"#,
            "webhook.test",
            r#"{"a": 1.00}"#,
        ),
        (
            r#"{"useSamplePayload":false,"samplePayload":{"a":1}}"#,
            "webhook.test",
            r#"{"a":1}"#,
        ),
    ] {
        assert_eq!(app.post(&key, &path, body).await.status, 200, "{body}");
        let (_, event) = app.outbound.sent.lock().pop().unwrap();
        assert_eq!(event.event_type().as_str(), event_type);
        assert_eq!(event.payload(), payload.as_bytes());
    }
    let wrong = r#"{"eventType":"a.*","useSamplePayload":1,"samplePayload":[],"x":0}"#;
    let pointers = app.post(&key, &path, wrong).await.invalid();
    assert_eq!(
        pointers,
        ["/eventType", "/useSamplePayload", "/samplePayload", "/x"]
    );
    assert!(app.outbound.sent.lock().is_empty());
}

#[tokio::test]
async fn a_failure_is_a_result() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{sub}/test");
    let failed = |error| (AttemptOutcome::Failed(error), ReceivedResponse::default());
    *app.outbound.outcome.lock() = Some(failed(AttemptError::BlockedAddress));
    let answer = app.post(&key, &path, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (
            200,
            json!({"success": false, "statusCode": null, "elapsedMs": 42, "responseBody": null,
            "responseBodyTruncated": false, "targetUrlUsed": "https://example.com/hook",
            "error": "blockedAddress"})
        )
    );
    let failed = (
        AttemptOutcome::Failed(AttemptError::Status),
        answered(500, "oops"),
    );
    *app.outbound.outcome.lock() = Some(failed);
    let answer = app.post(&key, &path, "").await.json();
    assert_eq!(
        (&answer["success"], &answer["statusCode"], &answer["error"]),
        (&json!(false), &json!(500), &json!("status"))
    );
}

#[tokio::test]
async fn it_works_while_disabled() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    app.patch(
        &key,
        &format!("{SUBSCRIPTIONS}/{sub}"),
        r#"{"enabled":false}"#,
    )
    .await;
    let answer = app
        .post(&key, &format!("{SUBSCRIPTIONS}/{sub}/test"), "{}")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["success"].as_bool()),
        (200, Some(true))
    );
}
