//! Endpoints that keep failing are left alone and probed; those with a delivery rate keep it.

use tidings_domain::{
    actor::Actor,
    breaker::{BreakerState, EndpointHealth, FAILING_MAX_MS, OPEN_MAX_MS, OPEN_MIN_MS},
    id::SubscriptionId,
    subscription::{DisabledReason, MaxPerSecond, Subscription},
    target::{Environment, TargetUrl},
};
use tidings_store::{DeliveryState, HandoverLimits, SubscriptionBook as _, SubscriptionChange};

use crate::{
    receivers::Answer,
    stage::{Setup, Stage, WORKS},
};

const SECOND_MS: i64 = 1000;
const HOUR_MS: i64 = 3600 * SECOND_MS;

async fn read(stage: &Stage, id: SubscriptionId) -> Subscription {
    let found = stage.store.subscription(None, id).await.expect(WORKS);
    found.expect(WORKS)
}

async fn breaker(stage: &Stage, id: SubscriptionId) -> BreakerState {
    read(stage, id).await.health.breaker
}

async fn change(stage: &Stage, id: SubscriptionId, change: SubscriptionChange) {
    let now = stage.clock_now();
    let changed = stage
        .store
        .update_subscription(None, id, None, change, now, &Actor::COMMAND)
        .await;
    changed.expect(WORKS);
}

/// A subscription whose receiver always fails, with so many events, after its breaker opened.
async fn tripped(stage: &mut Stage, events: usize) -> SubscriptionId {
    let dead = stage.subscribe("acme").await;
    stage.receivers.always(dead, Answer::Status(500));
    stage.publish("acme", events).await;
    until_open(stage, dead).await;
    dead
}

/// Waits until the breaker of a subscription opens.
async fn until_open(stage: &mut Stage, id: SubscriptionId) {
    for _ in 0..100 {
        stage.advance(SECOND_MS).await;
        if breaker(stage, id).await == BreakerState::Open {
            return;
        }
    }
    panic!("it does not open");
}

/// As [`tripped`], half a minute later: its receiver hangs, and with it the one probe.
async fn probed(stage: &mut Stage, events: usize) -> SubscriptionId {
    let dead = tripped(stage, events).await;
    stage.receivers.always(dead, Answer::Hang);
    for _ in 0..30 {
        stage.advance(SECOND_MS).await;
    }
    assert_eq!(breaker(stage, dead).await, BreakerState::HalfOpen);
    dead
}

/// Sends everything of a subscription elsewhere.
async fn move_to(stage: &Stage, id: SubscriptionId, url: &str) {
    let url = TargetUrl::parse(url, Environment::Production).expect(WORKS);
    let moved = SubscriptionChange {
        url: Some(url),
        ..SubscriptionChange::default()
    };
    change(stage, id, moved).await;
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone_and_others_are_not() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    let healthy = stage.subscribe("acme").await;
    let before = stage.receivers.arrived_at(dead).len();
    stage.publish("acme", 50).await;
    stage.advance(SECOND_MS).await;
    assert_eq!(stage.receivers.arrived_at(dead).len(), before);
    assert_eq!(stage.receivers.arrived_at(healthy).len(), 50);
    assert_eq!(stage.handover.held(), 0, "what is parked is not in memory");
    assert_eq!(stage.owed().await, 80);
    assert_eq!(stage.metrics.breakers_open.get(), 1);
}

#[tokio::test]
async fn a_probe_that_succeeds_lets_everything_through() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    stage.publish("acme", 20).await;
    stage.receivers.always(dead, Answer::Hang);
    let before = stage.receivers.arrived_at(dead).len();
    for _ in 0..12 {
        stage.advance(SECOND_MS).await;
    }
    assert_eq!(
        stage.receivers.arrived_at(dead).len(),
        before + 1,
        "one probe"
    );
    assert_eq!(breaker(&stage, dead).await, BreakerState::HalfOpen);
    stage.receivers.always(dead, Answer::Status(200));
    stage.receivers.answer_hanging(1, Answer::Status(200));
    stage.finish().await;
    assert_eq!(breaker(&stage, dead).await, BreakerState::Closed);
    let succeeded = stage.receivers.arrived_at(dead);
    assert_eq!(succeeded.iter().filter(|one| one.succeeded).count(), 50);
}

