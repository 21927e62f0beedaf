//! The audit log: who sees what of it.

use tidings_domain::{
    actor::{Actor, Who},
    api_key::ApiKey,
    audit::{Action, AuditEntry, FieldChange},
    clock::Clock as _,
    visitor::Role,
};
use tidings_store::{AuditLog as _, SubscriptionBook as _, SubscriptionChange};

use crate::stage::{Stage, company};

fn entry(stage: &Stage, of: Option<&str>, target: &str) -> AuditEntry {
    AuditEntry {
        at: stage.clock.now(),
        company: of.map(company),
        actor: Actor::SERVER,
        action: Action::EventTypeSaved,
        target: target.to_owned(),
        changes: Vec::new(),
    }
}

#[tokio::test]
async fn a_line_says_who_what_and_from_where() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let webhook = stage
        .subscribe("acme", "https://acme.example/hook", &["*"])
        .await;
    admin.get("/portal/account").await.is(200);
    let answer = admin
        .post(&format!("/portal/c/acme/webhooks/{webhook}/disable"), &[])
        .await;
    answer.is(303);
    let log = admin.get("/portal/c/acme/audit").await.is(200);
    assert!(log.has("disabled a webhook") && log.has("an admin of the company"));
    assert!(log.has("198.51.100.7"), "{log:?}");
    assert!(
        log.has("<del>true</del>") && log.has("<ins>false</ins>"),
        "{log:?}"
    );
    let link = format!("href=\"/portal/c/acme/webhooks/{webhook}\">https://acme.example/hook</a>");
    assert!(log.has(&link), "{log:?}");
    assert!(log.has("came by a link"));
    let about = admin
        .get(&format!("/portal/c/acme/audit?target={webhook}"))
        .await
        .is(200);
    assert!(about.has("disabled a webhook") && !about.has("came by a link"));
    // What is deleted is linked no more, and its lines stay.
    let (now, by) = (stage.clock.now(), Actor::COMMAND);
    stage
        .store
        .delete_subscription(None, webhook, now, &by)
        .await
        .unwrap();
    let log = admin.get("/portal/c/acme/audit").await.is(200);
    assert!(log.has("deleted a webhook") && !log.has(&link), "{log:?}");
}

#[tokio::test]
async fn a_companys_admin_sees_its_lines_alone_and_no_operators_name() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    for of in ["acme", "globex"] {
        let path = format!("/portal/c/{of}/keys/new");
        let form = operator.get(&path).await.is(200);
        let hidden = |name: &str| form.field_value(name).unwrap();
        let (id, seal) = (hidden("id"), hidden("seal"));
        let name = format!("key of {of}");
        let fields = [
            ("id", id.as_str()),
            ("seal", seal.as_str()),
            ("name", name.as_str()),
            ("scope", "admin"),
            ("expiry", "never"),
        ];
        operator.post(&path, &fields).await.is(200);
    }
    let admin = stage.admin("acme").await;
    let log = admin.get("/portal/c/acme/audit").await.is(200);
    assert!(log.has("key of acme") && !log.has("globex"), "{log:?}");
    assert!(
        log.has("an operator of the platform") && !log.has("@example.com"),
        "{log:?}"
    );
    let seen_by_operator = operator.get("/portal/c/acme/audit").await.is(200);
    assert!(seen_by_operator.has("@example.com") && !seen_by_operator.has("key of globex"));
    let everything = operator.get("/portal/platform/audit").await.is(200);
    for text in [
        "key of acme",
        "key of globex",
        "signed in",
        "made a user",
        "/portal/c/globex",
    ] {
        assert!(everything.has(text), "{text} in {everything:?}");
    }
    let viewer = stage.guest("acme", Role::Viewer).await;
    assert!(
        !viewer
            .get("/portal/c/acme/audit")
            .await
            .is(403)
            .has("key of acme")
    );
}

#[tokio::test]
async fn of_a_platforms_key_a_company_sees_the_platform_alone() {
    let stage = Stage::new();
    let address = "203.0.113.77".parse().unwrap();
    let key = |of: Option<&str>, byte: u8, name: &str| ApiKey {
        id: tidings_domain::id::ApiKeyId::from_bytes([byte; 16]),
        name: name.to_owned(),
        company: of.map(company),
        scopes: Vec::new(),
        expires: None,
        created: stage.clock.now(),
        last_used: None,
    };
    let (platforms, own) = (
        key(None, 3, "provisioning"),
        key(Some("acme"), 4, "nightly"),
    );
    let (platforms_id, own_id) = (platforms.id.to_string(), own.id.to_string());
    let line = |key| AuditEntry {
        actor: Actor::key(key, Some(address)),
        ..entry(&stage, Some("acme"), "case.opened")
    };
    stage.store.record(line(&platforms)).await.unwrap();
    let hidden = ["provisioning", &platforms_id, "203.0.113.77"];
    let admin = stage.admin("acme").await;
    let log = admin.get("/portal/c/acme/audit").await.is(200);
    assert!(log.has("the platform"), "{log:?}");
    for text in hidden {
        assert!(!log.has(text), "{text} in {log:?}");
    }
    let operator = stage.operator().await;
    let log = operator.get("/portal/c/acme/audit").await.is(200);
    for text in hidden {
        assert!(log.has(text), "{text} in {log:?}");
    }
    // Of the company's own keys its admin sees everything.
    stage.store.record(line(&own)).await.unwrap();
    let log = admin.get("/portal/c/acme/audit").await.is(200);
    assert!(
        log.has("API key “nightly”") && log.has(&own_id) && log.has("203.0.113.77"),
        "{log:?}"
    );
}

