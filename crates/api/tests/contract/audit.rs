//! The audit log of what is asked of the API: who, from where, what.

use std::net::IpAddr;

use http::Method;
use serde_json::json;
use tidings_domain::{
    actor::{ClientAddress, Who},
    attempt::AttemptOutcome,
    audit::{Action, AuditEntry, FieldChange},
    company::CompanyId,
    verdict::Verdict,
};
use tidings_store::{AuditLog as _, AuditQuery, AuditScope};

use crate::harness::{App, BOOTSTRAP, SUBSCRIPTIONS, request, start};

const ADDRESS: &str = "192.0.2.44";

/// Asks as the listener passes it on, with the client's address, and gives the answer's JSON.
async fn ask(app: &App, method: Method, key: &str, path: &str, body: &str) -> serde_json::Value {
    let mut request = request(method, key, path, body);
    let address: IpAddr = ADDRESS.parse().unwrap();
    request.extensions_mut().insert(ClientAddress(address));
    let answer = app.send(request).await;
    assert!(answer.status.is_success(), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// All lines, the oldest first.
async fn lines(app: &App, scope: AuditScope) -> Vec<AuditEntry> {
    let query = AuditQuery {
        scope,
        target: None,
        before: None,
        limit: 100,
    };
    let mut entries = app.store.audit(query).await.unwrap().entries;
    entries.reverse();
    entries
}

fn actions(lines: &[AuditEntry]) -> Vec<Action> {
    lines.iter().map(|line| line.action).collect()
}

/// What the fields of a line became.
fn after(line: &AuditEntry) -> Vec<(&str, &str)> {
    let fields = line.changes.iter();
    fields
        .filter_map(|FieldChange { field, after, .. }| Some((field.as_str(), after.as_deref()?)))
        .collect()
}

#[tokio::test]
async fn every_change_leaves_a_line_with_its_caller() {
    let app = App::new();
    let made = json!({"name": "ci", "scopes": ["admin"], "companyId": "acme"}).to_string();
    let key = ask(&app, Method::POST, BOOTSTRAP, "/api/v1/api-keys", &made).await;
    let (key_id, key) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    let wish = r#"{"url":"https://example.com/hook","eventTypes":["a.*"]}"#;
    let made = ask(&app, Method::POST, key, SUBSCRIPTIONS, wish).await;
    let path = format!("{SUBSCRIPTIONS}/{}", made["id"].as_str().unwrap());
    ask(&app, Method::PATCH, key, &path, r#"{"description":"x"}"#).await;
    // What changes nothing leaves no line.
    ask(&app, Method::PATCH, key, &path, r#"{"description":"x"}"#).await;
    ask(&app, Method::PATCH, key, &path, r#"{"enabled":false}"#).await;
    ask(&app, Method::PATCH, key, &path, r#"{"enabled":true}"#).await;
    let rotate = format!("{path}/secret/rotate");
    let rotated = ask(&app, Method::POST, key, &rotate, "").await;
    ask(&app, Method::DELETE, key, &path, "").await;
    let key_path = format!("/api/v1/api-keys/{key_id}");
    ask(&app, Method::DELETE, BOOTSTRAP, &key_path, "").await;

    let company = CompanyId::parse("acme").unwrap();
    let lines = lines(&app, AuditScope::Company(company.clone())).await;
    assert_eq!(
        actions(&lines),
        [
            Action::KeyCreated,
            Action::SubscriptionCreated,
            Action::SubscriptionUpdated,
            Action::SubscriptionDisabled,
            Action::SubscriptionEnabled,
            Action::SecretRotated,
            Action::SubscriptionDeleted,
            Action::KeyRevoked,
        ]
    );
    for line in &lines {
        assert_eq!(line.at, start());
        assert_eq!(line.company.as_ref(), Some(&company));
        assert_eq!(line.actor.address, Some(ADDRESS.parse().unwrap()));
        let by_platform = matches!(line.action, Action::KeyCreated | Action::KeyRevoked);
        let expected = if by_platform { "bootstrap" } else { "ci" };
        match &line.actor.who {
            Who::Key { id, name, platform } => {
                assert_eq!((name.as_str(), *platform), (expected, by_platform));
                assert_eq!(id.to_string() == key_id, !by_platform);
            }
            other => panic!("{other:?}"),
        }
    }
    let told = format!("{lines:?}");
    for secret in [
        key,
        made["secret"].as_str().unwrap(),
        rotated["secret"].as_str().unwrap(),
    ] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn delivering_again_leaves_a_line_when_it_was_done() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["a.*"]).await;
    let event = app.publish(&key, "a.done").await;
    let redeliver = format!("/api/v1/events/{event}/deliveries/{sub}/redeliver");
    // The platform names no company: the line is the subscription's company's all the same.
    ask(&app, Method::POST, BOOTSTRAP, &redeliver, "").await;
    app.attempt_all(AttemptOutcome::Succeeded, Verdict::Succeeded)
        .await;
    let replay = format!("{SUBSCRIPTIONS}/{sub}/replay");
    let window =
        r#"{"sinceUtc":"2026-11-23T08:00:00Z","untilUtc":"2026-11-23T09:00:00Z","only":"all"}"#;
    ask(&app, Method::POST, &key, &replay, window).await;

    let company = AuditScope::Company(CompanyId::parse("acme").unwrap());
    let all = lines(&app, company.clone()).await;
    let [.., redelivered, replayed] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(redelivered.action, Action::Redelivered);
    assert_eq!(redelivered.target, sub);
    assert_eq!(after(redelivered), [("eventId", event.as_str())]);
    assert!(matches!(&redelivered.actor.who, Who::Key { name, .. } if name == "bootstrap"));
    assert_eq!(redelivered.actor.address, Some(ADDRESS.parse().unwrap()));
    assert_eq!(replayed.action, Action::Replayed);
    assert_eq!(replayed.target, sub);
    assert_eq!(
        after(replayed),
        [
            ("sinceUtc", "2026-11-23T08:00:00.000Z"),
            ("untilUtc", "2026-11-23T09:00:00.000Z"),
            ("only", "all"),
            ("replayed", "1"),
        ]
    );

    // What was refused was not done.
    let path = format!("{SUBSCRIPTIONS}/{sub}");
    app.patch(&key, &path, r#"{"enabled":false}"#).await;
    let count = lines(&app, company.clone()).await.len();
    app.post(&key, &redeliver, "")
        .await
        .problem(409, "subscription_disabled");
    app.post(&key, &replay, window)
        .await
        .problem(409, "subscription_disabled");
    let nowhere = redeliver.replace(&event, "evt_01k3zt5w9hf0bvv8d6n7q2m4xe");
    app.post(&key, &nowhere, "").await.problem(404, "not_found");
    assert_eq!(lines(&app, company).await.len(), count);
}

#[tokio::test]
async fn a_replay_that_the_servers_stop_ends_leaves_its_line() {
    let app = App::new();
    let key = app.admin("acme").await;
    app.publish(&key, "a.done").await;
    let sub = app.subscribe(&key, &["a.*"]).await;
    app.shutdown.cancel();
    let replay = format!("{SUBSCRIPTIONS}/{sub}/replay");
    let window = r#"{"sinceUtc":"2026-11-23T08:00:00Z","only":"all"}"#;
    app.post(&key, &replay, window)
        .await
        .problem(503, "overloaded");
    let company = AuditScope::Company(CompanyId::parse("acme").unwrap());
    let all = lines(&app, company).await;
    let last = all.last().unwrap();
    assert_eq!(
        (last.action, last.target.as_str()),
        (Action::Replayed, sub.as_str())
    );
    assert_eq!(after(last).last(), Some(&("replayed", "0")));
}
