//! Claiming: what is due and finds room, the longest due first, and nothing before its time.

use std::time::Duration;

use tidings_domain::{company::CompanyId, cursor::Order, id::SubscriptionId};
use tidings_store::HandoverLimits;

use crate::{
    Harness,
    node::{LEASE_MS, Node, addressed},
    scenario::{SECOND_MS, Scenario, WORKS, acme, company, ids},
};

pub(crate) async fn the_longest_due_come_first(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let mut expected = Vec::new();
    for number in 0..12 {
        let owner = company(&format!("company-{}", number % 3));
        let subscription = match number {
            0..3 => scenario.subscribe(&owner, &["*"]).await,
            _ => subscription_of(&scenario, &owner).await,
        };
        let event = scenario.publish(&owner, "a").await;
        expected.push((event.id(), subscription));
        scenario.advance(1);
    }
    let node = scenario.node().await;
    let claimed = scenario.claim_some(&node, 100).await;
    assert_eq!(addressed(&claimed.deliveries), expected);
}

async fn subscription_of(scenario: &Scenario<'_>, owner: &CompanyId) -> SubscriptionId {
    let order = Order::Ascending;
    let page = scenario
        .store()
        .subscriptions(owner, order, None, 1)
        .await
        .expect(WORKS);
    page.subscriptions[0].id
}

pub(crate) async fn a_limit_leaves_the_rest_for_later(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let mut expected = Vec::new();
    for _ in 0..10 {
        expected.push(scenario.publish(&acme(), "a").await.id());
        scenario.advance(1);
    }
    let node = scenario.node().await;
    let mut found = Vec::new();
    for _ in 0..10 {
        let claimed = scenario.claim_some(&node, 3).await;
        assert!(!claimed.deliveries.is_empty(), "a claim gets on");
        found.extend(
            claimed
                .deliveries
                .iter()
                .map(|delivery| delivery.event.id()),
        );
        if found.len() == expected.len() {
            break;
        }
        let next_due = claimed.next_due.expect("more is waiting");
        assert!(next_due <= scenario.now(), "and it is due");
    }
    assert_eq!(found, expected);
}

pub(crate) async fn a_claim_holds_places_until_they_are_dropped(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let events = scenario.publish_many(&acme(), "a", 5).await;
    let node = scenario.node_within(per_subscription(2)).await;
    let first = scenario.claim(&node).await;
    assert_eq!((first.len(), node.handover.held()), (2, 2));
    assert!(scenario.claim(&node).await.is_empty(), "there is no room");
    for delivery in &first {
        scenario.record(scenario.succeeded(delivery)).await;
    }
    drop(first);
    assert_eq!(node.handover.held(), 0);
    let second = scenario.claim(&node).await;
    assert_eq!(second.len(), 2);
    drop(second);
    assert_eq!(scenario.owed().await, events.len() as u64 - 2);
}

/// Many more deliveries of the saturated one, all longer due than the other's, and a small limit:
/// whoever fetched rows first and looked for room then would find none.
pub(crate) async fn a_saturated_subscription_is_skipped(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let slow = scenario.subscribe(&acme(), &["slow"]).await;
    let quick = scenario.subscribe(&acme(), &["quick"]).await;
    let flood: Vec<_> = (0..600).map(|_| scenario.event(&acme(), "slow")).collect();
    scenario.append(&flood).await;
    scenario.advance(SECOND_MS);
    let node = scenario.node_within(per_subscription(2)).await;
    let held = scenario.claim_some(&node, 2).await.deliveries;
    assert_eq!(
        addressed(&held),
        [(flood[0].id(), slow), (flood[1].id(), slow)]
    );
    let event = scenario.publish(&acme(), "quick").await;
    let claimed = scenario.claim_some(&node, 2).await;
    assert_eq!(addressed(&claimed.deliveries), [(event.id(), quick)]);
    assert_eq!(
        claimed.next_due, None,
        "of those that have room nothing waits"
    );
}

