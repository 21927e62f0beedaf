//! Group commit: many commands, few transactions, few statements, and no harm from a neighbour.

use std::sync::Arc;

use futures_util::future::join_all;
use tidings_domain::cursor::Order;
use tidings_store::{
    Appended, AttemptFilter, AttemptLog as _, DeliveryQueue as _, EventLog as _, Handover,
    HandoverLimits, Settled, StoreError, Upkeep as _,
};

use crate::directory::Directory;
use crate::stage::{Stage, now};

#[tokio::test]
async fn concurrent_appends_share_commits() {
    const APPENDS: usize = 64;
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let before = stage.metrics.commits.get();
    let appends = (0..APPENDS).map(|_| stage.store.append(stage.publication(1)));
    for appended in join_all(appends).await {
        assert_eq!(appended, Ok(Appended::Stored));
    }
    let commits = stage.metrics.commits.get() - before;
    assert!((1..=16).contains(&commits), "{commits} commits");
    assert_eq!(stage.log().await.len(), APPENDS);
    assert_eq!(stage.metrics.events_appended.get(), APPENDS as u64);
}

#[tokio::test]
async fn an_event_takes_far_less_than_a_statement_and_its_settlement_one() {
    const EVENTS: u64 = 512;
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let subscription = stage.subscribe().await;
    let handover = Handover::new(HandoverLimits::default());
    let until = now().plus_millis(15_000);
    let lease = stage.store.acquire_lease(now(), until).await.unwrap();
    stage.store.attach(lease, Arc::clone(&handover));
    let before = stage.metrics.statements.get();
    let appends = (0..EVENTS).map(|_| stage.store.append(stage.publication(1)));
    for appended in join_all(appends).await {
        assert_eq!(appended, Ok(Appended::Stored));
    }
    let statements = stage.metrics.statements.get() - before;
    assert!(
        statements * 4 < EVENTS,
        "{statements} statements for {EVENTS} events"
    );
    let before = stage.metrics.statements.get();
    let deliveries = handover.take();
    assert_eq!(deliveries.len() as u64, EVENTS);
    for some in deliveries.chunks(64) {
        let settlements = some.iter().map(|delivery| stage.succeeded(delivery));
        let settled = stage.store.settle(settlements.collect()).await.unwrap();
        assert_eq!(settled, [Settled::Recorded; 64]);
    }
    // Each row of the queue is deleted by itself, everything else is shared.
    let statements = stage.metrics.statements.get() - before;
    assert!(
        statements * 4 < EVENTS * 5,
        "{statements} statements for {EVENTS} settlements"
    );
    assert_eq!(stage.store.backlog().await.unwrap().owed, 0);
    let filter = AttemptFilter {
        subscription,
        outcome: None,
        event_type: None,
        event: None,
        order: Order::Ascending,
        after: None,
        limit: 1000,
    };
    let page = stage.store.attempts(None, filter).await.unwrap().unwrap();
    assert_eq!(page.attempts.len() as u64, EVENTS);
}

#[tokio::test]
async fn a_bad_neighbour_harms_only_itself() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let taken = stage.publication(1);
    assert_eq!(
        stage.store.append(taken.clone()).await,
        Ok(Appended::Stored)
    );
    let mut publications: Vec<_> = (0..32).map(|_| stage.publication(2)).collect();
    // The same event once more cannot be stored.
    publications[13].events[1] = Arc::clone(&taken.events[0]);
    let appends = publications
        .into_iter()
        .map(|publication| stage.store.append(publication));
    for (n, appended) in join_all(appends).await.into_iter().enumerate() {
        match appended {
            Err(StoreError::Broken(_)) => assert_eq!(n, 13),
            appended => assert_eq!((n == 13, appended), (false, Ok(Appended::Stored))),
        }
    }
    assert_eq!(stage.log().await.len(), 1 + 31 * 2);
    assert_eq!(
        stage.store.head().await,
        Ok(1 + 31 * 2),
        "no position is lost"
    );
}

#[tokio::test]
async fn a_full_queue_refuses_publications() {
    let directory = Directory::new();
    let metrics = tidings_store::StoreMetrics::default();
    let mut options = crate::stage::options(&directory.database(), 7, &metrics);
    options.writer_queue_max = 4;
    let store = tidings_store_sqlite::SqliteStore::open(options).unwrap();
    let stage = Stage {
        store,
        metrics,
        random: Arc::new(tidings_domain::random::SeededRandom::new(1)),
    };
    let appends = (0..500).map(|_| stage.store.append(stage.publication(1)));
    let answers = join_all(appends).await;
    let stored = answers
        .iter()
        .filter(|answer| **answer == Ok(Appended::Stored));
    let refused = answers
        .iter()
        .filter(|answer| **answer == Err(StoreError::Overloaded));
    let (stored, refused) = (stored.count(), refused.count());
    assert_eq!(stored + refused, 500);
    assert!(refused > 0);
    assert_eq!(
        stage.log().await.len(),
        stored,
        "what was refused is not stored"
    );
}
