//! Upkeep: retention drops what is old and owed to nobody, in bounded steps, and stops when there
//! is nothing left to do.

use tidings_store::{Backlog, EventQuery, Redelivered, Renewal, Retention};

use crate::{
    Harness,
    node::LEASE_MS,
    scenario::{DAY_MS, SECOND_MS, Scenario, WORKS, acme, ids, query},
};

pub(crate) async fn old_events_are_dropped_and_young_ones_stay(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let old: Vec<_> = (0..2500).map(|_| scenario.event(&acme(), "a")).collect();
    for batch in old.chunks(500) {
        scenario.append(batch).await;
    }
    scenario.advance(20 * DAY_MS);
    let young = scenario.publish_many(&acme(), "a", 3).await;
    scenario.advance(20 * DAY_MS);
    scenario.tidy(days(Some(60), None)).await;
    assert_eq!(scenario.log(&acme()).await.len(), 2503, "none is that old");
    scenario.tidy(days(None, Some(1))).await;
    assert_eq!(scenario.log(&acme()).await.len(), 2503, "none for ever");
    scenario.tidy(days(Some(30), None)).await;
    for _ in 0..2 {
        assert_eq!(ids(&scenario.log(&acme()).await), ids(&young));
        let gone = &old[17];
        assert_eq!(scenario.store().event(None, gone.id()).await, Ok(None));
        assert_eq!(scenario.store().trace(None, gone.id()).await, Ok(None));
        scenario.crash().await;
    }
}

/// So that no step holds up the publishers for long.
pub(crate) async fn a_step_is_bounded(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    for _ in 0..20 {
        let batch: Vec<_> = (0..1000).map(|_| scenario.event(&acme(), "a")).collect();
        scenario.append(&batch).await;
    }
    scenario.advance(40 * DAY_MS);
    let more = scenario
        .store()
        .tidy(scenario.now(), days(Some(30), None))
        .await;
    assert_eq!(more, Ok(true), "20,000 events are more than a step");
    assert!(!scenario.log(&acme()).await.is_empty());
    scenario.tidy(days(Some(30), None)).await;
    assert_eq!(scenario.log(&acme()).await, []);
}

pub(crate) async fn events_that_are_still_owed_stay(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let done = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.succeeded(&delivery)).await;
    let in_flight = scenario.publish(&acme(), "a").await;
    let held = scenario.claim_one(&node).await;
    let waiting = scenario.publish(&acme(), "a").await;
    scenario.advance(40 * DAY_MS);
    let until = scenario.later(LEASE_MS);
    let renewal = scenario
        .store()
        .renew_lease(node.lease, scenario.now(), until)
        .await;
    assert_eq!(renewal, Ok(Renewal::Held));
    scenario.tidy(days(Some(30), None)).await;
    assert_eq!(
        ids(&scenario.log(&acme()).await),
        [in_flight.id(), waiting.id()]
    );
    assert_eq!(scenario.redeliver(&done, id).await, Redelivered::NoEvent);
    // Once they are no longer owed, they go too.
    scenario.record(scenario.succeeded(&held)).await;
    let last = scenario.claim_one(&node).await;
    assert_eq!(last.event.json(), waiting.json());
    scenario.record(scenario.gave_up(&last)).await;
    scenario.tidy(days(Some(30), None)).await;
    assert_eq!(scenario.log(&acme()).await, []);
}

pub(crate) async fn what_has_ended_keeps_no_event_alive(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let disabled = scenario.subscribe(&acme(), &["*"]).await;
    let deleted = scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish_many(&acme(), "a", 5).await;
    scenario.enable(disabled, false).await;
    scenario.delete(deleted).await;
    scenario.advance(40 * DAY_MS);
    scenario.tidy(days(Some(30), None)).await;
    assert_eq!(scenario.log(&acme()).await, []);
    assert_eq!(scenario.store().backlog().await, Ok(Backlog::default()));
}

pub(crate) async fn attempts_are_kept_by_a_time_of_their_own(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    for _ in 0..3 {
        scenario.advance(10 * DAY_MS);
        let node = scenario.node().await;
        let delivery = scenario.claim_one(&node).await;
        let next = scenario.later(SECOND_MS);
        scenario.record(scenario.retry_at(&delivery, next)).await;
    }
    scenario.tidy(days(None, Some(15))).await;
    let kept: Vec<_> = scenario
        .attempts(id)
        .await
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(kept, [3, 2]);
    assert_eq!(ids(&scenario.log(&acme()).await), [event.id()]);
    assert_eq!(
        scenario.trace_at(&event, id).await.attempts,
        3,
        "what is owed still counts them"
    );
    scenario.advance(30 * DAY_MS);
    scenario.tidy(days(None, Some(15))).await;
    assert_eq!(scenario.attempts(id).await, []);
    assert_eq!(scenario.due().await, [(event.id(), id)]);
}