pub(crate) async fn subscriptions_get_their_room_within_one_claim(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscriptions = [
        scenario.subscribe(&acme(), &["*"]).await,
        scenario.subscribe(&acme(), &["*"]).await,
        scenario.subscribe(&acme(), &["*"]).await,
    ];
    let batch: Vec<_> = (0..50).map(|_| scenario.event(&acme(), "a")).collect();
    scenario.append(&batch).await;
    let node = scenario.node_within(per_subscription(4)).await;
    let claimed = scenario.claim(&node).await;
    for subscription in subscriptions {
        let of_it = claimed
            .iter()
            .filter(|one| one.key.subscription == subscription);
        assert_eq!(of_it.count(), 4);
    }
}

pub(crate) async fn a_large_company_leaves_room_for_a_small_one(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (large, small) = (company("large"), company("small"));
    for _ in 0..10 {
        scenario.subscribe(&large, &["*"]).await;
    }
    let waiting = scenario.subscribe(&small, &["*"]).await;
    let flood: Vec<_> = (0..20).map(|_| scenario.event(&large, "a")).collect();
    scenario.append(&flood).await;
    scenario.advance(SECOND_MS);
    let event = scenario.publish(&small, "a").await;
    let limits = HandoverLimits {
        deliveries_max: 20,
        ..HandoverLimits::default()
    };
    let node = scenario.node_within(limits).await;
    let claimed = scenario.claim(&node).await;
    assert!(addressed(&claimed).contains(&(event.id(), waiting)));
    assert!(claimed.len() <= 20 && node.handover.held() == claimed.len());
}

