//! Making, reading, listing and deleting subscriptions, and rotating their secrets.

use serde_json::{Value, json};
use tidings_domain::{
    breaker::{BreakerState, EndpointHealth},
    clock::Clock as _,
    id::SubscriptionId,
    target::Environment,
};
use tidings_store::DeliveryQueue as _;

use crate::harness::{App, BOOTSTRAP, START, SUBSCRIPTIONS, Settings};

fn new(url: &str, types: &Value) -> String {
    json!({"url": url, "eventTypes": types}).to_string()
}

const URL: &str = "https://example.com/hook";

#[tokio::test]
async fn the_answer_shows_everything_and_the_secret_once() {
    let app = App::new();
    let key = app.admin("acme").await;
    let body = json!({"url": "https://EXAMPLE.com", "eventTypes": ["Client.*", "client.*", "*", "invoice.paid"],
        "description": "ours", "managedBy": "n8n", "maxPerSecond": 25});
    let answer = app.post(&key, SUBSCRIPTIONS, &body.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut made = answer.json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("sub_"));
    let path = format!("{SUBSCRIPTIONS}/{id}");
    assert_eq!(answer.field("location"), path);
    let secret = made.as_object_mut().unwrap().remove("secret").unwrap();
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    assert_eq!(
        made,
        json!({"id": id, "companyId": "acme", "url": "https://example.com/",
            "eventTypes": ["client.*", "*", "invoice.paid"], "description": "ours", "enabled": true,
            "disabledReason": null, "managedBy": "n8n", "maxPerSecond": 25, "breaker": "closed", "createdUtc": START, "updatedUtc": START})
    );
    let read = app.get(&key, &path).await;
    assert_eq!(read.json(), made);
    assert_eq!(read.field("etag"), answer.field("etag"));
    let listed = app.get(&key, SUBSCRIPTIONS).await;
    assert_eq!(listed.json(), json!([made]));
    for text in [read.text(), listed.text()] {
        assert!(!text.contains("whsec_"));
    }
    assert_eq!(
        app.outbound.checked.lock().as_slice(),
        ["https://example.com/"]
    );
}

#[tokio::test]
async fn a_secret_may_be_brought_along() {
    let app = App::new();
    let key = app.admin("acme").await;
    let base64 = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    for secret in [base64, "exactly-24-characters-ok", &"x".repeat(128)] {
        let body = json!({"url": URL, "eventTypes": ["*"], "secret": secret}).to_string();
        let answer = app.post(&key, SUBSCRIPTIONS, &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["secret"].as_str()),
            (201, Some(secret))
        );
    }
    for bad in [
        json!("short"),
        json!("whsec_!!!"),
        json!("whsec_c2hvcnQ="),
        json!(1),
        json!("x".repeat(129)),
        json!("tab\tand more than 24 characters"),
    ] {
        let body = json!({"url": URL, "eventTypes": ["*"], "secret": bad}).to_string();
        let answer = app.post(&key, SUBSCRIPTIONS, &body).await;
        assert_eq!(answer.invalid(), ["/secret"], "{bad}");
        assert!(
            bad.as_str().is_none_or(|bad| !answer.text().contains(bad)),
            "echoes no secret"
        );
    }
}

#[tokio::test]
async fn it_can_be_made_disabled_and_optional_members_may_be_null() {
    let app = App::new();
    let key = app.admin("acme").await;
    let body = json!({"url": URL, "eventTypes": ["*"], "enabled": false, "description": null,
        "secret": null, "managedBy": null, "maxPerSecond": null, "companyId": null});
    let made = app
        .post(&key, SUBSCRIPTIONS, &body.to_string())
        .await
        .json();
    assert_eq!(made["enabled"], false);
    assert_eq!(made["disabledReason"], Value::Null);
    assert_eq!(made["managedBy"], "api");
    assert_eq!(made["maxPerSecond"], Value::Null);
}

