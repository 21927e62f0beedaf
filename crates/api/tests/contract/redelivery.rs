//! The trace of an event, and delivering it once more.

use serde_json::{Value, json};
use tidings_domain::{
    attempt::{AttemptError, AttemptOutcome},
    time::UtcMillis,
    verdict::Verdict,
};

use crate::harness::{App, EVENTS, START, SUBSCRIPTIONS};

#[tokio::test]
async fn the_trace_says_what_became_of_it_everywhere() {
    let app = App::new();
    let key = app.admin("acme").await;
    let wants = app.subscribe(&key, &["a.*"]).await;
    let not = app.subscribe(&key, &["b.*"]).await;
    let event = app.publish(&key, "a.b").await;
    let path = format!("{EVENTS}/{event}/deliveries");
    let trace = app.get(&key, &path).await.json();
    let lines = trace["deliveries"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(
        lines
            .iter()
            .all(|line| !line["reason"].as_str().unwrap().is_empty())
    );
    let part = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("reason");
        line
    };
    let pending = part(&lines[0]);
    assert_eq!(
        (&pending["subscriptionId"], &pending["state"]),
        (&json!(wants), &json!("pending"))
    );
    assert_eq!(
        part(&lines[1]),
        json!({"subscriptionId": not, "state": "notMatched", "attempts": 0, "nextAttemptUtc": null,
            "lastStatusCode": null, "lastError": null})
    );
    let next = UtcMillis::parse(START).unwrap().plus_millis(5000);
    app.attempt_all(
        AttemptOutcome::Failed(AttemptError::Status),
        Verdict::RetryAt(next),
    )
    .await;
    let trace = app.get(&key, &path).await.json();
    assert_eq!(
        part(&trace["deliveries"][0]),
        json!({"subscriptionId": wants, "state": "retrying", "attempts": 1,
            "nextAttemptUtc": "2026-11-23T08:30:05.000Z", "lastStatusCode": 503, "lastError": "status"})
    );
    app.clock.advance(5000);
    app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
        .await;
    let trace = app.get(&key, &path).await.json();
    assert_eq!(
        part(&trace["deliveries"][0]),
        json!({"subscriptionId": wants, "state": "succeeded", "attempts": 2, "nextAttemptUtc": null,
            "lastStatusCode": 200, "lastError": null})
    );
}

#[tokio::test]
async fn redelivering_makes_a_new_delivery() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["a.*"]).await;
    let event = app.publish(&key, "a.b").await;
    app.attempt_all(
        AttemptOutcome::Failed(AttemptError::Status),
        Verdict::GaveUp,
    )
    .await;
    let path = format!("{EVENTS}/{event}/deliveries/{sub}/redeliver");
    let answer = app.post(&key, &path, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (202, json!({"eventId": event, "subscriptionId": sub}))
    );
    let trace = app
        .get(&key, &format!("{EVENTS}/{event}/deliveries"))
        .await
        .json();
    assert_eq!(trace["deliveries"][0]["state"], "pending");
    assert_eq!(
        app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
            .await,
        1
    );
    let log = app
        .get(&key, &format!("{SUBSCRIPTIONS}/{sub}/attempts"))
        .await
        .json();
    assert_eq!(
        (&log[0]["attempt"], &log[1]["attempt"]),
        (&json!(1), &json!(1)),
        "counted from 1"
    );

    app.patch(
        &key,
        &format!("{SUBSCRIPTIONS}/{sub}"),
        r#"{"enabled":false}"#,
    )
    .await;
    app.post(&key, &path, "")
        .await
        .problem(409, "subscription_disabled");
    app.delete(&key, &format!("{SUBSCRIPTIONS}/{sub}")).await;
    app.post(&key, &path, "").await.problem(404, "not_found");
    for missing in [
        format!("{EVENTS}/{event}/deliveries/sub_x/redeliver"),
        format!("{EVENTS}/evt_x/deliveries/{sub}/redeliver"),
    ] {
        app.post(&key, &missing, "").await.problem(404, "not_found");
    }
}
