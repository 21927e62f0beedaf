//! Several nodes on one database: nobody misses an event, a change of the book or lost work.

use std::time::Duration;

use futures_util::future::join_all;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, Scope},
    id::ApiKeyId,
    random::SeededRandom,
    verdict::Verdict,
};
use tidings_store::{
    Appended, DeliveryQueue as _, EventLog as _, Idempotency, KeyRing as _, NewApiKey, Renewal,
    Settled, SubscriptionBook as _, SubscriptionChange, Upkeep as _,
};
use tidings_test_cluster::Cluster;
use tokio::time::timeout;

use crate::nodes::{LEASE_MS, Node, WORKS, acme, database, now, sql, until};

#[tokio::test]
async fn readers_of_another_node_miss_nothing() {
    const EACH: usize = 150;
    let database = database();
    let writers = [
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    ];
    let reader = Node::open(database.url()).await;
    let publish = |node: &'static str, writer: usize| {
        let writer = &writers[writer];
        async move {
            for _ in 0..EACH {
                let appended = writer.store.append(writer.publication(3)).await;
                assert_eq!(appended, Ok(Appended::Stored), "{node}");
            }
        }
    };
    let read = async {
        let (mut seen, mut after) = (Vec::new(), None);
        let all = 2 * EACH * 3;
        while seen.len() < all {
            let (ids, next) = reader.read(after).await;
            seen.extend(ids);
            after = Some(next);
        }
        seen
    };
    let ((), (), seen) =
        futures_util::future::join3(publish("one", 0), publish("two", 1), read).await;
    assert_eq!(seen, reader.log().await, "in order, without gaps");
}

#[tokio::test]
async fn a_publisher_that_takes_long_holds_its_place() {
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    one.store.append(one.publication(1)).await.expect(WORKS);
    // A publishing transaction that has its positions and is yet to be committed.
    let mut slow = Cluster::shared().session(database.name());
    slow.run("BEGIN; UPDATE log_heads SET position = position + 1 WHERE shard = 0");
    let later = other.store.append(other.publication(1));
    tokio::pin!(later);
    let waited = timeout(Duration::from_millis(300), &mut later).await;
    assert!(
        waited.is_err(),
        "nobody gets a position beyond one that is not committed"
    );
    assert_eq!(one.log().await.len(), 1);
    slow.run(
        "INSERT INTO events
         SELECT gen_random_uuid(), position, 'acme', 'a.b', 0, 0, '{}' FROM log_heads; COMMIT",
    );
    assert_eq!(later.await, Ok(Appended::Stored));
    assert_eq!(one.log().await.len(), 3);
    assert_eq!(one.store.head().await, Ok(3));
}

#[tokio::test]
async fn an_arrival_wakes_readers_of_another_node() {
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    one.attach().await;
    other.attach().await;
    let signal = other.store.arrivals().of(&acme());
    let mut arrived = std::pin::pin!(signal.notified());
    arrived.as_mut().enable();
    one.store.append(one.publication(1)).await.expect(WORKS);
    timeout(Duration::from_secs(10), arrived)
        .await
        .expect("it is woken");
    assert_eq!(other.log().await.len(), 1);
}

#[tokio::test]
async fn a_change_of_the_book_holds_for_every_node_at_once() {
    const ROUNDS: usize = 30;
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    one.attach().await;
    for round in 0..ROUNDS {
        let subscription = other.subscribe().await;
        one.store.append(one.publication(1)).await.expect(WORKS);
        let owed = one.handover.take();
        assert_eq!(owed.len(), 1, "round {round}: made there, matched here");
        let off = SubscriptionChange {
            enabled: Some(false),
            ..SubscriptionChange::default()
        };
        let update =
            other
                .store
                .update_subscription(None, subscription, None, off, now(), &Actor::COMMAND);
        update.await.expect(WORKS);
        one.store.append(one.publication(1)).await.expect(WORKS);
        assert!(
            one.handover.take().is_empty(),
            "round {round}: disabled there, skipped here"
        );
    }
    assert_eq!(other.store.backlog().await.expect(WORKS).owed, 0);
}

