//! A change of the book: of subscriptions or keys, in a transaction that every publication is
//! either before or after.
//!
//! It begins with the head of the log, whose row lock publishing transactions take too, and counts
//! up the version of the book. A publication that was matched before the change finds another
//! version than it knows and is matched anew; nodes read the rows beyond the version they know.

use deadpool_postgres::{GenericClient, Object, Transaction};
use tidings_store::{Position, StoreError, StoreMetrics};
use tracing::warn;

use crate::{database::Database, failure::Failure, store::Inner};

/// A change in the making; dropped without a commit, it never was.
pub(crate) struct BookChange<'c> {
    transaction: Transaction<'c>,
    metrics: &'c StoreMetrics,
    /// The position of the last event that the change does not concern.
    pub(crate) head: Position,
    /// What every row that changes is to be stamped with.
    pub(crate) version: i64,
}

impl<'c> BookChange<'c> {
    /// Begins one. Publishing waits from here until it ends, so it has to be short.
    pub(crate) async fn begin(
        client: &'c mut Object,
        metrics: &'c StoreMetrics,
    ) -> Result<Self, Failure> {
        let transaction = client.transaction().await?;
        let db = Database::new(&transaction, metrics);
        db.query(
            "SELECT pg_advisory_xact_lock_shared(hashtext('tidings book'))",
            &[],
        )
        .await?;
        let row = db
            .first(
                "UPDATE log_heads SET book_version = book_version + 1 WHERE shard = 0
                 RETURNING position, book_version",
                &[],
            )
            .await?;
        let row = row.ok_or_else(|| Failure::Broken("the log has no head".to_owned()))?;
        Ok(Self {
            transaction,
            metrics,
            head: row.get(0),
            version: row.get(1),
        })
    }

    /// The database inside the transaction.
    pub(crate) fn db(&self) -> Database<'_, Transaction<'c>> {
        Database::new(&self.transaction, self.metrics)
    }

    /// Commits, and tells the other nodes. The change is answered only after this node's own
    /// memory has been refreshed.
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        self.db()
            .query(
                "SELECT pg_notify('tidings_book', $1)",
                &[&self.version.to_string()],
            )
            .await?;
        Ok(self.transaction.commit().await?)
    }
}

/// Holds off further changes until [`let_on`] or the connection's end, and waits for those that
/// have begun: for a writer whose publications were prepared again and again for a book that had
/// changed before they came to be stored.
pub(crate) async fn hold_off<C: GenericClient>(db: &Database<'_, C>) -> Result<(), Failure> {
    let sql = "SELECT pg_advisory_lock(hashtext('tidings book'))";
    db.query(sql, &[]).await.map(drop)
}

/// Lets changes begin again.
pub(crate) async fn let_on<C: GenericClient>(db: &Database<'_, C>) -> Result<(), Failure> {
    let sql = "SELECT pg_advisory_unlock(hashtext('tidings book'))";
    db.query(sql, &[]).await.map(drop)
}

/// Has this node's own memory take in what was just committed. Where that fails, the change stands
/// all the same: publishing compares versions, and the watch tries again within a second.
pub(crate) async fn take_in(inner: &Inner) {
    if let Err(failure) = inner.refresh().await {
        let error = StoreError::from(failure);
        warn!(%error, "a change is committed, but not yet in memory");
    }
}
