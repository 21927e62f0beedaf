//! The delivery log.

use serde_json::{Value, json};
use tidings_domain::{
    attempt::{AttemptError, AttemptOutcome},
    time::UtcMillis,
    verdict::Verdict,
};

use crate::harness::{App, START, SUBSCRIPTIONS};

const FAILED: AttemptOutcome = AttemptOutcome::Failed(AttemptError::Status);

#[tokio::test]
async fn an_attempt_shows_both_sides() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    let event = app.publish(&key, "a.b").await;
    let next = UtcMillis::parse("2026-11-23T08:30:05.000Z").unwrap();
    app.attempt_all(FAILED, Verdict::RetryAt(next)).await;
    let page = app
        .get(&key, &format!("{SUBSCRIPTIONS}/{sub}/attempts"))
        .await;
    let mut attempt = page.json()[0].clone();
    let members = attempt.as_object_mut().unwrap();
    assert!(
        members
            .remove("id")
            .unwrap()
            .as_str()
            .unwrap()
            .starts_with("att_")
    );
    let sent = members.remove("requestHeaders").unwrap();
    assert_eq!(
        attempt,
        json!({"subscriptionId": sub, "eventId": event, "eventType": "a.b", "attempt": 1,
            "attemptedUtc": START, "outcome": "failed", "statusCode": 503, "error": "status",
            "elapsedMs": 42, "responseBody": "body", "responseBodyTruncated": false,
            "requestUrl": "https://example.com/hook",
            "responseHeaders": {"content-type": "text/plain", "set-cookie": "a=1, b=2"},
            "nextAttemptUtc": "2026-11-23T08:30:05.000Z"})
    );
    let names: Vec<&String> = sent.as_object().unwrap().keys().collect();
    for name in [
        "Content-Type",
        "User-Agent",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "X-Hub-Signature-256",
        "X-Webhook-Event",
        "X-Webhook-Subscription",
        "X-Webhook-Attempt",
    ] {
        assert!(names.contains(&&name.to_owned()), "{name}");
    }
    assert_eq!(sent["webhook-id"], json!(event));
    assert_eq!(sent["X-Webhook-Attempt"], "1");
}

#[tokio::test]
async fn without_an_answer_there_is_no_status_and_no_body() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    app.publish(&key, "a.b").await;
    app.attempt_all(
        AttemptOutcome::Failed(AttemptError::Timeout),
        Verdict::GaveUp,
    )
    .await;
    let attempt = app
        .get(&key, &format!("{SUBSCRIPTIONS}/{sub}/attempts"))
        .await
        .json()[0]
        .clone();
    assert_eq!(attempt["error"], "timeout");
    for member in ["statusCode", "responseBody", "nextAttemptUtc"] {
        assert_eq!(attempt[member], Value::Null, "{member}");
    }
    assert_eq!(attempt["responseHeaders"], json!({}));
}

#[tokio::test]
async fn it_is_paged_newest_first_filtered_and_outlives_its_subscription() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    let other_sub = app.subscribe(&key, &["none"]).await;
    let good = app.publish(&key, "a.good").await;
    app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
        .await;
    app.clock.advance(1000);
    let bad = app.publish(&key, "a.bad").await;
    for number in 1..4 {
        let next = UtcMillis::parse(START)
            .unwrap()
            .plus_millis(1000 + number * 1000);
        assert_eq!(app.attempt_all(FAILED, Verdict::RetryAt(next)).await, 1);
        app.clock.advance(1000);
    }
    let path = format!("{SUBSCRIPTIONS}/{sub}/attempts");
    let numbers = |answer: &crate::harness::Answer| -> Vec<(String, i64)> {
        let attempts = answer.json();
        let attempts = attempts.as_array().unwrap().iter();
        attempts
            .map(|one| {
                (
                    one["eventId"].as_str().unwrap().to_owned(),
                    one["attempt"].as_i64().unwrap(),
                )
            })
            .collect()
    };
    let of = |number: i64| (bad.clone(), number);
    let first = (good.clone(), 1);
    let all = vec![of(3), of(2), of(1), first.clone()];
    for round in 0..2 {
        assert_eq!(numbers(&app.get(&key, &path).await), all);
        for (query, expected) in [
            ("outcome=failed", vec![of(3), of(2), of(1)]),
            ("outcome=succeeded", vec![first.clone()]),
            ("eventType=A.Good", vec![first.clone()]),
            (&format!("eventId={bad}&limit=2"), vec![of(3), of(2)]),
            ("outcome=succeeded&eventType=a.bad", vec![]),
            ("order=asc&limit=1", vec![first.clone()]),
        ] {
            assert_eq!(
                numbers(&app.get(&key, &format!("{path}?{query}")).await),
                expected,
                "{query}"
            );
        }
        let page = app
            .get(&key, &format!("{path}?outcome=failed&limit=2"))
            .await;
        assert_eq!(page.field("x-paging-has-more"), "true");
        let rest = app
            .get(&key, &format!("{path}?cursor={}", page.cursor()))
            .await;
        assert_eq!(numbers(&rest), [of(1)], "the cursor carries the filter");
        for wrong in ["outcome=succeeded", "eventType=a.bad", "order=asc"] {
            let answer = app
                .get(&key, &format!("{path}?cursor={}&{wrong}", page.cursor()))
                .await;
            answer.problem(400, "invalid_cursor");
        }
        let elsewhere = format!(
            "{SUBSCRIPTIONS}/{other_sub}/attempts?cursor={}",
            page.cursor()
        );
        app.get(&key, &elsewhere)
            .await
            .problem(400, "invalid_cursor");
        if round == 0 {
            assert_eq!(
                app.delete(&key, &format!("{SUBSCRIPTIONS}/{sub}"))
                    .await
                    .status,
                204
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_filter_is_named() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    for (query, pointer) in [
        ("outcome=maybe", "/outcome"),
        ("eventType=a.*", "/eventType"),
        ("eventId=sub_1", "/eventId"),
        ("limit=0", "/limit"),
    ] {
        let answer = app
            .get(&key, &format!("{SUBSCRIPTIONS}/{sub}/attempts?{query}"))
            .await;
        assert_eq!(answer.invalid(), [pointer], "{query}");
    }
}
