//! Refreshing: memory takes in what has changed in the book, this node's own changes included.
//!
//! Changes commit in the order of their versions, since each holds the head of the log until then.
//! So whoever reads the version first and the rows beyond the known one after it misses nothing.

use std::sync::{Arc, atomic::Ordering};

use deadpool_postgres::GenericClient;
use tidings_store::Book;
use tokio::sync::Mutex;
use tokio_postgres::Row;

use crate::{
    columns, database::Database, failure::Failure, key_rows, memory::Memory, subscription_rows,
};

/// Brings memory up to the version that is committed now, and returns it. One at a time, by
/// `lock`. At start the known version is 0, and everything is read.
///
/// The version changes together with the book: who looks at both under the book's lock sees what
/// belongs together.
pub(crate) async fn refresh<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    lock: &Mutex<()>,
) -> Result<i64, Failure> {
    let _one_at_a_time = lock.lock().await;
    let known = memory.book_version.load(Ordering::Acquire);
    let sql = "SELECT book_version FROM log_heads WHERE shard = 0";
    let row = db.first(sql, &[]).await?;
    let row = row.ok_or_else(|| Failure::Broken("the log has no head".to_owned()))?;
    let version: i64 = row.get(0);
    if version == known {
        return Ok(version);
    }
    // A database that knows less than it did was restored, or a standby took over that had not
    // received everything: what memory knows beyond it never was.
    let known = if version < known { 0 } else { known };
    let subscriptions = changed_subscriptions(db, known).await?;
    let keys = changed_keys(db, known).await?;
    take_in(memory, (known, version), &subscriptions, &keys)?;
    Ok(version)
}

async fn changed_subscriptions<C: GenericClient>(
    db: &Database<'_, C>,
    known: i64,
) -> Result<Vec<Row>, Failure> {
    let sql = format!(
        "SELECT {} FROM subscriptions WHERE book_version > $1",
        subscription_rows::COLUMNS
    );
    db.query(&sql, &[&known]).await
}

async fn changed_keys<C: GenericClient>(
    db: &Database<'_, C>,
    known: i64,
) -> Result<Vec<Row>, Failure> {
    let sql = format!(
        "SELECT {}, revoked_ms FROM api_keys WHERE book_version > $1",
        key_rows::COLUMNS
    );
    db.query(&sql, &[&known]).await
}

fn take_in(
    memory: &Memory,
    (known, version): (i64, i64),
    subscriptions: &[Row],
    keys: &[Row],
) -> Result<(), Failure> {
    const REVOKED: usize = 8;
    let mut entries = Vec::with_capacity(subscriptions.len());
    let mut gone = Vec::new();
    for row in subscriptions {
        let stored = subscription_rows::read(row)?;
        if stored.deleted {
            gone.push(stored.seq);
        } else {
            entries.push(Arc::new(stored.to_entry(&memory.sealer)?));
        }
    }
    let keys: Vec<_> = keys
        .iter()
        .map(|row| {
            let revoked = columns::time_or_none(row, REVOKED).is_some();
            Ok((key_rows::read(row)?, revoked))
        })
        .collect::<Result<_, Failure>>()?;
    let mut known_keys = memory.keys.write();
    if known == 0 {
        known_keys.clear();
    }
    for ((hash, key), revoked) in keys {
        if revoked {
            known_keys.remove(&hash);
        } else {
            known_keys.insert(hash, key);
        }
    }
    drop(known_keys);
    let mut book = memory.book.write();
    if known == 0 {
        *book = Book::default();
    }
    for entry in entries {
        book.put(entry);
    }
    for seq in gone {
        book.remove(seq);
    }
    memory.book_version.store(version, Ordering::Release);
    drop(book);
    // Who has left an endpoint alone may have to change its mind.
    memory.wake();
    Ok(())
}
