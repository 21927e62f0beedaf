//! The catalog of event types: filled when a database is made, changed as a whole, and its version
//! tells who keeps a copy that it is old.

use tidings_domain::{
    audit::Action,
    catalog::{CATALOG_TYPES_MAX, CatalogType, shipped},
    event_type::EventType,
};
use tidings_store::{AuditQuery, AuditScope, TypeSaved};

use crate::{
    Harness,
    scenario::{BY, Scenario, WORKS},
};

fn event_type(name: &str) -> EventType {
    EventType::parse(name).expect("an event type")
}

fn entry(name: &str) -> CatalogType {
    CatalogType {
        name: event_type(name),
        description: "Ein Fall für \u{0}Zeichen.".to_owned(),
        sample_payload: Some(r#"{"amount": 99.00, "text": "\u0000"}"#.to_owned()),
        schema: Some(r#"{"type":"object"}"#.to_owned()),
        deprecated: true,
    }
}

pub(crate) async fn a_fresh_catalog_has_what_is_shipped(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let mut expected = shipped();
    expected.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    assert_eq!(scenario.store().event_types().await, Ok(expected));
}

pub(crate) async fn a_type_is_made_replaced_and_removed(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (store, now) = (scenario.store(), scenario.now());
    let name = event_type("case.opened");
    let made = entry("case.opened");
    let saved = store.save_event_type(made.clone(), now, &BY).await;
    assert_eq!(saved, Ok(TypeSaved::Created));
    assert_eq!(store.event_type(&name).await, Ok(Some(made)));
    let replaced = CatalogType {
        sample_payload: None,
        schema: None,
        deprecated: false,
        ..entry("case.opened")
    };
    let saved = store.save_event_type(replaced.clone(), now, &BY).await;
    assert_eq!(saved, Ok(TypeSaved::Replaced));
    assert_eq!(store.event_type(&name).await, Ok(Some(replaced)));
    assert_eq!(store.delete_event_type(&name, now, &BY).await, Ok(true));
    assert_eq!(store.delete_event_type(&name, now, &BY).await, Ok(false));
    assert_eq!(store.event_type(&name).await, Ok(None));
    let query = AuditQuery {
        scope: AuditScope::Everything,
        target: Some(name.to_string()),
        before: None,
        limit: 10,
    };
    let page = store.audit(query).await.expect(WORKS);
    let lines: Vec<_> = page.entries.iter().map(|line| line.action).collect();
    assert_eq!(
        lines,
        [
            Action::EventTypeDeleted,
            Action::EventTypeSaved,
            Action::EventTypeSaved
        ]
    );
    let fields = page.entries[1].changes.iter();
    let fields: Vec<&str> = fields.map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["samplePayload", "schema", "deprecated"]);
}

pub(crate) async fn the_version_tells_of_every_change(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (store, now) = (scenario.store(), scenario.now());
    let mut versions = vec![store.catalog_version().await.expect(WORKS)];
    assert_eq!(store.catalog_version().await, Ok(versions[0]));
    for _ in 0..2 {
        let saved = store.save_event_type(entry("case.opened"), now, &BY).await;
        saved.expect(WORKS);
        versions.push(store.catalog_version().await.expect(WORKS));
    }
    let name = event_type("case.opened");
    store.delete_event_type(&name, now, &BY).await.expect(WORKS);
    versions.push(store.catalog_version().await.expect(WORKS));
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

pub(crate) async fn a_full_catalog_takes_no_further_type(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (store, now) = (scenario.store(), scenario.now());
    let room = CATALOG_TYPES_MAX - shipped().len();
    for number in 0..room {
        let saved = store
            .save_event_type(entry(&format!("case.kind_{number}")), now, &BY)
            .await;
        assert_eq!(saved, Ok(TypeSaved::Created));
    }
    let saved = store.save_event_type(entry("case.opened"), now, &BY).await;
    assert_eq!(saved, Ok(TypeSaved::Full));
    let saved = store.save_event_type(entry("case.kind_0"), now, &BY).await;
    assert_eq!(saved, Ok(TypeSaved::Replaced));
    let types = store.event_types().await.expect(WORKS);
    assert_eq!(types.len(), CATALOG_TYPES_MAX);
}

pub(crate) async fn the_catalog_outlives_a_restart(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let now = scenario.now();
    let name = event_type("client.created");
    let deleted = scenario.store().delete_event_type(&name, now, &BY).await;
    assert_eq!(deleted, Ok(true));
    let before = scenario.store().event_types().await.expect(WORKS);
    scenario.reopen().await;
    // What was deleted is not shipped once more.
    assert_eq!(scenario.store().event_types().await, Ok(before));
}
