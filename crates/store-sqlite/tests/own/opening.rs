//! Opening: what is kept, what is refused, and what a crash leaves.

use std::{fs, path::Path};

use rusqlite::Connection;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, ApiKeyToken, Scope},
    id::ApiKeyId,
};
use tidings_store::{
    Appended, Dashboards as _, DeliveryQueue as _, EventLog as _, KeyRing as _, NewApiKey,
    StoreError, StoreMetrics, Upkeep as _,
};
use tidings_store_sqlite::{OpenError, SqliteStore};

use crate::directory::Directory;
use crate::stage::{Stage, now, options};

fn open(path: &Path, key: u8) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(options(path, key, &StoreMetrics::default()))
}

#[tokio::test]
async fn everything_is_there_after_a_clean_end() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let subscription = stage.subscribe().await;
    let publication = stage.publication(3);
    assert_eq!(stage.store.append(publication).await, Ok(Appended::Stored));
    let log = stage.log().await;
    let secrets = stage.store.endpoint(subscription).unwrap().secrets.clone();
    stage.store.close().await.unwrap();
    assert!(matches!(
        stage.store.check().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(
        !directory.database().with_extension("db-wal").exists(),
        "a clean end moves the log into the file"
    );
    let stage = Stage::open(&directory.database());
    assert_eq!(stage.log().await, log);
    assert_eq!(stage.store.endpoint(subscription).unwrap().secrets, secrets);
    assert_eq!(stage.store.backlog().await.unwrap().owed, 3);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_stored_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let publication = stage.publication(1);
    assert_eq!(stage.store.append(publication).await, Ok(Appended::Stored));
    for file in ["db", "db-wal"] {
        let path = directory.database().with_extension(file);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_answered() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    stage.subscribe().await;
    for _ in 0..20 {
        assert_eq!(
            stage.store.append(stage.publication(5)).await,
            Ok(Appended::Stored)
        );
    }
    let crashed = directory.copy_of_database();
    let log = stage.log().await;
    let stage = Stage::open(&crashed.database());
    assert_eq!(stage.log().await, log);
    assert_eq!(stage.store.backlog().await.unwrap().owed, 100);
}

#[test]
fn another_key_is_refused() {
    let directory = Directory::new();
    drop(open(&directory.database(), 1).unwrap());
    let error = open(&directory.database(), 2).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    drop(open(&directory.database(), 1).expect("the right one still opens"));
}

#[test]
fn a_second_server_is_refused_until_the_first_has_ended() {
    let directory = Directory::new();
    let first = open(&directory.database(), 1).unwrap();
    let error = open(&directory.database(), 1).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(first);
    drop(open(&directory.database(), 1).expect("the lock has ended"));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = Directory::new();
    drop(open(&directory.database(), 1).unwrap());
    let conn = Connection::open(directory.database()).unwrap();
    conn.pragma_update(None, "user_version", 9999).unwrap();
    drop(conn);
    let error = open(&directory.database(), 1).map(drop).unwrap_err();
    assert!(
        matches!(error, OpenError::NewerSchema { found: 9999, .. }),
        "{error}"
    );
    let conn = Connection::open(directory.database()).unwrap();
    let version: u32 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 9999);
}

#[test]
fn somebody_elses_file_is_refused_and_left_alone() {
    let directory = Directory::new();
    fs::write(
        directory.database(),
        "a letter, and by far no database\n".repeat(100),
    )
    .unwrap();
    let error = open(&directory.database(), 1).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::NotTidings { .. }), "{error}");
    assert!(
        fs::read(directory.database())
            .unwrap()
            .starts_with(b"a letter")
    );

    let directory = Directory::new();
    let conn = Connection::open(directory.database()).unwrap();
    conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(conn);
    let error = open(&directory.database(), 1).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::NotTidings { .. }), "{error}");
}

#[test]
fn an_unwritable_place_is_named() {
    let directory = Directory::new();
    fs::write(directory.database(), "").unwrap();
    let below_a_file = directory.database().join("tidings.db");
    let error = open(&below_a_file, 1).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("tidings.db"), "{error}");
}

#[test]
fn migrating_says_what_it_did() {
    let directory = Directory::new();
    let path = directory.database();
    let made = SqliteStore::migrate_only(&path).unwrap();
    assert_eq!(made.from, 0);
    let again = SqliteStore::migrate_only(&path).unwrap();
    assert_eq!((again.from, again.to), (made.to, made.to));
    let server = open(&path, 1).expect("a migrated database takes on the first key");
    let beside = SqliteStore::migrate_only(&path).expect("there is nothing to do");
    assert_eq!((beside.from, beside.to), (made.to, made.to));
    drop(server);
}

#[tokio::test]
async fn a_key_made_beside_a_server_is_found_and_revoked() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let token = ApiKeyToken::generate(&*stage.random);
    assert_eq!(stage.store.key_by_hash(&token.hash()).await, Ok(None));
    let key = ApiKey {
        id: ApiKeyId::new(now(), &*stage.random),
        name: "made beside".to_owned(),
        company: None,
        scopes: vec![Scope::Admin],
        expires: None,
        created: now(),
        last_used: None,
    };
    let beside = SqliteStore::open_beside(&directory.database()).unwrap();
    let new = NewApiKey {
        key: key.clone(),
        hash: token.hash(),
    };
    beside.create_key(new, &Actor::COMMAND).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            stage.store.key_by_hash(&token.hash()).await,
            Ok(Some(key.clone()))
        );
    }
    assert_eq!(
        stage
            .store
            .revoke_key(None, key.id, now(), &Actor::COMMAND)
            .await,
        Ok(true)
    );
    assert_eq!(stage.store.key_by_hash(&token.hash()).await, Ok(None));
}

#[tokio::test]
async fn an_idle_store_writes_nothing() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    stage.subscribe().await;
    let handover = tidings_store::Handover::new(tidings_store::HandoverLimits::default());
    let until = now().plus_millis(15_000);
    let lease = stage.store.acquire_lease(now(), until).await.unwrap();
    let before = stage.metrics.statements.get();
    let retention = tidings_store::Retention {
        events_ms: Some(1000),
        attempts_ms: Some(1000),
    };
    for second in 0..100 {
        let now = now().plus_millis(second * 1000);
        let later = now.plus_millis(15_000);
        stage.store.renew_lease(lease, now, later).await.unwrap();
        let claimed = stage.store.claim(lease, now, 100, &handover).await.unwrap();
        assert!(claimed.deliveries.is_empty() && claimed.next_due.is_none());
        assert_eq!(stage.store.tidy(now, retention).await, Ok(false));
        stage.store.write_figures().await.unwrap();
    }
    assert_eq!(stage.metrics.statements.get(), before);
}
