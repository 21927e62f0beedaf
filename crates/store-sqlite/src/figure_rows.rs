//! Rows of figures: how counts are added to them, and how they are read.

use std::{collections::BTreeMap, sync::LazyLock};

use hashbrown::HashMap;
use rusqlite::{Connection, Row};
use tidings_domain::{
    company::CompanyId,
    figures::{ELAPSED_CLASSES, Figures, Resolution},
    time::UtcMillis,
};
use tidings_store::{CountedScope, Seq};

use crate::{
    batch::Batch,
    bulk::Bulk,
    database::{first_of, setting},
    failure::Failure,
};

/// The setting that holds the number of the last writing; see [`crate::figure_memory`].
const WRITTEN: &str = "figures_written";
/// All of a company's subscriptions together, and all companies together.
const ALL_SUBSCRIPTIONS: Seq = 0;
const ALL_COMPANIES: &str = "";
/// The columns that add up, in the order of [`read`].
const COUNTS: [&str; 3 + ELAPSED_CLASSES] = [
    "published",
    "succeeded",
    "failed",
    "elapsed_2",
    "elapsed_5",
    "elapsed_10",
    "elapsed_25",
    "elapsed_50",
    "elapsed_100",
    "elapsed_250",
    "elapsed_500",
    "elapsed_1000",
    "elapsed_2500",
    "elapsed_5000",
    "elapsed_10000",
    "elapsed_30000",
    "elapsed_more",
];
const KEY: &str = "resolution, subscription, company_id, start_ms";

static ADD: LazyLock<Bulk> = LazyLock::new(|| {
    let counts = COUNTS.join(", ");
    let sums = COUNTS.map(|column| format!("{column} = {column} + excluded.{column}"));
    Bulk::new(
        &format!("INSERT INTO figures ({KEY}, {counts}) VALUES"),
        4 + COUNTS.len(),
        &format!("ON CONFLICT ({KEY}) DO UPDATE SET {}", sums.join(", ")),
    )
});

static OF_SCOPE: LazyLock<String> = LazyLock::new(|| {
    let counts = COUNTS.join(", ");
    format!(
        "SELECT start_ms, {counts} FROM figures
         WHERE resolution = ? AND subscription = ? AND company_id = ?
             AND start_ms >= ? AND start_ms < ?"
    )
});

static OF_HOUR: LazyLock<String> = LazyLock::new(|| {
    let counts = COUNTS.join(", ");
    format!(
        "SELECT company_id, {counts} FROM figures INDEXED BY figures_by_time
         WHERE resolution = ? AND start_ms = ? AND subscription = 0 AND company_id <> ''"
    )
});

/// Adds up what is in memory with what is in the table; once for a transaction, and not at all
/// where there is nothing.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "every use case takes its input by reference"
)]
pub(crate) fn write(batch: &mut Batch<'_, '_>, (): &()) -> Result<(), Failure> {
    if batch.has_written_figures() {
        return Ok(());
    }
    let Some((number, sums)) = batch.memory.figures.to_write() else {
        return Ok(());
    };
    let db = batch.db()?;
    ADD.execute(db, &sums, |binder, sum| {
        let Figures {
            published,
            succeeded,
            failed,
            elapsed,
        } = &sum.figures;
        binder.bind(sum.resolution.number())?;
        binder.bind(sum.subscription.unwrap_or(ALL_SUBSCRIPTIONS))?;
        binder.bind(
            sum.company
                .as_ref()
                .map_or(ALL_COMPANIES, CompanyId::as_str),
        )?;
        binder.bind(sum.start.as_millis())?;
        let counts = [published, succeeded, failed].into_iter().chain(elapsed);
        for count in counts {
            binder.bind(count.cast_signed())?;
        }
        Ok(())
    })?;
    db.set(WRITTEN, number)?;
    batch.figures_written(number);
    Ok(())
}

/// The number of the last writing.
pub(crate) fn last_written(conn: &Connection) -> Result<i64, Failure> {
    setting(conn, WRITTEN)
}

/// A scope's stretches that begin from `since` up to `until`, exclusive.
pub(crate) fn of_scope(
    conn: &Connection,
    scope: &CountedScope,
    company: &str,
    resolution: Resolution,
    since: UtcMillis,
    until: UtcMillis,
) -> Result<BTreeMap<i64, Figures>, Failure> {
    let (subscription, company) = match scope {
        CountedScope::Platform => (ALL_SUBSCRIPTIONS, ALL_COMPANIES),
        CountedScope::Company(company) => (ALL_SUBSCRIPTIONS, company.as_str()),
        CountedScope::Subscription(seq) => (*seq, company),
    };
    let mut statement = conn.prepare_cached(&OF_SCOPE)?;
    let mut rows = statement.query((
        resolution.number(),
        subscription,
        company,
        since.as_millis(),
        until.as_millis(),
    ))?;
    let mut stretches = BTreeMap::new();
    while let Some(row) = rows.next()? {
        stretches.insert(row.get(0)?, read(row)?);
    }
    Ok(stretches)
}

/// Adds up, for each company, the hours that begin from `since` up to `until`, exclusive. Goes from
/// hour to hour, and so passes over the rows of single subscriptions.
pub(crate) fn add_hours(
    conn: &Connection,
    since: UtcMillis,
    until: UtcMillis,
    sums: &mut HashMap<CompanyId, Figures>,
) -> Result<(), Failure> {
    let mut next_hour = conn.prepare_cached(
        "SELECT start_ms FROM figures INDEXED BY figures_by_time
         WHERE resolution = ? AND start_ms >= ? ORDER BY start_ms LIMIT 1",
    )?;
    let mut of_hour = conn.prepare_cached(&OF_HOUR)?;
    let hour = Resolution::Hour.number();
    let mut from = since.as_millis();
    loop {
        let start = first_of(&mut next_hour, (hour, from), |row| Ok(row.get(0)?))?;
        let Some(start) = start.filter(|&start: &i64| start < until.as_millis()) else {
            return Ok(());
        };
        let mut rows = of_hour.query((hour, start))?;
        while let Some(row) = rows.next()? {
            let company = row.get_ref(0)?.as_str().map_err(|_| unreadable())?;
            let figures = read(row)?;
            if let Some(sum) = sums.get_mut(company) {
                sum.add(&figures);
            } else {
                let company = CompanyId::parse(company).map_err(|_| unreadable())?;
                sums.insert(company, figures);
            }
        }
        from = start + 1;
    }
}

/// Reads the columns of [`COUNTS`], which begin with the second one.
fn read(row: &Row<'_>) -> Result<Figures, Failure> {
    let count = |column: usize| -> Result<u64, Failure> {
        let count: i64 = row.get(1 + column)?;
        u64::try_from(count).map_err(|_| unreadable())
    };
    let mut figures = Figures {
        published: count(0)?,
        succeeded: count(1)?,
        failed: count(2)?,
        ..Figures::default()
    };
    for (class, attempts) in figures.elapsed.iter_mut().enumerate() {
        *attempts = count(3 + class)?;
    }
    Ok(figures)
}

fn unreadable() -> Failure {
    Failure::unreadable("row of figures")
}
