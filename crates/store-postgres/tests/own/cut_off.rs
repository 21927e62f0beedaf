//! Connections that break in the middle: nothing that was accepted is lost, and nothing is stuck.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::future::{join, join_all, join3};
use tidings_domain::{actor::Actor, id::EventId};
use tidings_store::{
    Appended, Delivery, DeliveryQueue as _, EventLog as _, Settled, StoreError,
    SubscriptionBook as _, Upkeep as _,
};
use tidings_test_cluster::{Cluster, Database};

use crate::nodes::{Node, WORKS, database, now, sql, until, waiting_for_locks};

/// Ends every connection of the nodes, whatever it is doing.
fn cut_off(database: &Database) {
    sql(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'tidings'",
    );
}

/// Publishes until it is told to stop; returns the events whose publishing was confirmed.
async fn publish(node: &Node, stop: &AtomicBool) -> Vec<EventId> {
    let mut accepted = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let publication = node.publication(2);
        let ids: Vec<_> = publication.events.iter().map(|event| event.id()).collect();
        match node.store.append(publication).await {
            Ok(appended) => {
                assert_eq!(appended, Appended::Stored);
                accepted.extend(ids);
            }
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    accepted
}

/// Settles what is handed over until it is told to stop, again and again where it has to.
async fn settle(node: &Node, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let deliveries = node.handover.take();
        if deliveries.is_empty() {
            tokio::task::yield_now().await;
            continue;
        }
        settle_these(node, &deliveries).await;
    }
}

