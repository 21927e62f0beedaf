//! Searching a large delivery log, over days and subscriptions: everything is found once and in
//! order, and no search looks at more of it than it may.

use std::collections::BTreeSet;

use tidings_domain::{
    company::CompanyId,
    cursor::Order,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{
    AttemptSearch, AttemptsFound, OutcomeFilter, PlacedAttempt, Position, StatusFilter, Store,
};

use crate::{
    harness::PostgresHarness,
    stage::{DAY_MS, Stage, acme, day},
};

/// Lines of the log, four for each event.
const LINES: i64 = 200_000;
/// How far they are from each other: all of them are of five days.
const EACH_MS: i64 = 5 * DAY_MS / LINES;
/// How many subscriptions they are spread over, unevenly.
const SUBSCRIPTIONS: i64 = 12;
/// One line in so many failed with 503.
const FAILED_EACH: i64 = 10_000;
/// What a search may look at.
const LOOK_AT_MAX: usize = 5000;

/// A store with a large log; its database's statistics count only what comes after.
async fn large_log() -> (Stage, Vec<SubscriptionId>) {
    let stage = Stage::new().await;
    let mut subscriptions = Vec::new();
    for _ in 0..SUBSCRIPTIONS {
        subscriptions.push(stage.subscribe(day(0)).await);
    }
    // The first has one line in two, the second one in four, and so on.
    stage.harness.sql(&format!(
        "INSERT INTO attempts
         SELECT (lpad(to_hex(at), 12, '0') || '7000' || lpad(to_hex(n), 16, '8'))::uuid, n,
             'acme', least({SUBSCRIPTIONS}, 1 + length(substring(n::bit(20)::text FROM '0*$'))),
             n, (lpad(to_hex(event_at), 12, '0') || '7000' || lpad('', 16, '8'))::uuid, 0,
             CASE WHEN n % 3 = 0 THEN 'a.b' ELSE 'a.c' END, 1, at, 5,
             CASE WHEN n % {FAILED_EACH} = 0 THEN 'status' END,
             CASE WHEN n % {FAILED_EACH} = 0 THEN 503 ELSE 200 END,
             NULL, false, 'https://receiver.example/', 'Tidings/0', NULL, NULL, false, ''
         FROM (SELECT n, {first} + n * {EACH_MS} AS at, {first} + n / 4 * 4 * {EACH_MS} AS event_at
             FROM generate_series(1, {LINES}) n) lines;
         SELECT setval('attempt_numbers', {LINES})",
        first = day(0).as_millis(),
    ));
    stage.harness.sql("VACUUM ANALYZE attempts");
    (stage, subscriptions)
}

fn all(order: Order) -> AttemptSearch {
    AttemptSearch {
        company: acme(),
        subscription: None,
        outcome: None,
        status: None,
        types: Vec::new(),
        event: None,
        since: None,
        until: None,
        order,
        after: None,
        limit: 50,
        look_at_max: LOOK_AT_MAX,
    }
}

async fn search(store: &dyn Store, search: &AttemptSearch) -> AttemptsFound {
    let found = store.search_attempts(search.clone()).await;
    found.expect("the store works")
}

fn places(found: &[PlacedAttempt]) -> Vec<Position> {
    found.iter().map(|placed| placed.place).collect()
}

/// When a line was.
fn time_of(place: Position) -> UtcMillis {
    day(0).plus_millis(place * EACH_MS)
}

/// Lines that were read from the log's tables and indexes since they were opened.
fn lines_read(harness: &PostgresHarness) -> usize {
    let read = harness.sql(
        "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))
         FROM pg_stat_user_tables WHERE relname LIKE 'attempts_%'",
    );
    read.trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_once_and_in_order() {
    let (stage, subscriptions) = large_log().await;
    let store = &*stage.store;
    let newest = search(store, &all(Order::Descending)).await;
    assert_eq!(places(&newest.attempts), lines(LINES, LINES - 50));
    assert_eq!((newest.next, newest.looked_up_to), (Some(LINES - 49), None));
    let owners = newest.attempts.iter().map(|it| it.attempt.subscription);
    let owners: BTreeSet<_> = owners.collect();
    assert!(owners.len() > 3, "the page is of several subscriptions");
    let mut next = all(Order::Descending);
    next.after = newest.next;
    let second = search(store, &next).await;
    assert_eq!(places(&second.attempts), lines(LINES - 50, LINES - 100));
    let oldest = search(store, &all(Order::Ascending)).await;
    assert_eq!(places(&oldest.attempts), (1..=50).collect::<Vec<_>>());

    // One in ten thousand, page after page of what was looked at.
    for order in [Order::Descending, Order::Ascending] {
        let mut rare = all(order);
        rare.status = Some(StatusFilter::Exactly(503));
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = search(store, &rare).await;
            found.extend(places(&page.attempts));
            pages += 1;
            if page.next.is_none() {
                break;
            }
            assert_eq!(page.looked_up_to, page.next.map(time_of));
            rare.after = page.next;
        }
        let mut expected: Vec<_> = (1..=LINES / FAILED_EACH).map(|n| n * FAILED_EACH).collect();
        if order == Order::Descending {
            expected.reverse();
        }
        assert_eq!(found, expected);
        assert_eq!(
            Ok(pages),
            usize::try_from(LINES).map(|lines| lines / LOOK_AT_MAX)
        );
    }

    // Between two times, of one subscription, of one event.
    let (since, until) = (time_of(70_001), time_of(70_101));
    for order in [Order::Descending, Order::Ascending] {
        let mut between = all(order);
        (between.since, between.until) = (Some(since), Some(until));
        between.limit = 1000;
        let page = search(store, &between).await;
        let mut found = places(&page.attempts);
        found.sort_unstable();
        assert_eq!(found, (70_001..=70_100).collect::<Vec<_>>());
        assert_eq!((page.next, page.looked_up_to), (None, None));
        between.subscription = Some(subscriptions[0]);
        let page = search(store, &between).await;
        assert_eq!(page.attempts.len(), 50, "it has one in two");
    }
    let mut of_event = all(Order::Descending);
    of_event.event = Some(newest.attempts[10].attempt.event);
    of_event.outcome = Some(OutcomeFilter::Succeeded);
    let page = search(store, &of_event).await;
    assert_eq!(page.attempts.len(), 4);
    assert!(
        page.attempts
            .windows(2)
            .all(|two| two[0].place > two[1].place)
    );
}

/// From the first down to the last, exclusive.
fn lines(first: Position, last: Position) -> Vec<Position> {
    (last + 1..=first).rev().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_looks_at_no_more_than_it_may() {
    let (stage, subscriptions) = large_log().await;
    stage.store.close().await.expect("it closes");
    let common = all(Order::Descending);
    let mut rare = all(Order::Descending);
    rare.status = Some(StatusFilter::NoAnswer);
    let mut early = all(Order::Descending);
    early.until = Some(time_of(1000));
    let mut late = all(Order::Ascending);
    late.since = Some(time_of(LINES - 1000));
    let mut one = rare.clone();
    one.subscription = Some(subscriptions[0]);
    let mut nobody = common.clone();
    nobody.company = CompanyId::parse("nobody").expect("a company id");
    let mut of_event = all(Order::Ascending);
    of_event.event = Some(EventId::from_bytes([0; 16]));
    // Lines near one time are looked at beyond it, as far as attempts may take.
    for (what, wanted, most) in [
        ("a page", common, 500),
        ("something rare", rare, 3 * LOOK_AT_MAX),
        ("something rare at one", one, 2 * LOOK_AT_MAX),
        ("something early", early, 1500),
        ("something late", late, 1500),
        ("somebody without any", nobody, 0),
        ("an event without any", of_event, 0),
    ] {
        let before = lines_read(&stage.harness);
        let store = stage.harness.open_at(day(0)).await;
        search(&*store, &wanted).await;
        // What a connection read is told when it ends.
        store.close().await.expect("it closes");
        let read = lines_read(&stage.harness) - before;
        assert!(read <= most, "{what}: {read} lines were read");
    }
}
