//! Changing, enabling, disabling, deleting a webhook and rotating its secret.

use tidings_domain::{audit::Action, subscription::ManagedBy};
use tidings_store::{AuditLog as _, AuditQuery, AuditScope, DeliveryQueue as _};

use super::{URL, WEBHOOKS, path, with_webhook};
use crate::stage::{HOUR_MS, Stage, company};

/// What was done to the webhooks of `acme`, the last thing first.
async fn actions(stage: &Stage) -> Vec<Action> {
    let query = AuditQuery {
        scope: AuditScope::Company(company("acme")),
        target: None,
        before: None,
        limit: 50,
    };
    let entries = stage.store.audit(query).await.unwrap().entries;
    entries.iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn a_change_is_saved() {
    let (stage, admin, id) = with_webhook(&["a.b"]).await;
    let page = admin.get(&path(id, "/edit")).await.is(200);
    assert_eq!(page.field_value("url").as_deref(), Some(URL));
    assert!(page.has("value=\"a.b\" checked") && page.field_value("secret").is_none());
    let version = page.field_value("version").unwrap();
    let typed = [
        ("version", version.as_str()),
        ("url", "https://example.com/other"),
        ("type", "a.b"),
        ("more_types", "c.*"),
        ("max_per_second", "7"),
        ("enabled", "yes"),
    ];
    let saved = admin.post(&path(id, "/edit"), &typed).await;
    saved.leads_to(&path(id, "?done=webhook-saved"));
    let webhook = stage.subscription(id).await.unwrap();
    assert_eq!(webhook.url.as_str(), "https://example.com/other");
    assert_eq!(webhook.event_types.patterns().len(), 2);
    assert_eq!((webhook.description, webhook.enabled), (None, true));
    assert_eq!(actions(&stage).await[0], Action::SubscriptionUpdated);
    let page = admin.get(&path(id, "?done=webhook-saved")).await.is(200);
    assert!(page.has("The change is saved"));
}

#[tokio::test]
async fn a_url_that_stays_is_not_looked_at_again() {
    let (stage, admin, id) = with_webhook(&["a.b"]).await;
    *stage.outbound.refusal.lock() = Some("it is refused by now".to_owned());
    let version = admin
        .get(&path(id, "/edit"))
        .await
        .field_value("version")
        .unwrap();
    let typed = [
        ("version", version.as_str()),
        ("url", URL),
        ("type", "c.d"),
        ("enabled", "yes"),
    ];
    let saved = admin.post(&path(id, "/edit"), &typed).await;
    saved.leads_to(&path(id, "?done=webhook-saved"));
    assert!(stage.outbound.checked.lock().is_empty());
}

#[tokio::test]
async fn who_is_second_sees_what_is_there_and_loses_nothing() {
    let (stage, admin, id) = with_webhook(&["a.b"]).await;
    let other = stage.admin("acme").await;
    let version = admin
        .get(&path(id, "/edit"))
        .await
        .field_value("version")
        .unwrap();
    other.get(&path(id, "/edit")).await;
    let change = |url: &'static str, version: &str| {
        vec![
            ("version", version.to_owned()),
            ("url", url.to_owned()),
            ("type", "a.b".to_owned()),
            ("enabled", "yes".to_owned()),
        ]
    };
    let send = async |browser: &crate::stage::Browser, fields: Vec<(&str, String)>| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        browser.post(&path(id, "/edit"), &fields).await
    };
    let theirs = send(&other, change("https://example.com/theirs", &version)).await;
    theirs.leads_to(&path(id, "?done=webhook-saved"));
    let page = send(&admin, change("https://example.com/mine", &version))
        .await
        .is(409);
    assert!(page.has("Somebody changed this webhook") && page.has("https://example.com/theirs"));
    assert_eq!(
        page.field_value("url").as_deref(),
        Some("https://example.com/mine")
    );
    let there = stage.subscription(id).await.unwrap();
    assert_eq!(there.url.as_str(), "https://example.com/theirs");
    let newer = page.field_value("version").unwrap();
    assert_ne!(newer, version);
    let saved = send(&admin, change("https://example.com/mine", &newer)).await;
    saved.leads_to(&path(id, "?done=webhook-saved"));
    let there = stage.subscription(id).await.unwrap();
    assert_eq!(there.url.as_str(), "https://example.com/mine");
}

#[tokio::test]
async fn a_managed_one_is_changed_there_and_not_here() {
    let managers = [
        (ManagedBy::Zapier, "managed by Zapier"),
        (ManagedBy::N8n, "managed by n8n"),
        (ManagedBy::Make, "managed by Make"),
    ];
    let stage = Stage::new();
    let operator = stage.operator().await;
    for (manager, words) in managers {
        let id = stage.subscribe_as("acme", URL, &["a.b"], manager).await;
        let before = stage.subscription(id).await.unwrap();
        let secrets = stage.store.endpoint(id).unwrap().secrets.clone();
        for browser in [&stage.admin("acme").await, &operator] {
            let page = browser.get(&path(id, "")).await.is(200);
            assert!(page.has(words) && page.has("/disable\""), "{page:?}");
            assert!(!page.has("/edit\"") && !page.has("/rotate\""), "{page:?}");
            let typed = [("version", "1"), ("url", URL), ("type", "*")];
            let answers = [
                browser.get(&path(id, "/edit")).await,
                browser.post(&path(id, "/edit"), &typed).await,
                browser.post(&path(id, "/rotate"), &[]).await,
            ];
            for answer in answers {
                let page = answer.is(403);
                assert!(page.has(words) && page.has("changed there"), "{page:?}");
            }
        }
        assert_eq!(stage.subscription(id).await.unwrap(), before);
        assert_eq!(stage.store.endpoint(id).unwrap().secrets, secrets);
    }
}

