//! Partitions of the two logs, one for each day (UTC) by the time inside their ids: made ahead,
//! dropped whole.
//!
//! Making one takes no lock that publishing waits for: it is made as a table of its own and then
//! attached. Dropping one does, so it waits for its lock but a moment and is tried again later.
//! Rows of days without a partition are in the default partition, and are deleted one by one.

use deadpool_postgres::{GenericClient, Object, Transaction};
use tidings_domain::time::UtcMillis;
use tidings_store::StoreMetrics;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::{database::Database, failure::Failure};

/// The tables that have partitions.
pub(crate) const TABLES: [&str; 2] = [EVENTS, ATTEMPTS];
pub(crate) const EVENTS: &str = "events";
pub(crate) const ATTEMPTS: &str = "attempts";
/// Days for which there are partitions ahead, today not included.
const DAYS_AHEAD: i64 = 7;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long anything here waits for a lock. Dropping holds up everybody else meanwhile.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '200ms'";

/// A day's part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    /// One of [`TABLES`].
    pub(crate) table: &'static str,
    day: UtcMillis,
}

impl Partition {
    /// The one that a moment falls into.
    pub(crate) fn at(table: &'static str, time: UtcMillis) -> Self {
        let millis = time.as_millis();
        let day = UtcMillis::from_millis(millis - millis.rem_euclid(DAY_MS));
        Self { table, day }
    }

    /// By the name of its table; none where that is no day's.
    fn named(table: &'static str, name: &str) -> Option<Self> {
        let digits = name.strip_prefix(table)?.strip_prefix('_')?;
        let (year, month, day) = (digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?);
        let day = UtcMillis::parse(&format!("{year}-{month}-{day}T00:00:00Z")).ok()?;
        Some(Self { table, day })
    }

    /// The name of its table: `events_20260131`.
    pub(crate) fn name(self) -> String {
        let day = self.day.to_string();
        // RFC 3339 begins with the day.
        let digits: String = day.chars().take(10).filter(|it| *it != '-').collect();
        format!("{}_{digits}", self.table)
    }

    /// The first moment after it.
    pub(crate) fn end(self) -> UtcMillis {
        self.day.plus_millis(DAY_MS)
    }

    /// Its ids are not below this one.
    pub(crate) fn lowest_id(self) -> Uuid {
        first_id(self.day)
    }

    /// Its ids are below this one.
    pub(crate) fn end_id(self) -> Uuid {
        first_id(self.end())
    }
}

