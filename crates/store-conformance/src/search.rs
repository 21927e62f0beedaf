//! Searching the delivery log of a whole company, and looking up single attempts.

use tidings_domain::{
    attempt::Attempt,
    cursor::Order,
    id::{EventId, SubscriptionId},
};
use tidings_store::{
    AttemptSearch, AttemptsFound, PlacedAttempt, Position, Redelivered, Retention,
};

use crate::{
    Harness,
    log_history::{everything, expected, searches, with_history},
    scenario::{DAY_MS, EVERYTHING, SECOND_MS, Scenario, WORKS, acme, company},
};

pub(crate) async fn each_filter_finds_what_it_should_and_no_more(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    for search in searches(&history) {
        let expected = expected(&history, &search);
        let found = scenario.search(&search).await;
        assert_eq!(found.next, None, "everything was looked at: {search:?}");
        assert_eq!(found.looked_up_to, None);
        let attempts: Vec<_> = found
            .attempts
            .into_iter()
            .map(|found| found.attempt)
            .collect();
        assert_eq!(attempts, expected, "{search:?}");
    }
}

pub(crate) async fn pages_follow_each_other_whatever_they_look_at(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    for search in searches(&history) {
        for (limit, look_at_max) in [(1, EVERYTHING), (3, 2), (7, 10), (EVERYTHING, 1)] {
            let search = AttemptSearch {
                limit,
                look_at_max,
                ..search.clone()
            };
            let found = scenario.search_all(&search).await;
            let expected = expected(&history, &search);
            assert_eq!(found, expected, "{search:?}");
        }
    }
}

pub(crate) async fn a_search_turns_back_where_it_was(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let down = everything(&acme());
    let first = scenario
        .search(&AttemptSearch {
            limit: 5,
            ..down.clone()
        })
        .await;
    let second = AttemptSearch {
        limit: 5,
        after: first.next,
        ..down
    };
    let second = scenario.search(&second).await;
    let back = AttemptSearch {
        order: Order::Ascending,
        after: Some(second.attempts[0].place),
        limit: 5,
        ..everything(&acme())
    };
    let mut back = places(&scenario.search(&back).await);
    back.reverse();
    assert_eq!(back, places(&first));
    assert!(history.attempts.len() > 10);
}

pub(crate) async fn new_attempts_do_not_disturb_a_search(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let mut search = AttemptSearch {
        limit: 4,
        ..everything(&acme())
    };
    let newest_first = expected(&history, &everything(&acme()));
    let node = scenario.node().await;
    let mut found = Vec::new();
    loop {
        let page = scenario.search(&search).await;
        found.extend(page.attempts.into_iter().map(|found| found.attempt));
        let Some(next) = page.next else { break };
        search.after = Some(next);
        scenario.publish(&acme(), "a").await;
        for delivery in scenario.claim(&node).await {
            scenario.record(scenario.succeeded(&delivery)).await;
        }
    }
    assert_eq!(found, newest_first);
}

pub(crate) async fn another_companys_log_is_not_searched(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let other = company("other");
    let theirs = scenario.search(&everything(&other)).await.attempts;
    assert_eq!(theirs.len(), 1);
    assert_eq!(theirs[0].attempt.subscription, history.other);
    let mine = scenario.search(&everything(&acme())).await.attempts;
    assert_eq!(mine.len(), history.attempts.len());
    for search in [
        AttemptSearch {
            subscription: Some(history.other),
            ..everything(&acme())
        },
        AttemptSearch {
            event: Some(history.others_event),
            ..everything(&acme())
        },
        AttemptSearch {
            event: Some(history.events[0]),
            ..everything(&other)
        },
        everything(&company("nobody")),
    ] {
        let found = scenario.search(&search).await;
        assert_eq!((found.attempts.len(), found.next), (0, None), "{search:?}");
    }
    let store = scenario.store();
    for (asking, found) in [(&other, &mine[0]), (&acme(), &theirs[0])] {
        let attempt = store.attempt(asking, found.place).await.expect(WORKS);
        assert!(attempt.is_none(), "a place of others is none");
    }
    let (id, event) = (history.subscriptions[0], history.events[0]);
    let of_delivery = store.attempts_of_delivery(&other, event, id, EVERYTHING);
    assert!(of_delivery.await.expect(WORKS).is_empty());
    let newest = store.newest_attempts(&other, &[id]).await.expect(WORKS);
    assert!(newest[0].is_none());
}

pub(crate) async fn an_attempt_is_found_at_its_place(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    with_history(&scenario).await;
    let all = scenario.search(&everything(&acme())).await.attempts;
    for _ in 0..2 {
        for placed in &all {
            let store = scenario.store();
            let found = store.attempt(&acme(), placed.place).await.expect(WORKS);
            let found = found.expect("it is there");
            assert_eq!(
                (found.place, found.round, &found.attempt),
                (placed.place, placed.round, &placed.attempt)
            );
        }
        let beyond = all[0].place + 1000;
        for place in [0, -1, beyond, Position::MAX] {
            let found = scenario.store().attempt(&acme(), place).await;
            assert!(found.expect(WORKS).is_none());
        }
        scenario.crash().await;
    }
}

