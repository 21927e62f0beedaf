//! A store that fails: nothing is lost, nothing is recorded twice, and nobody waits for it.

use tidings_domain::clock::Clock as _;
use tidings_store::{DeliveryQueue as _, DeliveryState, HandoverLimits, StoreError};

use crate::{
    faulty_store::{Call, Fault},
    receivers::Answer,
    stage::{Setup, Stage},
};

fn down() -> StoreError {
    StoreError::Unavailable("the plan says so".to_owned())
}

#[tokio::test]
async fn outcomes_are_kept_until_the_store_takes_them() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    let events = stage.publish("acme", 3).await;
    stage.store.always(Call::Settle, Fault::Before(down()));
    let wake = stage.settle_down().await.unwrap();
    assert_eq!(wake.since(stage.clock.now()), 250, "another try soon");
    for _ in 0..20 {
        stage.next().await;
    }
    assert!(stage.log(subscription).await.is_empty());
    assert_eq!((stage.owed().await, stage.handover.held()), (3, 3));
    assert_eq!(stage.metrics.unsettled.get(), 3);
    stage.store.works();
    stage.next().await;
    assert_eq!(stage.log(subscription).await.len(), 3);
    for event in events {
        assert_eq!(
            stage.state(event, subscription).await,
            DeliveryState::Succeeded
        );
    }
    assert_eq!(stage.receivers.arrived().len(), 3, "nothing was sent again");
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
}

#[tokio::test]
async fn a_settlement_that_was_committed_although_it_failed_counts_once() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.script(subscription, |request| {
        Answer::Status(if request.number < 3 { 500 } else { 200 })
    });
    stage.store.once(Call::Settle, Fault::After(down()));
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    while stage.state(event, subscription).await != DeliveryState::Succeeded {
        assert!(stage.next().await);
    }
    let numbers: Vec<u32> = stage
        .log(subscription)
        .await
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(stage.receivers.arrived().len(), 3);
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
}

#[tokio::test]
async fn a_settlement_in_doubt_is_never_applied_to_the_next_attempt() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.script(subscription, |request| {
        Answer::Status(if request.number == 1 { 500 } else { 200 })
    });
    // Committed at once, but said to have failed again and again, beyond the retry's due time.
    stage.store.always(Call::Settle, Fault::After(down()));
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    for _ in 0..10 {
        stage.next().await;
    }
    assert_eq!(
        stage.receivers.arrived().len(),
        1,
        "no claim while it is in doubt"
    );
    stage.store.works();
    while stage.state(event, subscription).await != DeliveryState::Succeeded {
        assert!(stage.next().await);
    }
    let numbers: Vec<u32> = stage
        .log(subscription)
        .await
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn a_slow_commit_holds_up_no_attempt() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.store.always(Call::Settle, Fault::Hold);
    for _ in 0..50 {
        stage.publish("acme", 1).await;
        stage.settle_down().await;
    }
    assert_eq!(stage.receivers.arrived_at(subscription).len(), 50);
    assert_eq!(stage.store.calls(Call::Settle), 1);
    stage.store.works();
    stage.store.let_go();
    stage.settle_down().await;
    assert_eq!(
        stage.store.calls(Call::Settle),
        2,
        "what ended meanwhile is one batch"
    );
    assert_eq!(stage.owed().await, 0);
}

#[tokio::test]
async fn a_long_outage_is_bounded_and_everything_is_made_after_it() {
    let mut stage = Stage::with(Setup {
        concurrency: 4,
        ..Setup::default()
    })
    .await;
    let subscription = stage.subscribe("acme").await;
    stage.store.always(Call::Settle, Fault::Before(down()));
    stage.publish("acme", 100).await;
    for _ in 0..30 {
        stage.next().await;
    }
    let made = stage.receivers.arrived().len();
    assert!(
        (16..=20).contains(&made),
        "four for each slot, and those in flight: {made}"
    );
    stage.store.works();
    stage.finish().await;
    assert_eq!(stage.receivers.arrived_at(subscription).len(), 100);
    assert_eq!(stage.log(subscription).await.len(), 100);
}

#[tokio::test]
async fn one_row_that_cannot_be_recorded_does_not_wedge_the_rest() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    let events = stage.publish("acme", 300).await;
    stage.store.poison(Some(events[123]));
    stage.settle_down().await;
    assert_eq!(stage.log(subscription).await.len(), 299);
    assert_eq!((stage.owed().await, stage.handover.held()), (1, 0));
    stage.store.poison(None);
    // The lease ends with the run, and somebody makes it again.
    stage.dispatcher.stop();
    stage.settle_down().await;
    assert!(stage.dispatcher.is_finished());
    let (mut heir, receivers) = stage.another_node(Setup::default());
    crate::stage::settle_down(&mut heir, &stage.store, &receivers, &stage.clock).await;
    assert_eq!(receivers.arrived().len(), 1);
    assert_eq!(stage.owed().await, 0);
}