#[tokio::test]
async fn a_managed_one_is_disabled_enabled_tested_replayed_and_deleted() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let id = stage
        .subscribe_as("acme", URL, &["*"], ManagedBy::N8n)
        .await;
    admin.get(&path(id, "")).await.is(200);
    let done = admin.post(&path(id, "/disable"), &[]).await;
    done.leads_to(&path(id, "?done=webhook-disabled"));
    let done = admin.post(&path(id, "/enable"), &[]).await;
    done.leads_to(&path(id, "?done=webhook-enabled"));
    admin.post(&path(id, "/test"), &[]).await.is(200);
    assert_eq!(stage.outbound.sent.lock().len(), 1);
    let range = [("since", "2026-11-23T00:00"), ("only", "all")];
    admin.post(&path(id, "/replay"), &range).await.is(303);
    let done = admin.post(&path(id, "/delete"), &[]).await;
    done.leads_to(&format!("{WEBHOOKS}?done=webhook-deleted"));
    assert!(stage.subscription(id).await.is_none());
}

#[tokio::test]
async fn it_is_disabled_enabled_and_deleted() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    let page = admin.get(&path(id, "")).await.is(200);
    assert!(page.has("/disable\"") && !page.has("/enable\""));
    let done = admin.post(&path(id, "/disable"), &[]).await;
    done.leads_to(&path(id, "?done=webhook-disabled"));
    assert!(!stage.subscription(id).await.unwrap().enabled);
    let page = admin.get(&path(id, "?done=webhook-disabled")).await.is(200);
    assert!(page.has("/enable\"") && page.has("Somebody disabled it"));
    let done = admin.post(&path(id, "/enable"), &[]).await;
    done.leads_to(&path(id, "?done=webhook-enabled"));
    assert!(stage.subscription(id).await.unwrap().enabled);
    for _ in 0..2 {
        let done = admin.post(&path(id, "/delete"), &[]).await;
        done.leads_to(&format!("{WEBHOOKS}?done=webhook-deleted"));
    }
    assert!(stage.subscription(id).await.is_none());
    admin.get(&path(id, "")).await.is(404);
    admin.post(&path(id, "/enable"), &[]).await.is(404);
    let done = actions(&stage).await;
    let expected = [
        Action::SubscriptionDeleted,
        Action::SubscriptionEnabled,
        Action::SubscriptionDisabled,
        Action::SubscriptionCreated,
    ];
    let about_webhooks: Vec<Action> = done
        .into_iter()
        .filter(|action| expected.contains(action))
        .collect();
    assert_eq!(about_webhooks, expected);
}

#[tokio::test]
async fn a_secret_is_rotated_once_by_one_form() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    let before = stage.store.endpoint(id).unwrap().secrets.newest.clone();
    let page = admin.get(&path(id, "")).await.is(200);
    assert!(!page.has(before.expose()));
    let newest = page.field_value("newest").unwrap();
    let form = [("newest", newest.as_str()), ("overlap_hours", "72")];
    let rotated = admin.post(&path(id, "/rotate"), &form).await.is(200);
    let shown = rotated.element("secret").unwrap();
    let secrets = stage.store.endpoint(id).unwrap().secrets.clone();
    assert_eq!(shown, secrets.newest.expose());
    assert!(rotated.has("2026-11-26 08:30:00 UTC"), "{}", rotated.text);
    let (previous, until) = secrets.previous.clone().unwrap();
    assert_eq!(
        (previous, until.since(crate::stage::start())),
        (before, 72 * HOUR_MS)
    );
    // The page that shows it is loaded again.
    let again = admin.post(&path(id, "/rotate"), &form).await;
    again.leads_to(&path(id, "?done=webhook-not-rotated"));
    assert_eq!(stage.store.endpoint(id).unwrap().secrets, secrets);
    let page = admin
        .get(&path(id, "?done=webhook-not-rotated"))
        .await
        .is(200);
    assert!(page.has("nothing was changed this time") && !page.has(secrets.newest.expose()));
    // Two at the same time are no two either.
    let newest = page.field_value("newest").unwrap();
    let form = [("newest", newest.as_str())];
    let rotate = path(id, "/rotate");
    let (one, other) = tokio::join!(admin.post(&rotate, &form), admin.post(&rotate, &form));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 303]);
    let page = admin.get(&path(id, "")).await.is(200);
    // And once more, with no overlap.
    let newest = page.field_value("newest").unwrap();
    let form = [("newest", newest.as_str()), ("overlap_hours", "0")];
    let rotated = admin.post(&path(id, "/rotate"), &form).await.is(200);
    assert!(rotated.has("The old secret signs nothing more."));
    assert_eq!(stage.store.endpoint(id).unwrap().secrets.previous, None);
    for hours in ["-1", "169", "x"] {
        let form = [("newest", newest.as_str()), ("overlap_hours", hours)];
        admin.post(&path(id, "/rotate"), &form).await.is(400);
    }
}

#[tokio::test]
async fn loading_a_forms_answer_again_leads_to_the_webhook() {
    let (_stage, admin, id) = with_webhook(&["*"]).await;
    for action in ["/rotate", "/test", "/enable", "/disable", "/delete"] {
        admin.get(&path(id, action)).await.leads_to(&path(id, ""));
    }
}
