//! Settling: what comes of attempts is recorded once, and what it means for the delivery follows
//! in the same transaction.

use tidings_domain::{attempt::Attempt, subscription::DisabledReason};
use tidings_store::{DeliveryState, Settled};

use crate::{
    Harness,
    node::addressed,
    outcome::DISABLED_NOTICE,
    scenario::{SECOND_MS, Scenario, WORKS, acme, company, ids, sorted},
};

pub(crate) async fn a_success_ends_the_delivery(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    let settlement = scenario.succeeded(&delivery);
    let attempt = Attempt::clone(&settlement.attempt);
    scenario.record(settlement).await;
    assert_eq!(scenario.attempts(subscription).await, [attempt]);
    assert_eq!(
        scenario.state(&event, subscription).await,
        DeliveryState::Succeeded
    );
    assert_eq!(
        (scenario.owed().await, scenario.due().await),
        (0, Vec::new())
    );
}

pub(crate) async fn giving_up_ends_the_delivery(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.gave_up(&delivery)).await;
    assert_eq!(scenario.attempts(subscription).await.len(), 1);
    assert_eq!(
        scenario.state(&event, subscription).await,
        DeliveryState::Failed
    );
    assert_eq!(
        (scenario.owed().await, scenario.due().await),
        (0, Vec::new())
    );
    assert!(
        scenario.endpoint(subscription).enabled,
        "the subscription goes on"
    );
}

