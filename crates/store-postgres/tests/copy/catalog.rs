//! The catalog of event types: a target begins with the types that are shipped and ends with those
//! of the source, whatever became of them there and however often the copy was interrupted.

use std::{path::Path, sync::Arc};

use tidings_domain::{
    actor::Actor,
    catalog::{CatalogType, shipped},
    event_type::EventType,
    random::{Random, SeededRandom},
};
use tidings_store::{
    Catalog, Upkeep as _,
    copy::{CopyError, CopyTable, Start},
};
use tidings_test_cluster::{Cluster, Database};

use crate::ends::{Directory, copy_all, copy_some, now, open_postgres, open_sqlite};

fn random() -> Arc<dyn Random> {
    Arc::new(SeededRandom::new(41))
}

fn entry(name: &str, description: &str) -> CatalogType {
    CatalogType {
        name: EventType::parse(name).unwrap(),
        description: description.to_owned(),
        sample_payload: None,
        schema: None,
        deprecated: false,
    }
}

async fn save(store: &impl Catalog, entry: CatalogType) {
    store
        .save_event_type(entry, now(), &Actor::COMMAND)
        .await
        .unwrap();
}

async fn delete(store: &impl Catalog, name: &EventType) {
    let deleted = store.delete_event_type(name, now(), &Actor::COMMAND).await;
    assert_eq!(deleted, Ok(true));
}

/// The catalog of a file that nobody has open.
async fn of_file(path: &Path) -> Vec<CatalogType> {
    let store = open_sqlite(path, &random());
    let types = store.event_types().await.unwrap();
    store.close().await.unwrap();
    types
}

/// The catalog of a finished copy, and its version.
async fn of_copy(database: &Database) -> (Vec<CatalogType>, i64) {
    let store = open_postgres(database.url(), &random()).await.unwrap();
    let types = store.event_types().await.unwrap();
    let version = store.catalog_version().await.unwrap();
    store.close().await.unwrap();
    (types, version)
}

#[tokio::test]
async fn a_target_that_a_node_looked_at_takes_the_catalog_of_the_source() {
    let (directory, database) = (Directory::new(), Cluster::shared().database());
    let path = directory.database();
    let store = open_sqlite(&path, &random());
    let types = shipped();
    delete(&store, &types[0].name).await;
    save(&store, entry(types[1].name.as_str(), "another one")).await;
    save(&store, entry("case.opened", "new")).await;
    store.close().await.unwrap();
    drop(store);
    let (before, version) = of_copy(&database).await;
    assert_eq!(before.len(), types.len(), "it has what is shipped");

    let outcome = copy_all(&path, database.url()).await.unwrap();
    assert_eq!(outcome.start, Start::Afresh);
    let copied = of_copy(&database).await;
    assert_eq!(copied.0, of_file(&path).await);
    assert!(copied.1 > version, "who kept the former one hears of it");
    let store = open_postgres(database.url(), &random()).await.unwrap();
    save(&store, entry("case.closed", "its number is free")).await;
}

#[tokio::test]
async fn an_empty_catalog_arrives_empty() {
    let (directory, database) = (Directory::new(), Cluster::shared().database());
    let store = open_sqlite(&directory.database(), &random());
    for entry in shipped() {
        delete(&store, &entry.name).await;
    }
    store.close().await.unwrap();
    drop(store);
    copy_all(&directory.database(), database.url())
        .await
        .unwrap();
    assert_eq!(of_copy(&database).await.0, []);
}

#[tokio::test]
async fn a_copy_that_was_interrupted_behind_the_catalog_keeps_it() {
    let (directory, database) = (Directory::new(), Cluster::shared().database());
    let path = directory.database();
    open_sqlite(&path, &random()).close().await.unwrap();
    // Nothing else is in a fresh file, so this is all of it.
    copy_some(&path, database.url(), 1).await;
    let outcome = copy_all(&path, database.url()).await.unwrap();
    assert_eq!(outcome.start, Start::GoingOn);
    let rows = outcome.progress[CopyTable::EventTypes].rows;
    assert_eq!(rows, shipped().len() as u64);
    assert_eq!(of_copy(&database).await.0, of_file(&path).await);
}

#[tokio::test]
async fn a_type_replaced_in_between_makes_the_copy_begin_anew() {
    let (directory, database) = (Directory::new(), Cluster::shared().database());
    let path = directory.database();
    open_sqlite(&path, &random()).close().await.unwrap();
    copy_some(&path, database.url(), 1).await;
    let store = open_sqlite(&path, &random());
    let name = &shipped()[0].name;
    save(&store, entry(name.as_str(), "another one")).await;
    store.close().await.unwrap();
    drop(store);
    let outcome = copy_all(&path, database.url()).await.unwrap();
    assert_eq!(outcome.start, Start::Over);
    assert_eq!(of_copy(&database).await.0, of_file(&path).await);
}

#[tokio::test]
async fn a_target_whose_catalog_was_changed_is_not_empty() {
    let (directory, database) = (Directory::new(), Cluster::shared().database());
    open_sqlite(&directory.database(), &random())
        .close()
        .await
        .unwrap();
    let store = open_postgres(database.url(), &random()).await.unwrap();
    delete(&store, &shipped()[0].name).await;
    store.close().await.unwrap();
    drop(store);
    let before = of_copy(&database).await;
    let error = copy_all(&directory.database(), database.url()).await;
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty(_)), "{error}");
    assert_eq!(of_copy(&database).await, before, "it stays as it was");
}