pub(crate) async fn a_retry_is_due_at_its_time_only(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    let began = scenario.now();
    let event = scenario.event_with(&acme(), "a", r#"{"amount": 99.00}"#, r#"{"by":"me"}"#);
    scenario.append(std::slice::from_ref(&event)).await;
    let node = scenario.node().await;
    let mut delivery = scenario.claim_one(&node).await;
    for made in 1..=3 {
        let next = scenario.later(5 * SECOND_MS);
        scenario.record(scenario.retry_at(&delivery, next)).await;
        drop(delivery);
        let early = scenario.claim_some(&node, 10).await;
        assert!(early.deliveries.is_empty());
        assert_eq!(early.next_due, Some(next));
        scenario.set_time(next.plus_millis(-1));
        assert!(
            scenario.claim(&node).await.is_empty(),
            "a millisecond too early"
        );
        scenario.set_time(next);
        delivery = scenario.claim_one(&node).await;
        assert_eq!(
            (delivery.attempts_made, delivery.first_attempt),
            (made, Some(began))
        );
        assert_eq!(
            delivery.event.json(),
            event.json(),
            "each attempt sends the same bytes"
        );
        assert_eq!(delivery.owed_since, began);
        let until = scenario.later(LEASE_MS);
        scenario
            .store()
            .renew_lease(node.lease, scenario.now(), until)
            .await
            .expect(WORKS);
    }
    scenario.record(scenario.succeeded(&delivery)).await;
    assert_eq!(scenario.claim_some(&node, 10).await.next_due, None);
}

pub(crate) async fn the_next_due_is_the_earliest(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish_many(&acme(), "a", 4).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    for (delivery, seconds) in deliveries.iter().zip([40, 10, 30, 20]) {
        let next = scenario.later(seconds * SECOND_MS);
        scenario.record(scenario.retry_at(delivery, next)).await;
    }
    drop(deliveries);
    let start = scenario.now();
    for seconds in [10, 20, 30, 40] {
        let next = start.plus_millis(seconds * SECOND_MS);
        let early = scenario.claim_some(&node, 10).await;
        assert_eq!((early.deliveries.len(), early.next_due), (0, Some(next)));
        scenario.set_time(next);
        let until = scenario.later(LEASE_MS);
        scenario
            .store()
            .renew_lease(node.lease, next, until)
            .await
            .expect(WORKS);
        let delivery = scenario.claim_one(&node).await;
        scenario.record(scenario.succeeded(&delivery)).await;
    }
    assert_eq!(scenario.claim_some(&node, 10).await.next_due, None);
}

pub(crate) async fn what_has_no_room_is_not_the_next_due(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let full = scenario.subscribe(&acme(), &["full"]).await;
    scenario.subscribe(&acme(), &["roomy"]).await;
    scenario.publish_many(&acme(), "full", 2).await;
    scenario.publish(&acme(), "roomy").await;
    let node = scenario.node_within(per_subscription(2)).await;
    let (mut kept, mut retried) = (Vec::new(), Vec::new());
    for delivery in scenario.claim(&node).await {
        if delivery.key.subscription == full && kept.is_empty() {
            kept.push(delivery);
        } else {
            retried.push(delivery);
        }
    }
    let late = scenario.later(60 * SECOND_MS);
    let soon = scenario.later(5 * SECOND_MS);
    for delivery in &retried {
        let next = if delivery.key.subscription == full {
            soon
        } else {
            late
        };
        scenario.record(scenario.retry_at(delivery, next)).await;
    }
    drop(retried);
    assert_eq!(
        scenario.claim_some(&node, 10).await.next_due,
        Some(soon),
        "both have room"
    );
    // A second delivery of the full one takes the last room that it has.
    scenario.publish(&acme(), "full").await;
    kept.extend(scenario.claim(&node).await);
    assert_eq!(kept.len(), 2);
    assert_eq!(scenario.claim_some(&node, 10).await.next_due, Some(late));
}

pub(crate) async fn nothing_waits_on_an_empty_queue(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let node = scenario.node().await;
    let claimed = scenario.claim_some(&node, 10).await;
    assert!(claimed.deliveries.is_empty());
    assert_eq!(claimed.next_due, None);
    scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish(&acme(), "a").await;
    let held = scenario.claim_some(&node, 10).await;
    assert_eq!(held.deliveries.len(), 1);
    assert_eq!(held.next_due, None, "what is in flight here does not wait");
}

/// "Now" is not when the dispatcher happens to look next.
pub(crate) async fn fresh_and_redelivered_work_wakes_the_attached_node(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let node = scenario.node_within(per_subscription(1)).await;
    scenario.attach(&node);
    let event = scenario.publish(&acme(), "a").await;
    woken(&node).await;
    let delivery = node.handover.take().remove(0);
    scenario.record(scenario.succeeded(&delivery)).await;
    drop(delivery);
    scenario.redeliver(&event, subscription).await;
    woken(&node).await;
    let mut owed = node.handover.take();
    owed.extend(scenario.claim(&node).await);
    assert_eq!(addressed(&owed), [(event.id(), subscription)]);
}

async fn woken(node: &Node) {
    tokio::time::timeout(Duration::from_secs(10), node.handover.woken())
        .await
        .expect("the node is woken");
}

pub(crate) async fn a_claimed_event_carries_its_own_company(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let owners = ["one", "two", "three"].map(company);
    let mut published = Vec::new();
    for owner in &owners {
        scenario.subscribe(owner, &["*"]).await;
        published.push(scenario.publish(owner, "a").await);
        scenario.advance(1);
    }
    let node = scenario.node().await;
    let claimed = scenario.claim(&node).await;
    let events: Vec<_> = claimed
        .iter()
        .map(|delivery| delivery.event.clone())
        .collect();
    assert_eq!(ids(&events), ids(&published));
    for (event, owner) in events.iter().zip(&owners) {
        assert_eq!(event.company(), owner);
    }
}

fn per_subscription(deliveries_per_subscription_max: usize) -> HandoverLimits {
    HandoverLimits {
        deliveries_per_subscription_max,
        ..HandoverLimits::default()
    }
}
