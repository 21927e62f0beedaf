//! When figures reach the file: when they are told to, when there are too many in memory, and at the
//! end.

use std::sync::Arc;

use futures_util::future::join_all;
use tidings_domain::random::SeededRandom;
use tidings_store::{
    Dashboards as _, EncryptionKey, EventLog as _, Publication, Upkeep as _, copy::CopySource as _,
    copy::CopyTable,
};
use tidings_store_sqlite::SqliteSource;

use crate::directory::Directory;
use crate::stage::{Stage, now};

/// More minutes than memory keeps.
const MANY_MINUTES: i64 = 5000;
const MINUTE_MS: i64 = 60_000;

/// How many rows of figures a crash at this moment would leave.
fn rows_in_file(directory: &Directory) -> u64 {
    let copy = directory.copy_of_database();
    let key = EncryptionKey::new([7; 32]);
    let random = Arc::new(SeededRandom::new(3));
    let mut source = SqliteSource::open(&copy.database(), &key, random).expect("it opens");
    source.survey().expect("it reads").tally.rows[CopyTable::Figures]
}

async fn publish_in_minutes(stage: &Stage, minutes: std::ops::Range<i64>) {
    let publish = minutes.map(|minute| {
        let publication = Publication {
            now: now().plus_millis(minute * MINUTE_MS),
            ..stage.publication(1)
        };
        stage.store.append(publication)
    });
    let publish: Vec<_> = publish.collect();
    for some in join_all(publish).await {
        some.expect("it is stored");
    }
}

#[tokio::test]
async fn figures_wait_in_memory_until_they_are_written() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    publish_in_minutes(&stage, 0..3).await;
    assert_eq!(rows_in_file(&directory), 0);
    stage.store.write_figures().await.unwrap();
    // Of the company and of all of them: three minutes, ten minutes, an hour.
    assert_eq!(rows_in_file(&directory), 2 * (3 + 1 + 1));
    let commits = stage.metrics.commits.get();
    stage.store.write_figures().await.unwrap();
    assert_eq!(stage.metrics.commits.get(), commits, "there was nothing");
    publish_in_minutes(&stage, 2..4).await;
    assert_eq!(rows_in_file(&directory), 2 * (3 + 1 + 1));
    stage.store.close().await.unwrap();
    assert_eq!(rows_in_file(&directory), 2 * (4 + 1 + 1));
}

#[tokio::test]
async fn too_many_are_written_with_the_next_commit() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    for some in 0..MANY_MINUTES / 500 {
        publish_in_minutes(&stage, some * 500..(some + 1) * 500).await;
    }
    let rows = rows_in_file(&directory);
    assert!(rows > 2 * 4096, "{rows} rows");
}
