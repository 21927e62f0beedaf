//! The delivery log is the same, whether its lines are filed under their subscription or not yet.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use tidings_domain::{
    cursor::Order,
    id::{AttemptId, SubscriptionId},
    random::SeededRandom,
};
use tidings_store::{
    AttemptFilter, AttemptLog as _, AttemptPage, AttemptSearch, DeliveryQueue as _, EventLog as _,
    Handover, HandoverLimits, Retention, Settled, Upkeep as _,
};

use crate::directory::Directory;
use crate::stage::{Stage, acme, now};

/// Attempts that are filed at a time, as the store has it.
const FILE_EVERY: usize = 4096;
const GROUP: usize = 64;
const PAGE: usize = 1000;
/// What an attempt's retention is, in the test of it.
const DAY_MS: i64 = 86_400_000;

/// A stage with two subscriptions to everything.
struct Logged {
    stage: Stage,
    handover: Arc<Handover>,
    subscriptions: [SubscriptionId; 2],
    made: Vec<(SubscriptionId, AttemptId)>,
}

impl Logged {
    async fn open(path: &Path) -> Self {
        let stage = Stage::open(path);
        let subscriptions = [stage.subscribe().await, stage.subscribe().await];
        Self::take_up(stage, subscriptions, Vec::new()).await
    }

    async fn take_up(
        stage: Stage,
        subscriptions: [SubscriptionId; 2],
        made: Vec<(SubscriptionId, AttemptId)>,
    ) -> Self {
        let handover = Handover::new(HandoverLimits::default());
        let until = now().plus_millis(15_000);
        let lease = stage
            .store
            .acquire_lease(now(), until)
            .await
            .expect("a lease");
        stage.store.attach(lease, Arc::clone(&handover));
        Self {
            stage,
            handover,
            subscriptions,
            made,
        }
    }

    /// Ends it and opens the file again.
    async fn open_again(self, path: &Path, between: impl FnOnce(Connection)) -> Self {
        let Self {
            stage,
            subscriptions,
            made,
            ..
        } = self;
        stage.store.close().await.expect("it closes");
        drop(stage);
        between(Connection::open(path).expect("the file opens"));
        let mut stage = Stage::open(path);
        // Ids must not come again.
        stage.random = Arc::new(SeededRandom::new(100));
        Self::take_up(stage, subscriptions, made).await
    }

    /// Makes some more attempts, an equal number at each subscription.
    async fn attempt(&mut self, attempts: usize) {
        assert_eq!(attempts % GROUP, 0);
        for _ in 0..attempts / GROUP {
            let publication = self.stage.publication(GROUP / 2);
            self.stage
                .store
                .append(publication)
                .await
                .expect("it is stored");
            let deliveries = self.handover.take();
            let settlements = deliveries.iter().map(|owed| self.stage.succeeded(owed));
            let settlements: Vec<_> = settlements.collect();
            for settlement in &settlements {
                let attempt = &settlement.attempt;
                self.made.push((attempt.subscription, attempt.id));
            }
            let settled = self
                .stage
                .store
                .settle(settlements)
                .await
                .expect("it is settled");
            assert_eq!(settled, [Settled::Recorded; GROUP]);
        }
        // Filing comes after the answer, and before the next command.
        let until = now().plus_millis(15_000);
        self.stage
            .store
            .acquire_lease(now(), until)
            .await
            .expect("a lease");
    }

    /// Looks at the log from all sides: it has exactly what was made.
    async fn check(&self) {
        for order in [Order::Ascending, Order::Descending] {
            for subscription in self.subscriptions {
                let expected = ids_of(&self.made, subscription);
                assert_eq!(
                    self.pages(subscription, order).await,
                    in_order(expected, order)
                );
            }
            let everything = self.made.iter().map(|(_, id)| *id);
            assert_eq!(self.search(order).await, in_order(everything, order));
        }
        let company = acme();
        let newest = self
            .stage
            .store
            .newest_attempts(&company, &self.subscriptions);
        for (subscription, newest) in self
            .subscriptions
            .iter()
            .zip(newest.await.expect("the log reads"))
        {
            let last = self.made.iter().rfind(|(of, _)| of == subscription);
            assert_eq!(
                newest.map(|placed| placed.attempt.id),
                last.map(|(_, id)| *id)
            );
        }
    }

    /// Everything at the first subscription.
    fn filter(&self, order: Order) -> AttemptFilter {
        AttemptFilter {
            subscription: self.subscriptions[0],
            outcome: None,
            event_type: None,
            event: None,
            order,
            after: None,
            limit: PAGE,
        }
    }

    async fn page(&self, filter: &AttemptFilter) -> AttemptPage {
        let page = self.stage.store.attempts(None, filter.clone()).await;
        page.expect("the log reads")
            .expect("there is such a subscription")
    }

    /// All pages of a subscription's log.
    async fn pages(&self, subscription: SubscriptionId, order: Order) -> Vec<AttemptId> {
        let mut filter = AttemptFilter {
            subscription,
            ..self.filter(order)
        };
        let mut found = Vec::new();
        loop {
            let page = self.page(&filter).await;
            found.extend(page.attempts.iter().map(|attempt| attempt.id));
            if !page.has_more {
                return found;
            }
            filter.after = Some(page.next);
        }
    }

    /// All pages of the company's log.
    async fn search(&self, order: Order) -> Vec<AttemptId> {
        let mut search = AttemptSearch {
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
            limit: PAGE,
            look_at_max: PAGE,
        };
        let mut found = Vec::new();
        loop {
            let page = self
                .stage
                .store
                .search_attempts(search.clone())
                .await
                .expect("the log reads");
            found.extend(page.attempts.iter().map(|placed| placed.attempt.id));
            search.after = page.next;
            if page.next.is_none() {
                return found;
            }
        }
    }
}