pub(crate) async fn a_retry_leaves_the_delivery_owed(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(5 * SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    assert_eq!(scenario.owed().await, 1);
    let line = scenario.trace_at(&event, subscription).await;
    assert_eq!(
        (
            line.state,
            line.attempts,
            line.next_attempt,
            line.last_status
        ),
        (DeliveryState::Retrying, 1, Some(next), Some(500))
    );
    // It is free: whichever node looks then takes it.
    scenario.set_time(next);
    let other = scenario.node().await;
    assert_eq!(scenario.claim_one(&other).await.attempts_made, 1);
}

pub(crate) async fn gone_disables_the_subscription_and_says_so(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let dead = scenario
        .create(scenario.new_subscription(&acme(), &["*"]))
        .await;
    let watching = scenario.subscribe(&acme(), &["webhook.*"]).await;
    scenario.subscribe(&company("other"), &["*"]).await;
    let events = scenario.publish_many(&acme(), "a", 3).await;
    let node = scenario.attached_node().await;
    let mut deliveries = scenario.claim(&node).await;
    let epoch = deliveries[0].epoch;
    // One is tried and answered 410, one is free and waits, one is in flight.
    scenario
        .store()
        .release(node.lease, vec![deliveries[1].key])
        .await
        .expect(WORKS);
    deliveries.remove(1);
    let settlement = scenario.gone(&deliveries[0]);
    let notice = settlement.notice.clone().expect("it has one");
    scenario.record(settlement).await;

    let subscription = scenario
        .store()
        .subscription(None, dead.id)
        .await
        .expect(WORKS);
    let subscription = subscription.expect("it still exists");
    assert!(!subscription.enabled);
    assert_eq!(subscription.disabled_reason, Some(DisabledReason::Gone));
    assert!(
        subscription.version > dead.version,
        "an edit against the old one is stale"
    );
    let endpoint = scenario.endpoint(dead.id);
    assert!(!endpoint.enabled && endpoint.epoch > epoch);

    let mut log = ids(&events);
    log.push(notice.id());
    assert_eq!(ids(&scenario.log(&acme()).await), log);
    assert_eq!(scenario.log(&company("other")).await, []);
    let told = node.handover.take();
    assert_eq!(addressed(&told), [(notice.id(), watching)]);
    assert_eq!(told[0].event.json(), notice.json());

    assert_eq!(
        scenario.due().await,
        [],
        "what else was pending there ended"
    );
    assert_eq!(
        scenario
            .settle_one(scenario.succeeded(&deliveries[1]))
            .await,
        Settled::Ended
    );
    let states = [
        (&events[0], DeliveryState::Failed),
        (&events[1], DeliveryState::Disabled),
        (&notice, DeliveryState::Disabled),
    ];
    for (event, state) in states {
        assert_eq!(scenario.state(event, dead.id).await, state, "{event:?}");
    }
}

pub(crate) async fn gone_twice_in_one_settlement_is_told_once(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let dead = scenario.subscribe(&acme(), &["a"]).await;
    let watching = scenario.subscribe(&acme(), &[DISABLED_NOTICE]).await;
    scenario.publish_many(&acme(), "a", 3).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let settlements = deliveries
        .iter()
        .map(|delivery| scenario.gone(delivery))
        .collect();
    let settled = scenario.settle(settlements).await;
    assert_eq!(settled, [Settled::Recorded, Settled::Ended, Settled::Ended]);
    assert_eq!(
        scenario.attempts(dead).await.len(),
        3,
        "what was attempted is logged"
    );
    assert_eq!(scenario.log(&acme()).await.len(), 4, "one notice");
    assert_eq!(scenario.due().await.len(), 1);
    assert_eq!(scenario.attempts(watching).await, []);
}

pub(crate) async fn a_late_gone_does_not_disable_what_a_person_enabled(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.enable(subscription, false).await;
    scenario.enable(subscription, true).await;
    assert_eq!(
        scenario.settle_one(scenario.gone(&delivery)).await,
        Settled::Ended
    );
    assert!(scenario.endpoint(subscription).enabled);
    assert_eq!(ids(&scenario.log(&acme()).await), [event.id()], "no notice");
}

pub(crate) async fn answers_come_in_the_order_of_the_settlements(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let kept = scenario.subscribe(&acme(), &["kept"]).await;
    let deleted = scenario.subscribe(&acme(), &["deleted"]).await;
    scenario.publish_many(&acme(), "kept", 3).await;
    scenario.publish(&acme(), "deleted").await;
    let node = scenario.node().await;
    let mut of_kept = Vec::new();
    let mut ended = Vec::new();
    for delivery in scenario.claim(&node).await {
        let list = if delivery.key.subscription == kept {
            &mut of_kept
        } else {
            &mut ended
        };
        list.push(delivery);
    }
    let lost = of_kept.remove(1);
    scenario
        .store()
        .release(node.lease, vec![lost.key])
        .await
        .expect(WORKS);
    scenario.delete(deleted).await;
    let next = scenario.later(SECOND_MS);
    let settled = scenario
        .settle(vec![
            scenario.succeeded(&lost),
            scenario.retry_at(&of_kept[0], next),
            scenario.succeeded(&ended[0]),
            scenario.gave_up(&of_kept[1]),
        ])
        .await;
    let expected = [
        Settled::LeaseLost,
        Settled::Recorded,
        Settled::Ended,
        Settled::Recorded,
    ];
    assert_eq!(settled, expected);
    assert_eq!(scenario.attempts(kept).await.len(), 2);
}

/// Whatever the first settlement was: the second finds the delivery no longer held.
pub(crate) async fn settling_twice_records_once(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish_many(&acme(), "a", 3).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let next = scenario.later(SECOND_MS);
    let settlements = [
        scenario.succeeded(&deliveries[0]),
        scenario.gave_up(&deliveries[1]),
        scenario.retry_at(&deliveries[2], next),
    ];
    assert_eq!(
        scenario.settle(settlements.to_vec()).await,
        [Settled::Recorded; 3]
    );
    assert_eq!(
        scenario.settle(settlements.to_vec()).await,
        [Settled::LeaseLost; 3]
    );
    assert_eq!(scenario.attempts(subscription).await.len(), 3);
    assert_eq!(scenario.owed().await, 1);
    scenario.set_time(next);
    let delivery = scenario.claim_one(&node).await;
    assert_eq!(delivery.attempts_made, 1);
    let again = scenario.succeeded(&delivery);
    let settled = scenario.settle(vec![again.clone(), again]).await;
    assert_eq!(
        settled,
        [Settled::Recorded, Settled::LeaseLost],
        "also within one call"
    );
    assert_eq!(scenario.attempts(subscription).await.len(), 4);
}

pub(crate) async fn an_attempt_that_outlived_its_subscription_is_logged(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let disabled = scenario.subscribe(&acme(), &["*"]).await;
    let deleted = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    scenario.enable(disabled, false).await;
    scenario.delete(deleted).await;
    let next = scenario.later(SECOND_MS);
    let settlements = deliveries
        .iter()
        .map(|delivery| scenario.retry_at(delivery, next));
    assert_eq!(
        scenario.settle(settlements.collect()).await,
        [Settled::Ended; 2]
    );
    for subscription in [disabled, deleted] {
        let attempts = scenario.attempts(subscription).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].next_attempt, None, "there is no next one");
        assert_eq!(attempts[0].event, event.id());
    }
    assert_eq!(scenario.owed().await, 0);
    scenario.set_time(next);
    assert_eq!(scenario.due().await, []);
    assert_eq!(
        scenario.state(&event, disabled).await,
        DeliveryState::Disabled
    );
}

