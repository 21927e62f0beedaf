//! Two nodes on one store: who lost its lease changes nothing any more.

use tidings_domain::clock::Clock as _;
use tidings_store::DeliveryState;

use crate::{
    receivers::Answer,
    stage::{Setup, Stage, settle_down},
};

const LEASE_MS: i64 = 15_000;

fn short_lease() -> Setup {
    Setup {
        lease_ms: LEASE_MS,
        per_subscription: 2,
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_node_that_stood_still_settles_nothing_twice() {
    let mut stage = Stage::with(short_lease()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    let events = stage.publish("acme", 5).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.hanging(), 2);
    // It stands still beyond its lease; another node takes everything over.
    stage.clock.advance(LEASE_MS);
    let (mut other, receivers) = stage.another_node(short_lease());
    settle_down(&mut other, &stage.store, &receivers, &stage.clock).await;
    assert_eq!(receivers.arrived().len(), 5);
    let log = stage.log(subscription).await;
    assert_eq!(log.len(), 5);
    // It goes on: its two attempts end, and the three in its memory are dropped.
    stage.receivers.answer_hanging(2, Answer::Status(500));
    stage.settle_down().await;
    assert_eq!(stage.metrics.lease_lost.get(), 2);
    assert_eq!(stage.log(subscription).await, log, "nothing changed");
    assert_eq!(
        stage.receivers.arrived().len(),
        2,
        "nothing was begun under the lost lease"
    );
    assert_eq!(stage.handover.held(), 0);
    for event in events {
        assert_eq!(
            stage.state(event, subscription).await,
            DeliveryState::Succeeded
        );
    }
    // And has a lease of its own again.
    stage.receivers.always(subscription, Answer::Status(200));
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived().len(), 3);
    assert_eq!(stage.owed().await, 0);
}

#[tokio::test]
async fn a_node_that_is_late_but_was_not_replaced_goes_on() {
    let mut stage = Stage::with(short_lease()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 3).await;
    stage.settle_down().await;
    stage.clock.advance(10 * LEASE_MS);
    stage.receivers.always(subscription, Answer::Status(200));
    stage.receivers.answer_hanging(2, Answer::Status(200));
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived().len(), 3);
    assert_eq!(stage.log(subscription).await.len(), 3);
    assert_eq!(stage.metrics.lease_lost.get(), 0);
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_attempts_last() {
    let mut stage = Stage::with(short_lease()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    let (mut other, receivers) = stage.another_node(short_lease());
    let began = stage.clock.now();
    while stage.clock.now().since(began) < 10 * LEASE_MS {
        assert!(stage.next().await);
        settle_down(&mut other, &stage.store, &receivers, &stage.clock).await;
    }
    assert!(receivers.arrived().is_empty(), "nobody else made it");
    stage.receivers.answer_hanging(1, Answer::Status(200));
    stage.settle_down().await;
    assert_eq!(stage.log(subscription).await.len(), 1);
}
