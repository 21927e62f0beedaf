//! Figures: what happened in stretches of time, and that it adds up however it is kept.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tidings_domain::{
    attempt::{Attempt, AttemptOutcome},
    company::CompanyId,
    figures::{Figures, Resolution},
    id::SubscriptionId,
    time::UtcMillis,
    verdict::Verdict,
};
use tidings_store::{FigureRow, FigureScope, Retention, Settled, Store};

use crate::{
    Harness,
    outcome::DISABLED_NOTICE,
    scenario::{SECOND_MS, Scenario, WORKS, acme, company},
};

const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

pub(crate) async fn figures_add_up_however_they_are_kept(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let mut node = scenario.node().await;
    let mut counted = Counted::default();
    let subscriptions = [
        (acme(), scenario.subscribe(&acme(), &["a"]).await),
        (acme(), scenario.subscribe(&acme(), &["a", "b"]).await),
        (
            company("other"),
            scenario.subscribe(&company("other"), &["*"]).await,
        ),
    ];
    for round in 0..24 {
        // Some of it in one minute, some over ten minutes and hours.
        scenario.advance([1, 20 * SECOND_MS, 7 * MINUTE_MS, 25 * MINUTE_MS][round % 4]);
        let (owner, event_type) = [
            (acme(), "a"),
            (acme(), "b"),
            (company("other"), "a"),
            (acme(), "nobody.wants"),
        ][round % 4]
            .clone();
        scenario.publish(&owner, event_type).await;
        counted.published(&owner, scenario.now());
        for delivery in scenario.claim(&node).await {
            let failed = round % 3 == 0;
            let attempt = Attempt {
                elapsed_ms: u32::try_from(round * round * 60).expect("it is small"),
                ..if failed {
                    scenario.failed_attempt(&delivery, 500)
                } else {
                    scenario.attempt(&delivery)
                }
            };
            let verdict = if failed {
                Verdict::GaveUp
            } else {
                Verdict::Succeeded
            };
            counted.attempted(&owner, &attempt);
            scenario
                .record(scenario.settlement(&delivery, attempt, verdict))
                .await;
        }
        match round {
            // What is added to a row is as good as what is in a new one.
            5 | 6 | 13 => scenario.store().write_figures().await.expect(WORKS),
            9 => {
                scenario.reopen().await;
                node = scenario.node().await;
            }
            _ => {}
        }
    }
    for step in 0..4 {
        counted.assert_told(&scenario, &subscriptions).await;
        match step {
            0 => scenario.store().write_figures().await.expect(WORKS),
            1 => scenario.crash().await,
            _ => scenario.reopen().await,
        }
    }
}

pub(crate) async fn a_clean_end_keeps_what_was_counted(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    for published in 1..4 {
        scenario.publish(&acme(), "a").await;
        scenario.reopen().await;
        let figures = total(&scenario, FigureScope::Platform).await;
        assert_eq!(figures.published, published);
    }
}

pub(crate) async fn figures_begin_with_the_window_and_end_before_it_does(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let midnight = scenario.now();
    for _ in 0..4 {
        scenario.publish(&acme(), "a").await;
        scenario.advance(MINUTE_MS);
    }
    let at = |minutes: i64, millis: i64| midnight.plus_millis(minutes * MINUTE_MS + millis);
    for _ in 0..2 {
        for (since, until, expected) in [
            (at(0, 0), at(4, 0), &[0, 1, 2, 3][..]),
            (at(1, 0), at(3, 0), &[1, 2]),
            (at(0, 1), at(3, 1), &[1, 2, 3]),
            (at(2, 0), at(2, 0), &[]),
            (at(3, 0), at(1, 0), &[]),
            (at(9, 0), end(), &[]),
        ] {
            let scopes = [FigureScope::Company(acme())];
            let store = scenario.store();
            let rows = store.figures(&scopes, Resolution::Minute, since, until);
            let starts: Vec<_> = rows.await.expect(WORKS)[0]
                .iter()
                .map(|row| row.start)
                .collect();
            let expected: Vec<_> = expected.iter().map(|&minute| at(minute, 0)).collect();
            assert_eq!(starts, expected);
        }
        scenario.store().write_figures().await.expect(WORKS);
    }
}

