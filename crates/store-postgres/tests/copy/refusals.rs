//! What is not copied, and what an unfinished copy keeps out.

use std::sync::Arc;

use tidings_domain::{
    company::CompanyId,
    event::Event,
    event_type::EventType,
    id::EventId,
    json_object::JsonObject,
    random::{Random, SeededRandom},
};
use tidings_store::{
    DeliveryQueue as _, EventLog as _, Publication, Upkeep as _,
    copy::{CopyError, CopyTable, CopyTarget as _, Start},
};
use tidings_store_postgres::{OpenError, PostgresStore};
use tidings_store_sqlite::SqliteStore;
use tidings_test_cluster::Cluster;

use crate::ends::{
    Directory, copy_all, copy_some, now, open_postgres, open_sqlite, source, target,
};

fn random() -> Arc<dyn Random> {
    Arc::new(SeededRandom::new(21))
}

fn publication(random: &dyn Random, events: usize) -> Publication {
    let company = CompanyId::parse("acme").unwrap();
    let event = |_| {
        Arc::new(Event::new(
            EventId::new(now(), random),
            EventType::parse("a.b").unwrap(),
            now(),
            company.clone(),
            JsonObject::EMPTY,
            JsonObject::EMPTY,
        ))
    };
    Publication {
        events: (0..events).map(event).collect(),
        company: company.clone(),
        idempotency: None,
        now: now(),
    }
}

/// A file with a few events.
async fn file(random: &Arc<dyn Random>) -> Directory {
    let directory = Directory::new();
    let store = open_sqlite(&directory.database(), random);
    publish(&store, random, 5).await;
    store.close().await.unwrap();
    directory
}

async fn publish(store: &SqliteStore, random: &Arc<dyn Random>, events: usize) {
    let publication = publication(random.as_ref(), events);
    store.append(publication).await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused() {
    let (random, database) = (random(), Cluster::shared().database());
    let store = open_postgres(database.url(), &random).await.unwrap();
    store.append(publication(random.as_ref(), 1)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let directory = file(&random).await;
    let error = copy_all(&directory.database(), database.url()).await;
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty(_)), "{error}");
    let found = Cluster::shared().sql(database.name(), "SELECT count(*) FROM events");
    assert_eq!(found, "1", "it stays as it was");
    open_postgres(database.url(), &random).await.unwrap();
}

#[tokio::test]
async fn a_target_that_a_node_uses_is_refused_and_left_as_it_was() {
    let (random, database) = (random(), Cluster::shared().database());
    let store = open_postgres(database.url(), &random).await.unwrap();
    let directory = file(&random).await;
    let error = copy_all(&directory.database(), database.url()).await;
    assert_eq!(error.map(drop).unwrap_err(), CopyError::InUse);
    store.append(publication(random.as_ref(), 1)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    open_postgres(database.url(), &random).await.unwrap();
}

#[tokio::test]
async fn an_empty_target_of_the_same_key_alone_is_taken() {
    let (random, database) = (random(), Cluster::shared().database());
    let store = open_postgres(database.url(), &random).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let directory = file(&random).await;
    let survey = {
        use tidings_store::copy::CopySource as _;
        source(&directory.database()).survey().unwrap()
    };
    let error = target(database.url(), 8).await.begin(&survey).await;
    assert_eq!(error.unwrap_err(), CopyError::OtherKey);
    let outcome = copy_all(&directory.database(), database.url()).await;
    assert_eq!(outcome.unwrap().start, Start::Afresh);
}

#[tokio::test]
async fn an_unfinished_copy_keeps_nodes_and_other_sources_out() {
    let (random, database) = (random(), Cluster::shared().database());
    let directory = file(&random).await;
    copy_some(&directory.database(), database.url(), 1).await;
    let refused = open_postgres(database.url(), &random).await.map(drop);
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, OpenError::UnfinishedCopy { .. }),
        "{refused}"
    );
    let beside = PostgresStore::open_beside(database.url(), rustls::RootCertStore::empty()).await;
    let refused = beside.map(drop).unwrap_err();
    assert!(
        matches!(refused, OpenError::UnfinishedCopy { .. }),
        "{refused}"
    );
    let other = file(&random).await;
    let error = copy_all(&other.database(), database.url()).await;
    assert_eq!(error.map(drop).unwrap_err(), CopyError::OtherSource);

    copy_all(&directory.database(), database.url())
        .await
        .unwrap();
    let error = copy_all(&other.database(), database.url()).await;
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty(_)), "{error}");
    let store = open_postgres(database.url(), &random).await.unwrap();
    assert_eq!(store.head().await.unwrap(), 5);
}

#[tokio::test]
async fn a_source_that_went_on_is_copied_anew() {
    let (random, database) = (random(), Cluster::shared().database());
    let directory = file(&random).await;
    copy_some(&directory.database(), database.url(), 1).await;
    let store = open_sqlite(&directory.database(), &random);
    let lease = store.acquire_lease(now(), now()).await.unwrap();
    store.end_lease(lease).await.unwrap();
    publish(&store, &random, 3).await;
    store.close().await.unwrap();
    drop(store);
    let outcome = copy_all(&directory.database(), database.url()).await;
    let outcome = outcome.unwrap();
    assert_eq!(outcome.start, Start::Over);
    assert_eq!(outcome.progress[CopyTable::Events].rows, 8);

    publish(&open_sqlite(&directory.database(), &random), &random, 1).await;
    let error = copy_all(&directory.database(), database.url()).await;
    assert_eq!(error.map(drop).unwrap_err(), CopyError::CopiedBefore);
}

#[tokio::test]
async fn two_copies_at_once_do_not_mix() {
    let (random, database) = (random(), Cluster::shared().database());
    let (one, two) = (file(&random).await, file(&random).await);
    let mut first = target(database.url(), 7).await;
    let survey = {
        use tidings_store::copy::CopySource as _;
        source(&one.database()).survey().unwrap()
    };
    first.begin(&survey).await.unwrap();
    let (path, url) = (two.database(), database.url().to_owned());
    let waiting = tokio::spawn(async move { copy_all(&path, &url).await });
    let blocked = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event = 'advisory'";
    while Cluster::shared().sql(database.name(), blocked) != "1" {
        tokio::task::yield_now().await;
    }
    drop(first);
    let error = waiting.await.unwrap().map(drop).unwrap_err();
    assert_eq!(error, CopyError::OtherSource);
    let outcome = copy_all(&one.database(), database.url()).await.unwrap();
    assert_eq!(outcome.start, Start::GoingOn);
}

#[tokio::test]
async fn rows_of_long_ago_need_no_partition() {
    let (random, database) = (random(), Cluster::shared().database());
    let directory = Directory::new();
    let store = open_sqlite(&directory.database(), &random);
    let long_ago = now().plus_millis(-5000 * 24 * 60 * 60 * 1000);
    let mut old = publication(random.as_ref(), 0);
    old.events = vec![Arc::new(Event::new(
        EventId::new(long_ago, random.as_ref()),
        EventType::parse("a.b").unwrap(),
        long_ago,
        old.company.clone(),
        JsonObject::EMPTY,
        JsonObject::EMPTY,
    ))];
    store.append(old).await.unwrap();
    publish(&store, &random, 2).await;
    store.close().await.unwrap();
    drop(store);
    copy_all(&directory.database(), database.url())
        .await
        .unwrap();
    let counted = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM events_default)";
    assert_eq!(Cluster::shared().sql(database.name(), counted), "3|1");
}
