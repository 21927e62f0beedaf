//! The trace: for every subscription, what became of an event there, and why.

use tidings_domain::{
    attempt::{Attempt, AttemptError, AttemptOutcome, ReceivedResponse},
    breaker::{BreakerState, EndpointHealth},
    verdict::Verdict,
};
use tidings_store::{DeliveryState, DeliveryTrace};

use crate::{
    Harness,
    scenario::{SECOND_MS, Scenario, WORKS, acme, company},
};

pub(crate) async fn pending_is_owed_and_not_attempted(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    assert_untried(&scenario.trace_at(&event, id).await, DeliveryState::Pending);
    let node = scenario.node().await;
    let held = scenario.claim(&node).await;
    assert_untried(&scenario.trace_at(&event, id).await, DeliveryState::Pending);
    drop(held);
    scenario.attach(&node);
    let event = scenario.publish(&acme(), "a").await;
    assert_untried(&scenario.trace_at(&event, id).await, DeliveryState::Pending);
}

pub(crate) async fn retrying_says_when_and_why(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(5 * SECOND_MS);
    let refused = Attempt {
        outcome: AttemptOutcome::Failed(AttemptError::Connect),
        response: ReceivedResponse::default(),
        ..scenario.attempt(&delivery)
    };
    scenario
        .record(scenario.settlement(&delivery, refused, Verdict::RetryAt(next)))
        .await;
    drop(delivery);
    let line = scenario.trace_at(&event, id).await;
    assert_eq!((line.state, line.attempts), (DeliveryState::Retrying, 1));
    assert_eq!(line.next_attempt, Some(next));
    assert_eq!(
        (line.last_status, line.last_error),
        (None, Some(AttemptError::Connect))
    );

    scenario.set_time(next);
    let delivery = scenario.claim_one(&node).await;
    let line = scenario.trace_at(&event, id).await;
    assert_eq!(
        (line.state, line.attempts),
        (DeliveryState::Retrying, 1),
        "in flight again"
    );
    let next = scenario.later(30 * SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    let line = scenario.trace_at(&event, id).await;
    assert_eq!((line.state, line.attempts), (DeliveryState::Retrying, 2));
    assert_eq!(line.next_attempt, Some(next));
    assert_eq!(
        (line.last_status, line.last_error),
        (Some(500), Some(AttemptError::Status))
    );
}

pub(crate) async fn succeeded_and_failed_say_what_came_last(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let good = scenario.subscribe(&acme(), &["*"]).await;
    let bad = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let next = scenario.later(5 * SECOND_MS);
    for delivery in scenario.claim(&node).await {
        scenario.record(scenario.retry_at(&delivery, next)).await;
    }
    scenario.set_time(next);
    for delivery in scenario.claim(&node).await {
        let settlement = if delivery.key.subscription == good {
            scenario.succeeded(&delivery)
        } else {
            scenario.gave_up(&delivery)
        };
        scenario.record(settlement).await;
    }
    drop(node);
    for _ in 0..2 {
        let line = scenario.trace_at(&event, good).await;
        assert_eq!((line.state, line.attempts), (DeliveryState::Succeeded, 2));
        assert_eq!((line.last_status, line.last_error), (Some(200), None));
        assert_eq!(line.next_attempt, None);
        let line = scenario.trace_at(&event, bad).await;
        assert_eq!((line.state, line.attempts), (DeliveryState::Failed, 2));
        assert_eq!(
            (line.last_status, line.last_error),
            (Some(500), Some(AttemptError::Status))
        );
        assert_eq!(line.next_attempt, None);
        scenario.crash().await;
    }
}

pub(crate) async fn what_waits_for_an_open_breaker_says_so(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let until = scenario.later(10 * SECOND_MS);
    let health = EndpointHealth {
        breaker: BreakerState::Open,
        open_until: Some(until),
        failing_since: Some(scenario.now()),
    };
    let noted = scenario.store().note_health(id, 0, health).await;
    noted.expect(WORKS);
    for _ in 0..2 {
        let line = scenario.trace_at(&event, id).await;
        assert_eq!(line.state, DeliveryState::Pending);
        assert_eq!(line.next_attempt, Some(until));
        let told = format!("left alone until {until}");
        assert!(line.reason.ends_with(&told), "{}", line.reason);
        scenario.reopen().await;
    }
    let well = EndpointHealth::default();
    let noted = scenario.store().note_health(id, 0, well).await;
    noted.expect(WORKS);
    let line = scenario.trace_at(&event, id).await;
    assert!(line.next_attempt < Some(until), "{:?}", line.next_attempt);
    assert!(!line.reason.contains("left alone"), "{}", line.reason);
}

pub(crate) async fn not_matched_is_about_the_time_of_publishing(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let unwanted = scenario.subscribe(&acme(), &["b"]).await;
    let widened = scenario.subscribe(&acme(), &["b"]).await;
    let narrowed = scenario.subscribe(&acme(), &["a"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let later = scenario.subscribe(&acme(), &["*"]).await;
    scenario.retype(widened, &["*"]).await;
    scenario.retype(narrowed, &["b"]).await;
    let after = scenario.publish(&acme(), "a").await;
    for _ in 0..2 {
        let mut reasons = Vec::new();
        for id in [unwanted, widened, later] {
            let line = scenario.trace_at(&event, id).await;
            assert_untried(&line, DeliveryState::NotMatched);
            assert_eq!(line.next_attempt, None);
            reasons.push(line.reason);
        }
        assert_ne!(
            reasons[0], reasons[2],
            "another type is one thing, too late another"
        );
        assert_untried(
            &scenario.trace_at(&event, narrowed).await,
            DeliveryState::Pending,
        );
        assert_untried(
            &scenario.trace_at(&after, widened).await,
            DeliveryState::Pending,
        );
        assert_untried(
            &scenario.trace_at(&after, later).await,
            DeliveryState::Pending,
        );
        assert_untried(
            &scenario.trace_at(&after, narrowed).await,
            DeliveryState::NotMatched,
        );
        scenario.crash().await;
    }
}

pub(crate) async fn disabled_is_missed_or_ended(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let waiting = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(5 * SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    let pending = scenario.publish(&acme(), "a").await;
    scenario.enable(id, false).await;
    let missed = scenario.publish(&acme(), "a").await;
    let unwanted = scenario.publish(&acme(), "b").await;
    scenario.enable(id, true).await;
    let wanted = scenario.publish(&acme(), "a").await;
    drop((delivery, node));
    for round in 0..3 {
        let line = scenario.trace_at(&waiting, id).await;
        assert_eq!((line.state, line.attempts), (DeliveryState::Disabled, 1));
        assert_eq!((line.next_attempt, line.last_status), (None, Some(500)));
        let ended = scenario.trace_at(&pending, id).await;
        assert_untried(&ended, DeliveryState::Disabled);
        assert_eq!(ended.next_attempt, None);
        let line = scenario.trace_at(&missed, id).await;
        assert_untried(&line, DeliveryState::Disabled);
        assert_ne!(
            line.reason, ended.reason,
            "missed is one thing, ended another"
        );
        assert_untried(
            &scenario.trace_at(&unwanted, id).await,
            DeliveryState::NotMatched,
        );
        assert_untried(
            &scenario.trace_at(&wanted, id).await,
            DeliveryState::Pending,
        );
        if round == 0 {
            // Sweeping out what has ended must not change what is said about it.
            scenario.sweep().await;
        } else {
            scenario.crash().await;
        }
    }
}

pub(crate) async fn a_later_end_does_not_rewrite_what_was_delivered(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let (delivered, failed) = (
        scenario.publish(&acme(), "a").await,
        scenario.publish(&acme(), "a").await,
    );
    let node = scenario.node().await;
    for delivery in scenario.claim(&node).await {
        let settlement = if delivery.event.id() == delivered.id() {
            scenario.succeeded(&delivery)
        } else {
            scenario.gave_up(&delivery)
        };
        scenario.record(settlement).await;
    }
    scenario.retype(id, &["b"]).await;
    scenario.enable(id, false).await;
    assert_eq!(
        scenario.state(&delivered, id).await,
        DeliveryState::Succeeded
    );
    assert_eq!(scenario.state(&failed, id).await, DeliveryState::Failed);
    scenario.enable(id, true).await;
    assert_eq!(
        scenario.state(&delivered, id).await,
        DeliveryState::Succeeded
    );
    assert_eq!(scenario.state(&failed, id).await, DeliveryState::Failed);
}

pub(crate) async fn the_oldest_subscription_comes_first(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let mut expected = vec![
        scenario.subscribe(&acme(), &["a"]).await,
        scenario.subscribe(&acme(), &["b"]).await,
    ];
    scenario.subscribe(&company("other"), &["a"]).await;
    scenario.advance(1);
    let event = scenario.publish(&acme(), "a").await;
    for _ in 0..3 {
        scenario.advance(1);
        expected.push(scenario.subscribe(&acme(), &["a"]).await);
    }
    scenario.retype(expected[0], &["c"]).await;
    let trace = scenario.trace(&event).await;
    let found: Vec<_> = trace.iter().map(|line| line.subscription).collect();
    assert_eq!(found, expected);
}

pub(crate) async fn the_newest_delivery_is_the_one_that_is_told(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.gave_up(&delivery)).await;
    scenario.redeliver(&event, id).await;
    let line = scenario.trace_at(&event, id).await;
    assert_eq!((line.state, line.attempts), (DeliveryState::Pending, 0));
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(5 * SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    let line = scenario.trace_at(&event, id).await;
    assert_eq!((line.state, line.attempts), (DeliveryState::Retrying, 1));
    scenario.set_time(next);
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.succeeded(&delivery)).await;
    let line = scenario.trace_at(&event, id).await;
    assert_eq!((line.state, line.attempts), (DeliveryState::Succeeded, 2));
}

fn assert_untried(line: &DeliveryTrace, state: DeliveryState) {
    assert_eq!((line.state, line.attempts), (state, 0), "{}", line.reason);
    assert_eq!((line.last_status, line.last_error), (None, None));
}