#[tokio::test]
async fn parking_costs_a_delivery_none_of_its_retries() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    for _ in 0..6 * 60 {
        stage.advance(10 * SECOND_MS).await;
    }
    let log = stage.log(dead).await;
    let longest = log.iter().map(|attempt| attempt.number).max();
    assert!(
        longest < Some(10),
        "an hour of probes made {longest:?} attempts of one delivery"
    );
    assert_eq!(stage.owed().await, 30, "nothing was given up");
    stage.receivers.always(dead, Answer::Status(200));
    stage.advance(OPEN_MAX_MS * 11 / 10).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_single_event_keeps_its_schedule() {
    let mut stage = Stage::new().await;
    let dead = stage.subscribe("acme").await;
    stage.receivers.always(dead, Answer::Status(500));
    let event = stage.publish("acme", 1).await[0];
    stage.finish().await;
    assert_eq!(stage.log(dead).await.len(), 11);
    assert_eq!(stage.state(event, dead).await, DeliveryState::Failed);
    assert_eq!(breaker(&stage, dead).await, BreakerState::Closed);
}

#[tokio::test]
async fn a_new_url_is_tried_at_once() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    stage.receivers.always(dead, Answer::Status(200));
    move_to(&stage, dead, "https://mended.example/").await;
    assert_eq!(breaker(&stage, dead).await, BreakerState::Closed);
    stage.publish("acme", 1).await;
    stage.advance(2 * SECOND_MS).await;
    let arrived = stage.receivers.arrived_at(dead);
    assert!(arrived.iter().any(|one| one.succeeded), "without a probe");
    stage.finish().await;
}

/// An attempt at the former URL ends while the breaker of the new one is open.
#[tokio::test]
async fn what_a_former_url_answers_late_changes_nothing_for_the_new_one() {
    let mut stage = Stage::new().await;
    let moved = stage.subscribe("acme").await;
    stage.receivers.always(moved, Answer::Hang);
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    move_to(&stage, moved, "https://new.example/").await;
    stage.receivers.always(moved, Answer::Status(500));
    stage.publish("acme", 30).await;
    until_open(&mut stage, moved).await;
    stage.receivers.answer_hanging(1, Answer::Status(500));
    stage.settle_down().await;
    assert_eq!(stage.metrics.breakers_open.get(), 1);
    stage.receivers.always(moved, Answer::Status(200));
    for _ in 0..60 {
        stage.advance(60 * SECOND_MS).await;
    }
    assert_eq!(stage.owed().await, 0);
}

/// A probe of the former URL fails after the new one was given: that one is mended, not parked.
#[tokio::test]
async fn a_probe_of_a_former_url_says_nothing_of_the_new_one() {
    let mut stage = Stage::new().await;
    let moved = probed(&mut stage, 30).await;
    move_to(&stage, moved, "https://new.example/").await;
    stage.receivers.always(moved, Answer::Status(200));
    stage.receivers.answer_hanging(1, Answer::Status(500));
    stage.advance(2 * SECOND_MS).await;
    let health = read(&stage, moved).await.health;
    assert_eq!(health, EndpointHealth::default());
    stage.finish().await;
}

