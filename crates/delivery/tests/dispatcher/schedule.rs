//! Retries: when they are made, and when they end.

use tidings_domain::{
    actor::Actor,
    attempt::{AttemptError, AttemptOutcome},
    clock::Clock as _,
    time::UtcMillis,
    verdict::{RETRY_WINDOW_MS, RetrySchedule},
};
use tidings_store::{DeliveryQueue as _, DeliveryState, EventLog as _, Redelivered};

use crate::{faulty_store::Call, receivers::Answer, stage::Stage};

#[tokio::test]
async fn a_day_of_retries_follows_the_schedule_and_then_gives_up() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Status(500));
    let event = stage.publish("acme", 1).await[0];
    stage.finish().await;
    let log = stage.log(subscription).await;
    let numbers: Vec<u32> = log.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    let delays = RetrySchedule::default();
    for (pair, &delay) in log.windows(2).zip(delays.delays_ms()) {
        let [before, after] = pair else {
            unreachable!("windows of two")
        };
        let due = before.next_attempt.unwrap();
        let asked = due.since(before.attempted);
        assert!(
            (delay..=delay + delay / 10).contains(&asked),
            "{asked} for {delay}"
        );
        // Retries that come due one by one are claimed together, a little later.
        assert!((0..=20).contains(&after.attempted.since(due)));
    }
    let last = log.last().unwrap();
    assert!(last.attempted.since(log[0].attempted) <= RETRY_WINDOW_MS);
    assert_eq!(last.next_attempt, None);
    let trace = stage.trace(event, subscription).await;
    assert_eq!((trace.state, trace.attempts), (DeliveryState::Failed, 11));
    assert_eq!(trace.last_error, Some(AttemptError::Status));
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
    assert_eq!(stage.metrics.failed.get(), 1);
    assert_eq!(stage.metrics.retried.get(), 10);
}

#[tokio::test]
async fn jitter_differs_between_deliveries() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Status(500));
    stage.publish("acme", 10).await;
    stage.settle_down().await;
    let mut due: Vec<_> = stage
        .log(subscription)
        .await
        .iter()
        .map(|one| one.next_attempt)
        .collect();
    due.sort_unstable();
    due.dedup();
    assert!(due.len() > 5, "{due:?}");
}

#[tokio::test]
async fn a_receiver_that_comes_back_gets_its_delivery_once() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.script(subscription, |request| {
        Answer::Status(if request.number <= 3 { 503 } else { 204 })
    });
    let event = stage.publish("acme", 1).await[0];
    stage.finish().await;
    assert_eq!(
        stage.state(event, subscription).await,
        DeliveryState::Succeeded
    );
    let numbers: Vec<u32> = stage
        .receivers
        .arrived()
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(stage.metrics.delivered.get(), 1);
}

#[tokio::test]
async fn retry_after_lengthens_a_delay() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage
        .receivers
        .script(subscription, |request| match request.number {
            1 => Answer::Wait(429, 3_600_000),
            _ => Answer::Status(200),
        });
    stage.publish("acme", 1).await;
    let published = stage.clock.now();
    stage.settle_down().await;
    stage.advance(3_599_999).await;
    assert_eq!(stage.receivers.arrived().len(), 1);
    stage.advance(1).await;
    let arrived = stage.receivers.arrived();
    assert_eq!(arrived[1].at, published.plus_millis(3_600_000));
}

#[tokio::test]
async fn a_retry_that_came_due_while_nothing_ran_is_made_once_and_is_the_last() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.receivers.always(subscription, Answer::Status(500));
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    stage.advance(3 * RETRY_WINDOW_MS).await;
    stage.finish().await;
    assert_eq!(stage.receivers.arrived().len(), 2);
    assert_eq!(
        stage.state(event, subscription).await,
        DeliveryState::Failed
    );
}

