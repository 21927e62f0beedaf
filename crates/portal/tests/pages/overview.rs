//! The overview of a company.

use tidings_domain::{
    attempt::AttemptOutcome,
    breaker::{BreakerState, EndpointHealth},
    clock::Clock as _,
    visitor::Role,
};
use tidings_store::DeliveryQueue as _;

use crate::stage::{HOUR_MS, Stage, answered, failed};

const ACME: &str = "/portal/c/acme";

#[tokio::test]
async fn a_company_that_has_nothing_yet_is_told_what_to_do() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let page = admin.get(ACME).await.is(200);
    for text in [
        "First steps",
        "/portal/c/acme/webhooks/new",
        "/portal/c/acme/keys/new",
        "curl http://127.0.0.1:8080/api/v1/events",
        "nothing waits",
        "Nothing was sent in this time.",
    ] {
        assert!(page.has(text), "{text} in {page:?}");
    }
    let viewer = stage.guest("acme", Role::Viewer).await;
    let page = viewer.get(ACME).await.is(200);
    assert!(page.has("First steps") && !page.has("webhooks/new") && !page.has("keys/new"));
    stage
        .subscribe("acme", "https://acme.example/hook", &["*"])
        .await;
    let page = admin.get(ACME).await.is(200);
    assert!(
        page.has("First steps") && !page.has("webhooks/new"),
        "{page:?}"
    );
    stage.publish("acme", "order.created", "{}").await;
    assert!(!admin.get(ACME).await.is(200).has("First steps"));
}

#[tokio::test]
async fn figures_add_up_over_the_chosen_range() {
    let stage = Stage::new();
    let good = stage
        .subscribe("acme", "https://good.example/hook", &["good.*"])
        .await;
    let bad = stage
        .subscribe("acme", "https://bad.example/<i>", &["bad.*"])
        .await;
    stage.publish("globex", "good.x", "{}").await;
    for _ in 0..3 {
        stage.publish("acme", "good.x", "{}").await;
    }
    stage
        .attempt_all((AttemptOutcome::Succeeded, answered(200, "ok")))
        .await;
    stage.publish("acme", "bad.x", "{}").await;
    stage
        .attempt_all(failed(503, "<script>alert(1)</script>"))
        .await;
    let admin = stage.admin("acme").await;
    for range in ["1h", "24h", "7d"] {
        let page = admin.get(&format!("{ACME}?range={range}")).await.is(200);
        for text in [
            "<span class=\"value\">75.0 %</span>",
            "4 attempts",
            "1 failed",
            "<span class=\"value\">4</span>",
            "aria-label=\"4 attempts, 75.0 % succeeded\"",
        ] {
            assert!(page.has(text), "{range}: {text} in {page:?}");
        }
        assert!(
            page.has(&format!("?range={range}\" aria-current=\"true\"")),
            "{page:?}"
        );
        let worst = page.text.split("failing-heading").nth(2).unwrap();
        assert!(
            worst.contains(&format!("/portal/c/acme/webhooks/{bad}")),
            "{worst}"
        );
        assert!(worst.contains(&format!(
            "/portal/c/acme/log?webhook={bad}&amp;outcome=failed"
        )));
        assert!(
            worst.contains("503") && !page.has(&good.to_string()),
            "{worst}"
        );
        assert!(!page.has("<i>") && !page.has("alert(1)"));
        assert!(page.text.len() < 100_000);
    }
    // The one that failed waits for its next try.
    let page = admin.get(ACME).await.is(200);
    assert!(page.has("oldest waits for 0 s"), "{page:?}");
    // An hour later the last hour is empty and the last day is not.
    stage.clock.advance(2 * HOUR_MS);
    let page = admin.get(&format!("{ACME}?range=1h")).await.is(200);
    assert!(page.has("Nothing was sent in this time.") && page.has("No delivery failed"));
    assert!(page.has("oldest waits for 2 h"), "{page:?}");
    let page = admin.get(&format!("{ACME}?range=24h")).await.is(200);
    assert!(page.has("4 attempts") && page.has("bad.example"));
}

#[tokio::test]
async fn endpoints_that_are_left_alone_are_named() {
    let stage = Stage::new();
    let open = stage
        .subscribe("acme", "https://open.example/hook", &["*"])
        .await;
    let half = stage
        .subscribe("acme", "https://half.example/hook", &["*"])
        .await;
    let theirs = stage
        .subscribe("globex", "https://globex.example/hook", &["*"])
        .await;
    let admin = stage.admin("acme").await;
    assert!(
        admin
            .get(ACME)
            .await
            .has("Every endpoint is being delivered to.")
    );
    let now = stage.clock.now();
    let health = |breaker, until| EndpointHealth {
        breaker,
        open_until: until,
        failing_since: Some(now),
    };
    let until = now.plus_millis(60_000);
    for (id, health) in [
        (open, health(BreakerState::Open, Some(until))),
        (half, health(BreakerState::HalfOpen, None)),
        (theirs, health(BreakerState::Open, Some(until))),
    ] {
        stage.store.note_health(id, 0, health).await.unwrap();
    }
    let page = admin.get(ACME).await.is(200);
    let parked = page.text.split("parked-heading").nth(2).unwrap();
    assert!(parked.contains("https://open.example/hook") && parked.contains("left alone"));
    assert!(parked.contains(&until.to_string()), "{parked}");
    assert!(parked.contains("https://half.example/hook") && parked.contains("being tried again"));
    assert!(!page.has("globex"), "{page:?}");
}

#[tokio::test]
async fn a_company_of_many_webhooks_has_a_small_page() {
    let stage = Stage::new();
    for number in 0..150 {
        let url = format!("https://host-{number}.example/{}", "x".repeat(200));
        stage.subscribe("acme", &url, &["*"]).await;
    }
    stage.publish("acme", "order.created", "{}").await;
    stage.attempt_all(failed(500, "no")).await;
    let admin = stage.admin("acme").await;
    let page = admin.get(ACME).await.is(200);
    assert!(page.text.len() < 100_000, "{}", page.text.len());
    assert!(page.has("Of the 100 webhooks"), "{page:?}");
    assert_eq!(page.text.matches("outcome=failed").count(), 5);
}
