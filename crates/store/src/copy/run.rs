//! The way of a copy: look at the source, take the target, carry the rows over, compare, seal.
//!
//! The source reads on a thread of its own, a few batches ahead of the target at most, so both
//! work at the same time and memory stays bounded.

use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    Batch, BatchLimit, CopyError, CopySource, CopyTable, CopyTarget, PerTable, Progress, Start,
    Survey, Tally,
};
use crate::StoreError;

/// A batch is one transaction of the target: large enough that the commit does not count, small
/// enough that progress shows.
const BATCH: BatchLimit = BatchLimit {
    rows: 5000,
    bytes: 8 << 20,
};
/// Batches that may wait for the target.
const BATCHES_AHEAD: usize = 2;

/// What became of a copy.
#[derive(Clone, Debug)]
pub struct CopyOutcome {
    /// How it started.
    pub start: Start,
    /// What was copied.
    pub survey: Survey,
    /// What is in the target now, those rows included that were there before this run.
    pub progress: PerTable<Progress>,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStep {
    /// It is known how it starts.
    Begun,
    /// This table got further.
    Further(CopyTable),
    /// Everything is there and is being counted.
    Counting,
}

/// Copies everything that is not there yet. `watch` hears of every step.
pub async fn run<S: CopySource>(
    source: S,
    target: &mut dyn CopyTarget,
    mut watch: impl FnMut(&CopyOutcome, CopyStep),
) -> Result<CopyOutcome, CopyError> {
    let (source, survey) = apart(source, CopySource::survey).await?;
    let (start, progress) = target.begin(&survey).await?;
    let mut outcome = CopyOutcome {
        start,
        survey,
        progress,
    };
    watch(&outcome, CopyStep::Begun);
    if start == Start::Finished {
        return Ok(outcome);
    }
    let (batches, mut received) = mpsc::channel(BATCHES_AHEAD);
    let reader = tokio::spawn(apart(source, move |source| {
        read_all(source, &progress, &batches)
    }));
    let mut written = Ok(());
    while let Some(batch) = received.recv().await {
        let table = batch.table();
        let further = advance(outcome.progress[table], &batch);
        written = target.write(batch, further).await;
        if written.is_err() {
            break;
        }
        outcome.progress[table] = further;
        watch(&outcome, CopyStep::Further(table));
    }
    // Nobody takes what it still reads; and whoever hears of the end can open the source again.
    drop(received);
    let read = reader.await.map_err(|_| broken_off())?;
    written?;
    watch(&outcome, CopyStep::Counting);
    // The source stays as it is until the target is sealed.
    let (_source, ()) = read?;
    compare(&outcome.survey.tally, &target.tally().await?)?;
    target.seal(&outcome.survey).await?;
    Ok(outcome)
}

/// Lets a source do something on a thread where it may block.
async fn apart<S: CopySource, T: Send + 'static>(
    mut source: S,
    work: impl FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
) -> Result<(S, T), StoreError> {
    let done = spawn_blocking(move || {
        let result = work(&mut source)?;
        Ok((source, result))
    });
    done.await.map_err(|_| broken_off())?
}

