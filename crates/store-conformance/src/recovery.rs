//! Recovery: whatever was answered is there after a crash, and whatever was owed is owed.

use std::sync::Arc;

use tidings_domain::id::SubscriptionId;
use tidings_store::{Appended, DeliveryState, Settled, StoreError};

use crate::{
    Harness,
    node::{LEASE_MS, addressed},
    scenario::{SECOND_MS, Scenario, WORKS, acme, ids, sorted},
};

pub(crate) async fn what_was_answered_is_there_after_a_crash(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let mut subscriptions = Vec::new();
    let mut events = Vec::new();
    for _ in 0..5 {
        subscriptions.push(scenario.subscribe(&acme(), &["*"]).await);
        events.push(scenario.publish(&acme(), "a").await);
        let log = ids(&events);
        let head = scenario.store().head().await;
        scenario.crash().await;
        assert_eq!(ids(&scenario.log(&acme()).await), log);
        assert_eq!(scenario.store().head().await, head);
    }
    let expected = events.iter().enumerate().flat_map(|(made, event)| {
        subscriptions[..=made]
            .iter()
            .map(|&subscription| (event.id(), subscription))
    });
    let expected = sorted(expected);
    assert_eq!(scenario.owed().await, expected.len() as u64);
    assert_eq!(scenario.due().await, expected);
}