#[tokio::test]
async fn every_kind_of_actor_and_every_action_has_words() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let key = ApiKey {
        id: tidings_domain::id::ApiKeyId::from_bytes([3; 16]),
        name: "<b>ci</b>".to_owned(),
        company: None,
        scopes: Vec::new(),
        expires: None,
        created: stage.clock.now(),
        last_used: None,
    };
    let guest = |role| Actor {
        who: Who::Guest(role),
        address: None,
    };
    let actors = [
        Actor::SERVER,
        Actor::COMMAND,
        Actor::key(&key, None),
        guest(Role::Admin),
        guest(Role::Viewer),
    ];
    for (action, actor) in Action::ALL.into_iter().zip(actors.into_iter().cycle()) {
        let line = AuditEntry {
            action,
            actor,
            ..entry(&stage, Some("acme"), "some target")
        };
        stage.store.record(line).await.unwrap();
    }
    let log = operator.get("/portal/c/acme/audit").await.is(200);
    for words in [
        "the server, by its rules",
        "a command on the server",
        "API key “&#60;b&#62;ci&#60;/b&#62;”",
        "an admin of the company",
        "a viewer of the company",
        "made a webhook",
        "rotated a signing secret",
        "redelivered an event",
        "replayed events",
        "revoked an API key",
        "deleted a user",
        "changed a password",
        "ended all sessions",
        "deleted an event type",
    ] {
        assert!(log.has(words), "{words} in {log:?}");
    }
    assert!(
        !log.has("<td data-label=\"What\"></td>"),
        "an action without words"
    );
}

#[tokio::test]
async fn the_log_is_paged_without_losing_or_repeating_a_line() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    for number in 0..60 {
        let line = entry(&stage, Some("acme"), &format!("thing-{number:02}"));
        stage.store.record(line).await.unwrap();
    }
    let mut path = "/portal/c/acme/audit".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = operator.get(&path).await.is(200);
        let things = page.text.split("<code>thing-").skip(1);
        seen.extend(things.map(|rest| rest[..2].parse::<u32>().unwrap()));
        let Some(next) = page.text.split("rel=\"next\" href=\"").nth(1) else {
            break;
        };
        path = next.split('"').next().unwrap().replace("&#38;", "&");
    }
    let expected: Vec<u32> = (0..60).rev().collect();
    assert_eq!(seen, expected);
    operator.get("/portal/c/acme/audit?before=x").await.is(404);
}

#[tokio::test]
async fn long_and_hostile_values_stay_text_and_the_page_small() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let webhook = stage
        .subscribe("acme", "https://acme.example/hook", &["*"])
        .await;
    for number in 0..60 {
        let change = SubscriptionChange {
            description: Some(Some(format!("{number}{}", "<script>".repeat(120)))),
            ..SubscriptionChange::default()
        };
        let (now, by) = (stage.clock.now(), Actor::COMMAND);
        let updated = stage
            .store
            .update_subscription(None, webhook, None, change, now, &by);
        updated.await.unwrap();
    }
    let line = AuditEntry {
        changes: vec![FieldChange {
            field: "<script>".to_owned(),
            before: Some("<script>".to_owned()),
            after: None,
        }],
        ..entry(&stage, Some("acme"), "\"><script>alert(1)</script>")
    };
    stage.store.record(line).await.unwrap();
    let log = operator.get("/portal/c/acme/audit").await.is(200);
    assert!(log.text.len() < 100_000, "{}", log.text.len());
    assert_eq!(
        log.text.matches("<script").count(),
        1,
        "our own alone: {log:?}"
    );
    let about = operator
        .get("/portal/c/acme/audit?target=%22%3E%3Cscript%3E")
        .await
        .is(200);
    assert!(about.has("There is no line about this."));
    assert_eq!(about.field_value("target").unwrap(), "\"><script>");
    let too_long = "x".repeat(201);
    let refused = operator
        .get(&format!("/portal/c/acme/audit?target={too_long}"))
        .await
        .is(200);
    assert!(refused.element("target-error").is_some());
}
