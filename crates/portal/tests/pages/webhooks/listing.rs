//! The list and the page of one webhook.

use tidings_domain::{
    actor::Actor,
    attempt::AttemptOutcome,
    breaker::{BreakerState, EndpointHealth},
    clock::Clock as _,
    id::SubscriptionId,
    subscription::ManagedBy,
    visitor::Role,
};
use tidings_store::{DeliveryQueue as _, SubscriptionBook as _, SubscriptionChange};

use super::{URL, WEBHOOKS, path, with_webhook};
use crate::stage::{Stage, answered, company, failed, start};

#[tokio::test]
async fn an_empty_list_says_what_to_do() {
    let stage = Stage::new();
    let page = stage.admin("acme").await.get(WEBHOOKS).await.is(200);
    assert!(page.has("No webhooks yet") && page.has("/portal/c/acme/webhooks/new"));
    let page = stage.guest("acme", Role::Viewer).await.get(WEBHOOKS).await;
    assert!(page.is(200).has("No webhooks yet"));
}

#[tokio::test]
async fn a_row_says_what_one_needs_at_a_glance() {
    let types = ["a.one", "b.*", "c.three", "d.four", "e.five"];
    let (stage, admin, _) = with_webhook(&types).await;
    let zap = stage.subscribe_as(
        "acme",
        "https://hooks.zapier.com/1",
        &["z.z"],
        ManagedBy::Zapier,
    );
    zap.await;
    stage
        .subscribe("globex", "https://globex.example/", &["*"])
        .await;
    for number in 0..4 {
        stage.publish("acme", "a.one", "{}").await;
        let end = if number == 3 {
            failed(503, "down")
        } else {
            (AttemptOutcome::Succeeded, answered(200, "ok"))
        };
        assert_eq!(stage.attempt_all(end).await, 1);
    }
    let page = admin.get(WEBHOOKS).await.is(200);
    for text in [
        "https://example.com/hook",
        "<code>b.*</code>",
        "+2 more",
        "Zapier",
        "Enabled",
    ] {
        assert!(page.has(text), "{text} in {}", page.text);
    }
    assert!(page.has("503") && page.has("Failed"), "the last attempt");
    assert!(page.has("4 attempts, 75.0 % succeeded"), "{}", page.text);
    assert!(page.has("class=\"spark\"") && page.has("none yet"));
    assert!(!page.has("globex") && !page.has("d.four"));
}

#[tokio::test]
async fn pages_lead_there_and_back() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    for number in 0..60 {
        let url = format!("https://example.com/n{number:02}x");
        stage.subscribe("acme", &url, &["*"]).await;
    }
    let href = |page: &crate::stage::Answer, rel: &str| {
        let tag = page.text.split(&format!("rel=\"{rel}\" href=\"")).nth(1)?;
        Some(tag.split('"').next()?.to_owned())
    };
    let first = admin.get(WEBHOOKS).await.is(200);
    assert!(first.has("/n59x") && first.has("/n35x") && !first.has("/n34x"));
    assert_eq!(href(&first, "prev"), None);
    let second = admin.get(&href(&first, "next").unwrap()).await.is(200);
    assert!(second.has("/n34x") && second.has("/n10x") && !second.has("/n35x"));
    let third = admin.get(&href(&second, "next").unwrap()).await.is(200);
    assert!(third.has("/n09x") && third.has("/n00x") && href(&third, "next").is_none());
    let back = admin.get(&href(&third, "prev").unwrap()).await.is(200);
    assert!(back.has("/n34x") && back.has("/n10x") && !back.has("/n35x") && !back.has("/n09x"));
    let home = admin.get(&href(&back, "prev").unwrap()).await.is(200);
    assert!(home.has("/n59x") && home.has("/n35x") && !home.has("/n34x"));
    for odd in [
        "before=x",
        "before=-9223372036854775808",
        "beyond=9223372036854775807",
    ] {
        admin.get(&format!("{WEBHOOKS}?{odd}")).await.is(200);
    }
}