pub(crate) async fn idle_housekeeping_has_nothing_to_do(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let keep = days(Some(30), Some(30));
    assert_eq!(
        scenario.store().tidy(scenario.now(), keep).await,
        Ok(false),
        "an empty one"
    );
    scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish_many(&acme(), "a", 5).await;
    let node = scenario.node().await;
    for delivery in scenario.claim(&node).await {
        scenario.record(scenario.succeeded(&delivery)).await;
    }
    for _ in 0..3 {
        assert_eq!(scenario.store().tidy(scenario.now(), keep).await, Ok(false));
    }
    scenario.advance(40 * DAY_MS);
    scenario.tidy(keep).await;
    for _ in 0..3 {
        assert_eq!(
            scenario.store().tidy(scenario.now(), keep).await,
            Ok(false),
            "and after"
        );
    }
}

/// A reader that stands at the old head must not miss what is appended to an emptied log.
pub(crate) async fn positions_go_on_after_everything_was_dropped(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    scenario.publish_many(&acme(), "a", 10).await;
    let head = scenario.store().head().await.expect(WORKS);
    let page = scenario
        .store()
        .read_events(query(&acme()))
        .await
        .expect(WORKS);
    scenario.advance(40 * DAY_MS);
    scenario.tidy(days(Some(30), None)).await;
    assert_eq!(scenario.log(&acme()).await, []);
    assert_eq!(scenario.store().head().await, Ok(head));
    scenario.crash().await;
    assert_eq!(scenario.store().head().await, Ok(head));
    let event = scenario.publish(&acme(), "a").await;
    assert!(scenario.store().head().await.expect(WORKS) > head);
    for after in [page.next, head] {
        let query = EventQuery {
            after: Some(after),
            ..query(&acme())
        };
        assert_eq!(ids(&scenario.follow(query).await), [event.id()]);
    }
}

pub(crate) async fn the_backlog_tells_how_long_the_oldest_waits(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let store = scenario.store();
    assert_eq!(store.backlog().await, Ok(Backlog::default()));
    scenario.subscribe(&acme(), &["*"]).await;
    let first_owed = scenario.now();
    scenario.publish(&acme(), "a").await;
    scenario.advance(SECOND_MS);
    let second_owed = scenario.now();
    scenario.publish(&acme(), "a").await;
    let expected = Backlog {
        owed: 2,
        oldest: Some(first_owed),
    };
    assert_eq!(store.backlog().await, Ok(expected));
    let node = scenario.node().await;
    let mut deliveries = scenario.claim(&node).await;
    assert_eq!(store.backlog().await, Ok(expected), "in flight counts");
    scenario
        .record(scenario.succeeded(&deliveries.remove(0)))
        .await;
    let expected = Backlog {
        owed: 1,
        oldest: Some(second_owed),
    };
    assert_eq!(store.backlog().await, Ok(expected));
    let next = scenario.later(SECOND_MS);
    scenario
        .record(scenario.retry_at(&deliveries.remove(0), next))
        .await;
    assert_eq!(
        store.backlog().await,
        Ok(expected),
        "waiting for a retry counts"
    );
}

pub(crate) async fn a_check_proves_that_it_can_commit(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    assert_eq!(scenario.store().check().await, Ok(()));
    scenario.publish(&acme(), "a").await;
    scenario.reopen().await;
    assert_eq!(scenario.store().check().await, Ok(()));
    scenario.store().close().await.expect(WORKS);
    assert!(
        scenario.store().check().await.is_err(),
        "a closed one cannot"
    );
    let late = scenario.publication(&[scenario.event(&acme(), "a")]);
    assert!(
        scenario.store().append(late).await.is_err(),
        "nor does it take anything in"
    );
}

fn days(events: Option<i64>, attempts: Option<i64>) -> Retention {
    Retention {
        events_ms: events.map(|days| days * DAY_MS),
        attempts_ms: attempts.map(|days| days * DAY_MS),
    }
}