/// The lowest id that a moment can give.
pub(crate) fn first_id(time: UtcMillis) -> Uuid {
    // The upper 48 bits of a UUIDv7 are its milliseconds.
    let millis = u128::try_from(time.as_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

/// Every day's partition of a table, the oldest first.
pub(crate) async fn list<C: GenericClient>(
    db: &Database<'_, C>,
    table: &'static str,
) -> Result<Vec<Partition>, Failure> {
    let rows = db
        .query(
            "SELECT part.relname FROM pg_inherits i JOIN pg_class part ON part.oid = i.inhrelid
             WHERE i.inhparent = $1::text::regclass",
            &[&table],
        )
        .await?;
    let named = |row| Partition::named(table, tokio_postgres::Row::get(row, 0));
    let mut partitions: Vec<_> = rows.iter().filter_map(named).collect();
    partitions.sort_unstable();
    Ok(partitions)
}

/// Makes those of today and the coming days, where they are missing and possible. False where
/// somebody was in the way.
pub(crate) async fn make_ahead(
    client: &mut Object,
    metrics: &StoreMetrics,
    now: UtcMillis,
) -> Result<bool, Failure> {
    for table in TABLES {
        let there = list(&Database::new(client, metrics), table).await?;
        let days = (0..=DAYS_AHEAD).map(|days| now.plus_millis(days * DAY_MS));
        let days = days.map(|day| Partition::at(table, day));
        for missing in days.filter(|day| !there.contains(day)) {
            let transaction = client.transaction().await?;
            let made = make_alone(&transaction, metrics, missing).await;
            match made {
                Ok(()) => transaction.commit().await?,
                Err(failure) if is_busy(&failure) => return Ok(false),
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(true)
}

async fn make_alone(
    transaction: &Transaction<'_>,
    metrics: &StoreMetrics,
    partition: Partition,
) -> Result<(), Failure> {
    transaction.batch_execute(LOCK_WAIT).await?;
    make(transaction, metrics, partition).await
}

/// Makes one inside a transaction, where it is missing and no row of its day is in the default
/// partition.
pub(crate) async fn make<C: GenericClient>(
    transaction: &C,
    metrics: &StoreMetrics,
    partition: Partition,
) -> Result<(), Failure> {
    let (table, name) = (partition.table, partition.name());
    let (from, to) = (partition.lowest_id(), partition.end_id());
    let db = Database::new(transaction, metrics);
    // Two nodes may want the same one at the same time.
    db.query(
        "SELECT pg_advisory_xact_lock(hashtext('tidings partitions'))",
        &[],
    )
    .await?;
    let row = db
        .first(
            &format!(
                "SELECT to_regclass($1) IS NOT NULL OR EXISTS (
                     SELECT FROM {table}_default WHERE id >= $2 AND id < $3)"
            ),
            &[&name, &from, &to],
        )
        .await?;
    if row.is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    transaction
        .batch_execute(&format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        ))
        .await?;
    Ok(())
}

/// What became of the wish to drop one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It is no part of the log any more, and [`drop_detached`] takes it away.
    Detached,
    /// Something in it is still owed.
    Owed,
    /// Somebody was in the way.
    Busy,
}

/// Takes one out of its table with everything in it, unless something of it is owed. Whoever reads
/// or publishes waits for as long as this takes, so the rows themselves go later.
pub(crate) async fn detach(
    client: &mut Object,
    metrics: &StoreMetrics,
    partition: Partition,
) -> Result<Dropped, Failure> {
    let transaction = client.transaction().await?;
    match detach_in(&transaction, metrics, partition).await {
        Ok(true) => {}
        Ok(false) => return Ok(Dropped::Owed),
        Err(failure) if is_busy(&failure) => return Ok(Dropped::Busy),
        Err(failure) => return Err(failure),
    }
    transaction.commit().await?;
    Ok(Dropped::Detached)
}

async fn detach_in(
    transaction: &Transaction<'_>,
    metrics: &StoreMetrics,
    partition: Partition,
) -> Result<bool, Failure> {
    let db = Database::new(transaction, metrics);
    let of_events = partition.table == EVENTS;
    // Asked before anybody has to wait, and once more when nobody can owe anything of it anew.
    if of_events && is_owed(&db, partition).await? {
        return Ok(false);
    }
    let (table, name) = (partition.table, partition.name());
    transaction.batch_execute(LOCK_WAIT).await?;
    if !is_part(&db, partition).await? {
        return Ok(true);
    }
    transaction
        .batch_execute(&format!(
            "LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;
             ALTER TABLE {table} DETACH PARTITION {name}"
        ))
        .await?;
    if of_events {
        if is_owed(&db, partition).await? {
            return Ok(false);
        }
        db.execute(
            "DELETE FROM queue WHERE holder < 0 AND event_id >= $1 AND event_id < $2",
            &[&partition.lowest_id(), &partition.end_id()],
        )
        .await?;
    }
    Ok(true)
}

/// Drops what [`detach`] has left, also before a crash.
pub(crate) async fn drop_detached(client: &Object, metrics: &StoreMetrics) -> Result<(), Failure> {
    let rows = Database::new(client, metrics)
        .query(
            "SELECT relname FROM pg_class
             WHERE relkind = 'r' AND NOT relispartition AND pg_table_is_visible(oid)
                 AND relname ~ '^(events|attempts)_[0-9]{8}$'",
            &[],
        )
        .await?;
    for row in &rows {
        let name: &str = row.get(0);
        client
            .batch_execute(&format!("DROP TABLE IF EXISTS {name}"))
            .await?;
    }
    Ok(())
}

/// Whether it is still part of its table. Another node may have detached it since it was listed;
/// from here on none does, until the transaction ends.
async fn is_part<C: GenericClient>(
    db: &Database<'_, C>,
    partition: Partition,
) -> Result<bool, Failure> {
    let sql = "SELECT pg_advisory_xact_lock(hashtext('tidings partitions'))";
    db.query(sql, &[]).await?;
    let row = db
        .first(
            "SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1)",
            &[&partition.name()],
        )
        .await?;
    Ok(row.is_some())
}

async fn is_owed<C: GenericClient>(
    db: &Database<'_, C>,
    partition: Partition,
) -> Result<bool, Failure> {
    let row = db
        .first(
            "SELECT FROM queue WHERE holder >= 0 AND event_id >= $1 AND event_id < $2 LIMIT 1",
            &[&partition.lowest_id(), &partition.end_id()],
        )
        .await?;
    Ok(row.is_some())
}

/// Whether a lock was not to be had in time.
fn is_busy(failure: &Failure) -> bool {
    match failure {
        Failure::Sql(error) => matches!(
            error.code(),
            Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_day_of_ids() {
        let noon = UtcMillis::parse("2026-01-31T12:00:00Z").unwrap();
        let partition = Partition::at(EVENTS, noon);
        assert_eq!(partition.name(), "events_20260131");
        assert_eq!(Partition::named(EVENTS, "events_20260131"), Some(partition));
        assert_eq!(
            partition.end(),
            UtcMillis::parse("2026-02-01T00:00:00Z").unwrap()
        );
        assert_eq!(
            partition.lowest_id().to_string(),
            "019c1159-7000-0000-0000-000000000000"
        );
        assert!(partition.lowest_id() < first_id(noon) && first_id(noon) < partition.end_id());
        assert_eq!(
            Partition::at(EVENTS, partition.end()).lowest_id(),
            partition.end_id()
        );
    }

    #[test]
    fn other_tables_are_no_partitions() {
        for name in [
            "events_default",
            "events_2026",
            "attempts_20260131",
            "events_20261331",
        ] {
            assert_eq!(Partition::named(EVENTS, name), None, "{name}");
        }
    }
}
