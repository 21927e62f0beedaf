//! Replaying a window of events.

use serde_json::json;
use tidings_domain::{attempt::AttemptOutcome, verdict::Verdict};

use crate::harness::{App, SUBSCRIPTIONS};

#[tokio::test]
async fn it_brings_what_was_missed_and_with_all_what_succeeded_too() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["a.*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{sub}");
    app.publish(&key, "a.done").await;
    app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
        .await;
    app.patch(&key, &path, r#"{"enabled":false}"#).await;
    app.clock.advance(60_000);
    app.publish(&key, "a.missed").await;
    app.publish(&key, "b.unwanted").await;
    let replay = format!("{path}/replay");
    let failed = r#"{"sinceUtc":"2026-11-23T00:00:00Z","only":"failed"}"#;
    app.post(&key, &replay, failed)
        .await
        .problem(409, "subscription_disabled");
    app.patch(&key, &path, r#"{"enabled":true}"#).await;
    let answer = app.post(&key, &replay, failed).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (202, json!({"replayed": 1}))
    );
    assert_eq!(
        app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
            .await,
        1
    );
    let all = r#"{"sinceUtc":"2026-11-23T00:00:00Z","only":"all"}"#;
    assert_eq!(
        app.post(&key, &replay, all).await.json(),
        json!({"replayed": 2})
    );
    let window =
        r#"{"sinceUtc":"2026-11-23T08:30:00Z","untilUtc":"2026-11-23T08:30:30Z","only":"all"}"#;
    app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
        .await;
    assert_eq!(
        app.post(&key, &replay, window).await.json(),
        json!({"replayed": 1})
    );
}

#[tokio::test]
async fn what_is_wrong_is_listed() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["a.*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{sub}/replay");
    for (body, pointers) in [
        ("{}", vec!["/sinceUtc", "/only"]),
        (
            r#"{"sinceUtc":"x","untilUtc":1,"only":"some","more":1}"#,
            vec!["/sinceUtc", "/untilUtc", "/only", "/more"],
        ),
        (
            r#"{"sinceUtc":"2026-01-02T00:00:00Z","untilUtc":"2026-01-02T00:00:00Z","only":"all"}"#,
            vec!["/untilUtc"],
        ),
        (
            r#"{"sinceUtc":"2026-01-02T00:00:00Z","untilUtc":"2026-01-01T00:00:00Z","only":"all"}"#,
            vec!["/untilUtc"],
        ),
    ] {
        assert_eq!(
            app.post(&key, &path, body).await.invalid(),
            pointers,
            "{body}"
        );
    }
    app.post(&key, &path, "")
        .await
        .problem(400, "malformed_json");
}
