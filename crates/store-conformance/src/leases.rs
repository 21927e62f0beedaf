//! Leases: who holds a delivery, for how long, and that whoever lost it changes nothing any more.

use std::collections::HashSet;

use futures_util::future::join;
use tidings_domain::id::{EventId, SubscriptionId};
use tidings_store::{DeliveryState, LeaseId, Renewal, Settled};

use crate::{
    Harness,
    node::{LEASE_MS, Node, addressed},
    scenario::{SECOND_MS, Scenario, WORKS, acme, ids, sorted},
};

pub(crate) async fn ids_are_never_given_out_twice(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let mut seen = HashSet::new();
    for round in 0..6 {
        for _ in 0..3 {
            let lease = scenario.node().await.lease;
            assert!(seen.insert(lease), "{lease:?} came before");
            if round % 2 == 0 {
                scenario.store().end_lease(lease).await.expect(WORKS);
            }
        }
        if round % 3 == 2 {
            scenario.crash().await;
        } else {
            scenario.reopen().await;
        }
    }
}

pub(crate) async fn a_claimed_delivery_is_nobody_elses(harness: &dyn Harness) {
    let (scenario, _) = with_one_owed(harness).await;
    let (first, second) = (scenario.node().await, scenario.node().await);
    let held = scenario.claim(&first).await;
    assert_eq!(held.len(), 1);
    scenario.advance(LEASE_MS - 1);
    assert!(scenario.claim(&second).await.is_empty());
    assert!(scenario.claim(&first).await.is_empty(), "it has it already");
}

pub(crate) async fn a_lease_that_ran_out_is_taken_over(harness: &dyn Harness) {
    let (scenario, subscription) = with_one_owed(harness).await;
    let first = scenario.node().await;
    let lost = scenario.claim_one(&first).await;
    scenario.advance(LEASE_MS + 1);
    let second = scenario.node().await;
    let taken = scenario.claim_one(&second).await;
    assert_eq!(taken.key, lost.key, "it is the same delivery");
    assert_eq!(
        (taken.attempts_made, taken.first_attempt),
        (0, None),
        "and counts no attempt"
    );

    let event = &lost.event;
    let late = scenario.succeeded(&lost);
    assert_eq!(scenario.settle_one(late).await, Settled::LeaseLost);
    assert_eq!(scenario.attempts(subscription).await, []);
    assert_eq!(
        scenario.state(event, subscription).await,
        DeliveryState::Pending
    );
    assert_eq!(scenario.owed().await, 1);
    assert_eq!(renew(&scenario, &first).await, Renewal::Lost);

    scenario.record(scenario.succeeded(&taken)).await;
    assert_eq!(scenario.attempts(subscription).await.len(), 1);
    assert_eq!(
        scenario.state(event, subscription).await,
        DeliveryState::Succeeded
    );
}

pub(crate) async fn fresh_work_is_fenced_as_claimed_work_is(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let first = scenario.attached_node().await;
    scenario.publish(&acme(), "a").await;
    let lost = first.handover.take().remove(0);
    scenario.store().detach();
    scenario.advance(LEASE_MS + 1);
    let second = scenario.node().await;
    let taken = scenario.claim_one(&second).await;
    assert_eq!(
        scenario.settle_one(scenario.gave_up(&lost)).await,
        Settled::LeaseLost
    );
    assert_eq!(scenario.attempts(subscription).await, []);
    scenario.record(scenario.succeeded(&taken)).await;
}

pub(crate) async fn a_renewed_lease_is_kept(harness: &dyn Harness) {
    let (scenario, _) = with_one_owed(harness).await;
    let first = scenario.node().await;
    let held = scenario.claim_one(&first).await;
    for _ in 0..4 {
        scenario.advance(LEASE_MS - SECOND_MS);
        assert_eq!(renew(&scenario, &first).await, Renewal::Held);
        let second = scenario.node().await;
        assert!(scenario.claim(&second).await.is_empty());
    }
    scenario.record(scenario.succeeded(&held)).await;
}

/// A node that was slow to renew, with nobody there to take its work, goes on as before.
pub(crate) async fn a_lease_that_ran_out_stands_until_it_is_taken(harness: &dyn Harness) {
    let (scenario, _) = with_one_owed(harness).await;
    let first = scenario.node().await;
    let held = scenario.claim_one(&first).await;
    scenario.advance(10 * LEASE_MS);
    assert_eq!(renew(&scenario, &first).await, Renewal::Held);
    let second = scenario.node().await;
    assert!(scenario.claim(&second).await.is_empty());
    scenario.record(scenario.succeeded(&held)).await;
}

pub(crate) async fn a_settlement_after_the_lease_ran_out_counts(harness: &dyn Harness) {
    let (scenario, subscription) = with_one_owed(harness).await;
    let node = scenario.node().await;
    let held = scenario.claim_one(&node).await;
    scenario.advance(10 * LEASE_MS);
    scenario.record(scenario.succeeded(&held)).await;
    assert_eq!(scenario.attempts(subscription).await.len(), 1);
}