/// Settles until there is an answer. Where there was none before, the first may have counted.
async fn settle_these(node: &Node, deliveries: &[Delivery]) {
    let settlements = node.succeeded(deliveries);
    let mut expected: &[Settled] = &[Settled::Recorded];
    loop {
        match node.store.settle(settlements.clone()).await {
            Ok(settled) => {
                assert!(
                    settled.iter().all(|one| expected.contains(one)),
                    "{settled:?}"
                );
                return;
            }
            Err(StoreError::Unavailable(_)) => {
                expected = &[Settled::Recorded, Settled::LeaseLost];
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_killed_connection_loses_nothing_and_leaves_nothing_stuck() {
    const CUTS: usize = 25;
    let database = database();
    let node = Node::open(database.url()).await;
    node.subscribe().await;
    let lease = node.attach().await;
    let stop = AtomicBool::new(false);
    let cuts = async {
        for cut in 0..CUTS {
            let committed = node.metrics.commits.get();
            until("there are commits again", async || {
                node.metrics.commits.get() > committed + 1 + cut as u64 % 7
            })
            .await;
            // The writer's among them, in whatever it is in the middle of.
            cut_off(&database);
        }
        stop.store(true, Ordering::Relaxed);
    };
    let publishers = join_all((0..8).map(|_| publish(&node, &stop)));
    let ((), (), accepted) = join3(cuts, settle(&node, &stop), publishers).await;
    // One more transaction, before which the last doubt is seen to. The last cut may still hit it.
    until("the node publishes again", async || {
        node.store.append(node.publication(1)).await.is_ok()
    })
    .await;
    until("the node reads again", async || {
        node.store.head().await.is_ok()
    })
    .await;

    // What was accepted is there, and whatever is there is delivered, once.
    let log = node.log().await;
    let stored: HashSet<_> = log.iter().copied().collect();
    assert_eq!(stored.len(), log.len());
    for id in accepted.into_iter().flatten() {
        assert!(stored.contains(&id), "{id} was accepted and is not there");
    }
    let mut deliveries = node.handover.take();
    while !deliveries.is_empty() {
        settle_these(&node, &deliveries).await;
        drop(deliveries);
        deliveries = node.claim(lease, now()).await;
    }
    assert_eq!(node.store.backlog().await.expect(WORKS).owed, 0);
    let attempts = sql(
        &database,
        "SELECT count(*), count(DISTINCT event_id) FROM attempts",
    );
    assert_eq!(attempts.trim(), format!("{0}|{0}", stored.len()));
}

#[tokio::test]
async fn what_was_committed_without_an_answer_is_found() {
    let database = database();
    let node = Node::open(database.url()).await;
    node.subscribe().await;
    let lease = node.attach().await;
    node.store.append(node.publication(1)).await.expect(WORKS);
    assert_eq!(node.handover.take().len(), 1);
    // The transaction waits for the head; its connection is cut while it does, and what it would
    // have done is done by another hand, as if it had been committed at the last moment.
    let mut blocker = Cluster::shared().session(database.name());
    blocker.run("BEGIN; SELECT position FROM log_heads WHERE shard = 0 FOR UPDATE");
    let publication = node.publication(1);
    let id = publication.events[0].id();
    let append = node.store.append(publication);
    let cut = async {
        until("the transaction waits", async || {
            waiting_for_locks(&database) == "1"
        })
        .await;
        let uuid = id.as_bytes().map(|byte| format!("{byte:02x}")).concat();
        blocker.run(&format!(
            "UPDATE log_heads SET position = position + 1;
             INSERT INTO events SELECT '{uuid}', position, 'acme', 'a.b', 0, 0, '{{}}'
             FROM log_heads;
             INSERT INTO queue SELECT h.position, s.seq, 0, '{uuid}', 'acme', {now}, {lease}, 0, 0,
                 NULL, {now} FROM log_heads h, subscriptions s;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock';
             COMMIT",
            now = now().as_millis(),
            lease = lease.0,
        ));
    };
    let (appended, ()) = join(append, cut).await;
    assert!(
        matches!(appended, Err(StoreError::Unavailable(_))),
        "{appended:?}"
    );
    assert!(
        node.claim(lease, now()).await.is_empty(),
        "it is leased, and in nobody's hands"
    );
    node.store.append(node.publication(1)).await.expect(WORKS);
    assert_eq!(node.handover.take().len(), 1);
    assert!(node.handover.take_look(), "the dispatcher is told to look");
    let found = node.claim(lease, now()).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].event.id(), id);
}

#[tokio::test]
async fn everything_goes_on_after_all_connections_were_cut() {
    let database = database();
    let (node, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    node.attach().await;
    other.attach().await;
    cut_off(&database);
    until("the node publishes again", async || {
        matches!(
            node.store.append(node.publication(1)).await,
            Ok(Appended::Stored)
        )
    })
    .await;
    until("the node reads again", async || {
        node.store.head().await.is_ok()
    })
    .await;
    // The watch hears again: a change of the book arrives without a publication.
    let new = other.new_subscription();
    let subscription = new.id;
    until("the other node's pool has connections again", async || {
        other
            .store
            .create_subscription(new.clone(), &Actor::COMMAND)
            .await
            .is_ok()
    })
    .await;
    until("the node hears of it", async || {
        node.store.endpoint(subscription).is_some()
    })
    .await;
    node.store.check().await.expect(WORKS);
}

#[tokio::test]
async fn a_stopped_server_is_unavailable_and_comes_back() {
    let cluster = Cluster::start(&tidings_test_cluster::Options::default());
    let database = cluster.database();
    let node = Node::open(database.url()).await;
    node.subscribe().await;
    node.attach().await;
    node.store.append(node.publication(3)).await.expect(WORKS);
    let deliveries = node.handover.take();
    cluster.stop_immediate();
    let refused = node.store.append(node.publication(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let refused = node.store.settle(node.succeeded(&deliveries)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let refused = node.store.check().await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    cluster.start_again();
    until("it settles again", async || {
        let settled = node.store.settle(node.succeeded(&deliveries)).await;
        settled == Ok(vec![Settled::Recorded; 3])
    })
    .await;
    assert_eq!(node.log().await.len(), 3);
    assert_eq!(node.store.check().await, Ok(()));
}
