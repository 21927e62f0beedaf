//! The catalog in the portal: for everybody to read.

use tidings_domain::{
    actor::Actor, catalog::CatalogType, clock::Clock as _, event_type::EventType, visitor::Role,
};
use tidings_store::Catalog as _;

use crate::stage::Stage;

async fn save(stage: &Stage, entry: CatalogType) {
    let now = stage.clock.now();
    let saved = stage.store.save_event_type(entry, now, &Actor::COMMAND);
    saved.await.unwrap();
}

#[tokio::test]
async fn everybody_reads_the_catalog() {
    let stage = Stage::new();
    let viewer = stage.guest("acme", Role::Viewer).await;
    let list = viewer.get("/portal/c/acme/types").await.is(200);
    assert!(list.has("client.created") && list.has("An invoice was made."));
    let one = viewer
        .get("/portal/c/acme/types/client.created")
        .await
        .is(200);
    assert!(one.has("cl_20417") && one.has("No schema"));
    assert!(one.has("/portal/c/acme/events?type=client.created"));
    assert!(
        !one.has("/portal/c/acme/webhooks/new"),
        "a viewer adds nothing"
    );
    viewer.get("/portal/platform/types").await.is(404);
    viewer.get("/portal/c/globex/types").await.is(404);
    for name in ["case.opened", "no%20type", "..%2f"] {
        let path = format!("/portal/c/acme/types/{name}");
        viewer.get(&path).await.is(404);
    }
    let operator = stage.operator().await;
    operator.get("/portal/platform/types").await.is(200);
    let one = operator.get("/portal/platform/types/payment.failed").await;
    assert!(one.is(200).has("insufficient_funds"));
}

#[tokio::test]
async fn what_the_platform_wrote_stays_text() {
    let stage = Stage::new();
    save(
        &stage,
        CatalogType {
            name: EventType::parse("case.opened").unwrap(),
            description: "<script>alert(1)</script>".to_owned(),
            sample_payload: Some(r#"{"a": "<img src=x onerror=alert(1)>"}"#.to_owned()),
            schema: Some(r#"{"title": "</pre><script>"}"#.to_owned()),
            deprecated: true,
        },
    )
    .await;
    let operator = stage.operator().await;
    for path in ["types", "types/case.opened"] {
        let page = operator
            .get(&format!("/portal/c/acme/{path}"))
            .await
            .is(200);
        assert!(page.has("&#60;script&#62;") && page.has("Deprecated"));
        assert!(!page.has("<script>alert") && !page.has("<img"));
    }
}

#[tokio::test]
async fn a_long_catalog_has_pages() {
    let stage = Stage::new();
    for number in 0..60 {
        let entry = CatalogType {
            name: EventType::parse(&format!("case.kind_{number:02}")).unwrap(),
            description: String::new(),
            sample_payload: None,
            schema: None,
            deprecated: false,
        };
        save(&stage, entry).await;
    }
    let operator = stage.operator().await;
    let first = operator.get("/portal/platform/types").await.is(200);
    assert!(first.has("case.kind_00") && !first.has("case.kind_59"));
    let last = operator.get("/portal/platform/types?page=3").await.is(200);
    assert!(last.has("payment.succeeded"));
}
