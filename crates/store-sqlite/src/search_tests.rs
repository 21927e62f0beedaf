//! Searches of a large log do a bounded amount of work, counted in the steps of SQLite's machine.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rusqlite::Connection;
use tidings_domain::{
    company::CompanyId, cursor::Order, id::EventId, id::SubscriptionId, time::UtcMillis,
};
use tidings_store::{AttemptSearch, AttemptsFound, OutcomeFilter, Position, StatusFilter};

use crate::{attempt_lookups, database, log_index::Tail, places, schema, search};

const ATTEMPTS: i64 = 200_000;
/// Of the company that is searched for most; the subscription after them is another company's.
const SUBSCRIPTIONS: i64 = 40;
/// The time of attempt n is START + n * EVERY, and its line is written when it has ended.
const START_MS: i64 = 1_767_225_600_000;
const EVERY_MS: i64 = 500;
const PAGE: usize = 50;
const LOOK_AT_MAX: usize = 2000;
/// Steps that a row costs which is looked at: to find it, to filter it, to read all of it.
const STEPS_PER_ROW_MAX: usize = 100;
/// Attempts at the end of the log that are not filed.
const TAIL: i64 = 1000;
/// Steps that a search costs however little it finds: the halving, and a look at each subscription.
const STEPS_FIXED_MAX: usize = 10_000;

/// A log in a file that goes with it.
struct Log {
    conn: Connection,
    tail: Tail,
    directory: PathBuf,
    steps: Arc<AtomicUsize>,
}

impl Log {
    /// Attempt n is of event n and of the subscription 1 + n % 40, but for three of the other
    /// company. Every 5000th one failed.
    fn new(name: &str) -> Self {
        let directory = format!("tidings-search-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        // A process of the same number may have left one behind.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let mut conn = database::create(&directory.join("tidings.db")).unwrap();
        schema::migrate(&mut conn).unwrap();
        conn.execute_batch(&format!(
            "PRAGMA synchronous = off;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {SUBSCRIPTIONS})
             INSERT INTO subscriptions
                 (id, company_id, url, event_types, enabled, managed_by, created_ms, updated_ms,
                  version, epoch)
             SELECT unhex(printf('%032x', i)), iif(i <= {SUBSCRIPTIONS}, 'acme', 'other'),
                 'https://receiver.example/', '[\"*\"]', 1, 'api', 0, 0, 1, 0 FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ATTEMPTS})
             INSERT INTO attempts
                 (seq, id, subscription, position, event_id, round, event_type, number,
                  attempted_ms, elapsed_ms, error, status, ended, url, user_agent,
                  body_truncated, response_body)
             SELECT i, unhex(printf('%032x', i)),
                 iif(i IN (7, 77, 777), {SUBSCRIPTIONS} + 1, 1 + i % {SUBSCRIPTIONS}), i,
                 unhex(printf('%032x', i)), 0, iif(i % 2, 'a.b', 'c'), 1,
                 {START_MS} + i * {EVERY_MS} - (i % 100 = 0) * 9000, (i % 100 = 0) * 9000 + 5,
                 iif(i % 5000 = 0, 'status', NULL), iif(i % 5000 = 0, 500, 200), 0,
                 'https://receiver.example/', 'Tidings/0', 0, 'ok' FROM n;
             INSERT INTO attempts_filed (subscription, seq)
             SELECT subscription, seq FROM attempts WHERE seq <= {ATTEMPTS} - {TAIL};
             UPDATE settings SET value = {ATTEMPTS} - {TAIL} WHERE name = 'attempts_filed';"
        ))
        .unwrap();
        let steps = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&steps);
        let count = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        };
        conn.progress_handler(1, Some(count)).unwrap();
        Self {
            tail: Tail::load(&conn, ATTEMPTS).unwrap(),
            conn,
            directory,
            steps,
        }
    }

    /// Searches, and holds the search to `rows` rows that it may look at.
    fn search(&self, search: &AttemptSearch, rows: usize) -> AttemptsFound {
        self.within(rows, || {
            search::search(&self.conn, &self.tail, search).unwrap()
        })
    }

    fn within<T>(&self, rows: usize, work: impl FnOnce() -> T) -> T {
        self.steps.store(0, Ordering::Relaxed);
        let found = work();
        let steps = self.steps.load(Ordering::Relaxed);
        let steps_max = STEPS_FIXED_MAX + rows * STEPS_PER_ROW_MAX;
        assert!(steps > 0, "the steps are counted");
        assert!(steps <= steps_max, "{steps} steps for {rows} rows");
        found
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // What is left in the directory for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn company(name: &str) -> CompanyId {
    CompanyId::parse(name).unwrap()
}

