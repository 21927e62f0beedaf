//! Dead rows of the queue: waiting ones of an ended epoch or a deleted subscription. Held ones are
//! dropped by whoever holds them.

use deadpool_postgres::GenericClient;
use tidings_store::Seq;

use crate::{database::Database, failure::Failure};

/// A subscription, and an ended epoch of it that has rows.
struct Dead {
    subscription: Seq,
    epoch: i32,
    /// Whether there is anybody to ask for a trace.
    subscribed: bool,
}

/// Ends at most `rows_max` of them. True where more may be left.
///
/// Those that were asked for by redelivery or replay and never attempted are kept for the trace,
/// with the holder -1; all others are deleted.
pub(crate) async fn end<C: GenericClient>(
    db: &Database<'_, C>,
    rows_max: i64,
) -> Result<bool, Failure> {
    let dead = find(db, rows_max).await?;
    let mut left = rows_max;
    for one in &dead {
        if one.subscribed {
            left -= keep_for_the_trace(db, one, left).await?;
        }
        left -= delete(db, one, left).await?;
        if left <= 0 {
            break;
        }
    }
    Ok(!dead.is_empty())
}

/// One look at the index of what waits per subscription and epoch, however much waits there.
async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    pairs_max: i64,
) -> Result<Vec<Dead>, Failure> {
    let rows = db
        .query(
            "WITH RECURSIVE pairs AS (
                 (SELECT subscription, epoch FROM queue WHERE holder = 0
                  ORDER BY subscription, epoch LIMIT 1)
                 UNION ALL
                 SELECT next.subscription, next.epoch FROM pairs CROSS JOIN LATERAL (
                     SELECT subscription, epoch FROM queue
                     WHERE holder = 0
                         AND (subscription, epoch) > (pairs.subscription, pairs.epoch)
                     ORDER BY subscription, epoch LIMIT 1) next)
             SELECT pairs.subscription, pairs.epoch,
                 s.seq IS NOT NULL AND s.deleted_ms IS NULL
             FROM pairs LEFT JOIN subscriptions s ON s.seq = pairs.subscription
             WHERE s.seq IS NULL OR s.deleted_ms IS NOT NULL OR s.epoch > pairs.epoch
             LIMIT $1",
            &[&pairs_max],
        )
        .await?;
    let read = rows.iter().map(|row| Dead {
        subscription: row.get(0),
        epoch: row.get(1),
        subscribed: row.get(2),
    });
    Ok(read.collect())
}

async fn keep_for_the_trace<C: GenericClient>(
    db: &Database<'_, C>,
    dead: &Dead,
    rows_max: i64,
) -> Result<i64, Failure> {
    let kept = db
        .execute(
            "UPDATE queue SET holder = -1 WHERE ctid = ANY (ARRAY (
                 SELECT ctid FROM queue
                 WHERE holder = 0 AND subscription = $1 AND epoch = $2
                     AND round > 0 AND attempts = 0
                 LIMIT $3 FOR UPDATE SKIP LOCKED))",
            &[&dead.subscription, &dead.epoch, &rows_max],
        )
        .await?;
    Ok(i64::try_from(kept).unwrap_or(rows_max))
}

async fn delete<C: GenericClient>(
    db: &Database<'_, C>,
    dead: &Dead,
    rows_max: i64,
) -> Result<i64, Failure> {
    let deleted = db
        .execute(
            "DELETE FROM queue WHERE ctid = ANY (ARRAY (
                 SELECT ctid FROM queue
                 WHERE holder = 0 AND subscription = $1 AND epoch = $2
                     AND NOT ($3 AND round > 0 AND attempts = 0)
                 LIMIT $4 FOR UPDATE SKIP LOCKED))",
            &[
                &dead.subscription,
                &dead.epoch,
                &dead.subscribed,
                &rows_max.max(0),
            ],
        )
        .await?;
    Ok(i64::try_from(deleted).unwrap_or(rows_max))
}