#[tokio::test]
async fn publishing_goes_on_while_the_book_changes() {
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    one.attach().await;
    let change = async {
        for _ in 0..40 {
            other.subscribe().await;
        }
    };
    let publish = async {
        let appends = (0..100).map(|n| {
            let mut publication = one.publication(1);
            publication.idempotency = (n % 3 == 0).then(|| Idempotency {
                key: n.to_string(),
                request_hash: [1; 32],
                expires: now().plus_millis(1000),
            });
            one.store.append(publication)
        });
        for appended in join_all(appends).await {
            assert_eq!(appended, Ok(Appended::Stored));
        }
    };
    futures_util::future::join(change, publish).await;
    one.store.append(one.publication(1)).await.expect(WORKS);
    let last = one.handover.take();
    let newest = last.iter().map(|one| one.key.position).max();
    let of_last = last.iter().filter(|one| Some(one.key.position) == newest);
    assert_eq!(of_last.count(), 40);
}

#[tokio::test]
async fn one_key_on_two_nodes_stores_once() {
    const KEYS: u8 = 40;
    let database = database();
    let nodes = [
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    ];
    let appends = (0..KEYS).flat_map(|key| nodes.iter().map(move |node| (key, node)));
    let appends = appends.map(|(key, node)| {
        let mut publication = node.publication(1);
        publication.idempotency = Some(Idempotency {
            // In another order than they sort in.
            key: key.reverse_bits().to_string(),
            request_hash: [key; 32],
            expires: now().plus_millis(1000),
        });
        node.store.append(publication)
    });
    let answers = join_all(appends).await;
    let stored = answers
        .iter()
        .filter(|answer| **answer == Ok(Appended::Stored));
    assert_eq!(stored.count(), usize::from(KEYS));
    let replayed = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Appended::Replayed(_))));
    assert_eq!(replayed.count(), usize::from(KEYS));
    assert_eq!(nodes[0].log().await.len(), usize::from(KEYS));
}

