//! Housekeeping: retention, whatever has expired, dead rows, when keys were last used.
//!
//! Every node does it, one at a time. A step goes through at most [`ROWS_MAX`] rows of each table;
//! the caller comes back as long as more remains. Statements that find nothing write nothing. Days
//! that are past retention go as whole partitions, a day a step.

use deadpool_postgres::{GenericClient, Object};
use hashbrown::HashMap;
use tidings_domain::{
    id::{ApiKeyId, EventId},
    time::UtcMillis,
};
use tidings_store::{Position, Retention};
use uuid::Uuid;

use crate::{
    columns,
    database::{self, Database},
    dead_rows, expired,
    failure::Failure,
    key_rows,
    memory::Memory,
    old_rows::{self, OldEvents},
    partitions::{self, ATTEMPTS, Dropped, EVENTS, Partition},
    store::Inner,
};

/// Rows of one table that one step looks at and deletes.
const ROWS_MAX: i64 = 1000;
/// When keys were last used is written at most this often, in milliseconds.
const KEYS_WRITTEN_EVERY_MS: i64 = 60_000;
/// How long partitions are left alone where somebody was in the way, in milliseconds.
const PARTITIONS_BUSY_MS: i64 = 60_000;
/// Where a promise to show an event again keeps a day, ids and positions may be in another order
/// by this much, in milliseconds.
const PROMISE_MARGIN_MS: i64 = 60 * 60 * 1000;

/// One step. True where more may be left; false also where another node is at it.
pub(crate) async fn tidy(
    inner: &Inner,
    now: UtcMillis,
    retention: Retention,
) -> Result<bool, Failure> {
    let memory = &inner.memory;
    let mut client = database::borrow(&inner.pool).await?;
    write_uses_of_keys(&Database::new(&client, &memory.metrics), memory, now).await?;
    let before = |kept_ms: Option<i64>| kept_ms.map(|kept_ms| now.plus_millis(-kept_ms));
    let old = Old {
        events: before(retention.events_ms),
        attempts: before(retention.attempts_ms),
    };
    let mut step = Step::default();
    tidy_partitions(&mut client, memory, now, &old, &mut step).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, &memory.metrics);
    if !is_alone(&db).await? {
        return Ok(false);
    }
    tidy_rows(&db, memory, now, &old, &mut step).await?;
    transaction.commit().await?;
    memory.tidied.lock().events_after = step.events_after;
    Ok(step.more)
}

/// What is past retention: everything of this moment and before.
struct Old {
    events: Option<UtcMillis>,
    attempts: Option<UtcMillis>,
}

/// What a step has found out so far.
#[derive(Default)]
struct Step {
    /// Days that are past retention, of which something is still owed.
    owed: Vec<Partition>,
    /// Where looks at events go on, by the table or day they are in.
    events_after: HashMap<String, Uuid>,
    more: bool,
}

/// Keeps other nodes from tidying until the transaction ends; false where one is at it.
async fn is_alone<C: GenericClient>(db: &Database<'_, C>) -> Result<bool, Failure> {
    let sql = "SELECT pg_try_advisory_xact_lock(hashtext('tidings tidy'))";
    let row = db.first(sql, &[]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Makes the partitions of the coming days, and takes away one that is past retention.
async fn tidy_partitions(
    client: &mut Object,
    memory: &Memory,
    now: UtcMillis,
    old: &Old,
    step: &mut Step,
) -> Result<(), Failure> {
    let busy = memory.tidied.lock().partitions_busy;
    let leave_alone = busy.is_some_and(|since| now.since(since) < PARTITIONS_BUSY_MS);
    let metrics = &memory.metrics;
    let mut was_busy = false;
    if !leave_alone {
        partitions::drop_detached(client, metrics).await?;
        was_busy |= !partitions::make_ahead(client, metrics, now).await?;
    }
    for partition in expired(&Database::new(client, metrics), old).await? {
        if leave_alone || was_busy || step.more {
            break;
        }
        match partitions::detach(client, metrics, partition).await? {
            Dropped::Detached => step.more = true,
            Dropped::Owed => step.owed.push(partition),
            Dropped::Busy => was_busy = true,
        }
    }
    if was_busy {
        memory.tidied.lock().partitions_busy = Some(now);
    }
    Ok(())
}

/// Days that are past retention in full, and that no promise needs.
async fn expired<C: GenericClient>(
    db: &Database<'_, C>,
    old: &Old,
) -> Result<Vec<Partition>, Failure> {
    let mut expired = Vec::new();
    for (table, before) in [(EVENTS, old.events), (ATTEMPTS, old.attempts)] {
        let Some(before) = before else { continue };
        let partitions = partitions::list(db, table).await?;
        expired.extend(partitions.into_iter().filter(|it| it.end() <= before));
    }
    if expired.iter().any(|partition| partition.table == EVENTS) {
        let promised = oldest_promise(db).await?;
        let margin_ms = PROMISE_MARGIN_MS;
        let promised = promised.map(|id| partitions::first_id(id.plus_millis(-margin_ms)));
        expired.retain(|it| it.table != EVENTS || promised.is_none_or(|id| it.end_id() <= id));
    }
    Ok(expired)
}

/// When the oldest event was published that an idempotency key promises to show again.
async fn oldest_promise<C: GenericClient>(
    db: &Database<'_, C>,
) -> Result<Option<UtcMillis>, Failure> {
    let row = db
        .first(
            "SELECT e.id FROM (SELECT company_id, first_position FROM idempotency
                 ORDER BY seq LIMIT 1) oldest
             JOIN events e ON e.company_id = oldest.company_id
                 AND e.position = oldest.first_position",
            &[],
        )
        .await?;
    Ok(row.map(|row| EventId::from_bytes(columns::id(&row, 0)).time()))
}

async fn tidy_rows<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    now: UtcMillis,
    old: &Old,
    step: &mut Step,
) -> Result<(), Failure> {
    step.more |= end_promises(db, now).await?;
    step.more |= expired::sweep(db, now, ROWS_MAX).await?;
    // What has ended keeps no event any more: the next step will see that.
    step.more |= dead_rows::end(db, ROWS_MAX).await?;
    if let Some(before) = old.events {
        tidy_events(db, memory, before, step).await?;
    }
    if let Some(before) = old.attempts {
        let before_id = partitions::first_id(before.plus_millis(1));
        let deleted = old_rows::sweep_attempts(db, before_id, ROWS_MAX).await?;
        step.more |= deleted == ROWS_MAX;
        forget_deleted(db, before).await?;
    }
    Ok(())
}