/// Leased in memory, claimed, waiting for a retry, or free: after a crash and, at the latest, the
/// end of the lost lease, all of it is claimable, and no attempt is counted that was not settled.
pub(crate) async fn work_in_hand_is_taken_up_again(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let began = scenario.now();
    scenario.publish(&acme(), "claimed").await;
    let node = scenario.attached_node().await;
    let claimed = scenario.claim_one(&node).await;
    scenario.publish(&acme(), "tried").await;
    let tried = node.handover.take().remove(0);
    scenario
        .record(scenario.retry_at(&tried, scenario.now()))
        .await;
    let in_hand = scenario.claim_one(&node).await;
    assert_eq!(in_hand.attempts_made, 1);
    scenario.publish(&acme(), "handed.over").await;
    let fresh = node.handover.take().remove(0);
    scenario.store().detach();
    scenario.publish(&acme(), "free").await;
    let expected = sorted([
        ("claimed", 0, None),
        ("tried", 1, Some(began)),
        ("handed.over", 0, None),
        ("free", 0, None),
    ]);

    scenario.crash().await;
    assert_eq!(scenario.owed().await, 4);
    scenario.advance(LEASE_MS + 1);
    let next = scenario.node().await;
    let again = scenario.claim(&next).await;
    let found = again.iter().map(|delivery| {
        let made = (delivery.attempts_made, delivery.first_attempt);
        (delivery.event.event_type().as_str(), made.0, made.1)
    });
    assert_eq!(sorted(found), expected);
    // The node that died may still have had attempts under way; its word no longer counts.
    let late = [&claimed, &in_hand, &fresh].map(|delivery| scenario.succeeded(delivery));
    assert_eq!(
        scenario.settle(late.to_vec()).await,
        [Settled::LeaseLost; 3]
    );
    assert_eq!(scenario.attempts(subscription).await.len(), 1);
    for delivery in &again {
        scenario.record(scenario.succeeded(delivery)).await;
    }
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn a_clean_end_leaves_nothing_leased(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let node = scenario.attached_node().await;
    let event = scenario.publish(&acme(), "a").await;
    let held = node.handover.take();
    scenario.store().detach();
    scenario.store().end_lease(node.lease).await.expect(WORKS);
    let expected = addressed(&held);
    drop((held, node));
    scenario.reopen().await;
    assert_eq!(
        scenario.due().await,
        expected,
        "at once, without waiting for any lease"
    );
    assert_eq!(expected[0].0, event.id());
}

pub(crate) async fn what_was_settled_stays_settled(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let events = scenario.publish_many(&acme(), "a", 3).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let next = scenario.later(60 * SECOND_MS);
    let settlements = vec![
        scenario.succeeded(&deliveries[0]),
        scenario.gave_up(&deliveries[1]),
        scenario.retry_at(&deliveries[2], next),
    ];
    assert_eq!(scenario.settle(settlements).await, [Settled::Recorded; 3]);
    drop((deliveries, node));
    scenario.crash().await;
    let states = [
        DeliveryState::Succeeded,
        DeliveryState::Failed,
        DeliveryState::Retrying,
    ];
    for (event, state) in events.iter().zip(states) {
        assert_eq!(scenario.state(event, subscription).await, state);
    }
    assert_eq!(scenario.attempts(subscription).await.len(), 3);
    scenario.advance(2 * LEASE_MS);
    assert_eq!(scenario.due().await, [], "the retry has its time still");
    scenario.set_time(next);
    assert_eq!(scenario.due().await, [(events[2].id(), subscription)]);
}

pub(crate) async fn gone_is_gone_after_a_crash(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let dead = scenario.subscribe(&acme(), &["a"]).await;
    let watching = scenario.subscribe(&acme(), &["webhook.*"]).await;
    scenario.publish_many(&acme(), "a", 2).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let settlement = scenario.gone(&deliveries[0]);
    let notice = settlement.notice.clone().expect("it has one");
    scenario.record(settlement).await;
    drop((deliveries, node));
    scenario.crash().await;
    assert!(!scenario.endpoint(dead).enabled);
    scenario.advance(LEASE_MS + 1);
    assert_eq!(scenario.due().await, [(notice.id(), watching)]);
    assert_eq!(scenario.log(&acme()).await.len(), 3);
}

/// Publishers who run into a close are answered either way; those told that their event is stored
/// find it there, with what is owed.
pub(crate) async fn a_close_amid_appends_keeps_its_word(harness: &dyn Harness) {
    const TASKS: usize = 8;
    const EACH: usize = 40;
    let mut scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let store = Arc::clone(scenario.store());
            let publications: Vec<_> = (0..EACH)
                .map(|_| scenario.publication(&[scenario.event(&acme(), "a")]))
                .collect();
            tokio::spawn(async move {
                let mut stored = Vec::new();
                for publication in publications {
                    let id = publication.events[0].id();
                    match store.append(publication).await {
                        Ok(answer) => {
                            assert_eq!(answer, Appended::Stored);
                            stored.push(id);
                        }
                        Err(StoreError::Unavailable(_)) => {}
                        Err(other) => panic!("a closed store is unavailable, not: {other}"),
                    }
                }
                stored
            })
        })
        .collect();
    scenario.publish(&acme(), "a").await;
    scenario.store().close().await.expect(WORKS);
    let mut stored = Vec::new();
    for task in tasks {
        stored.extend(task.await.expect("the publisher ends well"));
    }
    scenario.crash().await;
    let log = ids(&scenario.log(&acme()).await);
    assert!(
        stored.iter().all(|id| log.contains(id)),
        "each 201 was meant"
    );
    let expected = log.into_iter().map(|event| (event, subscription));
    assert_eq!(
        scenario.due().await,
        sorted(expected),
        "and each event has its delivery"
    );
}

pub(crate) async fn many_reopens_change_nothing(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let (subscription, other): (SubscriptionId, _) = (
        scenario.subscribe(&acme(), &["a"]).await,
        scenario.subscribe(&acme(), &["b"]).await,
    );
    scenario.enable(other, false).await;
    let event = scenario.publish(&acme(), "a").await;
    let before = scenario.trace(&event).await;
    for cleanly in [true, false, true, true, false, false] {
        if cleanly {
            scenario.reopen().await;
        } else {
            scenario.crash().await;
        }
        assert_eq!(scenario.trace(&event).await, before);
        assert_eq!(scenario.owed().await, 1);
    }
    assert_eq!(scenario.due().await, [(event.id(), subscription)]);
}