/// Reads everything beyond the places where the copy is, and hands it on. Ends early where nobody
/// takes it any more.
fn read_all(
    source: &mut impl CopySource,
    progress: &PerTable<Progress>,
    batches: &mpsc::Sender<Batch>,
) -> Result<(), StoreError> {
    for table in CopyTable::ALL {
        let mut place = progress[table].place;
        loop {
            let batch = source.read(table, place, BATCH)?;
            if batch.rows.is_empty() {
                break;
            }
            place = batch.end;
            if batches.blocking_send(batch).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn advance(before: Progress, batch: &Batch) -> Progress {
    Progress {
        place: batch.end,
        rows: before.rows + batch.rows.len() as u64,
        bytes: before.bytes + batch.bytes,
    }
}

/// Whether the target holds what the source does.
fn compare(expected: &Tally, found: &Tally) -> Result<(), CopyError> {
    for table in CopyTable::ALL {
        let rows = |tally: &Tally| i64::try_from(tally.rows[table]).unwrap_or(i64::MAX);
        let name = table.as_str();
        same(name, "number of rows", rows(expected), rows(found))?;
        let (expected, found) = (expected.highest[table], found.highest[table]);
        same(name, "highest number", expected, found)?;
    }
    Ok(())
}

fn same(table: &str, column: &str, expected: i64, found: i64) -> Result<(), CopyError> {
    if expected == found {
        return Ok(());
    }
    Err(CopyError::Differs {
        table: format!("{table} ({column})"),
        expected,
        found,
    })
}

fn broken_off() -> StoreError {
    StoreError::Broken("reading the source broke off".to_owned())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::copy::{HistoryRow, Place, Rows};

    /// More rows than a few batches hold.
    const ROWS: i64 = 22_222;

    /// A source with nothing but history.
    struct History;

    /// A target that breaks at a write.
    #[derive(Default)]
    struct Shelf {
        rows: Vec<i64>,
        progress: PerTable<Progress>,
        breaks_at: Option<usize>,
        writes: usize,
        sealed: bool,
    }

    impl CopySource for History {
        fn survey(&mut self) -> Result<Survey, StoreError> {
            let mut survey = Survey {
                identity: b"history".to_vec(),
                state: String::new(),
                tally: Tally::default(),
                floors: super::super::Floors::default(),
            };
            survey.tally.rows[CopyTable::History] = ROWS.unsigned_abs();
            survey.tally.highest[CopyTable::History] = ROWS;
            Ok(survey)
        }

        fn read(
            &mut self,
            table: CopyTable,
            after: Place,
            limit: BatchLimit,
        ) -> Result<Batch, StoreError> {
            let done = if table == CopyTable::History {
                after.0[0]
            } else {
                ROWS
            };
            let rows: Vec<_> = (done + 1..=ROWS).take(limit.rows).map(row).collect();
            Ok(Batch {
                end: rows
                    .last()
                    .map_or(after, |row| Place([row.subscription, 0, 0])),
                bytes: rows.len() as u64,
                rows: Rows::History(rows),
            })
        }
    }

    fn row(subscription: i64) -> HistoryRow {
        HistoryRow {
            subscription,
            after_position: 0,
            company: "acme".to_owned(),
            event_types: "[]".to_owned(),
            enabled: true,
            epoch: 0,
        }
    }

    #[async_trait]
    impl CopyTarget for Shelf {
        async fn begin(
            &mut self,
            _survey: &Survey,
        ) -> Result<(Start, PerTable<Progress>), CopyError> {
            Ok((Start::GoingOn, self.progress))
        }

        async fn write(&mut self, batch: Batch, progress: Progress) -> Result<(), CopyError> {
            if self.breaks_at == Some(self.writes) {
                return Err(StoreError::Unavailable("broken".to_owned()).into());
            }
            self.writes += 1;
            self.progress[batch.table()] = progress;
            let Rows::History(rows) = batch.rows else {
                panic!("there is nothing else");
            };
            self.rows.extend(rows.iter().map(|row| row.subscription));
            Ok(())
        }

        async fn tally(&mut self) -> Result<Tally, CopyError> {
            let mut tally = Tally::default();
            tally.rows[CopyTable::History] = self.rows.len() as u64;
            tally.highest[CopyTable::History] = self.rows.last().copied().unwrap_or(0);
            Ok(tally)
        }

        async fn seal(&mut self, _survey: &Survey) -> Result<(), CopyError> {
            self.sealed = true;
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_interrupted_copy_goes_on_where_it_was() {
        let mut shelf = Shelf::default();
        for writes in [0, 1, 3] {
            shelf.breaks_at = Some(writes);
            let error = run(History, &mut shelf, |_, _| {}).await.unwrap_err();
            assert!(matches!(error, CopyError::Store(_)), "{error}");
            assert_eq!(shelf.writes, writes);
        }
        shelf.breaks_at = None;
        let mut seen = Vec::new();
        let outcome = run(History, &mut shelf, |outcome, step| {
            seen.push((step, outcome.progress[CopyTable::History].rows));
        });
        let outcome = outcome.await.unwrap();
        assert_eq!(outcome.progress[CopyTable::History].rows, 22_222);
        let further = CopyStep::Further(CopyTable::History);
        let expected = [
            (CopyStep::Begun, 15_000),
            (further, 20_000),
            (further, 22_222),
            (CopyStep::Counting, 22_222),
        ];
        assert_eq!(seen, expected);
        assert!(shelf.sealed && shelf.rows.iter().copied().eq(1..=ROWS));
    }

    #[tokio::test]
    async fn what_differs_is_not_sealed() {
        let mut shelf = Shelf::default();
        shelf.rows.push(0);
        let error = run(History, &mut shelf, |_, _| {}).await.unwrap_err();
        let expected = CopyError::Differs {
            table: "subscription history (number of rows)".to_owned(),
            expected: ROWS,
            found: ROWS + 1,
        };
        assert_eq!(error, expected);
        assert!(!shelf.sealed);
    }
}
