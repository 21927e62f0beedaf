//! Opening: whose database it is, with which key, and several nodes at once.

use rustls::RootCertStore;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use tidings_domain::clock::ManualClock;
use tidings_store::{EncryptionKey, EventLog as _, StoreMetrics, Upkeep as _};
use tidings_store_postgres::{OpenError, PostgresStore};

use futures_util::future::join_all;

use crate::nodes::{Node, WORKS, database, now, options, sql};

#[tokio::test]
async fn several_nodes_may_start_at_once_on_an_empty_database() {
    let database = database();
    let nodes = join_all((0..6).map(|_| Node::open(database.url()))).await;
    for node in &nodes {
        node.store.append(node.publication(1)).await.expect(WORKS);
    }
    assert_eq!(nodes[0].log().await.len(), 6);
    let again = PostgresStore::migrate_only(database.url(), RootCertStore::empty()).await;
    let report = again.expect("there is nothing to do");
    assert_eq!(report.from, report.to);
}

#[tokio::test]
async fn a_migration_says_what_it_did() {
    let database = database();
    let made = PostgresStore::migrate_only(database.url(), RootCertStore::empty()).await;
    let made = made.expect("the schema is made");
    assert_eq!(made.from, 0);
    assert!(made.to >= 1);
}

#[tokio::test]
async fn a_database_keeps_to_its_key() {
    let database = database();
    Node::open(database.url()).await;
    let mut other = options(database.url(), &StoreMetrics::default());
    other.encryption_key = EncryptionKey::new([8; 32]);
    let refused = PostgresStore::open(other).await.err();
    assert!(
        matches!(refused, Some(OpenError::WrongKey { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_database_of_somebody_else_is_left_alone() {
    let foreign = [
        "CREATE TABLE things (id int)",
        "CREATE TABLE settings (name text, value bytea)",
    ];
    for table in foreign {
        let database = database();
        sql(&database, table);
        let refused = PostgresStore::open(options(database.url(), &StoreMetrics::default())).await;
        let refused = refused.err();
        assert!(
            matches!(refused, Some(OpenError::NotTidings { .. })),
            "{refused:?}"
        );
        let tables = sql(
            &database,
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        );
        assert_eq!(tables.trim(), "1");
    }
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let database = database();
    Node::open(database.url()).await;
    sql(
        &database,
        "UPDATE settings SET value = '99' WHERE name = 'schema_version'",
    );
    let refused = PostgresStore::open(options(database.url(), &StoreMetrics::default())).await;
    let refused = refused.err();
    assert!(
        matches!(refused, Some(OpenError::NewerSchema { found: 99, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn errors_say_where_but_never_the_password() {
    let urls = [
        "postgres://tidings:hunter2@127.0.0.1:1/nowhere",
        "postgres://tidings:hunter2@127.0.0.1:99999999/nowhere",
        "hunter2",
        "postgres:///hunter2",
    ];
    for (n, url) in urls.into_iter().enumerate() {
        let refused = PostgresStore::open(options(url, &StoreMetrics::default())).await;
        let error = refused.err().expect("there is nothing").to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(
            error.contains("\"nowhere\" on 127.0.0.1"),
            n == 0,
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let database = database();
    let url = database.url().replace(database.name(), "not_there");
    let refused = PostgresStore::open(options(&url, &StoreMetrics::default()))
        .await
        .err();
    let Some(OpenError::Unreachable { why, .. }) = &refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("\"not_there\" does not exist"), "{why}");
}

#[tokio::test]
async fn the_difference_of_the_clocks_is_measured() {
    let database = database();
    let mut options = options(database.url(), &StoreMetrics::default());
    let offset_ms = Arc::new(AtomicI64::new(0));
    // This machine's clock stands at a moment that is past.
    options.clock = Arc::new(ManualClock::at(now()));
    options.clock_offset_ms = Arc::clone(&offset_ms);
    PostgresStore::open(options)
        .await
        .expect("the database opens");
    let shown = sql(
        &database,
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    );
    let shown: i64 = shown.trim().parse().unwrap();
    let off = shown - (now().as_millis() + offset_ms.load(Ordering::Relaxed));
    assert!((0..60_000).contains(&off), "off by {off} ms");
}

#[tokio::test]
async fn a_closed_store_commits_nothing_more() {
    let database = database();
    let node = Node::open(database.url()).await;
    node.store.append(node.publication(1)).await.expect(WORKS);
    node.store.close().await.expect(WORKS);
    assert!(node.store.append(node.publication(1)).await.is_err());
    assert!(node.store.check().await.is_err());
    assert_eq!(sql(&database, "SELECT count(*) FROM events").trim(), "1");
}