#[tokio::test]
async fn the_work_of_a_lost_node_is_taken_over() {
    let database = database();
    let (lost, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    lost.subscribe().await;
    let old = lost.attach().await;
    let lease = other.attach().await;
    lost.store.append(lost.publication(20)).await.expect(WORKS);
    let in_hand = lost.handover.take();
    assert_eq!(in_hand.len(), 20);
    assert!(
        other.claim(lease, now()).await.is_empty(),
        "the lease stands"
    );

    // The other one keeps its own lease and finds that of the lost one run out.
    let later = now().plus_millis(LEASE_MS + 1);
    let renewed = other
        .store
        .renew_lease(lease, later, later.plus_millis(LEASE_MS))
        .await;
    assert_eq!(renewed, Ok(Renewal::Held));
    until("the other node knows the subscription", async || {
        other.store.endpoint(in_hand[0].key.subscription).is_some()
    })
    .await;
    assert_eq!(other.claim(lease, later).await.len(), 20);

    // The lost one was only slow, and comes back: nothing that it does counts any more.
    let settled = lost
        .store
        .settle(lost.succeeded(&in_hand))
        .await
        .expect(WORKS);
    assert_eq!(settled, [Settled::LeaseLost; 20]);
    assert!(lost.claim(old, later).await.is_empty());
    lost.store.append(lost.publication(1)).await.expect(WORKS);
    assert!(
        lost.handover.take().is_empty(),
        "it is not born into a lost lease"
    );
    assert_eq!(other.claim(lease, later).await.len(), 1);
    let renewed = lost
        .store
        .renew_lease(old, later, later.plus_millis(LEASE_MS))
        .await;
    assert_eq!(renewed, Ok(Renewal::Lost));
    let leases = sql(&database, "SELECT count(*) FROM leases");
    assert_eq!(leases.trim(), "1");
}

#[tokio::test]
async fn two_claims_never_share_a_delivery() {
    const DELIVERIES: usize = 600;
    let database = database();
    let nodes = [
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    ];
    let subscription = nodes[0].subscribe().await;
    nodes[0]
        .store
        .append(nodes[0].publication(DELIVERIES))
        .await
        .expect(WORKS);
    let claim = async |node: &Node| {
        let lease = node.attach().await;
        let mut taken = Vec::new();
        for _ in 0..40 {
            let claimed = node.store.claim(lease, now(), 50, &node.handover).await;
            taken.extend(claimed.expect(WORKS).deliveries);
        }
        taken
    };
    until("both nodes know the subscription", async || {
        nodes[1].store.endpoint(subscription).is_some()
    })
    .await;
    let (one, two) = futures_util::future::join(claim(&nodes[0]), claim(&nodes[1])).await;
    let mut keys: Vec<_> = one
        .iter()
        .chain(&two)
        .map(|delivery| delivery.key)
        .collect();
    keys.sort_unstable();
    let claimed = keys.len();
    keys.dedup();
    assert_eq!((keys.len(), claimed), (DELIVERIES, DELIVERIES));
}

#[tokio::test]
async fn a_retry_of_one_node_is_found_by_another() {
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    one.subscribe().await;
    one.attach().await;
    let lease = other.attach().await;
    one.store.append(one.publication(1)).await.expect(WORKS);
    let deliveries = one.handover.take();
    let due = now().plus_millis(5000);
    let retry = one.settlement(&deliveries[0], Verdict::RetryAt(due));
    assert_eq!(
        one.store.settle(vec![retry]).await,
        Ok(vec![Settled::Recorded])
    );
    until("the other node is told to look", async || {
        other.handover.take_look()
    })
    .await;
    let early = other
        .store
        .claim(lease, now(), 10, &other.handover)
        .await
        .expect(WORKS);
    assert!(early.deliveries.is_empty());
    assert_eq!(early.next_due, Some(due));
    let claimed = other.claim(lease, due).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].attempts_made, 1);
}

// Asking the database from outside holds up its thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_by_every_node_at_once() {
    const HASH: [u8; 32] = [9; 32];
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    one.attach().await;
    other.attach().await;
    let key = ApiKey {
        id: ApiKeyId::new(now(), &SeededRandom::new(3)),
        name: "portal".to_owned(),
        company: Some(acme()),
        scopes: vec![Scope::EventsRead],
        expires: None,
        created: now(),
        last_used: None,
    };
    let id = key.id;
    let new = NewApiKey { key, hash: HASH };
    one.store
        .create_key(new, &Actor::COMMAND)
        .await
        .expect(WORKS);
    assert!(other.store.key_by_hash(&HASH).await.expect(WORKS).is_some());
    until("the other node has it in memory", async || {
        let seen = sql(&database, "SELECT min(seen_version) FROM leases");
        seen.trim() == sql(&database, "SELECT book_version FROM log_heads").trim()
    })
    .await;
    assert_eq!(
        one.store.revoke_key(None, id, now(), &Actor::COMMAND).await,
        Ok(true)
    );
    assert!(other.store.key_by_hash(&HASH).await.expect(WORKS).is_none());
    assert!(one.store.key_by_hash(&HASH).await.expect(WORKS).is_none());
}

/// As after a failover to a standby that had not received the last changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_went_back_is_read_anew() {
    let database = database();
    let node = Node::open(database.url()).await;
    let (kept, lost) = (node.subscribe().await, node.subscribe().await);
    sql(
        &database,
        "DELETE FROM subscriptions WHERE seq = 2;
         UPDATE log_heads SET book_version = book_version - 1",
    );
    until("memory forgets what never was", async || {
        node.store.endpoint(lost).is_none()
    })
    .await;
    assert!(node.store.endpoint(kept).is_some());
    node.store.append(node.publication(1)).await.expect(WORKS);
    assert_eq!(sql(&database, "SELECT count(*) FROM queue").trim(), "1");
}
