//! How things end: subscriptions in mid-flight, and the dispatcher itself.

use std::{sync::Arc, time::Duration};

use tidings_delivery::Dispatcher;
use tidings_domain::{
    actor::Actor,
    attempt::AttemptOutcome,
    clock::{Clock, ManualClock},
    verdict::RETRY_WINDOW_MS,
};
use tidings_store::{DeliveryState, StoreError, SubscriptionBook as _};
use tokio_util::sync::CancellationToken;

use crate::{
    faulty_store::{Call, Fault},
    receivers::{Answer, Receivers},
    stage::{Setup, Stage, settle_down},
};

/// Long enough for any machine; only a run that hangs takes so long.
const HANGS_AFTER: Duration = Duration::from_secs(30);

fn one_at_a_time() -> Setup {
    Setup {
        per_subscription: 1,
        ..Setup::default()
    }
}

#[tokio::test]
async fn disabling_ends_what_waits_and_lets_finish_what_is_in_flight() {
    let mut stage = Stage::with(one_at_a_time()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    let events = stage.publish("acme", 4).await;
    stage.settle_down().await;
    stage.enable(subscription, false).await;
    stage.receivers.answer_hanging(1, Answer::Status(500));
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived().len(), 1, "no further attempt");
    let log = stage.log(subscription).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].next_attempt, None, "and none is planned");
    for event in events {
        assert_eq!(
            stage.state(event, subscription).await,
            DeliveryState::Disabled
        );
    }
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
    // What was owed before does not come back.
    stage.enable(subscription, true).await;
    stage.receivers.always(subscription, Answer::Status(200));
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    stage.advance(RETRY_WINDOW_MS).await;
    assert_eq!(stage.receivers.arrived().len(), 2);
}

#[tokio::test]
async fn an_attempt_that_succeeds_after_its_subscription_was_disabled_is_in_the_log() {
    let mut stage = Stage::with(one_at_a_time()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    stage.enable(subscription, false).await;
    stage.enable(subscription, true).await;
    stage.receivers.answer_hanging(1, Answer::Status(200));
    stage.settle_down().await;
    let log = stage.log(subscription).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].outcome, AttemptOutcome::Succeeded);
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
}

#[tokio::test]
async fn deleting_ends_what_waits() {
    let mut stage = Stage::with(one_at_a_time()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 4).await;
    stage.settle_down().await;
    let now = stage.clock.now();
    stage
        .store
        .delete_subscription(None, subscription, now, &Actor::COMMAND)
        .await
        .unwrap();
    stage.receivers.answer_hanging(1, Answer::Status(200));
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived().len(), 1);
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
    assert_eq!(
        stage.log(subscription).await.len(),
        1,
        "the log stays readable"
    );
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_gives_back_the_rest() {
    let mut stage = Stage::with(one_at_a_time()).await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 4).await;
    stage.settle_down().await;
    stage.dispatcher.stop();
    stage.settle_down().await;
    assert!(!stage.dispatcher.is_finished(), "one is in flight");
    stage.publish("acme", 2).await;
    stage.settle_down().await;
    assert_eq!(
        stage.handover.held(),
        1,
        "the one in flight; nothing comes in any more"
    );
    stage.receivers.answer_hanging(1, Answer::Status(200));
    stage.settle_down().await;
    assert!(stage.dispatcher.is_finished());
    assert!(
        !stage
            .dispatcher
            .health()
            .is_stalled(stage.clock.now().plus_millis(1_000_000))
    );
    assert_eq!(stage.receivers.arrived().len(), 1, "nothing was begun");
    assert_eq!(stage.log(subscription).await.len(), 1);
    assert_eq!((stage.owed().await, stage.handover.held()), (5, 0));
    // The rest is free at once, without waiting for a lease to run out.
    let (mut heir, receivers) = stage.another_node(Setup::default());
    settle_down(&mut heir, &stage.store, &receivers, &stage.clock).await;
    assert_eq!(receivers.arrived().len(), 5);
    assert_eq!(stage.owed().await, 0);
}

