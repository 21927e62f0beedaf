//! Figures on their way into the table: counted in memory after each commit, added to their rows
//! every few seconds.
//!
//! Each node counts its own and adds them up in the table; what others have not written yet is
//! not known here. Who reads is [`crate::figure_reads`].

use std::{fmt::Write as _, sync::Arc, sync::LazyLock};

use deadpool_postgres::{GenericClient, Pool};
use parking_lot::Mutex;
use tidings_domain::{
    company::CompanyId,
    figures::{ELAPSED_BOUNDS_MS, ELAPSED_CLASSES, Figures},
};
use tidings_store::{FigureCounts, FigureSum, StoreError};
use tokio::sync::{Notify, RwLock, RwLockReadGuard};
use tokio_postgres::{Row, types::ToSql};
use tokio_util::sync::CancellationToken;

use crate::{
    database::{self, Database},
    failure::Failure,
    memory::Memory,
};

/// Stretches in memory beyond which they are written at once.
const STRETCHES_MAX: usize = 2000;
/// Stretches beyond which they are given up, since they could not be written.
const STRETCHES_LOST: usize = 8 * STRETCHES_MAX;
/// Columns of a row that are no numbers to be added up.
const KEY_COLUMNS: usize = 4;
/// Columns that are.
pub(crate) const SUM_COLUMNS: usize = 3 + ELAPSED_CLASSES;

/// The names of the columns that are added up, in the order of [`values`].
pub(crate) static SUMS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let counts = ["published", "succeeded", "failed"].map(str::to_owned);
    let classes = ELAPSED_BOUNDS_MS.map(|bound| format!("elapsed_{bound}"));
    let last = "elapsed_more".to_owned();
    counts.into_iter().chain(classes).chain([last]).collect()
});

/// Adds rows, each an element of every array, to those that are there.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let mut arrays = "$1::smallint[], $2::bigint[], $3::text[], $4::bigint[]".to_owned();
    let mut added = Vec::new();
    for (number, name) in (KEY_COLUMNS + 1..).zip(SUMS.iter()) {
        write!(arrays, ", ${number}::bigint[]").expect("a String takes everything");
        added.push(format!("{name} = figures.{name} + EXCLUDED.{name}"));
    }
    format!(
        "INSERT INTO figures (resolution, subscription, company_id, start_ms, {})
         SELECT * FROM unnest({arrays})
         ON CONFLICT (resolution, subscription, company_id, start_ms) DO UPDATE SET {}",
        SUMS.join(", "),
        added.join(", ")
    )
});

/// What was counted and is not in the table yet.
#[derive(Default)]
pub(crate) struct Counted {
    counts: Mutex<FigureCounts>,
    /// Tells [`write_when_full`] that there is much.
    full: Notify,
    /// Held alone by who writes, and shared by who adds what is here to what is there: so nothing
    /// is seen twice, or not at all.
    writing: RwLock<()>,
}

impl Counted {
    /// Counts something that is committed.
    pub(crate) fn count(&self, count: impl FnOnce(&mut FigureCounts)) {
        let mut counts = self.counts.lock();
        count(&mut counts);
        let stretches = counts.len();
        if stretches > STRETCHES_LOST {
            *counts = FigureCounts::default();
            drop(counts);
            tracing::warn!(stretches, "figures could not be written and are lost");
        } else if stretches > STRETCHES_MAX {
            drop(counts);
            self.full.notify_one();
        }
    }

    /// Keeps what is here from going to the table as long as the guard lives. Whoever reads takes
    /// it before a connection, since who writes waits for a connection while nobody may read.
    pub(crate) async fn still(&self) -> RwLockReadGuard<'_, ()> {
        self.writing.read().await
    }

    /// Looks at what is here.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&FigureCounts) -> T) -> T {
        look(&self.counts.lock())
    }
}

/// Writes figures whenever many have gathered, until it is told to stop.
pub(crate) async fn write_when_full(pool: Pool, memory: Arc<Memory>, stop: CancellationToken) {
    while let Some(()) = stop
        .run_until_cancelled(memory.figures.full.notified())
        .await
    {
        if let Err(failure) = write(&pool, &memory).await {
            let error = StoreError::from(failure);
            tracing::warn!(%error, "figures cannot be written now");
        }
    }
}

/// Adds what was counted to the table. Writes nothing where nothing was.
pub(crate) async fn write(pool: &Pool, memory: &Memory) -> Result<(), Failure> {
    let figures = &memory.figures;
    let _alone = figures.writing.write().await;
    if figures.counts.lock().is_empty() {
        return Ok(());
    }
    // Nothing is taken out before there is a way to write it.
    let client = database::borrow(pool).await?;
    let counts = std::mem::take(&mut *figures.counts.lock());
    let db = Database::new(&client, &memory.metrics);
    let written = add(&db, &counts.sums()).await;
    if let Err(failure) = &written
        // What was sent over a connection that broke may be there: rather lost than twice.
        && !failure.is_disconnect()
    {
        figures.counts.lock().merge(counts);
    }
    written
}

/// One statement for all of them, in the order of their keys.
async fn add<C: GenericClient>(db: &Database<'_, C>, sums: &[FigureSum]) -> Result<(), Failure> {
    let resolutions: Vec<i16> = sums.iter().map(|sum| sum.resolution.number()).collect();
    let subscriptions: Vec<i64> = sums
        .iter()
        .map(|sum| sum.subscription.unwrap_or(0))
        .collect();
    let companies: Vec<&str> = sums
        .iter()
        .map(|sum| sum.company.as_ref().map_or("", CompanyId::as_str))
        .collect();
    let starts: Vec<i64> = sums.iter().map(|sum| sum.start.as_millis()).collect();
    let mut columns: [Vec<i64>; SUM_COLUMNS] = Default::default();
    for sum in sums {
        for (column, value) in columns.iter_mut().zip(values(&sum.figures)) {
            column.push(value);
        }
    }
    let mut params: Vec<&(dyn ToSql + Sync)> =
        vec![&resolutions, &subscriptions, &companies, &starts];
    params.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    db.execute(&ADD, &params).await.map(drop)
}

/// Figures as their columns have them.
fn values(figures: &Figures) -> impl Iterator<Item = i64> {
    let counts = [figures.published, figures.succeeded, figures.failed];
    let all = counts.into_iter().chain(figures.elapsed);
    all.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

/// Reads the columns of [`SUMS`] from column `at` on.
pub(crate) fn read(row: &Row, at: usize) -> Figures {
    let count = |column: usize| u64::try_from(row.get::<_, i64>(at + column)).unwrap_or(0);
    Figures {
        published: count(0),
        succeeded: count(1),
        failed: count(2),
        elapsed: std::array::from_fn(|class| count(3 + class)),
    }
}