pub(crate) async fn an_ended_lease_frees_its_work_at_once(harness: &dyn Harness) {
    let (scenario, subscription) = with_one_owed(harness).await;
    let first = scenario.node().await;
    let lost = scenario.claim_one(&first).await;
    scenario.store().end_lease(first.lease).await.expect(WORKS);
    let second = scenario.node().await;
    let taken = scenario.claim_one(&second).await;
    assert_eq!(renew(&scenario, &first).await, Renewal::Lost);
    assert_eq!(
        scenario.settle_one(scenario.succeeded(&lost)).await,
        Settled::LeaseLost
    );
    assert_eq!(scenario.attempts(subscription).await, []);
    scenario.record(scenario.succeeded(&taken)).await;
    // Ending it twice is no harm.
    scenario.store().end_lease(first.lease).await.expect(WORKS);
}

pub(crate) async fn a_settlement_under_a_lease_just_ended_is_void(harness: &dyn Harness) {
    let (scenario, subscription) = with_one_owed(harness).await;
    let node = scenario.node().await;
    let lost = scenario.claim_one(&node).await;
    scenario.store().end_lease(node.lease).await.expect(WORKS);
    // Nobody else has it yet, but it is no longer this lease's either.
    assert_eq!(
        scenario.settle_one(scenario.succeeded(&lost)).await,
        Settled::LeaseLost
    );
    assert_eq!(scenario.attempts(subscription).await, []);
    assert_eq!(scenario.due().await, addressed(&[lost]));
}

/// A publisher may still be attached to a lease that has just been lost: what it appends is found
/// by somebody, if only when the lease's time is over.
pub(crate) async fn work_appended_under_a_lost_lease_is_not_lost(harness: &dyn Harness) {
    let (scenario, subscription) = with_one_owed(harness).await;
    let first = scenario.attached_node().await;
    scenario.store().end_lease(first.lease).await.expect(WORKS);
    let event = scenario.publish(&acme(), "a").await;
    drop(first.handover.take());
    scenario.advance(2 * LEASE_MS);
    let due = scenario.due().await;
    assert_eq!(due.len(), 2);
    assert!(due.contains(&(event.id(), subscription)));
}

pub(crate) async fn released_work_is_due_as_before(harness: &dyn Harness) {
    let (scenario, subscription) = with_one_owed(harness).await;
    let owed_since = scenario.now();
    let node = scenario.node().await;
    let first = scenario.claim_one(&node).await;
    let next = scenario.later(5 * SECOND_MS);
    scenario.record(scenario.retry_at(&first, next)).await;
    scenario.set_time(next);
    renew(&scenario, &node).await;
    let held = scenario.claim_one(&node).await;
    scenario
        .store()
        .release(node.lease, vec![held.key])
        .await
        .expect(WORKS);
    assert_eq!(
        scenario.settle_one(scenario.succeeded(&held)).await,
        Settled::LeaseLost
    );
    drop(held);
    assert_eq!(
        scenario.attempts(subscription).await.len(),
        1,
        "a release is no attempt"
    );

    let other = scenario.node().await;
    let again = scenario.claim_one(&other).await;
    assert_eq!((again.key, again.attempts_made), (first.key, 1));
    assert_eq!(
        (again.first_attempt, again.owed_since),
        (Some(owed_since), owed_since)
    );
}

pub(crate) async fn a_release_touches_its_own_leases_work_alone(harness: &dyn Harness) {
    let (scenario, _) = with_one_owed(harness).await;
    let (first, second) = (scenario.node().await, scenario.node().await);
    let held = scenario.claim_one(&first).await;
    scenario
        .store()
        .release(second.lease, vec![held.key])
        .await
        .expect(WORKS);
    assert!(scenario.claim(&second).await.is_empty());
    scenario.record(scenario.succeeded(&held)).await;
    scenario
        .store()
        .release(first.lease, vec![held.key])
        .await
        .expect(WORKS);
    assert!(
        scenario.claim(&second).await.is_empty(),
        "what is done stays done"
    );
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn two_nodes_share_the_work(harness: &dyn Harness) {
    const EVENTS: usize = 300;
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let events: Vec<_> = (0..EVENTS).map(|_| scenario.event(&acme(), "a")).collect();
    scenario.append(&events).await;
    let (first, second) = (scenario.node().await, scenario.node().await);
    let (one, two) = join(
        in_small_claims(&scenario, &first),
        in_small_claims(&scenario, &second),
    )
    .await;
    let expected = ids(&events).into_iter().map(|event| (event, subscription));
    assert_eq!(
        sorted(one.into_iter().chain(two)),
        sorted(expected),
        "each went to one of them"
    );
}

async fn in_small_claims(scenario: &Scenario<'_>, node: &Node) -> Vec<(EventId, SubscriptionId)> {
    let mut found = Vec::new();
    loop {
        let claimed = scenario.claim_some(node, 7).await;
        if claimed.deliveries.is_empty() {
            return found;
        }
        found.extend(addressed(&claimed.deliveries));
    }
}

pub(crate) async fn an_unknown_lease_is_lost(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let known = scenario.node().await.lease;
    let unknown = LeaseId(known.0 + 1000);
    let renewal = scenario
        .store()
        .renew_lease(unknown, scenario.now(), scenario.later(LEASE_MS));
    assert_eq!(renewal.await, Ok(Renewal::Lost));
}

async fn with_one_owed(harness: &dyn Harness) -> (Scenario<'_>, SubscriptionId) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish(&acme(), "a").await;
    (scenario, subscription)
}

async fn renew(scenario: &Scenario<'_>, node: &Node) -> Renewal {
    let until = scenario.later(LEASE_MS);
    let renewal = scenario
        .store()
        .renew_lease(node.lease, scenario.now(), until);
    renewal.await.expect(WORKS)
}
