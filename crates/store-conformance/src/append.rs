//! Appending: events and what is owed for them become durable together, and fresh work finds its
//! way to a node.

use std::sync::Arc;

use futures_util::future::join_all;
use tidings_domain::event::Event;
use tidings_store::{Backlog, DeliveryState, HandoverLimits};

use crate::{
    Harness,
    node::addressed,
    scenario::{Scenario, WORKS, acme, company, ids, sorted},
};

pub(crate) async fn an_event_is_stored_with_what_is_owed_for_it(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let wanting = [
        scenario.subscribe(&acme(), &["client.created"]).await,
        scenario.subscribe(&acme(), &["client.*"]).await,
    ];
    scenario.subscribe(&acme(), &["invoice.paid"]).await;
    let event = scenario.publish(&acme(), "client.created").await;
    let found = scenario.store().event(None, event.id()).await.expect(WORKS);
    assert_eq!(found.as_ref(), Some(&event));
    let backlog = Backlog {
        owed: 2,
        oldest: Some(scenario.now()),
    };
    assert_eq!(scenario.store().backlog().await, Ok(backlog));

    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let expected = sorted(wanting.map(|subscription| (event.id(), subscription)));
    assert_eq!(sorted(addressed(&deliveries)), expected);
    for delivery in &deliveries {
        assert_eq!(delivery.event.json(), event.json());
        assert_eq!((delivery.attempts_made, delivery.first_attempt), (0, None));
        assert_eq!(
            (delivery.owed_since, delivery.key.round),
            (scenario.now(), 0)
        );
        assert_eq!(
            delivery.epoch,
            scenario.endpoint(delivery.key.subscription).epoch
        );
    }
}

pub(crate) async fn fresh_work_is_handed_over_where_there_is_room(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let node = scenario.attached_node().await;
    let event = scenario.publish(&acme(), "client.created").await;
    let fresh = node.handover.take();
    assert_eq!(addressed(&fresh), [(event.id(), subscription)]);
    let delivery = &fresh[0];
    assert_eq!(delivery.lease, node.lease);
    assert_eq!(delivery.event.json(), event.json());
    assert_eq!((delivery.attempts_made, delivery.first_attempt), (0, None));
    assert_eq!(
        (delivery.owed_since, delivery.key.round),
        (scenario.now(), 0)
    );
    assert_eq!(node.handover.held(), 1, "it holds its place");
    assert_eq!(scenario.due().await, [], "nobody else may have it");
    scenario.record(scenario.succeeded(delivery)).await;
    drop(fresh);
    assert_eq!(node.handover.held(), 0);
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn without_a_handover_work_waits_for_a_claim(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let node = scenario.attached_node().await;
    scenario.store().detach();
    let event = scenario.publish(&acme(), "client.created").await;
    assert!(node.handover.take().is_empty());
    assert_eq!(node.handover.held(), 0);
    assert_eq!(scenario.due().await, [(event.id(), subscription)]);
}

pub(crate) async fn work_beyond_the_limits_waits_for_a_claim(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let slow = scenario.subscribe(&acme(), &["slow"]).await;
    let other = scenario.subscribe(&acme(), &["other"]).await;
    let limits = HandoverLimits {
        deliveries_per_subscription_max: 2,
        ..HandoverLimits::default()
    };
    let node = scenario.node_within(limits).await;
    scenario.attach(&node);
    let events = scenario.publish_many(&acme(), "slow", 4).await;
    let fits = scenario.publish(&acme(), "other").await;
    let fresh = node.handover.take();
    let expected = [
        (events[0].id(), slow),
        (events[1].id(), slow),
        (fits.id(), other),
    ];
    assert_eq!(sorted(addressed(&fresh)), sorted(expected));
    assert_eq!(node.handover.held(), 3);
    let spilled = events[2..].iter().map(|event| (event.id(), slow));
    assert_eq!(scenario.due().await, sorted(spilled));
}

pub(crate) async fn a_batch_spills_in_part(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let limits = HandoverLimits {
        deliveries_per_subscription_max: 3,
        ..HandoverLimits::default()
    };
    let node = scenario.node_within(limits).await;
    scenario.attach(&node);
    let events: Vec<_> = (0..8).map(|_| scenario.event(&acme(), "a")).collect();
    scenario.append(&events).await;
    let fresh = node.handover.take();
    assert_eq!(fresh.len(), 3);
    let everything = addressed(&fresh).into_iter().chain(scenario.due().await);
    let expected = events.iter().map(|event| (event.id(), subscription));
    assert_eq!(sorted(everything), sorted(expected), "each is owed once");
}

pub(crate) async fn the_newest_attachment_counts(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let first = scenario.attached_node().await;
    let second = scenario.attached_node().await;
    scenario.publish(&acme(), "a").await;
    assert!(first.handover.take().is_empty());
    assert_eq!(second.handover.take()[0].lease, second.lease);
}

pub(crate) async fn a_batch_is_stored_in_its_order(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["a"]).await;
    let events: Vec<_> = (0..1000).map(|_| scenario.event(&acme(), "a")).collect();
    scenario.append(&events).await;
    assert_eq!(ids(&scenario.log(&acme()).await), ids(&events));
    let expected = events.iter().map(|event| (event.id(), subscription));
    assert_eq!(scenario.due().await, sorted(expected));
}