pub(crate) async fn nothing_is_counted_twice_or_missing_while_figures_are_written(
    harness: &dyn Harness,
) {
    const EVENTS: u64 = 300;
    let scenario = Scenario::new(harness).await;
    let store = Arc::clone(scenario.store());
    let (begun, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let publish = async {
        for _ in 0..EVENTS {
            begun.fetch_add(1, Ordering::SeqCst);
            scenario.publish(&acme(), "a").await;
            answered.fetch_add(1, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    };
    let write = async {
        while !done.load(Ordering::SeqCst) {
            store.write_figures().await.expect(WORKS);
            tokio::task::yield_now().await;
        }
    };
    let look = async {
        while !done.load(Ordering::SeqCst) {
            let at_least = answered.load(Ordering::SeqCst);
            let published = published(&*store).await;
            let at_most = begun.load(Ordering::SeqCst);
            assert!(
                (at_least..=at_most).contains(&published),
                "{published} are told where {at_least} to {at_most} were published"
            );
        }
    };
    tokio::join!(publish, write, look);
    assert_eq!(published(&*store).await, EVENTS);
}

pub(crate) async fn what_outlived_its_subscription_is_counted(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.delete(id).await;
    let settled = scenario.settle_one(scenario.succeeded(&delivery)).await;
    assert_eq!(settled, Settled::Ended);
    // Settled once more it is not counted once more.
    let again = scenario.settle_one(scenario.succeeded(&delivery)).await;
    assert_eq!(again, Settled::LeaseLost);
    for _ in 0..2 {
        for scope in [
            FigureScope::Platform,
            FigureScope::Company(acme()),
            FigureScope::Subscription(id),
        ] {
            assert_eq!(total(&scenario, scope).await.succeeded, 1);
        }
        scenario.store().write_figures().await.expect(WORKS);
    }
}

pub(crate) async fn a_notice_is_an_event_that_was_published(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let notice = scenario.event(&acme(), DISABLED_NOTICE);
    let epoch = scenario.endpoint(id).epoch;
    let store = scenario.store();
    store.disable_failing(id, epoch, notice).await.expect(WORKS);
    let figures = total(&scenario, FigureScope::Company(acme())).await;
    assert_eq!(figures.published, 1);
}

pub(crate) async fn the_busiest_company_comes_first(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let node = scenario.node().await;
    let midnight = scenario.now();
    let companies = ["quiet", "busy", "asleep"].map(company);
    for owner in &companies {
        scenario.subscribe(owner, &["a"]).await;
    }
    let deliver = async |owner: &CompanyId, times: usize| {
        scenario.publish_many(owner, "a", times).await;
        for delivery in scenario.claim(&node).await {
            scenario.record(scenario.succeeded(&delivery)).await;
        }
    };
    deliver(&companies[0], 2).await;
    deliver(&companies[1], 3).await;
    scenario.advance(HOUR_MS);
    deliver(&companies[0], 5).await;
    let hour = |hours: i64| midnight.plus_millis(hours * HOUR_MS);
    for _ in 0..2 {
        for (since, until, limit, expected) in [
            (hour(0), hour(2), 9, &[("quiet", 7), ("busy", 3)][..]),
            (hour(0), hour(1), 9, &[("busy", 3), ("quiet", 2)]),
            (hour(1), hour(2), 9, &[("quiet", 5)]),
            (hour(0), hour(2), 1, &[("quiet", 7)]),
            (hour(2), hour(9), 9, &[]),
        ] {
            let store = scenario.store();
            let busiest = store.busiest_companies(since, until, limit).await;
            let found: Vec<_> = busiest
                .expect(WORKS)
                .into_iter()
                .map(|(company, figures)| (company.to_string(), figures.attempts()))
                .collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|&(company, attempts)| (company.to_owned(), attempts))
                .collect();
            assert_eq!(found, expected);
        }
        scenario.store().write_figures().await.expect(WORKS);
    }
}

pub(crate) async fn old_stretches_are_dropped(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.publish(&acme(), "a").await;
    scenario.store().write_figures().await.expect(WORKS);
    let kept = async || {
        let mut kept = Vec::new();
        for resolution in Resolution::ALL {
            let store = scenario.store();
            let rows = store.figures(&[FigureScope::Platform], resolution, beginning(), end());
            kept.push(!rows.await.expect(WORKS)[0].is_empty());
        }
        kept
    };
    let begun = scenario.now();
    for (n, resolution) in Resolution::ALL.into_iter().enumerate() {
        scenario.set_time(begun.plus_millis(resolution.kept_ms()));
        scenario.sweep().await;
        assert!(kept().await[n], "{resolution:?} is kept as long as that");
        scenario.advance(1);
        scenario.sweep().await;
        let expected: Vec<_> = (0..3).map(|other| other > n).collect();
        assert_eq!(kept().await, expected, "and no longer");
    }
    let keeps_all = Retention {
        events_ms: None,
        attempts_ms: None,
    };
    let more = scenario.store().tidy(scenario.now(), keeps_all).await;
    assert_eq!(more, Ok(false));
}

/// What has been counted, by whose it is.
#[derive(Default)]
struct Counted(Vec<(CompanyId, Option<SubscriptionId>, UtcMillis, Figures)>);

impl Counted {
    fn published(&mut self, owner: &CompanyId, now: UtcMillis) {
        let figures = Figures {
            published: 1,
            ..Figures::default()
        };
        self.0.push((owner.clone(), None, now, figures));
    }

    fn attempted(&mut self, owner: &CompanyId, attempt: &Attempt) {
        let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
        let mut figures = Figures::default();
        figures.count_attempt(succeeded, attempt.elapsed_ms);
        let to = Some(attempt.subscription);
        self.0.push((owner.clone(), to, attempt.attempted, figures));
    }

    fn rows(&self, scope: &FigureScope, resolution: Resolution) -> Vec<FigureRow> {
        let theirs = |owner: &CompanyId, to: Option<SubscriptionId>| match scope {
            FigureScope::Platform => true,
            FigureScope::Company(company) => company == owner,
            FigureScope::Subscription(id) => Some(*id) == to,
        };
        let mut rows: BTreeMap<UtcMillis, Figures> = BTreeMap::new();
        for (owner, to, at, figures) in &self.0 {
            if theirs(owner, *to) {
                let row = rows.entry(resolution.start_of(*at)).or_default();
                row.add(figures);
            }
        }
        let row = |(start, figures)| FigureRow { start, figures };
        rows.into_iter().map(row).collect()
    }

    /// Every scope in every resolution is told as it was counted.
    async fn assert_told(
        &self,
        scenario: &Scenario<'_>,
        subscriptions: &[(CompanyId, SubscriptionId)],
    ) {
        let unknown = SubscriptionId::new(scenario.now(), scenario.random());
        let mut scopes = vec![
            FigureScope::Platform,
            FigureScope::Company(acme()),
            FigureScope::Company(company("other")),
            FigureScope::Company(company("nobody")),
            FigureScope::Subscription(unknown),
        ];
        let ids = subscriptions.iter().map(|(_, id)| *id);
        scopes.extend(ids.map(FigureScope::Subscription));
        for resolution in Resolution::ALL {
            let store = scenario.store();
            let found = store.figures(&scopes, resolution, beginning(), end()).await;
            let found = found.expect(WORKS);
            assert_eq!(found.len(), scopes.len());
            for (scope, found) in scopes.iter().zip(found) {
                let expected = self.rows(scope, resolution);
                assert_eq!(found, expected, "{scope:?} by {resolution:?}");
            }
        }
    }
}

/// Before everything.
fn beginning() -> UtcMillis {
    UtcMillis::from_millis(0)
}

/// After everything.
fn end() -> UtcMillis {
    UtcMillis::from_millis(i64::MAX)
}

async fn total(scenario: &Scenario<'_>, scope: FigureScope) -> Figures {
    let store = scenario.store();
    let scopes = [scope];
    let rows = store.figures(&scopes, Resolution::Hour, beginning(), end());
    let mut sum = Figures::default();
    for row in rows.await.expect(WORKS).remove(0) {
        sum.add(&row.figures);
    }
    sum
}

async fn published(store: &dyn Store) -> u64 {
    let scopes = [FigureScope::Company(acme())];
    let rows = store.figures(&scopes, Resolution::Minute, beginning(), end());
    let rows = rows.await.expect(WORKS).remove(0);
    rows.iter().map(|row| row.figures.published).sum()
}
