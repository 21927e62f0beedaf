//! Who may call, with which key, for which company.

use http::Method;
use serde_json::json;

use crate::harness::{App, BOOTSTRAP, EVENTS, SUBSCRIPTIONS, request, with_field};

const UNKNOWN: &str = "tdg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
const NO_EVENT: &str = "evt_01h455vb4pex5vsknk084sn02q";
const NO_SUB: &str = "sub_01h455vb4pex5vsknk084sn02q";
const NO_KEY: &str = "key_01h455vb4pex5vsknk084sn02q";
const EVENT: &str = r#"{"type":"a.b","payload":{}}"#;

#[tokio::test]
async fn without_a_valid_key_it_is_401_with_a_challenge() {
    let app = App::new();
    for key in ["", "x", "tdg_short", UNKNOWN] {
        for (method, path) in [
            (Method::GET, EVENTS),
            (Method::POST, EVENTS),
            (Method::GET, "/api/v1/me"),
            (Method::POST, "/api/v1/api-keys"),
            (Method::DELETE, "/api/v1/webhooks/subscriptions/sub_x"),
        ] {
            let answer = app.ask(method, key, path, "").await;
            answer.problem(401, "unauthenticated");
            assert!(answer.field("www-authenticate").starts_with("Bearer"));
        }
    }
}

