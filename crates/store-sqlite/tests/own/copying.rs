//! Copying away: who may, what is read, and how a change in between is noticed.

use std::{path::Path, sync::Arc};

use tidings_domain::{
    api_key::{ApiKey, ApiKeyToken, Scope},
    id::ApiKeyId,
    random::SeededRandom,
};
use tidings_store::{
    DeliveryQueue as _, EncryptionKey, EventLog as _, Handover, HandoverLimits, KeyRing as _,
    NewApiKey, StoreError, Upkeep as _,
    copy::{BatchLimit, CopySource as _, CopyTable, Place, Rows, Survey},
};
use tidings_store_sqlite::{OpenError, SqliteSource, SqliteStore};

use crate::directory::Directory;
use crate::stage::{Stage, now};

fn source(path: &Path, key: u8) -> Result<SqliteSource, OpenError> {
    let random = Arc::new(SeededRandom::new(3));
    SqliteSource::open(path, &EncryptionKey::new([key; 32]), random)
}

fn survey(path: &Path) -> Survey {
    let mut source = source(path, 7).expect("it opens");
    source.survey().expect("it reads")
}

fn new_key() -> NewApiKey {
    let random = SeededRandom::new(4);
    let key = ApiKey {
        id: ApiKeyId::new(now(), &random),
        name: "late".to_owned(),
        company: None,
        scopes: vec![Scope::Admin],
        expires: None,
        created: now(),
        last_used: None,
    };
    NewApiKey {
        key,
        hash: ApiKeyToken::generate(&random).hash(),
    }
}

#[tokio::test]
async fn a_source_is_there_its_own_and_unused() {
    let directory = Directory::new();
    let path = directory.database();
    let error = source(&path, 7).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(!path.exists(), "and none is made");

    let stage = Stage::open(&path);
    let error = source(&path, 7).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    stage.store.close().await.unwrap();
    let error = source(&path, 8).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");

    let held = source(&path, 7).unwrap();
    let error = SqliteStore::open(crate::stage::options(&path, 7, &stage.metrics));
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    let keys = SqliteStore::open_beside(&path).unwrap();
    let refused = keys.create_key(new_key()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    drop(held);
    keys.create_key(new_key()).await.unwrap();
}

#[tokio::test]
async fn everything_is_read_in_small_pieces() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    stage.subscribe().await;
    stage.subscribe().await;
    let lease = stage.store.acquire_lease(now(), now()).await.unwrap();
    let handover = Handover::new(HandoverLimits::default());
    stage.store.attach(lease, handover);
    stage.store.append(stage.publication(7)).await.unwrap();
    stage.store.detach();
    stage.store.append(stage.publication(3)).await.unwrap();
    let log = stage.log().await;
    // As after a crash: some rows are held still.
    let crashed = directory.copy_of_database();
    let mut source = source(&crashed.database(), 7).unwrap();
    let survey = source.survey().unwrap();
    assert_eq!(survey.tally.rows[CopyTable::Events], 10);
    assert_eq!(survey.tally.highest[CopyTable::Events], 10);
    assert_eq!(survey.tally.rows[CopyTable::Queue], 20);
    assert_eq!(survey.tally.rows[CopyTable::History], 2);
    assert_eq!((survey.floors.position, survey.floors.lease), (10, lease.0));
    let limits = [
        BatchLimit {
            rows: 3,
            bytes: u64::MAX,
        },
        BatchLimit {
            rows: 100,
            bytes: 1,
        },
    ];
    for limit in limits {
        let mut ids = Vec::new();
        let mut owed = Vec::new();
        for table in [CopyTable::Events, CopyTable::Queue] {
            let mut place = Place::default();
            loop {
                let batch = source.read(table, place, limit).unwrap();
                assert_eq!(batch.table(), table);
                assert!(batch.rows.len() <= 3);
                if batch.rows.is_empty() {
                    break;
                }
                assert!(batch.end > place);
                place = batch.end;
                match batch.rows {
                    Rows::Events(rows) => ids.extend(rows.into_iter().map(|row| row.id)),
                    Rows::Queue(rows) => owed.extend(rows),
                    other => panic!("{other:?}"),
                }
            }
        }
        let expected: Vec<_> = log.iter().map(|id| *id.as_bytes()).collect();
        assert_eq!(ids, expected);
        assert_eq!(owed.len(), 20);
        assert!(owed.iter().all(|row| !row.dead && row.company == "acme"));
        assert!(owed.iter().all(|row| expected.contains(&row.event)));
    }
}

#[tokio::test]
async fn a_server_in_between_makes_another_state() {
    let directory = Directory::new();
    let path = directory.database();
    Stage::open(&path).store.close().await.unwrap();
    let before = survey(&path);
    assert_eq!(survey(&path), before, "looking changes nothing");
    let stage = Stage::open(&path);
    let lease = stage.store.acquire_lease(now(), now()).await.unwrap();
    stage.store.end_lease(lease).await.unwrap();
    stage.store.close().await.unwrap();
    let after = survey(&path);
    assert_eq!(after.identity, before.identity);
    assert_ne!(after.state, before.state);
    let keys = SqliteStore::open_beside(&path).unwrap();
    keys.create_key(new_key()).await.unwrap();
    assert_ne!(survey(&path).state, after.state);
}