/// The attempts at a subscription.
fn ids_of(
    made: &[(SubscriptionId, AttemptId)],
    subscription: SubscriptionId,
) -> impl DoubleEndedIterator<Item = AttemptId> {
    let theirs = made.iter().filter(move |(of, _)| *of == subscription);
    theirs.map(|(_, id)| *id)
}

fn in_order(ids: impl DoubleEndedIterator<Item = AttemptId>, order: Order) -> Vec<AttemptId> {
    match order {
        Order::Ascending => ids.collect(),
        Order::Descending => ids.rev().collect(),
    }
}

/// How many lines are filed.
fn filed(path: &Path) -> usize {
    let conn = Connection::open(path).expect("the file opens");
    let count: i64 = conn
        .query_row("SELECT count(*) FROM attempts_filed", [], |row| row.get(0))
        .expect("the table reads");
    usize::try_from(count).expect("a count is not negative")
}

#[tokio::test]
async fn the_log_is_the_same_whether_it_is_filed_or_not() {
    let directory = Directory::new();
    let path = directory.database();
    let mut logged = Logged::open(&path).await;
    logged.attempt(FILE_EVERY - GROUP).await;
    assert_eq!(filed(&path), 0);
    logged.check().await;
    logged.attempt(GROUP).await;
    assert_eq!(filed(&path), FILE_EVERY);
    logged.check().await;
    // A part of it is filed, and the rest is not.
    logged.attempt(10 * GROUP).await;
    assert_eq!(filed(&path), FILE_EVERY);
    logged.check().await;
}

#[tokio::test]
async fn a_restart_goes_on_with_what_is_not_filed() {
    let directory = Directory::new();
    let path = directory.database();
    let mut logged = Logged::open(&path).await;
    logged.attempt(FILE_EVERY - GROUP).await;
    let mut again = logged.open_again(&path, drop).await;
    assert_eq!(filed(&path), 0);
    again.attempt(GROUP).await;
    assert_eq!(filed(&path), FILE_EVERY);
    again.check().await;
}

#[tokio::test]
async fn a_cursor_goes_on_where_lines_have_been_filed_meanwhile() {
    let directory = Directory::new();
    let path = directory.database();
    let mut logged = Logged::open(&path).await;
    for order in [Order::Ascending, Order::Descending] {
        logged.attempt(FILE_EVERY - GROUP).await;
        let made_before = logged.made.clone();
        let mut filter = logged.filter(order);
        let first = logged.page(&filter).await;
        let filed_before = filed(&path);
        logged.attempt(GROUP).await;
        assert_eq!(filed(&path), filed_before + FILE_EVERY);
        filter.after = Some(first.next);
        let second = logged.page(&filter).await;
        let found = first.attempts.iter().chain(&second.attempts);
        let found: Vec<_> = found.map(|attempt| attempt.id).collect();
        let expected = in_order(ids_of(&made_before, filter.subscription), order);
        assert_eq!(found, expected[..2 * PAGE]);
    }
}

/// Filing is nobody's command, so nobody's command fails with it.
#[tokio::test]
async fn a_filing_that_fails_is_made_up_for() {
    let directory = Directory::new();
    let path = directory.database();
    let mut logged = Logged::open(&path).await;
    let disturber = Connection::open(&path).unwrap();
    disturber
        .execute("INSERT INTO attempts_filed VALUES (1, 1), (2, 1)", [])
        .unwrap();
    logged.attempt(FILE_EVERY).await;
    assert_eq!(filed(&path), 2);
    disturber.execute("DELETE FROM attempts_filed", []).unwrap();
    logged.check().await;
    logged.attempt(FILE_EVERY).await;
    assert_eq!(filed(&path), 2 * FILE_EVERY);
    logged.check().await;
}

#[tokio::test]
async fn what_leaves_the_log_leaves_its_index() {
    let directory = Directory::new();
    let path = directory.database();
    let mut logged = Logged::open(&path).await;
    logged.attempt(FILE_EVERY + 2 * GROUP).await;
    assert_eq!(filed(&path), FILE_EVERY);
    let retention = Retention {
        events_ms: None,
        attempts_ms: Some(DAY_MS),
    };
    let later = now().plus_millis(2 * DAY_MS);
    while logged.stage.store.tidy(later, retention).await.unwrap() {}
    assert_eq!(filed(&path), 0);
    logged.made.clear();
    logged.check().await;
    logged.attempt(FILE_EVERY).await;
    // The lines that left before they were filed count as well.
    assert_eq!(filed(&path), FILE_EVERY - 2 * GROUP);
    logged.check().await;
}

/// The schema before attempts were filed had an index of the log itself.
#[tokio::test]
async fn an_older_file_is_filed_when_it_is_opened() {
    let directory = Directory::new();
    let path = directory.database();
    let mut logged = Logged::open(&path).await;
    logged.attempt(3 * GROUP).await;
    let older = |conn: Connection| {
        conn.execute_batch(
            "DROP TABLE attempts_filed;
             DELETE FROM settings WHERE name = 'attempts_filed';
             CREATE INDEX attempts_by_subscription ON attempts (subscription);
             PRAGMA user_version = 4;",
        )
        .unwrap();
    };
    let again = logged.open_again(&path, older).await;
    assert_eq!(filed(&path), 3 * GROUP);
    again.check().await;
}