/// The new URL's first attempt fails before anybody looked whether the endpoint was mended: looks
/// are a second apart.
#[tokio::test]
async fn a_new_url_that_fails_at_first_is_not_held_to_one_at_a_time() {
    let mut stage = Stage::new().await;
    let moved = probed(&mut stage, 30).await;
    let noted = SubscriptionChange {
        description: Some(Some("its URL is next".to_owned())),
        ..SubscriptionChange::default()
    };
    change(&stage, moved, noted).await;
    stage.settle_down().await;
    move_to(&stage, moved, "https://new.example/").await;
    let former = stage.receivers.arrived_at(moved).len();
    stage.receivers.always(moved, Answer::Status(500));
    stage.receivers.answer_hanging(1, Answer::Status(500));
    stage.settle_down().await;
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    let tried = stage.receivers.arrived_at(moved).len();
    assert!(tried > former, "the new URL was tried");
    stage.receivers.always(moved, Answer::Hang);
    stage.publish("acme", 5).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.hanging_at(moved), 5);
}

#[tokio::test]
async fn a_former_url_that_is_gone_does_not_end_the_new_one() {
    let mut stage = Stage::new().await;
    let moved = stage.subscribe("acme").await;
    stage.receivers.always(moved, Answer::Hang);
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    move_to(&stage, moved, "https://new.example/").await;
    stage.receivers.always(moved, Answer::Status(200));
    stage.receivers.answer_hanging(1, Answer::Status(410));
    stage.finish().await;
    assert!(read(&stage, moved).await.enabled);
    assert_eq!(stage.state(event, moved).await, DeliveryState::Succeeded);
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut stage = Stage::with(Setup {
        limits: HandoverLimits {
            deliveries_per_subscription_max: 1,
            ..HandoverLimits::default()
        },
        ..Setup::default()
    })
    .await;
    let free = stage.subscribe("acme").await;
    let slow = stage.subscribe("acme").await;
    let rate = MaxPerSecond::new(1).expect(WORKS);
    let paced = SubscriptionChange {
        max_per_second: Some(Some(rate)),
        ..SubscriptionChange::default()
    };
    change(&stage, slow, paced).await;
    stage.publish("acme", 5).await;
    stage.finish().await;
    stage.clock.advance(-HOUR_MS);
    stage.publish("acme", 5).await;
    for _ in 0..10 {
        stage.advance(SECOND_MS).await;
    }
    assert_eq!(stage.receivers.arrived_at(free).len(), 10);
    assert_eq!(stage.receivers.arrived_at(slow).len(), 10);
}

/// The clock is set back while a breaker is open: the endpoint is tried at once.
#[tokio::test]
async fn a_clock_that_is_set_back_leaves_no_endpoint_parked() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    stage.receivers.always(dead, Answer::Status(200));
    stage.clock.advance(-HOUR_MS);
    stage.publish("acme", 1).await;
    stage.advance(2 * SECOND_MS).await;
    assert_eq!(breaker(&stage, dead).await, BreakerState::Closed);
}

#[tokio::test]
async fn another_node_takes_over_what_was_found() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    let before = stage.receivers.arrived_at(dead).len();
    stage.restart().await;
    stage.publish("acme", 5).await;
    stage.advance(SECOND_MS).await;
    assert_eq!(
        stage.receivers.arrived_at(dead).len(),
        before,
        "it is still open"
    );
    stage.receivers.always(dead, Answer::Status(200));
    stage.advance(OPEN_MIN_MS * 11 / 10).await;
    stage.finish().await;
    assert_eq!(breaker(&stage, dead).await, BreakerState::Closed);
}

