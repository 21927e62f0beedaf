//! How much waits, and since when.

use deadpool_postgres::GenericClient;
use tidings_store::Backlog;

use crate::{columns, database::Database, failure::Failure};

/// Deliveries that are counted one by one; beyond, the database's own estimate has to do.
const COUNTED_MAX: i64 = 100_000;
/// Rows among which the oldest is looked for.
const LOOK_MAX: i64 = 1000;

/// What is owed, and when the oldest of it became so: the oldest among those of the oldest events.
/// Only a redelivery of an old event can be owed for a shorter time than a newer event's.
pub(crate) async fn backlog<C: GenericClient>(db: &Database<'_, C>) -> Result<Backlog, Failure> {
    let counted = db
        .first(
            "SELECT coalesce(sum(rows) FILTER (WHERE live), 0)::bigint,
                 coalesce(sum(rows), 0)::bigint
             FROM (
                 SELECT count(*) AS rows, EXISTS (
                     SELECT FROM subscriptions s
                     WHERE s.seq = counted.subscription AND s.epoch = counted.epoch
                         AND s.deleted_ms IS NULL) AS live
                 FROM (SELECT subscription, epoch FROM queue LIMIT $1) counted
                 GROUP BY subscription, epoch) by_epoch",
            &[&(COUNTED_MAX + 1)],
        )
        .await?;
    let (live, all): (i64, i64) = counted.map_or((0, 0), |row| (row.get(0), row.get(1)));
    if live == 0 {
        return Ok(Backlog::default());
    }
    let owed = if all > COUNTED_MAX {
        // As many of the others as of those that were counted.
        estimated(db).await?.max(all).saturating_mul(live) / all
    } else {
        live
    };
    // A row at a time, in the order of the queue: what it finds first is enough.
    let oldest = db
        .first(
            "SELECT owed_since_ms FROM (
                 SELECT q.owed_since_ms FROM queue q CROSS JOIN LATERAL (
                     SELECT FROM subscriptions s
                     WHERE s.seq = q.subscription AND s.epoch = q.epoch
                         AND s.deleted_ms IS NULL LIMIT 1) live
                 ORDER BY q.position LIMIT $1) oldest
             ORDER BY owed_since_ms LIMIT 1",
            &[&LOOK_MAX],
        )
        .await?;
    Ok(Backlog {
        owed: u64::try_from(owed).unwrap_or(0),
        oldest: oldest.map(|row| columns::time(&row, 0)),
    })
}

/// How many rows the queue has, as of its last vacuum or analysis and by its size now.
async fn estimated<C: GenericClient>(db: &Database<'_, C>) -> Result<i64, Failure> {
    let row = db
        .first(
            "SELECT (reltuples / greatest(relpages, 1)
                 * (pg_relation_size(oid) / current_setting('block_size')::bigint))::bigint
             FROM pg_class WHERE oid = 'queue'::regclass",
            &[],
        )
        .await?;
    Ok(row.map_or(0, |row| row.get(0)))
}
