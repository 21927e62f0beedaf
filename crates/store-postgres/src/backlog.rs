//! How much waits, and since when.

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, time::UtcMillis};
use tidings_store::{Backlog, CompanyBacklog};

use crate::{columns, database::Database, failure::Failure};

/// Deliveries that are counted one by one; beyond, the database's own estimate has to do.
const COUNTED_MAX: i64 = 100_000;
/// Rows among which the oldest is looked for.
const LOOK_MAX: i64 = 1000;

/// Rows among which those that are in somebody's hands are looked for.
const HELD_LOOK_MAX: i64 = 20_000;

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

/// What waits for a company, counting at most `count_max` deliveries.
///
/// What nobody works on has an index by subscription. What is in somebody's hands has none, so it
/// is looked for in the first rows of the queue: all of it, unless there is an enormous backlog.
pub(crate) async fn of_company<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
    count_max: u64,
) -> Result<CompanyBacklog, Failure> {
    let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
    let one_more = count_max.saturating_add(1);
    let waiting = db
        .first(
            "SELECT count(*), min(owed_since_ms) FROM (
                 SELECT q.owed_since_ms FROM subscriptions s CROSS JOIN LATERAL (
                     SELECT owed_since_ms FROM queue
                     WHERE holder = 0 AND subscription = s.seq AND epoch = s.epoch
                     ORDER BY due_ms) q
                 WHERE s.company_id = $1 AND s.deleted_ms IS NULL LIMIT $2) counted",
            &[&company.as_str(), &one_more],
        )
        .await?;
    let held = db
        .first(
            "SELECT count(*), min(owed_since_ms) FROM (
                 SELECT subscription, epoch, company_id, holder, owed_since_ms FROM queue
                 LIMIT $2) looked
             WHERE holder > 0 AND company_id = $1 AND EXISTS (
                 SELECT FROM subscriptions s WHERE s.seq = looked.subscription
                     AND s.epoch = looked.epoch AND s.deleted_ms IS NULL)",
            &[&company.as_str(), &HELD_LOOK_MAX],
        )
        .await?;
    let found = [waiting, held].map(|row| match row {
        Some(row) => (row.get::<_, i64>(0), columns::time_or_none(&row, 1)),
        None => (0, None),
    });
    let owed = found[0].0 + found[1].0;
    let mut oldest = found.iter().filter_map(|(_, oldest)| *oldest).min();
    if found[0].0 > count_max {
        // Not every subscription was come to.
        let waiting = oldest_of_each(db, company).await?;
        oldest = [oldest, waiting].into_iter().flatten().min();
    }
    Ok(CompanyBacklog {
        backlog: Backlog {
            owed: u64::try_from(owed.min(count_max)).unwrap_or(0),
            oldest,
        },
        more: owed > count_max,
    })
}

/// Since when the oldest waits of those that are due first at each of a company's subscriptions.
async fn oldest_of_each<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
) -> Result<Option<UtcMillis>, Failure> {
    const OF_EACH_MAX: i64 = 20;
    let row = db
        .first(
            "SELECT min(owed_since_ms) FROM subscriptions s CROSS JOIN LATERAL (
                 SELECT owed_since_ms FROM queue
                 WHERE holder = 0 AND subscription = s.seq AND epoch = s.epoch
                 ORDER BY due_ms LIMIT $2) q
             WHERE s.company_id = $1 AND s.deleted_ms IS NULL",
            &[&company.as_str(), &OF_EACH_MAX],
        )
        .await?;
    Ok(row.and_then(|row| columns::time_or_none(&row, 0)))
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