#[tokio::test]
async fn five_days_of_nothing_but_failures_end_a_subscription_and_say_so() {
    let mut stage = Stage::new().await;
    let dead = tripped(&mut stage, 30).await;
    let told = stage.subscribe("acme").await;
    let hours = FAILING_MAX_MS / HOUR_MS;
    for _ in 0..hours - 1 {
        stage.publish("acme", 1).await;
        stage.advance(HOUR_MS).await;
    }
    assert!(read(&stage, dead).await.enabled, "not yet");
    for _ in 0..3 {
        stage.publish("acme", 1).await;
        stage.advance(HOUR_MS).await;
    }
    let ended = read(&stage, dead).await;
    assert_eq!(
        (ended.enabled, ended.disabled_reason),
        (false, Some(DisabledReason::Failing))
    );
    stage.finish().await;
    let notices = stage.receivers.arrived_at(told);
    assert_eq!(notices.len(), usize::try_from(hours + 2).expect(WORKS) + 1);
    assert_eq!(stage.metrics.breakers_open.get(), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_remembered() {
    let mut stage = Stage::new().await;
    let gone = stage.subscribe("acme").await;
    stage.receivers.always(gone, Answer::Status(410));
    // Nothing else waits for it that could be let go.
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    assert!(!read(&stage, gone).await.enabled);
    assert_eq!(stage.dispatcher.endpoints_remembered(), 0);
    // Two at once: one ends the subscription, the other finds it ended.
    let gone = stage.subscribe("acme").await;
    stage.receivers.always(gone, Answer::Status(410));
    stage.publish("acme", 2).await;
    stage.settle_down().await;
    assert_eq!(stage.dispatcher.endpoints_remembered(), 0);
}

#[tokio::test]
async fn endpoints_whose_subscription_was_ended_are_forgotten() {
    let mut stage = Stage::new().await;
    let (deleted, disabled) = (stage.subscribe("acme").await, stage.subscribe("acme").await);
    let (paced, kept) = (stage.subscribe("acme").await, stage.subscribe("acme").await);
    for failing in [deleted, disabled, kept] {
        stage.receivers.always(failing, Answer::Status(500));
    }
    let rate = SubscriptionChange {
        max_per_second: Some(Some(MaxPerSecond::new(1).expect(WORKS))),
        ..SubscriptionChange::default()
    };
    change(&stage, paced, rate).await;
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    assert_eq!(stage.dispatcher.endpoints_remembered(), 4);
    stage.enable(disabled, false).await;
    for ended in [deleted, paced] {
        let now = stage.clock_now();
        let deletion = stage
            .store
            .delete_subscription(None, ended, now, &Actor::COMMAND);
        deletion.await.expect(WORKS);
    }
    stage.advance(SECOND_MS).await;
    assert_eq!(stage.dispatcher.endpoints_remembered(), 1);
}

#[tokio::test]
async fn one_success_in_five_days_is_enough() {
    let mut stage = Stage::new().await;
    let flaky = tripped(&mut stage, 30).await;
    for hour in 0..FAILING_MAX_MS / HOUR_MS + 24 {
        let status = if hour == 90 { 200 } else { 500 };
        stage.receivers.always(flaky, Answer::Status(status));
        stage.publish("acme", 1).await;
        stage.advance(HOUR_MS).await;
    }
    assert!(read(&stage, flaky).await.enabled);
}

#[tokio::test]
async fn a_rate_is_kept_whatever_comes() {
    let mut stage = Stage::with(Setup {
        per_subscription: 100,
        ..Setup::default()
    })
    .await;
    let slow = stage.subscribe("acme").await;
    let rate = SubscriptionChange {
        max_per_second: Some(Some(MaxPerSecond::new(20).expect(WORKS))),
        ..SubscriptionChange::default()
    };
    change(&stage, slow, rate).await;
    let quick = stage.subscribe("acme").await;
    // More than its places: most of it waits in the table.
    stage.publish("acme", 500).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived_at(quick).len(), 500);
    let begun = stage.clock_now();
    stage.finish().await;
    let arrived = stage.receivers.arrived_at(slow);
    assert_eq!(arrived.len(), 500);
    for (number, one) in arrived.iter().enumerate() {
        let from = one.at;
        let within = arrived[number..]
            .iter()
            .take_while(|other| other.at.since(from) < SECOND_MS);
        assert!(within.count() <= 20);
    }
    let took = stage.clock_now().since(begun);
    assert!((24_900..30_000).contains(&took), "it took {took} ms");
}