/// What the store refused is made again when it may be recorded by then, without a restart, and
/// not all the time while it may not.
#[tokio::test]
async fn what_was_refused_is_made_again_after_a_while_and_not_too_often() {
    const MINUTE_MS: i64 = 60_000;
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    let event = stage.publish("acme", 3).await[1];
    stage.store.poison(Some(event));
    stage.settle_down().await;
    let made = |stage: &Stage| stage.receivers.arrived_at(subscription).len();
    assert_eq!(made(&stage), 3);
    stage.advance(MINUTE_MS).await;
    assert_eq!(made(&stage), 4, "once more after a minute");
    for _ in 0..58 {
        stage.advance(MINUTE_MS).await;
    }
    assert_eq!(made(&stage), 4, "and not for an hour");
    stage.store.poison(None);
    stage.advance(2 * MINUTE_MS).await;
    assert_eq!(stage.owed().await, 0);
    assert_eq!(stage.log(subscription).await.len(), 3);
}

#[tokio::test]
async fn deliveries_whose_claim_was_committed_although_it_failed_are_made() {
    let mut stage = Stage::new().await;
    let hanging = stage.subscribe("acme").await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(hanging, Answer::Hang);
    stage.receivers.script(subscription, |request| {
        Answer::Status(if request.number == 1 { 500 } else { 200 })
    });
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    stage.store.once(Call::Claim, Fault::After(down()));
    stage.advance(6000).await;
    assert_eq!(
        stage.receivers.arrived_at(subscription).len(),
        1,
        "nobody here knows of it"
    );
    // Fresh work goes on under a new lease, and what is in flight under the old one ends well.
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived_at(subscription).len(), 2);
    stage
        .receivers
        .answer_hanging(usize::MAX, Answer::Status(200));
    stage.settle_down().await;
    while stage.state(event, subscription).await != DeliveryState::Succeeded {
        assert!(stage.next().await);
    }
    assert_eq!(stage.metrics.lease_lost.get(), 0);
    assert_eq!(
        stage.receivers.arrived_at(hanging).len(),
        2,
        "and is not made again"
    );
}

#[tokio::test]
async fn a_claim_that_failed_leaves_nothing_behind_even_where_an_attempt_never_ends() {
    let mut stage = Stage::with(Setup {
        lease_ms: 15_000,
        ..Setup::default()
    })
    .await;
    let hanging = stage.subscribe("acme").await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(hanging, Answer::Hang);
    stage.receivers.script(subscription, |request| {
        Answer::Status(if request.number == 1 { 500 } else { 200 })
    });
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    stage.store.once(Call::Claim, Fault::After(down()));
    stage.advance(6000).await;
    let doubted = stage.clock.now();
    while stage.state(event, subscription).await != DeliveryState::Succeeded {
        assert!(stage.next().await);
        let waited = stage.clock.now().since(doubted);
        assert!(waited <= 60_000, "made within a minute");
    }
}

#[tokio::test]
async fn calls_that_panic_have_failed() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.publish("acme", 2).await;
    let mut panics = 2;
    stage.store.plan(move |call| {
        let panics_now = call == Call::Settle && panics > 0;
        panics -= usize::from(panics_now);
        panics_now.then_some(Fault::Panic)
    });
    stage.settle_down().await;
    assert_eq!(
        stage.log(subscription).await.len(),
        1,
        "the other waits for the lease's end"
    );
    stage.receivers.always(subscription, Answer::Panic);
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    assert_eq!(
        stage.state(event, subscription).await,
        DeliveryState::Retrying
    );
}

#[tokio::test]
async fn no_lease_no_work_but_nothing_is_lost() {
    let mut stage = Stage::with(Setup {
        lease_ms: 15_000,
        ..Setup::default()
    })
    .await;
    let subscription = stage.subscribe("acme").await;
    stage.store.always(Call::RenewLease, Fault::Before(down()));
    stage.advance(14_999).await;
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived().len(), 1, "it stands until then");
    stage.advance(1).await;
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    assert_eq!(
        stage.receivers.arrived().len(),
        1,
        "others may have taken over"
    );
    stage.store.works();
    stage.advance(2000).await;
    assert_eq!(stage.receivers.arrived().len(), 2);
    assert_eq!(stage.log(subscription).await.len(), 2);
    assert_eq!(stage.owed().await, 0);
}

#[tokio::test]
async fn a_release_that_failed_is_made_again() {
    let mut stage = Stage::with(Setup {
        per_subscription: 1,
        limits: HandoverLimits::default(),
        ..Setup::default()
    })
    .await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 5).await;
    stage.settle_down().await;
    stage.enable(subscription, false).await;
    stage.store.once(Call::Release, Fault::After(down()));
    stage.receivers.answer_hanging(1, Answer::Status(200));
    stage.settle_down().await;
    assert_eq!(
        stage.handover.held(),
        4,
        "kept until the store has answered"
    );
    stage.advance(250).await;
    assert_eq!(
        (stage.handover.held(), stage.store.calls(Call::Release)),
        (0, 2)
    );
    assert_eq!(stage.receivers.arrived().len(), 1);
    assert!(stage.store.endpoint(subscription).is_some());
}