#[tokio::test]
async fn both_header_fields_carry_a_key() {
    let app = App::new();
    let bearer = with_field(
        request(Method::GET, "", "/api/v1/me", ""),
        "authorization",
        &format!("Bearer {BOOTSTRAP}"),
    );
    assert_eq!(app.send(bearer).await.status, 200);
    assert_eq!(app.get(BOOTSTRAP, "/api/v1/me").await.status, 200);
    for wrong in [
        format!("Basic {BOOTSTRAP}"),
        BOOTSTRAP.to_owned(),
        "Bearer".to_owned(),
    ] {
        let ask = request(Method::GET, "", "/api/v1/me", "");
        let answer = app.send(with_field(ask, "authorization", &wrong)).await;
        answer.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_key_ends_when_it_expires_and_when_it_is_revoked() {
    let app = App::new();
    let body = json!({"name": "short", "scopes": ["events:read"], "companyId": "acme",
        "expiresUtc": "2026-11-23T08:31:00.000Z"});
    let made = app
        .post(BOOTSTRAP, "/api/v1/api-keys", &body.to_string())
        .await;
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(app.get(&key, EVENTS).await.status, 200);
    app.clock.advance(59_999);
    assert_eq!(app.get(&key, EVENTS).await.status, 200);
    app.clock.advance(1);
    app.get(&key, EVENTS).await.problem(401, "unauthenticated");

    let body = json!({"name": "gone", "scopes": ["events:read"], "companyId": "acme"});
    let made = app
        .post(BOOTSTRAP, "/api/v1/api-keys", &body.to_string())
        .await
        .json();
    let key = made["key"].as_str().unwrap();
    assert_eq!(app.get(key, EVENTS).await.status, 200);
    let path = format!("/api/v1/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(app.delete(BOOTSTRAP, &path).await.status, 204);
    app.get(key, EVENTS).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn each_scope_allows_its_own_and_the_problem_names_the_missing_one() {
    let app = App::new();
    let sub = format!("{SUBSCRIPTIONS}/sub_01h455vb4pex5vsknk084sn02q");
    let event = format!("{EVENTS}/evt_01h455vb4pex5vsknk084sn02q");
    let table: Vec<(Method, String, &str)> = vec![
        (Method::GET, EVENTS.to_owned(), "events:read"),
        (Method::GET, event.clone(), "events:read"),
        (Method::POST, EVENTS.to_owned(), "events:write"),
        (Method::POST, format!("{EVENTS}/batch"), "events:write"),
        (Method::GET, format!("{event}/deliveries"), "webhooks:read"),
        (
            Method::POST,
            format!("{event}/deliveries/sub_01h455vb4pex5vsknk084sn02q/redeliver"),
            "webhooks:write",
        ),
        (Method::POST, SUBSCRIPTIONS.to_owned(), "webhooks:write"),
        (Method::GET, SUBSCRIPTIONS.to_owned(), "webhooks:read"),
        (Method::GET, sub.clone(), "webhooks:read"),
        (Method::PATCH, sub.clone(), "webhooks:write"),
        (Method::DELETE, sub.clone(), "webhooks:write"),
        (
            Method::POST,
            format!("{sub}/secret/rotate"),
            "webhooks:write",
        ),
        (Method::POST, format!("{sub}/test"), "webhooks:write"),
        (Method::GET, format!("{sub}/attempts"), "webhooks:read"),
        (Method::POST, format!("{sub}/replay"), "webhooks:write"),
        (Method::GET, "/api/v1/api-keys".to_owned(), "admin"),
        (Method::POST, "/api/v1/api-keys".to_owned(), "admin"),
        (Method::DELETE, "/api/v1/api-keys/key_x".to_owned(), "admin"),
    ];
    for held in [
        "events:read",
        "events:write",
        "webhooks:read",
        "webhooks:write",
        "admin",
    ] {
        let key = app.key("acme", &[held]).await;
        for (method, path, needed) in &table {
            let answer = app.ask(method.clone(), &key, path, "").await;
            let allowed = held == *needed
                || held == "admin"
                || (held == "webhooks:write" && *needed == "webhooks:read");
            if allowed {
                assert!(
                    ![401, 403].contains(&answer.status.as_u16()),
                    "{held} {method} {path}"
                );
            } else {
                let problem = answer.problem(403, "missing_scope");
                assert_eq!(problem["requiredScope"], *needed, "{held} {method} {path}");
            }
        }
        assert_eq!(app.get(&key, "/api/v1/me").await.status, 200, "any scope");
    }
}

#[tokio::test]
async fn a_company_cannot_name_another() {
    let app = App::new();
    let key = app.admin("acme").await;
    let sub = app.subscribe(&key, &["*"]).await;
    let event = app.publish(&key, "a.b").await;
    for body in [
        r#"{"type":"a.b","payload":{},"companyId":"other"}"#,
        r#"{"type":"a.b","payload":{},"companyId":7}"#,
    ] {
        app.post(&key, EVENTS, body)
            .await
            .problem(403, "foreign_company");
    }
    let batch = r#"{"events":[{"type":"a.b","payload":{}},{"type":"a.b","payload":{},"companyId":"other"}]}"#;
    app.post(&key, "/api/v1/events/batch", batch)
        .await
        .problem(403, "foreign_company");
    let batch = r#"{"companyId":"other","events":[{"type":"a.b","payload":{}}]}"#;
    app.post(&key, "/api/v1/events/batch", batch)
        .await
        .problem(403, "foreign_company");
    let new = r#"{"url":"https://example.com","eventTypes":["*"],"companyId":"other"}"#;
    app.post(&key, SUBSCRIPTIONS, new)
        .await
        .problem(403, "foreign_company");
    for path in [
        format!("{EVENTS}?companyId=other"),
        format!("{SUBSCRIPTIONS}?companyId=other"),
        format!("{EVENTS}/{event}?companyId=other"),
        format!("{EVENTS}/{event}/deliveries?companyId=other"),
        format!("{SUBSCRIPTIONS}/{sub}?companyId=other"),
        format!("{SUBSCRIPTIONS}/{sub}/attempts?companyId=other"),
        "/api/v1/api-keys?companyId=other".to_owned(),
    ] {
        app.get(&key, &path).await.problem(403, "foreign_company");
    }
    app.post(&key, &format!("{EVENTS}?companyId=other"), EVENT)
        .await
        .problem(403, "foreign_company");
    let own = app.get(&key, &format!("{EVENTS}?companyId=acme")).await;
    assert_eq!(own.ids(), [event]);
}

#[tokio::test]
async fn the_platform_names_the_company_where_one_is_needed() {
    let app = App::new();
    let pointers = app.post(BOOTSTRAP, EVENTS, EVENT).await.invalid();
    assert_eq!(pointers, ["/companyId"]);
    let batch = format!(r#"{{"events":[{EVENT}]}}"#);
    assert_eq!(
        app.post(BOOTSTRAP, "/api/v1/events/batch", &batch)
            .await
            .invalid(),
        ["/companyId"]
    );
    assert_eq!(app.get(BOOTSTRAP, EVENTS).await.invalid(), ["/companyId"]);
    assert_eq!(
        app.get(BOOTSTRAP, SUBSCRIPTIONS).await.invalid(),
        ["/companyId"]
    );
    let new = r#"{"url":"https://example.com","eventTypes":["*"]}"#;
    assert_eq!(
        app.post(BOOTSTRAP, SUBSCRIPTIONS, new).await.invalid(),
        ["/companyId"]
    );

    let named = r#"{"type":"a.b","payload":{},"companyId":"acme"}"#;
    assert_eq!(
        app.post(BOOTSTRAP, EVENTS, named).await.json()["companyId"],
        "acme"
    );
    let in_query = app
        .post(BOOTSTRAP, &format!("{EVENTS}?companyId=acme"), EVENT)
        .await;
    assert_eq!(in_query.json()["companyId"], "acme");
    let number = r#"{"type":"a.b","payload":{},"companyId":42}"#;
    assert_eq!(
        app.post(BOOTSTRAP, EVENTS, number).await.json()["companyId"],
        "42"
    );
    let both = app
        .post(BOOTSTRAP, &format!("{EVENTS}?companyId=other"), named)
        .await;
    assert_eq!(both.invalid(), ["/companyId"]);
    let listed = app
        .get(BOOTSTRAP, &format!("{EVENTS}?companyId=acme"))
        .await;
    assert_eq!(listed.ids().len(), 2);
}

#[tokio::test]
async fn anothers_resource_is_as_one_that_does_not_exist() {
    let app = App::new();
    let (ours, theirs) = (app.admin("acme").await, app.admin("other").await);
    let sub = app.subscribe(&theirs, &["*"]).await;
    let event = app.publish(&theirs, "a.b").await;
    let made = app.get(&theirs, "/api/v1/api-keys").await.json();
    let key_id = made[0]["id"].as_str().unwrap();
    let fill = |path: &str, event: &str, sub: &str, key: &str| {
        let path = path.replace("EVENT", event).replace("SUB", sub);
        format!("/api/v1/{}", path.replace("KEY", key))
    };
    let replay = r#"{"sinceUtc":"2026-01-01T00:00:00Z","only":"all"}"#;
    for (method, path, body) in [
        (Method::GET, "events/EVENT", ""),
        (Method::GET, "events/EVENT/deliveries", ""),
        (Method::POST, "events/EVENT/deliveries/SUB/redeliver", ""),
        (Method::GET, "webhooks/subscriptions/SUB", ""),
        (
            Method::PATCH,
            "webhooks/subscriptions/SUB",
            r#"{"enabled":false}"#,
        ),
        (Method::DELETE, "webhooks/subscriptions/SUB", ""),
        (Method::POST, "webhooks/subscriptions/SUB/secret/rotate", ""),
        (Method::POST, "webhooks/subscriptions/SUB/test", ""),
        (Method::GET, "webhooks/subscriptions/SUB/attempts", ""),
        (Method::POST, "webhooks/subscriptions/SUB/replay", replay),
        (Method::DELETE, "api-keys/KEY", ""),
    ] {
        let foreign = fill(path, &event, &sub, key_id);
        let missing = fill(path, NO_EVENT, NO_SUB, NO_KEY);
        let ask = |path: &str| {
            let ask = request(method.clone(), &ours, path, body);
            with_field(ask, "x-request-id", "same")
        };
        let theirs = app.send(ask(&foreign)).await;
        let nobodys = app.send(ask(&missing)).await;
        theirs.problem(404, "not_found");
        let text = theirs.text().replace(&foreign, &missing);
        assert_eq!(text, nobodys.text(), "{method} {path}");
        assert_eq!(theirs.headers, nobodys.headers, "{method} {path}");
    }
    assert_eq!(
        app.get(&theirs, &format!("{SUBSCRIPTIONS}/{sub}"))
            .await
            .json()["enabled"],
        true
    );
    assert_eq!(
        app.get(BOOTSTRAP, &format!("{EVENTS}/{event}"))
            .await
            .status,
        200
    );
    let narrowed = app
        .get(BOOTSTRAP, &format!("{EVENTS}/{event}?companyId=acme"))
        .await;
    narrowed.problem(404, "not_found");
}
