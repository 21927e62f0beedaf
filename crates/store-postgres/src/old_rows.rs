//! Rows past retention that are deleted one by one: those of days without a partition, and those
//! of a day of which something is still owed.

use deadpool_postgres::GenericClient;
use tidings_store::Position;
use uuid::Uuid;

use crate::{database::Database, failure::Failure};

/// Which events to go through.
pub(crate) struct OldEvents<'o> {
    /// The whole log or its default partition.
    pub(crate) table: &'o str,
    /// Beyond this id, where the last look ended.
    pub(crate) after: Uuid,
    /// And below this one.
    pub(crate) before: Uuid,
    /// Only below this position, from which on a promise to show events again stands.
    pub(crate) promised: Position,
}

/// How a look at them ended.
pub(crate) struct Swept {
    /// Rows that it went through.
    pub(crate) looked: i64,
    /// Where the next one goes on; none where it came to the end.
    pub(crate) after: Option<Uuid>,
}

/// Goes through at most `rows_max` events, and deletes those that are owed to nobody.
pub(crate) async fn sweep_events<C: GenericClient>(
    db: &Database<'_, C>,
    old: &OldEvents<'_>,
    rows_max: i64,
) -> Result<Swept, Failure> {
    let table = old.table;
    let rows = db
        .query(
            &format!(
                "SELECT id, position < $3 AND NOT EXISTS (SELECT FROM queue
                     WHERE queue.position = {table}.position AND queue.holder >= 0)
                 FROM {table} WHERE id > $1 AND id < $2 ORDER BY id LIMIT $4"
            ),
            &[&old.after, &old.before, &old.promised, &rows_max],
        )
        .await?;
    let unwanted = rows.iter().filter(|row| row.get(1));
    let unwanted: Vec<Uuid> = unwanted.map(|row| row.get(0)).collect();
    if !unwanted.is_empty() {
        delete_events(db, table, &unwanted).await?;
    }
    let looked = i64::try_from(rows.len()).unwrap_or(rows_max);
    let last = rows.last().map(|row| row.get(0));
    Ok(Swept {
        looked,
        after: last.filter(|_| looked == rows_max),
    })
}

/// Deletes events that are still owed to nobody once they are locked: somebody may be delivering
/// one of them again at this moment. What was kept for their traces goes with them.
async fn delete_events<C: GenericClient>(
    db: &Database<'_, C>,
    table: &str,
    ids: &[Uuid],
) -> Result<(), Failure> {
    let locked = db
        .query(
            &format!("SELECT id FROM {table} WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED"),
            &[&ids],
        )
        .await?;
    let locked: Vec<Uuid> = locked.iter().map(|row| row.get(0)).collect();
    let deleted = db
        .query(
            &format!(
                "DELETE FROM {table} WHERE id = ANY ($1)
                     AND NOT EXISTS (SELECT FROM queue
                         WHERE queue.position = {table}.position AND queue.holder >= 0)
                 RETURNING position"
            ),
            &[&locked],
        )
        .await?;
    let deleted: Vec<Position> = deleted.iter().map(|row| row.get(0)).collect();
    db.execute(
        "DELETE FROM queue WHERE position = ANY ($1) AND holder < 0",
        &[&deleted],
    )
    .await
    .map(drop)
}

/// Deletes at most `rows_max` attempts below an id from the default partition; returns how many.
pub(crate) async fn sweep_attempts<C: GenericClient>(
    db: &Database<'_, C>,
    before: Uuid,
    rows_max: i64,
) -> Result<i64, Failure> {
    let deleted = db
        .execute(
            "DELETE FROM attempts_default WHERE ctid = ANY (ARRAY (
                 SELECT ctid FROM attempts_default WHERE id < $1 LIMIT $2))",
            &[&before, &rows_max],
        )
        .await?;
    Ok(i64::try_from(deleted).unwrap_or(rows_max))
}