/// In polls, in single reads, in deliveries handed over and claimed, before and after a reopen.
pub(crate) async fn payload_and_metadata_keep_their_bytes(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(200_000));
    let texts = [
        r#"{"amount": 99.00,"id":123456789012345678901234567890, "e":1E+2}"#,
        r#"{"b":1,"a":2,"b":3,"":null,"é":"\u00e9\/ \ud83d\ude00 😀"}"#,
        "{ \"spread\" :\n\t[ 1 ,2 ]\r\n}",
        r#"{"nul":"\u0000","quote":"'\"\\","percent":"%s $1 ?1 :a"}"#,
        "{}",
        &large,
    ];
    let events: Vec<_> = (texts.iter().zip(texts.iter().rev()))
        .map(|(payload, metadata)| scenario.event_with(&acme(), "a", payload, metadata))
        .collect();
    let node = scenario.attached_node().await;
    scenario.append(&events).await;
    assert_same_bytes(
        &events,
        node.handover.take().iter().map(|delivery| &delivery.event),
    );
    scenario.store().end_lease(node.lease).await.expect(WORKS);
    for round in ["at first", "after a reopen"] {
        assert_same_bytes(&events, scenario.log(&acme()).await.iter());
        for event in &events {
            let found = scenario.store().event(None, event.id()).await.expect(WORKS);
            let found = found.expect(round);
            assert_eq!(found.payload(), event.payload(), "{round}");
            assert_eq!(found.metadata(), event.metadata(), "{round}");
        }
        let node = scenario.node().await;
        let claimed = scenario.claim(&node).await;
        assert_same_bytes(&events, claimed.iter().map(|delivery| &delivery.event));
        scenario.store().end_lease(node.lease).await.expect(WORKS);
        drop(claimed);
        scenario.reopen().await;
    }
}

fn assert_same_bytes<'a>(published: &[Arc<Event>], found: impl Iterator<Item = &'a Arc<Event>>) {
    let mut found: Vec<_> = found.collect();
    assert_eq!(found.len(), published.len());
    for event in published {
        let at = found.iter().position(|other| other.id() == event.id());
        let same = found.swap_remove(at.expect("each event is found once"));
        assert_eq!(same.json(), event.json());
    }
}

pub(crate) async fn an_event_is_owed_once_however_many_patterns_match(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let types = [
        "*",
        "client.*",
        "client.address.*",
        "client.address.changed",
    ];
    let subscription = scenario.subscribe(&acme(), &types).await;
    let event = scenario.publish(&acme(), "client.address.changed").await;
    assert_eq!(scenario.due().await, [(event.id(), subscription)]);
}

pub(crate) async fn an_event_is_owed_within_its_company_alone(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let own = scenario.subscribe(&acme(), &["*"]).await;
    // Company ids keep their case, so this is somebody else.
    let other = company("ACME");
    scenario.subscribe(&other, &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    assert_eq!(scenario.due().await, [(event.id(), own)]);
    assert_eq!(scenario.log(&other).await, []);
    let lines = scenario.trace(&event).await;
    assert_eq!(lines.len(), 1, "others' subscriptions are not in the trace");
}

pub(crate) async fn an_event_that_nobody_wants_is_stored_all_the_same(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["wanted"]).await;
    let event = scenario.publish(&acme(), "unwanted").await;
    assert_eq!(ids(&scenario.log(&acme()).await), [event.id()]);
    assert_eq!(scenario.store().backlog().await, Ok(Backlog::default()));
    let state = scenario.state(&event, subscription).await;
    assert_eq!(state, DeliveryState::NotMatched);
}

pub(crate) async fn concurrent_appends_are_each_owed_once(harness: &dyn Harness) {
    const TASKS: usize = 8;
    const EACH: usize = 25;
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let limits = HandoverLimits {
        deliveries_per_subscription_max: TASKS * EACH / 2,
        ..HandoverLimits::default()
    };
    let node = scenario.node_within(limits).await;
    scenario.attach(&node);
    let acme = acme();
    let published = join_all((0..TASKS).map(|_| scenario.publish_many(&acme, "a", EACH))).await;
    let expected = sorted(
        published
            .iter()
            .flatten()
            .map(|event| (event.id(), subscription)),
    );
    let fresh = node.handover.take();
    assert_eq!(
        fresh.len(),
        TASKS * EACH / 2,
        "as many as there is room for"
    );
    let everything = addressed(&fresh).into_iter().chain(scenario.due().await);
    assert_eq!(sorted(everything), expected);
}