#[tokio::test]
async fn everything_that_is_wrong_is_listed() {
    let app = App::new();
    let key = app.admin("acme").await;
    let body = json!({"url": "ftp://x", "eventTypes": ["ok", "no spaces", 7, "a.*b"], "secret": "s", "description": 1,
        "enabled": "yes", "managedBy": "me", "maxPerSecond": 0, "companyId": "", "extra": 1});
    let mut pointers = app
        .post(&key, SUBSCRIPTIONS, &body.to_string())
        .await
        .invalid();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/companyId",
            "/description",
            "/enabled",
            "/eventTypes/1",
            "/eventTypes/2",
            "/eventTypes/3",
            "/extra",
            "/managedBy",
            "/maxPerSecond",
            "/secret",
            "/url"
        ]
    );
    assert!(
        app.outbound.checked.lock().is_empty(),
        "nothing is resolved for a bad request"
    );
    assert_eq!(
        app.post(&key, SUBSCRIPTIONS, "{}").await.invalid(),
        ["/url", "/eventTypes"]
    );
    for types in [
        json!([]),
        json!("*"),
        json!(null),
        json!({}),
        json!(vec!["a"; 101]),
        json!(vec!["a"; 2000]),
    ] {
        assert_eq!(
            app.post(&key, SUBSCRIPTIONS, &new(URL, &types))
                .await
                .invalid(),
            ["/eventTypes"]
        );
    }
    let hundred: Vec<String> = (0..100).map(|number| format!("a.t{number}")).collect();
    assert_eq!(
        app.post(&key, SUBSCRIPTIONS, &new(URL, &json!(hundred)))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn where_it_may_go_is_judged_before_it_is_made() {
    let app = App::new();
    let key = app.admin("acme").await;
    let long = format!("https://example.com/{}", "a".repeat(2048));
    for url in [
        "http://example.com",
        "example.com",
        "",
        "https://u:p@example.com",
        "https://example.com/#f",
        "https://example.com/#",
        "https://@example.com",
        "https://",
        "ftp://example.com",
        &long,
    ] {
        let answer = app
            .post(&key, SUBSCRIPTIONS, &new(url, &json!(["*"])))
            .await;
        assert_eq!(answer.invalid(), ["/url"], "{url}");
    }
    *app.outbound.refusal.lock() = Some("10.0.0.1 is not a public address".to_owned());
    let answer = app
        .post(&key, SUBSCRIPTIONS, &new(URL, &json!(["*"])))
        .await;
    assert_eq!(answer.invalid(), ["/url"]);
    assert!(
        answer.text().contains("10.0.0.1 is not a public address"),
        "it says why"
    );
    assert_eq!(app.get(&key, SUBSCRIPTIONS).await.text(), "[]");

    let development = App::with(Settings {
        environment: Environment::Development,
        ..Settings::default()
    });
    let key = development.admin("acme").await;
    let answer = development
        .post(
            &key,
            SUBSCRIPTIONS,
            &new("http://localhost:9/x", &json!(["*"])),
        )
        .await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn lists_are_paged_oldest_first() {
    let app = App::new();
    let key = app.admin("acme").await;
    let other = app.admin("other").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(app.subscribe(&key, &["*"]).await);
        app.subscribe(&other, &["*"]).await;
    }
    let mut seen = Vec::new();
    let mut path = format!("{SUBSCRIPTIONS}?limit=2");
    loop {
        let page = app.get(&key, &path).await;
        seen.extend(page.ids());
        if page.field("x-paging-has-more") == "false" {
            break;
        }
        path = format!("{SUBSCRIPTIONS}?limit=2&cursor={}", page.cursor());
    }
    assert_eq!(seen, made);
    made.reverse();
    assert_eq!(
        app.get(&key, &format!("{SUBSCRIPTIONS}?order=desc"))
            .await
            .ids(),
        made
    );
    assert_eq!(
        app.get(BOOTSTRAP, &format!("{SUBSCRIPTIONS}?companyId=acme"))
            .await
            .ids()
            .len(),
        5
    );
}

#[tokio::test]
async fn deleting_is_204_again_and_404_for_what_never_was() {
    let app = App::new();
    let key = app.admin("acme").await;
    let id = app.subscribe(&key, &["*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{id}");
    for _ in 0..2 {
        let answer = app.delete(&key, &path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    }
    app.get(&key, &path).await.problem(404, "not_found");
    app.patch(&key, &path, r#"{"enabled":true}"#)
        .await
        .problem(404, "not_found");
    app.post(&key, &format!("{path}/test"), "")
        .await
        .problem(404, "not_found");
    app.post(&key, &format!("{path}/secret/rotate"), "")
        .await
        .problem(404, "not_found");
    assert_eq!(
        app.get(&key, &format!("{path}/attempts")).await.text(),
        "[]"
    );
    assert_eq!(app.get(&key, SUBSCRIPTIONS).await.text(), "[]");
    for never in ["sub_01h455vb4pex5vsknk084sn02q", "nonsense"] {
        app.delete(&key, &format!("{SUBSCRIPTIONS}/{never}"))
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn rotating_gives_a_new_secret_and_an_overlap() {
    let app = App::new();
    let key = app.admin("acme").await;
    let id = app.subscribe(&key, &["*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{id}/secret/rotate");
    let rotated = app.post(&key, &path, "").await;
    assert_eq!(rotated.status, 200);
    assert!(
        rotated.json()["secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    assert_eq!(
        rotated.json()["previousSecretExpiresUtc"],
        "2026-11-24T08:30:00.000Z"
    );
    let given = app
        .post(
            &key,
            &path,
            r#"{"secret":"exactly-24-characters-ok","overlapHours":168}"#,
        )
        .await;
    assert_eq!(
        given.json(),
        json!({"secret": "exactly-24-characters-ok", "previousSecretExpiresUtc": "2026-11-30T08:30:00.000Z"})
    );
    let at_once = app.post(&key, &path, r#"{"overlapHours":0}"#).await;
    assert_eq!(at_once.json()["previousSecretExpiresUtc"], START);
    for bad in ["-1", "169", "1.5", "24.0", "\"24\"", "true", "1e1", "[]"] {
        let body = format!(r#"{{"overlapHours":{bad}}}"#);
        assert_eq!(
            app.post(&key, &path, &body).await.invalid(),
            ["/overlapHours"],
            "{bad}"
        );
    }
    let both = app
        .post(&key, &path, r#"{"secret":"x","overlapHours":"y","more":1}"#)
        .await;
    assert_eq!(both.invalid(), ["/secret", "/overlapHours", "/more"]);
}

#[tokio::test]
async fn the_breaker_is_shown_as_it_is_by_now() {
    let app = App::new();
    let key = app.admin("acme").await;
    let id = app.subscribe(&key, &["*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{id}");
    let before = app.get(&key, &path).await;
    let now = app.clock.now();
    let health = EndpointHealth {
        breaker: BreakerState::Open,
        open_until: Some(now.plus_millis(10_000)),
        failing_since: Some(now),
    };
    let id = SubscriptionId::parse(&id).unwrap();
    app.store.note_health(id, 0, health).await.unwrap();
    let open = app.get(&key, &path).await;
    assert_eq!(open.json()["breaker"], "open");
    assert_eq!(open.field("etag"), before.field("etag"), "it is no change");
    app.clock.advance(10_000);
    assert_eq!(app.get(&key, &path).await.json()["breaker"], "halfOpen");
    let listed = app.get(&key, SUBSCRIPTIONS).await.json();
    assert_eq!(listed[0]["breaker"], "halfOpen");
    let moved = r#"{"url":"https://elsewhere.example/"}"#;
    let moved = app.patch(&key, &path, moved).await;
    assert_eq!(moved.json()["breaker"], "closed");
}