#[tokio::test]
async fn stopping_waits_for_a_store_that_is_away() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    let down = StoreError::Unavailable("the plan says so".to_owned());
    stage.store.always(Call::Settle, Fault::Before(down));
    stage.publish("acme", 4).await;
    stage.settle_down().await;
    stage.dispatcher.stop();
    for _ in 0..5 {
        stage.next().await;
    }
    assert!(!stage.dispatcher.is_finished());
    stage.store.works();
    stage.next().await;
    assert!(stage.dispatcher.is_finished());
    assert_eq!(stage.log(subscription).await.len(), 4);
}

#[tokio::test]
async fn an_early_stop_leaves_no_lease_behind() {
    let mut stage = Stage::new().await;
    let (mut other, receivers) = stage.another_node(Setup::default());
    other.tick(stage.clock.now());
    other.stop();
    settle_down(&mut other, &stage.store, &receivers, &stage.clock).await;
    assert!(other.is_finished());
    assert_eq!(stage.store.calls(Call::EndLease), 1);
    stage.dispatcher.stop();
    stage.settle_down().await;
    assert!(stage.dispatcher.is_finished());
}

/// A stage whose own dispatcher has ended.
async fn empty_stage() -> Stage {
    let mut stage = Stage::new().await;
    stage.dispatcher.stop();
    stage.settle_down().await;
    assert!(stage.dispatcher.is_finished());
    stage
}

/// What [`Dispatcher::run`] needs around it, with the dispatcher taken out.
struct Running {
    clock: Arc<ManualClock>,
    receivers: Arc<Receivers>,
    soft: CancellationToken,
    hard: CancellationToken,
    run: tokio::task::JoinHandle<()>,
}

fn run(dispatcher: Dispatcher, stage: &Stage, receivers: Arc<Receivers>) -> Running {
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    Running {
        clock: Arc::clone(&stage.clock),
        receivers,
        run: tokio::spawn(dispatcher.run(soft.clone(), hard.clone())),
        soft,
        hard,
    }
}

impl Running {
    async fn ends(self) {
        tokio::time::timeout(HANGS_AFTER, self.run)
            .await
            .expect("it ends")
            .expect("it does not panic");
    }
}

#[tokio::test]
async fn the_production_loop_delivers_what_is_published_and_ends_when_told() {
    let stage = empty_stage().await;
    let (dispatcher, receivers) = stage.another_node(Setup::default());
    let health = dispatcher.health();
    let subscription = stage.subscribe("acme").await;
    receivers.always(subscription, Answer::Hang);
    let running = run(dispatcher, &stage, receivers);
    stage.publish("acme", 1).await;
    let hangs = running.receivers.hung.notified();
    tokio::time::timeout(HANGS_AFTER, hangs)
        .await
        .expect("it is delivered");
    assert!(!health.is_stalled(running.clock.now()));
    running.soft.cancel();
    tokio::task::yield_now().await;
    assert!(!running.run.is_finished(), "one is in flight");
    running.receivers.answer_hanging(1, Answer::Status(200));
    let receivers = Arc::clone(&running.receivers);
    running.ends().await;
    assert!(receivers.arrived()[0].succeeded);
    assert_eq!(stage.log(subscription).await.len(), 1);
}

#[tokio::test]
async fn a_hard_end_waits_for_nobody() {
    let stage = empty_stage().await;
    let (dispatcher, receivers) = stage.another_node(Setup::default());
    let subscription = stage.subscribe("acme").await;
    receivers.always(subscription, Answer::Hang);
    let running = run(dispatcher, &stage, receivers);
    stage.publish("acme", 1).await;
    let hangs = running.receivers.hung.notified();
    tokio::time::timeout(HANGS_AFTER, hangs)
        .await
        .expect("it is delivered");
    running.soft.cancel();
    running.hard.cancel();
    running.ends().await;
    assert_eq!(stage.owed().await, 1, "it is still owed");
}
