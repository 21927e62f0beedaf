//! Group commit: many commands, few transactions, few statements, and no harm from a neighbour.

use std::sync::Arc;

use futures_util::future::join_all;
use tidings_domain::cursor::Order;
use tidings_store::{
    Appended, AttemptFilter, AttemptLog as _, DeliveryQueue as _, EventLog as _, Idempotency,
    Settled, StoreError, StoreMetrics, Upkeep as _,
};

use crate::nodes::{Node, database, now, options, sql};

#[tokio::test]
async fn concurrent_appends_share_commits() {
    const APPENDS: usize = 64;
    let node = Node::open(database().url()).await;
    let before = node.metrics.commits.get();
    let appends = (0..APPENDS).map(|_| node.store.append(node.publication(1)));
    for appended in join_all(appends).await {
        assert_eq!(appended, Ok(Appended::Stored));
    }
    let commits = node.metrics.commits.get() - before;
    assert!((1..=16).contains(&commits), "{commits} commits");
    assert_eq!(node.log().await.len(), APPENDS);
    assert_eq!(node.metrics.events_appended.get(), APPENDS as u64);
}

#[tokio::test]
async fn an_event_and_its_settlement_take_far_less_than_a_statement() {
    const EVENTS: usize = 512;
    let node = Node::open(database().url()).await;
    let subscription = node.subscribe().await;
    node.attach().await;
    let before = node.metrics.statements.get();
    let appends = (0..EVENTS).map(|_| node.store.append(node.publication(1)));
    for appended in join_all(appends).await {
        assert_eq!(appended, Ok(Appended::Stored));
    }
    let deliveries = node.handover.take();
    assert_eq!(deliveries.len(), EVENTS);
    for some in deliveries.chunks(64) {
        let settled = node.store.settle(node.succeeded(some)).await;
        assert_eq!(settled.unwrap(), [Settled::Recorded; 64]);
    }
    let statements = usize::try_from(node.metrics.statements.get() - before).unwrap();
    assert!(
        statements * 10 < EVENTS,
        "{statements} statements for {EVENTS} events and their settlements"
    );
    assert_eq!(node.store.backlog().await.unwrap().owed, 0);
    let filter = AttemptFilter {
        subscription,
        outcome: None,
        event_type: None,
        event: None,
        order: Order::Ascending,
        after: None,
        limit: 1000,
    };
    let page = node.store.attempts(None, filter).await.unwrap().unwrap();
    assert_eq!(page.attempts.len(), EVENTS);
}

#[tokio::test]
async fn appends_and_settlements_share_a_transaction() {
    const ROUNDS: usize = 20;
    let node = Node::open(database().url()).await;
    node.subscribe().await;
    node.attach().await;
    node.store.append(node.publication(50)).await.unwrap();
    let mut done = 0;
    for _ in 0..ROUNDS {
        let deliveries = node.handover.take();
        let settles = deliveries
            .chunks(5)
            .map(|some| node.store.settle(node.succeeded(some)));
        let appends = (0..10).map(|_| node.store.append(node.publication(5)));
        let (settled, appended) =
            futures_util::future::join(join_all(settles), join_all(appends)).await;
        for settled in settled {
            assert_eq!(settled.unwrap(), [Settled::Recorded; 5]);
        }
        assert!(appended.into_iter().all(|one| one == Ok(Appended::Stored)));
        done += deliveries.len();
    }
    assert_eq!(done, ROUNDS * 50);
    assert_eq!(node.store.backlog().await.unwrap().owed, 50);
    assert_eq!(node.log().await.len(), (ROUNDS + 1) * 50);
}

#[tokio::test]
async fn a_bad_neighbour_harms_only_itself() {
    let node = Node::open(database().url()).await;
    let taken = node.publication(1);
    assert_eq!(node.store.append(taken.clone()).await, Ok(Appended::Stored));
    let mut publications: Vec<_> = (0..32).map(|_| node.publication(2)).collect();
    // The same event once more cannot be stored.
    publications[13].events[1] = Arc::clone(&taken.events[0]);
    for (n, publication) in publications.iter_mut().enumerate() {
        // With and without a promise, which go different ways.
        publication.idempotency = (n % 4 == 0).then(|| promise(&n.to_string(), 1));
    }
    let appends = publications
        .into_iter()
        .map(|publication| node.store.append(publication));
    for (n, appended) in join_all(appends).await.into_iter().enumerate() {
        match appended {
            Err(StoreError::Broken(_)) => assert_eq!(n, 13),
            appended => assert_eq!((n == 13, appended), (false, Ok(Appended::Stored))),
        }
    }
    assert_eq!(node.log().await.len(), 1 + 31 * 2);
    let head = node.store.head().await;
    assert_eq!(head, Ok(1 + 31 * 2), "no position is lost");
}

#[tokio::test]
async fn a_full_queue_refuses_publications() {
    let database = database();
    let mut options = options(database.url(), &StoreMetrics::default());
    options.writer_queue_max = 4;
    let node = Node::try_open(options).await.unwrap();
    let appends = (0..500).map(|_| node.store.append(node.publication(1)));
    let answers = join_all(appends).await;
    let is_stored = |answer: &&Result<_, _>| **answer == Ok(Appended::Stored);
    let is_refused = |answer: &&Result<_, _>| **answer == Err(StoreError::Overloaded);
    let stored = answers.iter().filter(is_stored).count();
    let refused = answers.iter().filter(is_refused).count();
    assert_eq!(stored + refused, 500);
    assert!(refused > 0);
    assert_eq!(
        node.log().await.len(),
        stored,
        "what was refused is not stored"
    );
}

#[tokio::test]
async fn one_key_in_one_group_stores_once() {
    let database = database();
    let node = Node::open(database.url()).await;
    let publications: Vec<_> = (0..20)
        .map(|n| {
            let mut publication = node.publication(2);
            publication.idempotency = Some(promise(["one", "two"][n % 2], 1));
            publication
        })
        .collect();
    let appends = publications
        .into_iter()
        .map(|publication| node.store.append(publication));
    let answers: Vec<_> = join_all(appends)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let stored = answers.iter().filter(|one| **one == Appended::Stored);
    assert_eq!(stored.count(), 2);
    let log = node.log().await;
    assert_eq!(log.len(), 4);
    for answer in answers {
        if let Appended::Replayed(events) = answer {
            let ids: Vec<_> = events.iter().map(|event| event.id()).collect();
            assert!(log.windows(2).any(|pair| pair == ids), "{ids:?}");
        }
    }
    let unfulfilled = sql(
        &database,
        "SELECT count(*) FROM idempotency WHERE first_position = 0",
    );
    assert_eq!(unfulfilled.trim(), "0");
}

/// A promise under a key, for a request that has this hash.
fn promise(key: &str, request: u8) -> Idempotency {
    Idempotency {
        key: key.to_owned(),
        request_hash: [request; 32],
        expires: now().plus_millis(1000),
    }
}
