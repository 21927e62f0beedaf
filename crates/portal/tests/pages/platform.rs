//! The whole platform at a glance, and the way to a company.

use tidings_domain::{
    attempt::AttemptOutcome,
    breaker::{BreakerState, EndpointHealth},
};
use tidings_store::DeliveryQueue as _;

use crate::stage::{Stage, answered, failed};

const PLATFORM: &str = "/portal/platform";

#[tokio::test]
async fn companies_are_listed_by_their_traffic() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let page = operator.get(PLATFORM).await.is(200);
    assert!(
        page.has("No company had a delivery in this time."),
        "{page:?}"
    );
    assert!(page.has("can be written to"), "{page:?}");
    for (of, events) in [("acme", 1), ("globex", 3)] {
        stage
            .subscribe(of, &format!("https://{of}.example/hook"), &["*"])
            .await;
        for _ in 0..events {
            stage.publish(of, "order.created", "{}").await;
        }
    }
    stage
        .attempt_all((AttemptOutcome::Succeeded, answered(200, "ok")))
        .await;
    stage.publish("acme", "order.created", "{}").await;
    stage.attempt_all(failed(500, "no")).await;
    for range in ["1h", "24h", "7d"] {
        let page = operator
            .get(&format!("{PLATFORM}?range={range}"))
            .await
            .is(200);
        assert!(page.has("5 attempts") && page.has("80.0 %"), "{page:?}");
        let table = page.text.split("companies-heading").nth(2).unwrap();
        let place = |of: &str| {
            table
                .find(&format!("href=\"/portal/c/{of}?range={range}\""))
                .unwrap()
        };
        assert!(
            place("globex") < place("acme"),
            "the busiest first: {table}"
        );
        assert!(
            table.contains("50.0 %") && table.contains("100 %"),
            "{table}"
        );
    }
}

#[tokio::test]
async fn endpoints_that_are_left_alone_are_named_with_their_company() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    for number in 0..11 {
        let url = format!("https://host-{number}.example/hook");
        let id = stage.subscribe("acme", &url, &["*"]).await;
        let health = EndpointHealth {
            breaker: BreakerState::HalfOpen,
            ..EndpointHealth::default()
        };
        stage.store.note_health(id, 0, health).await.unwrap();
    }
    let well = stage
        .subscribe("acme", "https://well.example/hook", &["*"])
        .await;
    let page = operator.get(PLATFORM).await.is(200);
    let parked = page.text.split("parked-heading").nth(2).unwrap();
    assert!(parked.contains("/portal/c/acme\">acme</a> · "), "{parked}");
    assert_eq!(parked.matches("being tried again").count(), 10, "{parked}");
    assert!(parked.contains("And more.") && !parked.contains(&well.to_string()));
}

#[tokio::test]
async fn a_company_is_opened_by_its_id() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let open = |typed: &str| format!("{PLATFORM}/open?company={typed}");
    operator.get(&open("acme")).await.leads_to("/portal/c/acme");
    operator
        .get(&open("%20acme%20"))
        .await
        .leads_to("/portal/c/acme");
    for typed in ["", "..%2Fplatform", "a%20b", "%22%3E%3Cscript%3E"] {
        let page = operator.get(&open(typed)).await.is(422);
        assert!(
            page.element("company-error").unwrap().contains("1 to 64"),
            "{page:?}"
        );
        assert!(!page.has("><script>"), "{page:?}");
    }
    operator.get("/portal/c/acme").await.is(200);
}

#[tokio::test]
async fn companies_are_suggested_by_what_was_typed() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    for of in ["acme", "acorn", "globex"] {
        stage
            .subscribe(of, &format!("https://{of}.example/hook"), &["*"])
            .await;
    }
    let page = operator.get(PLATFORM).await.is(200);
    assert!(page.has("<option value=\"acorn\">"), "{page:?}");
    let suggest = |prefix: &str| format!("{PLATFORM}/companies?prefix={prefix}");
    let answer = operator.get(&suggest("ac")).await.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text, r#"["acme","acorn"]"#);
    assert_eq!(operator.get(&suggest("x")).await.text, "[]");
    assert_eq!(operator.get(&suggest("%25")).await.text, "[]");
    assert_eq!(operator.get(&suggest(&"x".repeat(1000))).await.text, "[]");
}