#[tokio::test]
async fn gone_ends_the_subscription_and_tells_the_company() {
    let mut stage = Stage::new().await;
    let gone = stage.subscribe("acme").await;
    stage.receivers.script(gone, |request| {
        Answer::Status(if request.event.event_type().as_str() == "client.created" {
            410
        } else {
            200
        })
    });
    let witness = stage.subscribe("acme").await;
    let events = stage.publish("acme", 30).await;
    stage.settle_down().await;
    assert!(!stage.store.endpoint(gone).unwrap().enabled);
    let notices: Vec<_> = stage
        .receivers
        .arrived_at(witness)
        .into_iter()
        .filter(|one| !events.contains(&one.event))
        .collect();
    assert_eq!(notices.len(), 1, "told once");
    let notice = stage
        .store
        .event(None, notices[0].event)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        notice.event_type().as_str(),
        "webhook.subscription_disabled"
    );
    let payload: serde_json::Value = serde_json::from_slice(notice.payload()).unwrap();
    assert_eq!(payload["subscriptionId"], gone.to_string());
    assert_eq!(payload["reason"], "gone");
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
    let made = stage.log(gone).await;
    assert!(!made.is_empty());
    assert!(
        made.iter()
            .all(|one| one.outcome == AttemptOutcome::Failed(AttemptError::Status))
    );
}

#[tokio::test]
async fn an_idle_dispatcher_leaves_the_store_alone() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    stage.publish("acme", 5).await;
    let calls = |stage: &Stage| {
        [Call::Claim, Call::Settle, Call::Release].map(|call| stage.store.calls(call))
    };
    stage.settle_down().await;
    let [claims, settles, releases] = calls(&stage);
    assert_eq!(
        (settles, releases),
        (1, 0),
        "one batch, and nothing to claim"
    );
    for _ in 0..100 {
        stage.advance(60_000).await;
    }
    assert_eq!(calls(&stage), [claims, settles, releases]);
    assert_eq!(stage.receivers.arrived_at(subscription).len(), 5);
}

#[tokio::test]
async fn fresh_work_needs_no_claim() {
    let mut stage = Stage::new().await;
    stage.subscribe("acme").await;
    let before = stage.store.calls(Call::Claim);
    for _ in 0..20 {
        stage.publish("acme", 3).await;
        stage.settle_down().await;
    }
    assert_eq!(stage.receivers.arrived().len(), 60);
    assert_eq!(stage.store.calls(Call::Claim), before);
    assert_eq!(stage.metrics.claimed.get(), 0);
}

#[tokio::test]
async fn a_redelivery_is_made_at_once_with_attempts_of_its_own() {
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    let event = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    let again = stage
        .store
        .redeliver(None, event, subscription, stage.clock.now())
        .await;
    assert_eq!(again, Ok(Redelivered::Queued));
    stage.settle_down().await;
    stage.advance(20).await;
    let numbers: Vec<u32> = stage
        .log(subscription)
        .await
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, [1, 1]);
    assert_eq!(stage.owed().await, 0);
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_new_one_until_its_overlap_ends() {
    use tidings_domain::secret::Secret;
    use tidings_store::SubscriptionBook as _;
    let mut stage = Stage::new().await;
    let subscription = stage.subscribe("acme").await;
    let now = stage.clock.now();
    let until: UtcMillis = now.plus_millis(60_000);
    let secret = Secret::generate(stage.random.as_ref());
    let mut signatures = Vec::new();
    stage.publish("acme", 1).await;
    stage.settle_down().await;
    stage
        .store
        .rotate_secret(None, subscription, secret, now, until, &Actor::COMMAND)
        .await
        .unwrap();
    for wait in [0, 59_999, 1] {
        stage.advance(wait).await;
        stage.publish("acme", 1).await;
        stage.settle_down().await;
    }
    signatures.extend(stage.receivers.arrived().iter().map(|one| one.signatures));
    assert_eq!(signatures, [1, 2, 2, 1]);
}