fn everything(of: &str) -> AttemptSearch {
    AttemptSearch {
        company: company(of),
        subscription: None,
        outcome: None,
        status: None,
        types: Vec::new(),
        event: None,
        since: None,
        until: None,
        order: Order::Descending,
        after: None,
        limit: PAGE,
        look_at_max: LOOK_AT_MAX,
    }
}

fn places(found: &AttemptsFound) -> Vec<Position> {
    found.attempts.iter().map(|found| found.place).collect()
}

fn at(n: i64) -> UtcMillis {
    UtcMillis::from_millis(START_MS + n * EVERY_MS)
}

#[test]
fn searches_of_a_large_log_are_bounded() {
    let log = Log::new("filters");
    let found = log.search(&everything("acme"), PAGE);
    let newest: Vec<_> = (0..50).map(|n| ATTEMPTS - n).collect();
    assert_eq!(places(&found), newest);
    assert_eq!(found.next, newest.last().copied());

    let oldest = AttemptSearch {
        order: Order::Ascending,
        ..everything("acme")
    };
    let found = log.search(&oldest, PAGE);
    let expected: Vec<_> = (1..=51).filter(|&n| n != 7).collect();
    assert_eq!(places(&found), expected);

    // In the middle of the log, with those that were logged late.
    let window = AttemptSearch {
        since: Some(at(99_990)),
        until: Some(at(100_001)),
        ..everything("acme")
    };
    let margin = places::LOGGED_LATE_MAX_MS / EVERY_MS;
    let margin = usize::try_from(margin).unwrap();
    let found = log.search(&window, 2 * margin + 11);
    // Number 100,000 took so long that it began before the window.
    let expected: Vec<_> = (99_990..100_000).rev().collect();
    assert_eq!(places(&found), expected);
    assert_eq!(found.next, None);

    let one = AttemptSearch {
        subscription: Some(SubscriptionId::from_bytes(3_u128.to_be_bytes())),
        ..everything("acme")
    };
    let found = log.search(&one, PAGE);
    let expected: Vec<_> = (0..50).map(|n| ATTEMPTS - 38 - 40 * n).collect();
    assert_eq!(places(&found), expected);

    // The event is in its log no more: its id says since when to look.
    let event = AttemptSearch {
        event: Some(EventId::from_bytes(1234_u128.to_be_bytes())),
        ..everything("acme")
    };
    let found = log.search(&event, LOOK_AT_MAX);
    assert_eq!((found.attempts.len(), found.next.is_some()), (0, true));

    let few = log.search(&everything("other"), PAGE);
    assert_eq!((places(&few), few.next), (vec![777, 77, 7], None));
}

#[test]
fn a_search_for_something_rare_says_how_far_it_came() {
    let log = Log::new("rare");
    for rare in [
        AttemptSearch {
            outcome: Some(OutcomeFilter::Failed),
            ..everything("acme")
        },
        AttemptSearch {
            status: Some(StatusFilter::Class(5)),
            ..everything("acme")
        },
    ] {
        let mut rare = rare;
        let mut found = Vec::new();
        for _ in 0..3 {
            let page = log.search(&rare, LOOK_AT_MAX);
            found.extend(places(&page));
            let looked = i64::try_from(LOOK_AT_MAX).unwrap();
            let last = rare.after.unwrap_or(ATTEMPTS + 1) - looked;
            assert_eq!(page.next, Some(last));
            assert!(page.looked_up_to.is_some_and(|time| time <= at(last)));
            rare.after = page.next;
        }
        assert_eq!(found, [200_000, 195_000]);
    }
}

#[test]
fn single_attempts_are_found_in_a_large_log() {
    let log = Log::new("single");
    let conn = &log.conn;
    let acme = company("acme");
    let place = ATTEMPTS / 2;
    let found = log.within(1, || attempt_lookups::attempt(conn, &acme, place).unwrap());
    assert_eq!(found.unwrap().place, place);
    let ids: Vec<_> = (1..=40_u128)
        .map(|n| SubscriptionId::from_bytes(n.to_be_bytes()))
        .collect();
    let newest = log.within(40, || {
        attempt_lookups::newest(conn, &log.tail, &acme, &ids).unwrap()
    });
    let newest: Vec<_> = newest
        .into_iter()
        .flatten()
        .map(|found| found.place)
        .collect();
    assert_eq!(newest.len(), 40);
    assert!(newest.iter().all(|place| *place > ATTEMPTS - 40));
}
