//! Letting go of deliveries without an attempt: those that are still owed are free again, the
//! others leave the queue.

use deadpool_postgres::Pool;
use tidings_store::{DeliveryKey, LeaseId};

use crate::{
    database::{self, Database},
    failure::Failure,
    memory::Memory,
    queue_rows,
    subscription_rows::{self, epoch_column},
};

/// The epoch of a subscription that is gone: no row is of it.
const NO_EPOCH: i32 = -1;

/// Frees deliveries without an attempt, or ends those of an earlier epoch. One that was asked for
/// by redelivery or replay stays as a dead row, for the trace.
pub(crate) async fn release(
    pool: &Pool,
    memory: &Memory,
    lease: LeaseId,
    keys: &[DeliveryKey],
) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    // In one order, as every statement over many rows takes them.
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    let client = database::borrow(pool).await?;
    let db = Database::new(&client, &memory.metrics);
    let (mut positions, mut subscriptions) = (Vec::new(), Vec::new());
    let (mut rounds, mut epochs) = (Vec::new(), Vec::new());
    for key in keys {
        let known = {
            let book = memory.book.read();
            let entry = book.by_id(key.subscription);
            entry.map(|entry| (entry.seq, epoch_column(entry.endpoint.epoch)))
        };
        let known = match known {
            Some(known) => Some(known),
            None => subscription_rows::owner_of(&db, key.subscription)
                .await?
                .map(|(seq, _)| (seq, NO_EPOCH)),
        };
        let (Some((seq, epoch)), Ok(round)) = (known, i32::try_from(key.round)) else {
            continue;
        };
        positions.push(key.position);
        subscriptions.push(seq);
        rounds.push(round);
        epochs.push(epoch);
    }
    let row = "q.position = k.position AND q.subscription = k.subscription
         AND q.round = k.round AND q.holder = $5";
    let kept = "q.round > 0 AND q.attempts = 0";
    let sql = format!(
        "WITH keys AS MATERIALIZED (
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[])
                 AS k (position, subscription, round, epoch)
         ), freed AS (
             UPDATE queue q SET holder = CASE WHEN q.epoch = k.epoch THEN {free} ELSE {keep} END
             FROM keys k WHERE {row} AND (q.epoch = k.epoch OR ({kept}))
             RETURNING q.holder
         ), ended AS (
             DELETE FROM queue q USING keys k
             WHERE {row} AND q.epoch <> k.epoch AND NOT ({kept})
         )
         SELECT pg_notify('tidings_work', '')::text
         FROM (SELECT 1 FROM freed WHERE holder = {free} LIMIT 1) AS found WHERE $6",
        free = queue_rows::FREE,
        keep = queue_rows::KEPT,
    );
    let has_peers = memory.peers.load(std::sync::atomic::Ordering::Relaxed) > 0;
    db.query(
        &sql,
        &[
            &positions,
            &subscriptions,
            &rounds,
            &epochs,
            &lease.0,
            &has_peers,
        ],
    )
    .await
    .map(drop)
}