#[tokio::test]
async fn a_search_finds_urls_by_a_part_of_them() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    stage
        .subscribe("acme", "https://billing.example.com/in", &["*"])
        .await;
    stage
        .subscribe("acme", "https://crm.example.com/in", &["*"])
        .await;
    let page = admin.get(&format!("{WEBHOOKS}?q=BILL")).await.is(200);
    assert!(page.has("https://billing.example.com/in") && !page.has("https://crm."));
    assert_eq!(page.field_value("q").as_deref(), Some("BILL"));
    for number in 0..26 {
        let url = format!("https://many.example.com/{number}");
        stage.subscribe("acme", &url, &["*"]).await;
    }
    let page = admin.get(&format!("{WEBHOOKS}?q=many.")).await.is(200);
    assert_eq!(page.text.matches("https://many.example.com/").count(), 25);
    assert!(page.has("these are the newest 25"));
    let page = admin
        .get(&format!("{WEBHOOKS}?q=%22%3E%3Cscript%3E"))
        .await
        .is(200);
    assert!(
        page.has("No webhook&#39;s URL") && !page.has("\"><script>"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_page_of_one_shows_facts_figures_and_attempts() {
    let (stage, admin, id) = with_webhook(&["client.*", "invoice.paid"]).await;
    let describe = SubscriptionChange {
        description: Some(Some("<script>alert(1)</script> & \"team\"".to_owned())),
        ..SubscriptionChange::default()
    };
    let (acme, now) = (company("acme"), stage.clock.now());
    let changed =
        stage
            .store
            .update_subscription(Some(&acme), id, None, describe, now, &Actor::COMMAND);
    changed.await.unwrap();
    stage.publish("acme", "client.created", "{}").await;
    stage.attempt_all(failed(404, "<b>no</b>")).await;
    let page = admin.get(&path(id, "")).await.is(200);
    for text in [
        &id.to_string(),
        URL,
        "client.*",
        "invoice.paid",
        "as many as it takes",
        "The endpoint answered 404.",
        "client.created",
        "42 ms",
        "1 attempt, 0.0 % succeeded",
        &format!("/portal/c/acme/log?webhook={id}"),
        "/portal/c/acme/log/",
    ] {
        assert!(page.has(text), "{text} in {}", page.text);
    }
    assert!(page.has("&#60;script&#62;alert(1)") && !page.has("<script>alert"));
    assert!(page.text.len() < 100_000);
    assert_eq!(
        page.field_value("event_type").as_deref(),
        Some("invoice.paid")
    );
    assert_eq!(
        page.field_value("since").as_deref(),
        Some("2026-11-22T08:30")
    );
    assert!(!page.has("whsec_"), "no secret");
}

#[tokio::test]
async fn an_open_breaker_is_explained() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    let health = EndpointHealth {
        breaker: BreakerState::Open,
        open_until: Some(start().plus_millis(20_000)),
        failing_since: Some(start().plus_millis(-60_000)),
    };
    stage.store.note_health(id, 0, health).await.unwrap();
    let page = admin.get(&path(id, "")).await.is(200);
    assert!(
        page.has("Breaker open") && page.has("2026-11-23 08:30:20 UTC"),
        "{}",
        page.text
    );
    assert!(page.has("2026-11-23 08:29:00 UTC") && page.has("2026-11-28 08:29:00 UTC"));
    stage.clock.advance(20_000);
    let page = admin.get(&path(id, "")).await.is(200);
    assert!(page.has("Breaker half-open") && !page.has("Breaker open"));
}

#[tokio::test]
async fn every_page_stays_small_with_much_to_show() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let long = format!("https://example.com/{}", "x".repeat(2000));
    let types: Vec<String> = (0..100)
        .map(|n| format!("{}.n{n}", "t".repeat(100)))
        .collect();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let mut last: Option<SubscriptionId> = None;
    for _ in 0..30 {
        last = Some(stage.subscribe("acme", &long, &types).await);
    }
    for event_type in types.iter().take(20) {
        stage.publish("acme", event_type, "{}").await;
        stage.attempt_all(failed(500, &"<".repeat(4000))).await;
    }
    let id = last.unwrap();
    for page in [
        WEBHOOKS.to_owned(),
        format!("{WEBHOOKS}/new"),
        path(id, ""),
        path(id, "/edit"),
        path(id, "/replay"),
    ] {
        let bytes = admin.get(&page).await.is(200).text.len();
        assert!(bytes < 100_000, "{page}: {bytes}");
    }
}
