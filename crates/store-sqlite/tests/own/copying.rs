//! Copying away: who may, what is read, and how a change in between is noticed.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, ApiKeyToken, Scope},
    catalog::{CatalogType, shipped},
    email::Email,
    event_type::EventType,
    id::{ApiKeyId, UserId},
    portal_token::TokenHash,
    random::SeededRandom,
    visitor::{Role, Visitor},
};
use tidings_store::{
    Catalog as _, DeliveryQueue as _, EncryptionKey, EventLog as _, Handover, HandoverLimits,
    KeyRing as _, Link, LinkPurpose, NewApiKey, People as _, Publication, Session, StoreError,
    Upkeep as _, User,
    copy::{BatchLimit, CopySource as _, CopyTable, Place, Rows, Survey},
};
use tidings_store_sqlite::{OpenError, SqliteSource, SqliteStore};

use crate::directory::Directory;
use crate::stage::{Stage, acme, now};

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
    let refused = keys
        .create_key(new_key(), &Actor::COMMAND)
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    drop(held);
    keys.create_key(new_key(), &Actor::COMMAND).await.unwrap();
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
    keys.create_key(new_key(), &Actor::COMMAND).await.unwrap();
    assert_ne!(survey(&path).state, after.state);
}

/// Five users, sessions and links, and the figures of five hours. Returns the hashes.
async fn fill_the_portal(stage: &Stage) -> Vec<TokenHash> {
    let mut hashes = Vec::new();
    for n in 0..5_u8 {
        let user = User {
            id: UserId::new(now(), &*stage.random),
            email: Email::parse(&format!("user-{n}@example.com")).expect("an address"),
            password_hash: format!("hash {n}"),
            created: now(),
            last_sign_in: None,
        };
        let visitor = Visitor::Operator {
            id: user.id,
            email: user.email.clone(),
        };
        stage
            .store
            .create_user(user, &Actor::COMMAND)
            .await
            .expect("it is stored");
        let hash = [n; 32];
        let session = Session {
            visitor,
            created: now(),
            expires: now().plus_millis(1000),
        };
        let by = Actor::visitor(&session.visitor, None);
        stage
            .store
            .open_session(hash, session, &by)
            .await
            .expect("it is stored");
        let link = Link {
            purpose: LinkPurpose::Enter {
                company: acme(),
                role: Role::Viewer,
            },
            expires: now(),
        };
        stage
            .store
            .create_link(hash, link)
            .await
            .expect("it is stored");
        hashes.push(hash);
        let later = Publication {
            now: now().plus_millis(i64::from(n) * 3_600_000),
            ..stage.publication(2)
        };
        stage.store.append(later).await.expect("it is stored");
    }
    hashes
}

#[tokio::test]
async fn what_belongs_to_the_portal_is_read_in_small_pieces() {
    let directory = Directory::new();
    let path = directory.database();
    let stage = Stage::open(&path);
    stage.subscribe().await;
    let hashes = fill_the_portal(&stage).await;
    stage.store.close().await.unwrap();
    let mut source = source(&path, 7).unwrap();
    let survey = source.survey().unwrap();
    let limit = BatchLimit {
        rows: 3,
        bytes: u64::MAX,
    };
    let mut read = |table| {
        let (mut place, mut batches) = (Place::default(), Vec::new());
        loop {
            let batch = source.read(table, place, limit).unwrap();
            assert_eq!(batch.table(), table);
            if batch.rows.is_empty() {
                let rows: usize = batches.iter().map(Rows::len).sum();
                assert_eq!(rows as u64, survey.tally.rows[table]);
                return batches;
            }
            assert!(batch.end > place && batch.rows.len() <= 3);
            place = batch.end;
            batches.push(batch.rows);
        }
    };
    for table in [CopyTable::Links, CopyTable::Sessions] {
        let mut found = Vec::new();
        for rows in read(table) {
            match rows {
                Rows::Links(rows) => found.extend(rows.into_iter().map(|row| row.hash)),
                Rows::Sessions(rows) => found.extend(rows.into_iter().map(|row| row.hash)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, hashes);
    }
    assert_eq!(read(CopyTable::Users).len(), 2);
    // A subscription, and five who were made and signed in.
    assert_eq!(read(CopyTable::Audit).len(), 4);
    let mut published = BTreeMap::new();
    for rows in read(CopyTable::Figures) {
        let Rows::Figures(rows) = rows else {
            panic!("{rows:?}");
        };
        for row in rows {
            let key = (row.resolution, row.start_ms, row.subscription, row.company);
            let twice = published.insert(key, row.published);
            assert_eq!(twice, None, "each row is read once");
        }
    }
    assert_eq!(published.len(), 5 * 3 * 2);
    assert!(published.values().all(|&events| events == 2));
}

#[tokio::test]
async fn the_catalog_is_read_as_it_is_and_a_change_makes_another_state() {
    let directory = Directory::new();
    let path = directory.database();
    Stage::open(&path).store.close().await.unwrap();
    let before = survey(&path);
    let stage = Stage::open(&path);
    let mut types = shipped();
    let replaced = CatalogType {
        description: "another one".to_owned(),
        ..types[1].clone()
    };
    let store = &stage.store;
    let saved = store.save_event_type(replaced.clone(), now(), &Actor::COMMAND);
    saved.await.unwrap();
    store.close().await.unwrap();
    drop(stage);
    let after = survey(&path);
    assert_eq!(after.tally.rows[CopyTable::EventTypes], types.len() as u64);
    assert_ne!(after.state, before.state, "though there is no other row");

    let stage = Stage::open(&path);
    let removed = types.remove(0).name;
    let gone = stage
        .store
        .delete_event_type(&removed, now(), &Actor::COMMAND);
    assert_eq!(gone.await, Ok(true));
    let made = CatalogType {
        name: EventType::parse("case.opened").unwrap(),
        schema: Some(r#"{"type":"object"}"#.to_owned()),
        deprecated: true,
        ..replaced.clone()
    };
    let saved = stage
        .store
        .save_event_type(made.clone(), now(), &Actor::COMMAND);
    saved.await.unwrap();
    stage.store.close().await.unwrap();
    types[0] = replaced;
    types.push(made);
    let (mut source, mut place) = (source(&path, 7).unwrap(), Place::default());
    for expected in types.chunks(3) {
        let limit = BatchLimit {
            rows: 3,
            bytes: u64::MAX,
        };
        let batch = source.read(CopyTable::EventTypes, place, limit).unwrap();
        assert!(batch.end > place && batch.table() == CopyTable::EventTypes);
        place = batch.end;
        let Rows::EventTypes(rows) = batch.rows else {
            panic!("{:?}", batch.rows);
        };
        let found = rows.into_iter().map(|row| CatalogType {
            name: EventType::parse(&row.name).unwrap(),
            description: row.description,
            sample_payload: row.sample_payload,
            schema: row.schema,
            deprecated: row.deprecated,
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
    assert_eq!(
        place,
        Place([after.tally.highest[CopyTable::EventTypes] + 1, 0, 0])
    );
}
