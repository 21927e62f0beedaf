//! Counting what a replay will ask for, and hearing how far one is.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_domain::{company::CompanyId, id::SubscriptionId, time::UtcMillis};
use tidings_store::{ReplayCount, ReplayProgress, ReplayScope, ReplayWindow, Replayed};

use crate::{
    Harness,
    replay::with_history,
    scenario::{SECOND_MS, Scenario, WORKS, acme, company},
};

/// More than any of these cases counts.
const MANY: u64 = 1000;

pub(crate) async fn a_count_of_the_failed_is_what_a_replay_then_asks_for(harness: &dyn Harness) {
    count_and_replay(harness, ReplayScope::Failed, 4).await;
}

pub(crate) async fn a_count_of_all_is_what_a_replay_then_asks_for(harness: &dyn Harness) {
    count_and_replay(harness, ReplayScope::All, 5).await;
}

async fn count_and_replay(harness: &dyn Harness, scope: ReplayScope, expected: u64) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let id = history.subscription;
    let before = (scenario.owed().await, scenario.lines().await);
    for _ in 0..2 {
        let counted = scenario.count(id, whole(scope), MANY).await;
        assert_eq!(counted, ReplayCount::Exactly(expected));
    }
    let after = (scenario.owed().await, scenario.lines().await);
    assert_eq!(after, before, "counting changes nothing");
    let replayed = scenario.replay(id, scope).await;
    assert_eq!(replayed, Replayed::Queued(expected));
    let counted = scenario.count(id, whole(scope), MANY).await;
    assert_eq!(counted, ReplayCount::Exactly(0), "they all wait already");
}

pub(crate) async fn a_count_keeps_to_its_window(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let at = |seconds: i64| UtcMillis::from_millis(1_600_000_000_000 + seconds * SECOND_MS);
    let events: Vec<_> = [5, 1, 4, 0, 3, 2]
        .map(|seconds| scenario.event_at(&acme(), "a", at(seconds)))
        .to_vec();
    scenario.append(&events).await;
    scenario.publish(&acme(), "b").await;
    scenario.publish(&company("other"), "a").await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    for (since, until, expected) in [
        (at(1), Some(at(4)), 3),
        (at(1).plus_millis(1), Some(at(4).plus_millis(1)), 3),
        (at(4), None, 2),
        (at(0), Some(at(0)), 0),
        (at(3), Some(at(1)), 0),
    ] {
        let window = ReplayWindow {
            since,
            until,
            scope: ReplayScope::Failed,
        };
        let counted = scenario.count(id, window, MANY).await;
        assert_eq!(counted, ReplayCount::Exactly(expected), "{window:?}");
    }
}

pub(crate) async fn a_count_ends_where_it_is_told_to(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.publish_many(&acme(), "a", 7).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    for (count_max, expected) in [
        (0, ReplayCount::AtLeast(0)),
        (1, ReplayCount::AtLeast(1)),
        (6, ReplayCount::AtLeast(6)),
        (8, ReplayCount::Exactly(7)),
    ] {
        let counted = scenario.count(id, whole(ReplayScope::All), count_max).await;
        assert_eq!(counted, expected);
    }
    // Whether there are more than seven, who counted to seven may know or not.
    let counted = scenario.count(id, whole(ReplayScope::All), 7).await;
    assert!(matches!(
        counted,
        ReplayCount::Exactly(7) | ReplayCount::AtLeast(7)
    ));
}

pub(crate) async fn counting_refuses_what_is_not_there(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let nobody = SubscriptionId::new(scenario.now(), scenario.random());
    let other = company("other");
    let count = async |asking: Option<&CompanyId>, id| {
        let store = scenario.store();
        let counted = store.count_replay(asking, id, whole(ReplayScope::All), MANY);
        counted.await.expect(WORKS)
    };
    assert_eq!(count(None, nobody).await, ReplayCount::NoSubscription);
    assert_eq!(count(Some(&other), id).await, ReplayCount::NoSubscription);
    assert_eq!(count(Some(&acme()), id).await, ReplayCount::Exactly(0));
    scenario.enable(id, false).await;
    assert_eq!(count(Some(&acme()), id).await, ReplayCount::Disabled);
    scenario.delete(id).await;
    assert_eq!(count(Some(&acme()), id).await, ReplayCount::NoSubscription);
}

pub(crate) async fn a_long_replay_says_how_far_it_is(harness: &dyn Harness) {
    const EVENTS: usize = 3000;
    let scenario = Scenario::new(harness).await;
    for _ in 0..EVENTS / 500 {
        let batch: Vec<_> = (0..500).map(|_| scenario.event(&acme(), "a")).collect();
        scenario.append(&batch).await;
    }
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let told: Arc<Mutex<Vec<u64>>> = Arc::default();
    let told_here = Arc::clone(&told);
    let progress: ReplayProgress = Arc::new(move |count| told_here.lock().push(count));
    let (store, window) = (scenario.store(), whole(ReplayScope::Failed));
    let replayed = store.replay(None, id, window, scenario.now(), Some(progress));
    assert_eq!(replayed.await, Ok(Replayed::Queued(EVENTS as u64)));
    let told = told.lock().clone();
    assert!(told.is_sorted(), "it only ever gets further: {told:?}");
    assert!(told.len() >= 3, "it is told on the way: {told:?}");
    assert_eq!(told.last(), Some(&(EVENTS as u64)));
}

impl Scenario<'_> {
    async fn count(&self, id: SubscriptionId, window: ReplayWindow, count_max: u64) -> ReplayCount {
        let counted = self.store().count_replay(None, id, window, count_max).await;
        counted.expect(WORKS)
    }
}

/// Everything since the beginning of time.
fn whole(scope: ReplayScope) -> ReplayWindow {
    ReplayWindow {
        since: UtcMillis::from_millis(0),
        until: None,
        scope,
    }
}