/// Goes through old events that are in no partition, and those in partitions that have to stay.
async fn tidy_events<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    before: UtcMillis,
    step: &mut Step,
) -> Result<(), Failure> {
    const DEFAULT: &str = "events_default";
    let row = db
        .first(
            "SELECT first_position FROM idempotency ORDER BY seq LIMIT 1",
            &[],
        )
        .await?;
    let promised = row.map_or(Position::MAX, |row| row.get(0));
    let of_days = step.owed.iter().filter(|it| it.table == EVENTS);
    let of_days = of_days.map(|it| (it.name(), EVENTS, it.lowest_id(), it.end_id()));
    let others = partitions::first_id(before.plus_millis(1));
    let mut ranges: Vec<_> = of_days.collect();
    ranges.push((DEFAULT.to_owned(), DEFAULT, Uuid::nil(), others));
    let mut left = ROWS_MAX;
    for (name, table, from, to) in ranges {
        let known = memory.tidied.lock().events_after.get(&name).copied();
        let old = OldEvents {
            table,
            after: known.unwrap_or(from),
            before: to,
            promised,
        };
        let swept = old_rows::sweep_events(db, &old, left).await?;
        left -= swept.looked;
        if let Some(after) = swept.after {
            // The step is full: what comes after is the next one's.
            step.events_after.insert(name, after);
            step.more = true;
            break;
        }
    }
    Ok(())
}

/// Deletes idempotency keys that have expired. They end in the order in which they were given, so
/// only the oldest need a look. True where more may be left.
async fn end_promises<C: GenericClient>(
    db: &Database<'_, C>,
    now: UtcMillis,
) -> Result<bool, Failure> {
    let deleted = db
        .execute(
            "DELETE FROM idempotency WHERE ctid = ANY (ARRAY (
                 SELECT ctid FROM (SELECT ctid, expires_ms FROM idempotency
                     ORDER BY seq LIMIT $2) oldest
                 WHERE expires_ms <= $1))
                 AND expires_ms <= $1",
            &[&now.as_millis(), &ROWS_MAX],
        )
        .await?;
    Ok(i64::try_from(deleted).unwrap_or(ROWS_MAX) == ROWS_MAX)
}

/// Forgets subscriptions that were deleted before the log's retention began, and have nothing in
/// it.
async fn forget_deleted<C: GenericClient>(
    db: &Database<'_, C>,
    before: UtcMillis,
) -> Result<(), Failure> {
    db.execute(
        "WITH forgotten AS (
             DELETE FROM subscriptions WHERE seq = ANY (ARRAY (
                 SELECT seq FROM subscriptions s
                 WHERE deleted_ms IS NOT NULL AND deleted_ms <= $1
                     AND NOT EXISTS (SELECT FROM attempts WHERE attempts.subscription = s.seq)
                     AND NOT EXISTS (SELECT FROM queue
                         WHERE queue.holder = 0 AND queue.subscription = s.seq)
                 LIMIT $2))
             RETURNING seq)
         DELETE FROM subscription_history h USING forgotten WHERE h.subscription = forgotten.seq",
        &[&before.as_millis(), &ROWS_MAX],
    )
    .await
    .map(drop)
}

/// Writes when keys were last used, where that is to be written now. Each node for itself.
async fn write_uses_of_keys<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    now: UtcMillis,
) -> Result<(), Failure> {
    let uses = {
        let touched = memory.touched.lock();
        let fresh = |written: UtcMillis| now.since(written) < KEYS_WRITTEN_EVERY_MS;
        if touched.keys.is_empty() || touched.written.is_some_and(fresh) {
            return Ok(());
        }
        touched.keys.clone()
    };
    // In one order on every node, so that no two wait for each other.
    let mut ordered: Vec<(Uuid, i64)> = uses
        .iter()
        .map(|(id, used)| (key_rows::uuid_of(*id), used.as_millis()))
        .collect();
    ordered.sort_unstable();
    let (ids, times): (Vec<Uuid>, Vec<i64>) = ordered.into_iter().unzip();
    db.execute(
        "UPDATE api_keys SET last_used_ms = used.at
         FROM unnest($1::uuid[], $2::bigint[]) AS used (id, at)
         WHERE api_keys.id = used.id
             AND (api_keys.last_used_ms IS NULL OR api_keys.last_used_ms < used.at)",
        &[&ids, &times],
    )
    .await?;
    note_uses_written(memory, &uses, now);
    Ok(())
}

fn note_uses_written(memory: &Memory, written: &HashMap<ApiKeyId, UtcMillis>, now: UtcMillis) {
    for key in memory.keys.write().values_mut() {
        if let Some(used) = written.get(&key.id) {
            key.last_used = key.last_used.max(Some(*used));
        }
    }
    let mut touched = memory.touched.lock();
    touched.written = Some(now);
    touched
        .keys
        .retain(|id, used| written.get(id) != Some(used));
}
