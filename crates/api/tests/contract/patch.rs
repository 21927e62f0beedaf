//! Changing a subscription: merge patch and preconditions.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, App, SUBSCRIPTIONS, request, with_field};

async fn guarded(app: &App, key: &str, path: &str, tag: &str, body: &str) -> Answer {
    let ask = request(Method::PATCH, key, path, body);
    app.send(with_field(ask, "if-match", tag)).await
}

#[tokio::test]
async fn what_is_not_there_stays() {
    let app = App::new();
    let key = app.admin("acme").await;
    let path = format!("{SUBSCRIPTIONS}/{}", app.subscribe(&key, &["a.*"]).await);
    let before = app.get(&key, &path).await.json();
    app.clock.advance(5000);
    let steps = [
        (r#"{"description":"d"}"#, json!({"description": "d"})),
        (
            r#"{"url":"https://other.example/x"}"#,
            json!({"url": "https://other.example/x"}),
        ),
        (r#"{"eventTypes":["B","b"]}"#, json!({"eventTypes": ["b"]})),
        (r#"{"enabled":false}"#, json!({"enabled": false})),
        (r#"{"description":null}"#, json!({"description": null})),
        (r#"{"maxPerSecond":7}"#, json!({"maxPerSecond": 7})),
        (r#"{"maxPerSecond":null}"#, json!({"maxPerSecond": null})),
        (
            r#"{"enabled":true,"description":"x"}"#,
            json!({"enabled": true, "description": "x"}),
        ),
    ];
    let mut expected = before;
    expected["updatedUtc"] = json!("2026-11-23T08:30:05.000Z");
    for (body, change) in steps {
        let answer = app.patch(&key, &path, body).await;
        for (name, value) in change.as_object().unwrap() {
            expected[name] = value.clone();
        }
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, expected.clone()),
            "{body}"
        );
        assert_eq!(app.get(&key, &path).await.json(), expected);
    }
    let unchanged = app.patch(&key, &path, "{}").await;
    assert_eq!(unchanged.json(), expected);
    assert_eq!(
        app.outbound.checked.lock().len(),
        2,
        "only a new URL is checked"
    );
}

#[tokio::test]
async fn both_media_types_are_merge_patches() {
    let app = App::new();
    let key = app.admin("acme").await;
    let path = format!("{SUBSCRIPTIONS}/{}", app.subscribe(&key, &["a.*"]).await);
    for (media, status) in [
        ("application/merge-patch+json", 200),
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/json-patch+json", 415),
        ("text/plain", 415),
    ] {
        let ask = request(Method::PATCH, &key, &path, r#"{"description":"d"}"#);
        let answer = app.send(with_field(ask, "content-type", media)).await;
        assert_eq!(answer.status, status, "{media}");
    }
}

#[tokio::test]
async fn what_cannot_be_changed_is_a_422() {
    let app = App::new();
    let key = app.admin("acme").await;
    let path = format!("{SUBSCRIPTIONS}/{}", app.subscribe(&key, &["a.*"]).await);
    for (body, pointer) in [
        (r#"{"url":null}"#, "/url"),
        (r#"{"url":"http://example.com"}"#, "/url"),
        (r#"{"eventTypes":null}"#, "/eventTypes"),
        (r#"{"eventTypes":[]}"#, "/eventTypes"),
        (r#"{"eventTypes":["a b"]}"#, "/eventTypes/0"),
        (r#"{"enabled":null}"#, "/enabled"),
        (r#"{"enabled":1}"#, "/enabled"),
        (r#"{"maxPerSecond":0}"#, "/maxPerSecond"),
        (r#"{"maxPerSecond":10001}"#, "/maxPerSecond"),
        (r#"{"maxPerSecond":1.5}"#, "/maxPerSecond"),
        (r#"{"maxPerSecond":"5"}"#, "/maxPerSecond"),
        (r#"{"breaker":"closed"}"#, "/breaker"),
        (r#"{"description":5}"#, "/description"),
        (r#"{"secret":"exactly-24-characters-ok"}"#, "/secret"),
        (r#"{"managedBy":"api"}"#, "/managedBy"),
        (r#"{"id":"x"}"#, "/id"),
        (r#"{"companyId":"acme"}"#, "/companyId"),
        ("[]", ""),
    ] {
        assert_eq!(
            app.patch(&key, &path, body).await.invalid(),
            [pointer],
            "{body}"
        );
    }
    let long = json!({"description": "é".repeat(1001)}).to_string();
    assert_eq!(
        app.patch(&key, &path, &long).await.invalid(),
        ["/description"]
    );
    let fits = json!({"description": "é".repeat(1000)}).to_string();
    assert_eq!(app.patch(&key, &path, &fits).await.status, 200);
    *app.outbound.refusal.lock() = Some("no".to_owned());
    let refused = app
        .patch(
            &key,
            &path,
            r#"{"url":"https://b.example","enabled":false}"#,
        )
        .await;
    assert_eq!(refused.invalid(), ["/url"]);
    assert_eq!(
        app.get(&key, &path).await.json()["enabled"],
        true,
        "nothing of it was done"
    );
}

#[tokio::test]
async fn if_match_guards_against_losing_changes() {
    let app = App::new();
    let key = app.admin("acme").await;
    let path = format!("{SUBSCRIPTIONS}/{}", app.subscribe(&key, &["a.*"]).await);
    let first = app.get(&key, &path).await.field("etag").to_owned();
    assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
    let changed = guarded(&app, &key, &path, &first, r#"{"description":"1"}"#).await;
    assert_eq!(changed.status, 200);
    let second = changed.field("etag").to_owned();
    assert_ne!(first, second);
    assert_eq!(app.get(&key, &path).await.field("etag"), second);
    for stale in [
        first.as_str(),
        &format!("W/{second}"),
        "\"nonsense\"",
        "x",
        "",
    ] {
        let answer = guarded(&app, &key, &path, stale, r#"{"description":"2"}"#).await;
        answer.problem(412, "precondition_failed");
        let answer = guarded(&app, &key, &path, stale, "{}").await;
        answer.problem(412, "precondition_failed");
    }
    assert_eq!(app.get(&key, &path).await.json()["description"], "1");
    for good in [format!("{first}, {second}"), "*".to_owned()] {
        let now = app.get(&key, &path).await.field("etag").to_owned();
        let tag = good.replace(&second, &now);
        assert_eq!(
            guarded(&app, &key, &path, &tag, r#"{"enabled":false}"#)
                .await
                .status,
            200
        );
    }
    let missing = format!("{SUBSCRIPTIONS}/sub_01h455vb4pex5vsknk084sn02q");
    guarded(&app, &key, &missing, "*", "{}")
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn enabling_clears_the_reason_and_types_count_from_now_on() {
    let app = App::new();
    let key = app.admin("acme").await;
    let id = app.subscribe(&key, &["a.*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{id}");
    app.patch(&key, &path, r#"{"enabled":false}"#).await;
    let missed = app.publish(&key, "a.x").await;
    app.patch(&key, &path, r#"{"enabled":true,"eventTypes":["b.*"]}"#)
        .await;
    let unwanted = app.publish(&key, "a.y").await;
    let wanted = app.publish(&key, "b.y").await;
    for (event, state) in [
        (missed, "disabled"),
        (unwanted, "notMatched"),
        (wanted, "pending"),
    ] {
        let trace = app
            .get(&key, &format!("/api/v1/events/{event}/deliveries"))
            .await
            .json();
        assert_eq!(trace["deliveries"][0]["state"], state, "{trace}");
    }
    assert_eq!(
        app.get(&key, &path).await.json()["disabledReason"],
        Value::Null
    );
}