pub(crate) async fn a_success_counts_though_its_delivery_had_ended(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.enable(subscription, false).await;
    assert_eq!(
        scenario.settle_one(scenario.succeeded(&delivery)).await,
        Settled::Ended
    );
    assert_eq!(scenario.attempts(subscription).await.len(), 1);
    assert_eq!(
        scenario.state(&event, subscription).await,
        DeliveryState::Succeeded
    );
}

pub(crate) async fn enabling_does_not_revive_what_is_in_flight(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish_many(&acme(), "a", 2).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    scenario.enable(subscription, false).await;
    scenario.enable(subscription, true).await;
    let next = scenario.later(SECOND_MS);
    let settled = scenario
        .settle_one(scenario.retry_at(&deliveries[0], next))
        .await;
    assert_eq!(settled, Settled::Ended);
    let endpoint = scenario.endpoint(subscription);
    assert!(endpoint.enabled && endpoint.epoch > deliveries[1].epoch);
    scenario
        .store()
        .release(node.lease, vec![deliveries[1].key])
        .await
        .expect(WORKS);
    scenario.set_time(next);
    assert_eq!(scenario.due().await, [], "neither retried nor released");
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn attempts_count_on_through_settlements(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let began = scenario.later(SECOND_MS);
    for made in 0..5 {
        scenario.advance(SECOND_MS);
        let node = scenario.node().await;
        let delivery = scenario.claim_one(&node).await;
        assert_eq!(delivery.attempts_made, made);
        assert_eq!(delivery.first_attempt, (made > 0).then_some(began));
        let next = scenario.later(SECOND_MS);
        scenario.record(scenario.retry_at(&delivery, next)).await;
        assert_eq!(
            scenario.trace_at(&event, subscription).await.attempts,
            made + 1
        );
        drop((delivery, node));
        if made == 2 {
            scenario.crash().await;
        }
    }
    let numbers: Vec<_> = scenario.attempts(subscription).await;
    let numbers: Vec<_> = numbers.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
}

pub(crate) async fn a_thousand_settle_at_once(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let events: Vec<_> = (0..1000).map(|_| scenario.event(&acme(), "a")).collect();
    scenario.append(&events).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let settlements = deliveries
        .iter()
        .map(|delivery| scenario.succeeded(delivery))
        .collect();
    assert!(
        scenario
            .settle(settlements)
            .await
            .iter()
            .all(|one| *one == Settled::Recorded)
    );
    let logged = scenario.attempts(subscription).await;
    let logged = logged.iter().map(|attempt| attempt.event);
    assert_eq!(sorted(logged), sorted(ids(&events)));
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn settling_nothing_is_no_harm(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    assert_eq!(scenario.settle(Vec::new()).await, []);
    let node = scenario.node().await;
    scenario
        .store()
        .release(node.lease, Vec::new())
        .await
        .expect(WORKS);
}
