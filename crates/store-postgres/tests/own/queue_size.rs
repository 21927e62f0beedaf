//! The queue has as many dead rows as there are deliveries, and stays small all the same: its
//! settings for autovacuum see to that. On a cluster with autovacuum, as production has it.

use tidings_domain::{time::UtcMillis, verdict::Verdict};
use tidings_store::{DeliveryQueue as _, EventLog as _, Settled, Settlement};
use tidings_test_cluster::{Cluster, Database, Options};

use crate::nodes::{Node, WORKS, now};

const DELIVERIES: usize = 200_000;
const GROUP: usize = 500;
/// One delivery in so many fails first, and is claimed for its retry.
const FAILS_EACH: usize = 20;
/// The table and its indexes, in bytes. A row has some 120 bytes, and 200,000 of them would have
/// 24 MB, and as much again in indexes.
const SIZE_MAX: u64 = 24 << 20;

/// What the queue takes on the disk.
#[derive(Debug)]
struct Size {
    table: u64,
    key: u64,
    waiting: u64,
    head: u64,
}

impl Size {
    fn look(cluster: &Cluster, database: &Database) -> Self {
        let bytes = |relation: &str| {
            let sql = format!("SELECT pg_relation_size('{relation}')");
            let bytes = cluster.sql(database.name(), &sql);
            bytes.parse().expect("a size is a number")
        };
        Self {
            table: bytes("queue"),
            key: bytes("queue_pkey"),
            waiting: bytes("queue_waiting"),
            head: bytes("log_heads"),
        }
    }

    fn all(&self) -> u64 {
        self.table + self.key + self.waiting + self.head
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_stays_small() {
    let setting = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let cluster = Cluster::start(&Options {
        fsync: false,
        settings: [
            ("autovacuum_naptime", "1s"),
            ("log_autovacuum_min_duration", "0"),
        ]
        .map(setting)
        .to_vec(),
        ..Options::default()
    });
    let database = cluster.database();
    let node = Node::open(database.url()).await;
    node.subscribe().await;
    let lease = node.attach().await;
    let mut half = None;
    for group in 0..DELIVERIES / GROUP {
        let stored = node.store.append(node.publication(GROUP)).await;
        stored.expect(WORKS);
        let fresh = node.handover.take();
        assert_eq!(fresh.len(), GROUP, "there is room for all of them");
        let due = now();
        let settlements: Vec<Settlement> = fresh
            .iter()
            .enumerate()
            .map(|(number, delivery)| {
                let fails = number % FAILS_EACH == 0;
                node.settlement(delivery, verdict(fails, due))
            })
            .collect();
        settle(&node, settlements).await;
        drop(fresh);
        let retries = node.claim(lease, due).await;
        assert_eq!(retries.len(), GROUP / FAILS_EACH);
        let settlements = retries
            .iter()
            .map(|delivery| node.settlement(delivery, Verdict::Succeeded));
        settle(&node, settlements.collect()).await;
        if group == DELIVERIES / GROUP / 2 {
            half = Some(Size::look(&cluster, &database));
        }
    }
    let end = Size::look(&cluster, &database);
    eprintln!("after half of {DELIVERIES} deliveries: {half:?}\nafter all of them: {end:?}");
    let left = cluster.sql(database.name(), "SELECT count(*) FROM queue");
    assert_eq!(left, "0", "everything was delivered");
    assert!(end.all() < SIZE_MAX, "{end:?}");
    let half = half.expect("it was looked at");
    assert!(
        end.all() < half.all() + half.all() / 2 + (4 << 20),
        "it goes on growing: {half:?}, then {end:?}"
    );
}

fn verdict(fails: bool, due: UtcMillis) -> Verdict {
    if fails {
        Verdict::RetryAt(due)
    } else {
        Verdict::Succeeded
    }
}

async fn settle(node: &Node, settlements: Vec<Settlement>) {
    let count = settlements.len();
    let settled = node.store.settle(settlements).await.expect(WORKS);
    assert_eq!(settled, vec![Settled::Recorded; count]);
}
