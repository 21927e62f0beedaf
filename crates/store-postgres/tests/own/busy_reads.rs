//! Reads that take long: they take no connection from what deliveries depend on.

use futures_util::future::{join, join_all};
use tidings_store::{DeliveryQueue as _, Renewal, StoreMetrics};
use tidings_store_postgres::PostgresOptions;
use tidings_test_cluster::Cluster;

use crate::nodes::{LEASE_MS, Node, WORKS, database, now, options, until, waiting_for_locks};

/// More than a node has connections.
const READS: usize = 10;

/// Has more reads wait for a table than a node of so many connections can begin, and renews its
/// lease and looks for work meanwhile.
async fn deliveries_go_on(connections_max: usize) {
    let database = database();
    let node = Node::try_open(PostgresOptions {
        connections_max,
        ..options(database.url(), &StoreMetrics::default())
    });
    let node = node.await.expect("the database opens");
    let lease = node.attach().await;
    let mut blocker = Cluster::shared().session(database.name());
    blocker.run("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE");
    let reads = join_all((0..READS).map(|_| node.read(None)));
    let meanwhile = async {
        until("a read waits", async || waiting_for_locks(&database) != "0").await;
        // Every read has asked for its connection by now, and those that wait for one are first.
        let until = now().plus_millis(2 * LEASE_MS);
        let renewed = node.store.renew_lease(lease, now(), until).await;
        assert_eq!(renewed, Ok(Renewal::Held));
        assert!(node.claim(lease, now()).await.is_empty());
        blocker.run("COMMIT");
    };
    join(reads, meanwhile).await;
    node.store.end_lease(lease).await.expect(WORKS);
}

#[tokio::test]
async fn reads_that_take_all_they_can_do_not_keep_a_lease_from_being_renewed() {
    deliveries_go_on(6).await;
}

#[tokio::test]
async fn nor_do_they_where_there_are_few_connections() {
    deliveries_go_on(4).await;
}