pub(crate) async fn the_attempts_of_a_delivery_are_those_of_every_round(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (id, beside) = (
        scenario.subscribe(&acme(), &["a"]).await,
        scenario.subscribe(&acme(), &["a"]).await,
    );
    let event = scenario.publish(&acme(), "a").await;
    let others = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    for _ in 0..3 {
        for delivery in scenario.claim(&node).await {
            let next = scenario.later(SECOND_MS);
            scenario.record(scenario.retry_at(&delivery, next)).await;
        }
        scenario.advance(SECOND_MS);
    }
    assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
    for delivery in scenario.claim(&node).await {
        scenario.record(scenario.succeeded(&delivery)).await;
    }
    let of = async |event: EventId, id, limit| {
        let store = scenario.store();
        let found = store.attempts_of_delivery(&acme(), event, id, limit).await;
        let found = found.expect(WORKS);
        let number = |found: PlacedAttempt| {
            assert_eq!(
                (found.attempt.event, found.attempt.subscription),
                (event, id)
            );
            (found.round, found.attempt.number)
        };
        found.into_iter().map(number).collect::<Vec<_>>()
    };
    let expected = [(0, 1), (0, 2), (0, 3), (1, 1)];
    assert_eq!(of(event.id(), id, EVERYTHING).await, expected);
    assert_eq!(of(event.id(), id, 2).await, expected[..2]);
    assert_eq!(of(event.id(), beside, EVERYTHING).await.len(), 4);
    assert_eq!(of(others.id(), id, EVERYTHING).await.len(), 4);
    let unknown = EventId::new(scenario.now(), scenario.random());
    assert_eq!(of(unknown, id, EVERYTHING).await, []);
}

pub(crate) async fn the_log_outlives_the_event(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    scenario.subscribe(&acme(), &["b"]).await;
    let node = scenario.node().await;
    let mut events = Vec::new();
    for event_type in ["a", "b", "a"] {
        let event = scenario.publish(&acme(), event_type).await;
        let delivery = scenario.claim_one(&node).await;
        scenario.record(scenario.succeeded(&delivery)).await;
        events.push(event.id());
        scenario.advance(SECOND_MS);
    }
    scenario.advance(DAY_MS);
    scenario
        .tidy(Retention {
            events_ms: Some(DAY_MS / 2),
            attempts_ms: None,
        })
        .await;
    for order in [Order::Ascending, Order::Descending] {
        let search = AttemptSearch {
            event: Some(events[0]),
            order,
            ..everything(&acme())
        };
        let found = scenario.search(&search).await.attempts;
        let found: Vec<_> = found.iter().map(|found| found.attempt.event).collect();
        assert_eq!(found, [events[0]]);
    }
    let store = scenario.store();
    let found = store
        .attempts_of_delivery(&acme(), events[2], id, EVERYTHING)
        .await;
    assert_eq!(found.expect(WORKS).len(), 1);
}

pub(crate) async fn the_newest_attempt_is_told_of_each(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let history = with_history(&scenario).await;
    let unused = scenario.subscribe(&acme(), &["nothing"]).await;
    let unknown = SubscriptionId::new(scenario.now(), scenario.random());
    let mut asked = history.subscriptions.clone();
    asked.extend([unused, unknown, history.other, asked[0]]);
    let newest = scenario.store().newest_attempts(&acme(), &asked).await;
    let newest = newest.expect(WORKS);
    assert_eq!(newest.len(), asked.len());
    for (id, newest) in asked.iter().zip(newest) {
        let theirs = |attempt: &&Attempt| attempt.subscription == *id;
        let expected = history.attempts.iter().rfind(theirs);
        assert_eq!(newest.map(|newest| newest.attempt).as_ref(), expected);
    }
}

fn places(found: &AttemptsFound) -> Vec<Position> {
    found.attempts.iter().map(|found| found.place).collect()
}

impl Scenario<'_> {
    async fn search(&self, search: &AttemptSearch) -> AttemptsFound {
        self.store()
            .search_attempts(search.clone())
            .await
            .expect(WORKS)
    }

    /// Page after page, each of which keeps its limit, gets on, and says how far it looked where
    /// it could not look further.
    async fn search_all(&self, search: &AttemptSearch) -> Vec<Attempt> {
        let mut search = search.clone();
        let mut found = Vec::new();
        loop {
            let page = self.search(&search).await;
            assert!(page.attempts.len() <= search.limit);
            let gave_up = page.next.is_some() && page.attempts.len() < search.limit;
            assert_eq!(page.looked_up_to.is_some(), gave_up);
            assert!(page.attempts.len() <= search.look_at_max);
            found.extend(page.attempts.into_iter().map(|found| found.attempt));
            let Some(next) = page.next else {
                return found;
            };
            let further = search.after.is_none_or(|after| match search.order {
                Order::Ascending => next > after,
                Order::Descending => next < after,
            });
            assert!(further, "a page gets on");
            search.after = Some(next);
        }
    }
}
