//! Redelivery and replay: owing events once more, each as a new delivery with attempts of its own.

use tidings_domain::{
    company::CompanyId,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{Delivery, DeliveryState, Redelivered, ReplayScope, ReplayWindow, Replayed};

use crate::{
    Harness,
    node::{Node, addressed},
    scenario::{SECOND_MS, Scenario, WORKS, acme, company, ids, sorted},
};

pub(crate) async fn a_finished_delivery_is_made_anew(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let first = scenario.claim_one(&node).await;
    scenario.record(scenario.succeeded(&first)).await;
    scenario.advance(SECOND_MS);
    let mut rounds = vec![first.key.round];
    for _ in 0..3 {
        assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
        assert_eq!(scenario.owed().await, 1);
        let again = scenario.claim_one(&node).await;
        assert_eq!((again.attempts_made, again.first_attempt), (0, None));
        assert_eq!(again.owed_since, scenario.now());
        assert_eq!(again.event.json(), event.json());
        rounds.push(again.key.round);
        scenario.record(scenario.succeeded(&again)).await;
        scenario.advance(SECOND_MS);
    }
    assert!(
        rounds.is_sorted_by(|one, next| one < next),
        "rounds count up: {rounds:?}"
    );
    assert_eq!(scenario.attempts(id).await.len(), 4);
}

pub(crate) async fn a_waiting_delivery_starts_anew_instead_of_doubling(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(60 * SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    drop(delivery);
    for _ in 0..3 {
        scenario.advance(SECOND_MS);
        assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
        assert_eq!(scenario.owed().await, 1);
        let line = scenario.trace_at(&event, id).await;
        assert_eq!((line.state, line.attempts), (DeliveryState::Pending, 0));
    }
    let delivery = scenario.claim_one(&node).await;
    assert_eq!((delivery.attempts_made, delivery.first_attempt), (0, None));
    scenario.record(scenario.succeeded(&delivery)).await;
    scenario.set_time(next);
    assert_eq!(
        scenario.due().await,
        [],
        "the retry that it replaced does not come"
    );
    assert_eq!(scenario.attempts(id).await.len(), 2);
}

pub(crate) async fn one_that_waits_for_a_claim_is_not_doubled(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
    assert_eq!((scenario.owed().await, scenario.due().await.len()), (1, 1));
}

pub(crate) async fn one_in_flight_gets_a_second_beside_it(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let first = scenario.claim_one(&node).await;
    assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
    assert_eq!(scenario.owed().await, 2);
    let second = scenario.claim_one(&node).await;
    assert!(second.key.round > first.key.round);
    let next = scenario.later(5 * SECOND_MS);
    scenario.record(scenario.retry_at(&second, next)).await;
    scenario.record(scenario.succeeded(&first)).await;
    let line = scenario.trace_at(&event, id).await;
    assert_eq!(
        (line.state, line.attempts),
        (DeliveryState::Retrying, 1),
        "the newest is told"
    );
    scenario.set_time(next);
    let second = scenario.claim_one(&node).await;
    assert_eq!(second.attempts_made, 1);
    scenario.record(scenario.gave_up(&second)).await;
    assert_eq!(scenario.state(&event, id).await, DeliveryState::Failed);
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn what_was_not_wanted_can_be_delivered_on_request(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let unwanted = scenario.subscribe(&acme(), &["b"]).await;
    let event = scenario.publish(&acme(), "a").await;
    let later = scenario.subscribe(&acme(), &["a"]).await;
    for id in [unwanted, later] {
        assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
        assert_eq!(scenario.state(&event, id).await, DeliveryState::Pending);
    }
    let expected = [(event.id(), unwanted), (event.id(), later)];
    assert_eq!(scenario.due().await, sorted(expected));
}

pub(crate) async fn redelivery_refuses_what_is_not_there(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let other = company("other");
    let (mine, theirs) = (
        scenario.subscribe(&acme(), &["*"]).await,
        scenario.subscribe(&other, &["*"]).await,
    );
    let event = scenario.publish(&acme(), "a").await.id();
    let no_event = EventId::new(scenario.now(), scenario.random());
    let nobody = SubscriptionId::new(scenario.now(), scenario.random());
    let owed = scenario.owed().await;
    let redeliver = async |asking: Option<&CompanyId>, event, to| {
        scenario
            .store()
            .redeliver(asking, event, to, scenario.now())
            .await
            .expect(WORKS)
    };
    assert_eq!(redeliver(None, no_event, mine).await, Redelivered::NoEvent);
    assert_eq!(
        redeliver(None, event, nobody).await,
        Redelivered::NoSubscription
    );
    assert_eq!(
        redeliver(None, event, theirs).await,
        Redelivered::NoSubscription
    );
    assert_eq!(
        redeliver(Some(&acme()), event, theirs).await,
        Redelivered::NoSubscription
    );
    let for_others = redeliver(Some(&other), event, mine).await;
    assert!(matches!(
        for_others,
        Redelivered::NoEvent | Redelivered::NoSubscription
    ));
    scenario.enable(mine, false).await;
    assert_eq!(
        redeliver(Some(&acme()), event, mine).await,
        Redelivered::Disabled
    );
    scenario.enable(mine, true).await;
    assert_eq!(
        scenario.owed().await,
        owed - 1,
        "but for disabling, nothing has changed"
    );
    assert_eq!(
        redeliver(Some(&acme()), event, mine).await,
        Redelivered::Queued
    );
}

/// One event for each thing that can have become of it, in this order.
pub(crate) struct History {
    scenario_node: Node,
    pub(crate) subscription: SubscriptionId,
    succeeded: EventId,
    failed: EventId,
    /// Its retry is due in a minute.
    waiting: EventId,
    ended: EventId,
    missed: EventId,
    unmatched: EventId,
    untried: EventId,
    in_flight: Delivery,
}

pub(crate) async fn with_history(scenario: &Scenario<'_>) -> History {
    let subscription = scenario.subscribe(&acme(), &["a"]).await;
    let node = scenario.node().await;
    let ended = scenario.publish(&acme(), "a").await.id();
    scenario.enable(subscription, false).await;
    let missed = scenario.publish(&acme(), "a").await.id();
    scenario.enable(subscription, true).await;
    let unmatched = scenario.publish(&acme(), "b").await.id();
    let succeeded = scenario.publish(&acme(), "a").await.id();
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.succeeded(&delivery)).await;
    let failed = scenario.publish(&acme(), "a").await.id();
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.gave_up(&delivery)).await;
    let waiting = scenario.publish(&acme(), "a").await.id();
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(60 * SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    scenario.publish(&acme(), "a").await;
    let in_flight = scenario.claim_one(&node).await;
    let untried = scenario.publish(&acme(), "a").await.id();
    History {
        scenario_node: node,
        subscription,
        succeeded,
        failed,
        waiting,
        ended,
        missed,
        unmatched,
        untried,
        in_flight,
    }
}

pub(crate) async fn replaying_the_failed_brings_the_missed_too(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let replayed = scenario
        .replay(history.subscription, ReplayScope::Failed)
        .await;
    assert_eq!(replayed, Replayed::Queued(4));
    let expected = [
        history.failed,
        history.waiting,
        history.ended,
        history.missed,
        history.untried,
    ];
    assert_owed_anew(&scenario, &history, &expected).await;
}

pub(crate) async fn replaying_all_brings_the_successes_too(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let replayed = scenario
        .replay(history.subscription, ReplayScope::All)
        .await;
    assert_eq!(replayed, Replayed::Queued(5));
    let expected = [
        history.succeeded,
        history.failed,
        history.waiting,
        history.ended,
        history.missed,
        history.untried,
    ];
    assert_owed_anew(&scenario, &history, &expected).await;
}

/// Exactly these are due, each once and from its first attempt; a second replay finds them waiting
/// and adds none.
async fn assert_owed_anew(scenario: &Scenario<'_>, history: &History, expected: &[EventId]) {
    let expected = sorted(expected.iter().map(|&event| (event, history.subscription)));
    let again = scenario
        .replay(history.subscription, ReplayScope::Failed)
        .await;
    assert_eq!(
        again,
        Replayed::Queued(0),
        "what was not attempted yet is left to itself"
    );
    let claimed = scenario.claim(&history.scenario_node).await;
    assert_eq!(sorted(addressed(&claimed)), expected);
    for delivery in &claimed {
        assert_eq!((delivery.attempts_made, delivery.first_attempt), (0, None));
        assert_ne!(delivery.event.id(), history.unmatched);
    }
    for delivery in claimed.iter().chain([&history.in_flight]) {
        scenario.record(scenario.succeeded(delivery)).await;
    }
    assert_eq!(scenario.owed().await, 0);
    scenario.advance(60 * SECOND_MS);
    assert_eq!(scenario.due().await, [], "the waiting one was not doubled");
    let again = scenario
        .replay(history.subscription, ReplayScope::Failed)
        .await;
    assert_eq!(again, Replayed::Queued(0), "they all succeeded");
}

pub(crate) async fn a_window_includes_its_start_and_not_its_end(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let at = |seconds: i64| UtcMillis::from_millis(1_600_000_000_000 + seconds * SECOND_MS);
    // Stored in another order than they happened, as importers do.
    let mut events = Vec::new();
    for seconds in [5, 1, 4, 0, 3, 2] {
        events.push((seconds, scenario.event_at(&acme(), "a", at(seconds))));
    }
    scenario
        .append(
            &events
                .iter()
                .map(|(_, event)| event.clone())
                .collect::<Vec<_>>(),
        )
        .await;
    let cases = [
        (at(1), Some(at(4)), vec![1, 2, 3]),
        (
            at(1).plus_millis(1),
            Some(at(4).plus_millis(1)),
            vec![2, 3, 4],
        ),
        (at(4), None, vec![4, 5]),
        (at(0), Some(at(0)), vec![]),
        (at(3), Some(at(1)), vec![]),
        (at(6), None, vec![]),
    ];
    for (since, until, expected) in cases {
        let id = scenario.subscribe(&acme(), &["a"]).await;
        let window = ReplayWindow {
            since,
            until,
            scope: ReplayScope::Failed,
        };
        let replayed = scenario.replay_window(id, window).await;
        assert_eq!(
            replayed,
            Replayed::Queued(expected.len() as u64),
            "{window:?}"
        );
        let wanted = events
            .iter()
            .filter(|(seconds, _)| expected.contains(seconds));
        let wanted = wanted.map(|(_, event)| (event.id(), id));
        assert_eq!(scenario.due().await, sorted(wanted), "{window:?}");
        scenario.delete(id).await;
    }
}

pub(crate) async fn replay_goes_by_the_types_of_now(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["old.*"]).await;
    scenario.publish(&acme(), "old.a").await;
    let wanted = [
        scenario.publish(&acme(), "new.a").await,
        scenario.publish(&acme(), "new.b.c").await,
    ];
    scenario.publish(&acme(), "newer.a").await;
    scenario.publish(&company("other"), "new.a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.gave_up(&delivery)).await;
    scenario.retype(id, &["new.*"]).await;
    assert_eq!(
        scenario.replay(id, ReplayScope::All).await,
        Replayed::Queued(2)
    );
    let expected = ids(&wanted).into_iter().map(|event| (event, id));
    assert_eq!(scenario.due().await, sorted(expected));
}

pub(crate) async fn a_long_replay_is_complete(harness: &dyn Harness) {
    const EVENTS: usize = 3000;
    let mut scenario = Scenario::new(harness).await;
    let noise = company("noise");
    let mut expected = Vec::new();
    for _ in 0..EVENTS / 500 {
        let batch: Vec<_> = (0..500).map(|_| scenario.event(&acme(), "a")).collect();
        scenario.append(&batch).await;
        expected.extend(ids(&batch));
        let batch: Vec<_> = (0..500).map(|_| scenario.event(&noise, "a")).collect();
        scenario.append(&batch).await;
    }
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let replayed = scenario.replay(id, ReplayScope::Failed).await;
    assert_eq!(replayed, Replayed::Queued(EVENTS as u64));
    scenario.crash().await;
    let due = scenario.due().await.into_iter().map(|(event, _)| event);
    assert_eq!(sorted(due), sorted(expected));
}

pub(crate) async fn replay_refuses_what_is_not_there(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish(&acme(), "a").await;
    let nobody = SubscriptionId::new(scenario.now(), scenario.random());
    let everything = ReplayWindow {
        since: UtcMillis::from_millis(0),
        until: None,
        scope: ReplayScope::All,
    };
    let replay = async |asking: Option<&CompanyId>, to| {
        scenario
            .store()
            .replay(asking, to, everything, scenario.now(), None)
            .await
            .expect(WORKS)
    };
    assert_eq!(replay(None, nobody).await, Replayed::NoSubscription);
    assert_eq!(
        replay(Some(&company("other")), id).await,
        Replayed::NoSubscription
    );
    scenario.enable(id, false).await;
    assert_eq!(replay(Some(&acme()), id).await, Replayed::Disabled);
    assert_eq!(scenario.owed().await, 0);
}
