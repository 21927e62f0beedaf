//! Letting people into the portal.

use serde_json::json;
use tidings_domain::{
    company::CompanyId, portal_token::PortalToken, time::UtcMillis, visitor::Role,
};
use tidings_store::{Link, LinkPurpose, People as _};

use crate::harness::{Answer, App, BOOTSTRAP, PUBLIC_URL, start};

/// Where links are asked for.
pub(crate) const SESSIONS: &str = "/api/v1/portal/sessions";
const MINUTE_MS: i64 = 60_000;

/// The token in the link that an answer shows.
fn token(answer: &Answer) -> PortalToken {
    assert_eq!(answer.status, 201, "{answer:?}");
    let json = answer.json();
    let url = json["url"].as_str().unwrap();
    let prefix = format!("{PUBLIC_URL}/portal/enter/");
    PortalToken::parse(url.strip_prefix(&prefix).unwrap()).unwrap()
}

async fn link(app: &App, token: &PortalToken, now: UtcMillis) -> Option<Link> {
    app.store.link(&token.hash(), now).await.unwrap()
}

#[tokio::test]
async fn a_link_opens_the_portal_as_the_company_until_it_expires() {
    let app = App::new();
    for (body, company, role, minutes) in [
        (
            json!({"companyId": "acme", "role": "admin"}),
            "acme",
            Role::Admin,
            60,
        ),
        (
            json!({"companyId": 7, "role": "viewer", "expiresInMinutes": 1}),
            "7",
            Role::Viewer,
            1,
        ),
        (
            json!({"companyId": "acme", "role": "admin", "expiresInMinutes": 1440}),
            "acme",
            Role::Admin,
            1440,
        ),
    ] {
        let answer = app.post(BOOTSTRAP, SESSIONS, &body.to_string()).await;
        let token = token(&answer);
        assert_eq!(answer.field("cache-control"), "no-store");
        let expires = start().plus_millis(minutes * MINUTE_MS);
        let shown = answer.json();
        assert_eq!(shown["expiresUtc"], expires.to_string());
        assert_eq!(shown.as_object().unwrap().len(), 2, "{shown}");
        let found = link(&app, &token, expires.plus_millis(-1)).await.unwrap();
        let company = CompanyId::parse(company).unwrap();
        assert_eq!(found.purpose, LinkPurpose::Enter { company, role });
        assert_eq!(found.expires, expires);
        assert!(link(&app, &token, expires).await.is_none());
    }
}

#[tokio::test]
async fn links_differ_and_the_company_may_be_in_the_query() {
    let app = App::new();
    let path = format!("{SESSIONS}?companyId=acme");
    let first = app.post(BOOTSTRAP, &path, r#"{"role":"admin"}"#).await;
    let both = r#"{"role":"admin","companyId":"acme"}"#;
    let second = app.post(BOOTSTRAP, &path, both).await;
    assert_ne!(token(&first).hash(), token(&second).hash());
    let other = r#"{"role":"admin","companyId":"other"}"#;
    assert_eq!(
        app.post(BOOTSTRAP, &path, other).await.invalid(),
        ["/companyId"]
    );
}

#[tokio::test]
async fn only_the_platform_lets_people_in() {
    let app = App::new();
    let body = r#"{"companyId":"acme","role":"viewer"}"#;
    app.post("", SESSIONS, body)
        .await
        .problem(401, "unauthenticated");
    let admin = app.admin("acme").await;
    app.post(&admin, SESSIONS, body)
        .await
        .problem(403, "platform_only");
    let made = r#"{"name":"p","scopes":["webhooks:write","events:write"]}"#;
    let made = app.post(BOOTSTRAP, "/api/v1/api-keys", made).await.json();
    let platform = made["key"].as_str().unwrap().to_owned();
    let refused = app.post(&platform, SESSIONS, body).await;
    let problem = refused.problem(403, "missing_scope");
    assert_eq!(problem["requiredScope"], "admin");
    app.get(BOOTSTRAP, SESSIONS)
        .await
        .problem(405, "method_not_allowed");
}

#[tokio::test]
async fn what_is_wrong_is_listed() {
    let app = App::new();
    for (body, pointers) in [
        ("{}", vec!["/companyId", "/role"]),
        (
            r#"{"companyId":"a b","role":"owner","expiresInMinutes":0,"name":"x"}"#,
            vec!["/companyId", "/role", "/expiresInMinutes", "/name"],
        ),
        (
            r#"{"companyId":null,"role":1,"expiresInMinutes":1441}"#,
            vec!["/companyId", "/role", "/expiresInMinutes"],
        ),
        (
            r#"{"companyId":"acme","role":"admin","expiresInMinutes":1.5}"#,
            vec!["/expiresInMinutes"],
        ),
        (
            r#"{"companyId":"acme","role":"Admin","expiresInMinutes":null}"#,
            vec!["/role"],
        ),
    ] {
        let answer = app.post(BOOTSTRAP, SESSIONS, body).await;
        assert_eq!(answer.invalid(), pointers, "{body}");
    }
    app.post(BOOTSTRAP, SESSIONS, "")
        .await
        .problem(400, "malformed_json");
}
