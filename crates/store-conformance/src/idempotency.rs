//! Idempotency keys: a request that is sent twice is stored once.

use std::sync::Arc;

use futures_util::future::join_all;
use tidings_domain::{company::CompanyId, event::Event};
use tidings_store::Appended;

use crate::{
    Harness,
    scenario::{DAY_MS, Scenario, WORKS, acme, company, ids},
};

pub(crate) async fn the_same_request_gives_the_same_events(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let first = once(&scenario, "order-7", 1).await;
    scenario.advance(DAY_MS - 1);
    let again = scenario
        .append_once("order-7", 1, &[scenario.event(&acme(), "a")])
        .await;
    assert_replays(&again, &[first]);
}

pub(crate) async fn another_request_under_a_used_key_is_refused(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let first = once(&scenario, "order-7", 1).await;
    let other = [scenario.event(&acme(), "a")];
    assert_eq!(
        scenario.append_once("order-7", 2, &other).await,
        Appended::KeyReused
    );
    assert_eq!(ids(&scenario.log(&acme()).await), [first.id()]);
    assert_eq!(scenario.owed().await, 1);
    // The refusal has not spoilt the key for its own request.
    assert_replays(&scenario.append_once("order-7", 1, &other).await, &[first]);
}

pub(crate) async fn keys_differ_in_every_character(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    for key in ["a", "A", "a ", " a", "aa", "'a'", "%", "_"] {
        once(&scenario, key, 1).await;
    }
    once(&scenario, &"~".repeat(255), 1).await;
    once(&scenario, &"~".repeat(254), 1).await;
    assert_eq!(scenario.log(&acme()).await.len(), 10);
}

pub(crate) async fn an_expired_key_counts_as_unused(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    once(&scenario, "order-7", 1).await;
    scenario.advance(DAY_MS);
    // Another request even, and from now on it is this one that the key stands for.
    let second = once(&scenario, "order-7", 2).await;
    let again = scenario
        .append_once("order-7", 2, &[scenario.event(&acme(), "a")])
        .await;
    assert_replays(&again, &[second]);
    let first = scenario
        .append_once("order-7", 1, &[scenario.event(&acme(), "a")])
        .await;
    assert_eq!(first, Appended::KeyReused);
    assert_eq!(scenario.log(&acme()).await.len(), 2);
}

pub(crate) async fn a_key_belongs_to_its_company(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let other = company("other");
    let first = once(&scenario, "order-7", 1).await;
    let theirs = scenario.event(&other, "a");
    let appended = scenario
        .append_once("order-7", 2, std::slice::from_ref(&theirs))
        .await;
    assert_eq!(appended, Appended::Stored);
    assert_eq!(ids(&scenario.log(&acme()).await), [first.id()]);
    assert_eq!(ids(&scenario.log(&other).await), [theirs.id()]);
}

pub(crate) async fn a_batch_is_replayed_whole_and_in_order(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let batch: Vec<_> = (0..50).map(|_| scenario.event(&acme(), "a")).collect();
    assert_eq!(
        scenario.append_once("import", 1, &batch).await,
        Appended::Stored
    );
    scenario.publish(&acme(), "a").await;
    let retry: Vec<_> = (0..50).map(|_| scenario.event(&acme(), "a")).collect();
    assert_replays(&scenario.append_once("import", 1, &retry).await, &batch);
    scenario.crash().await;
    assert_replays(&scenario.append_once("import", 1, &retry).await, &batch);
    assert_eq!(scenario.log(&acme()).await.len(), 51);
}

