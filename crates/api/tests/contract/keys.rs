//! Making, listing and revoking keys.

use serde_json::{Value, json};

use crate::harness::{App, BOOTSTRAP, START};

const KEYS: &str = "/api/v1/api-keys";

#[tokio::test]
async fn a_key_is_shown_once() {
    let app = App::new();
    let body = json!({"name": "ci", "scopes": ["webhooks:read", "events:read", "webhooks:read"], "companyId": 7,
        "expiresUtc": "2027-01-01T00:00:00+01:00"});
    let answer = app.post(BOOTSTRAP, KEYS, &body.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut made = answer.json();
    let key = made.as_object_mut().unwrap().remove("key").unwrap();
    let key = key.as_str().unwrap();
    assert!(key.starts_with("tdg_") && key.len() == 47, "{key}");
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("key_"));
    assert_eq!(
        made,
        json!({"id": id, "name": "ci", "companyId": "7", "scopes": ["webhooks:read", "events:read"],
            "expiresUtc": "2026-12-31T23:00:00.000Z", "createdUtc": START, "lastUsedUtc": null})
    );
    let listed = app.get(BOOTSTRAP, KEYS).await;
    assert_eq!(listed.json(), json!([made]));
    assert!(!listed.text().contains("tdg_"));
    let me = app.get(key, "/api/v1/me").await.json();
    assert_eq!(
        me,
        json!({"keyId": id, "name": "ci", "companyId": "7", "scopes": ["webhooks:read", "events:read"]})
    );
}

#[tokio::test]
async fn null_is_the_platform() {
    let app = App::new();
    for body in [
        r#"{"name":"p","scopes":["admin"],"companyId":null,"expiresUtc":null}"#,
        r#"{"name":"p","scopes":["admin"]}"#,
    ] {
        let made = app.post(BOOTSTRAP, KEYS, body).await.json();
        assert_eq!(made["companyId"], Value::Null);
        let me = app
            .get(made["key"].as_str().unwrap(), "/api/v1/me")
            .await
            .json();
        assert_eq!(me["companyId"], Value::Null);
    }
}

#[tokio::test]
async fn a_companys_admin_makes_keys_for_its_own() {
    let app = App::new();
    let key = app.admin("acme").await;
    for body in [
        r#"{"name":"a","scopes":["admin"]}"#,
        r#"{"name":"a","scopes":["admin"],"companyId":"acme"}"#,
    ] {
        assert_eq!(app.post(&key, KEYS, body).await.json()["companyId"], "acme");
    }
    for body in [
        r#"{"name":"a","scopes":["admin"],"companyId":null}"#,
        r#"{"name":"a","scopes":["admin"],"companyId":"other"}"#,
    ] {
        app.post(&key, KEYS, body)
            .await
            .problem(403, "foreign_company");
    }
    app.admin("other").await;
    let ours = app.get(&key, KEYS).await.json();
    assert_eq!(ours.as_array().unwrap().len(), 3);
    assert_eq!(
        app.get(BOOTSTRAP, KEYS)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let theirs = app
        .get(BOOTSTRAP, "/api/v1/api-keys?companyId=other")
        .await
        .json();
    assert_eq!(theirs.as_array().unwrap().len(), 1);
    let id = theirs[0]["id"].as_str().unwrap();
    app.delete(&key, &format!("{KEYS}/{id}"))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn revoked_keys_are_gone_from_the_list() {
    let app = App::new();
    let key = app.admin("acme").await;
    let id = app.get(&key, KEYS).await.json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        app.delete(BOOTSTRAP, &format!("{KEYS}/{id}")).await.status,
        204
    );
    assert_eq!(app.get(BOOTSTRAP, KEYS).await.text(), "[]");
    app.delete(BOOTSTRAP, &format!("{KEYS}/{id}"))
        .await
        .problem(404, "not_found");
    app.delete(BOOTSTRAP, &format!("{KEYS}/key_x"))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_is_listed() {
    let app = App::new();
    let body =
        r#"{"name":"","scopes":["admin","root",1],"companyId":"a b","expiresUtc":"soon","x":1}"#;
    let mut pointers = app.post(BOOTSTRAP, KEYS, body).await.invalid();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/companyId",
            "/expiresUtc",
            "/name",
            "/scopes/1",
            "/scopes/2",
            "/x"
        ]
    );
    assert_eq!(
        app.post(BOOTSTRAP, KEYS, "{}").await.invalid(),
        ["/name", "/scopes"]
    );
    let long = json!({"name": "x".repeat(101), "scopes": []}).to_string();
    assert_eq!(
        app.post(BOOTSTRAP, KEYS, &long).await.invalid(),
        ["/name", "/scopes"]
    );
}

#[tokio::test]
async fn use_is_noted() {
    let app = App::new();
    let key = app.admin("acme").await;
    app.clock.advance(5000);
    let listed = app.get(&key, KEYS).await.json();
    let used = listed[0]["lastUsedUtc"].as_str().unwrap_or_default();
    assert!(used >= START, "{listed}");
}