pub(crate) async fn a_replayed_request_owes_nothing_more(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let node = scenario.attached_node().await;
    let first = once(&scenario, "order-7", 1).await;
    let fresh = node.handover.take();
    assert_eq!(fresh.len(), 1);
    scenario.record(scenario.succeeded(&fresh[0])).await;
    drop(fresh);
    let again = scenario
        .append_once("order-7", 1, &[scenario.event(&acme(), "a")])
        .await;
    assert_replays(&again, &[first]);
    assert!(node.handover.take().is_empty());
    assert_eq!(node.handover.held(), 0, "it keeps no place");
    assert_eq!(
        (scenario.owed().await, scenario.due().await),
        (0, Vec::new())
    );
    assert_eq!(scenario.attempts(subscription).await.len(), 1);
}

pub(crate) async fn concurrent_requests_under_one_key_store_once(harness: &dyn Harness) {
    const PUBLISHERS: usize = 16;
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let drafts: Vec<_> = (0..PUBLISHERS)
        .map(|_| [scenario.event(&acme(), "a")])
        .collect();
    let appends = drafts
        .iter()
        .map(|draft| scenario.append_once("order-7", 1, draft));
    let appended = join_all(appends).await;
    let log = scenario.log(&acme()).await;
    assert_eq!(log.len(), 1);
    let stored = appended
        .iter()
        .filter(|answer| **answer == Appended::Stored)
        .count();
    assert_eq!(stored, 1, "one of them stored it");
    for (answer, draft) in appended.iter().zip(&drafts) {
        if *answer == Appended::Stored {
            assert_eq!(draft[0].id(), log[0].id());
        } else {
            assert_replays(answer, &log);
        }
    }
    assert_eq!(scenario.owed().await, 1);
}

pub(crate) async fn expired_keys_are_swept_out_and_others_stay(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    for number in 0..20 {
        once(&scenario, &format!("old-{number}"), 1).await;
    }
    scenario.advance(DAY_MS - 1);
    let young = once(&scenario, "young", 1).await;
    scenario.advance(1);
    scenario.sweep().await;
    let again = scenario
        .append_once("young", 1, &[scenario.event(&acme(), "a")])
        .await;
    assert_replays(&again, &[young]);
    once(&scenario, "old-3", 2).await;
}

pub(crate) async fn what_a_key_was_used_for_is_told_without_using_it(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let other = company("other");
    let told = async |of: &CompanyId, request: u8| {
        let (promise, now) = (scenario.promise("order-7", request), scenario.now());
        let told = scenario.store().replayed(of, &promise, now).await;
        told.expect(WORKS)
    };
    assert_eq!(told(&acme(), 1).await, None);
    let batch: Vec<_> = (0..3).map(|_| scenario.event(&acme(), "a")).collect();
    // Asking has not used it.
    let appended = scenario.append_once("order-7", 1, &batch).await;
    assert_eq!(appended, Appended::Stored);
    scenario.publish(&acme(), "a").await;
    assert_replays(&told(&acme(), 1).await.expect("it was used"), &batch);
    assert_eq!(told(&acme(), 2).await, Some(Appended::KeyReused));
    assert_eq!(told(&other, 1).await, None);
    scenario.advance(DAY_MS - 1);
    assert_replays(&told(&acme(), 1).await.expect("it is still used"), &batch);
    scenario.advance(1);
    assert_eq!(told(&acme(), 1).await, None, "it has expired");
    assert_eq!(scenario.log(&acme()).await.len(), 4);
}

/// Publishes one event under a key that is not in use.
async fn once(scenario: &Scenario<'_>, key: &str, request: u8) -> Arc<Event> {
    let event = scenario.event(&acme(), "a");
    let appended = scenario
        .append_once(key, request, std::slice::from_ref(&event))
        .await;
    assert_eq!(appended, Appended::Stored, "the key {key:?} is unused");
    event
}

fn assert_replays(answer: &Appended, first: &[Arc<Event>]) {
    let Appended::Replayed(events) = answer else {
        panic!("the first answer comes again, not {answer:?}");
    };
    assert_eq!(ids(events), ids(first));
    for (event, original) in events.iter().zip(first) {
        assert_eq!(event.json(), original.json());
    }
}
