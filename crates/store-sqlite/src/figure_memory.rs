//! Figures in memory: what committed transactions counted and the table does not have yet.
//!
//! Every writing of figures has a number, which the same transaction leaves in `settings`. By it
//! a reader tells whether its snapshot has what is being written, so nothing is counted twice or
//! missed; and after a commit whose end is not known, the file says whether it happened.

use std::mem;

use parking_lot::Mutex;
use tidings_domain::{company::CompanyId, time::UtcMillis};
use tidings_store::{FigureCounts, FigureSum, Seq};

/// Stretches that may be in memory; beyond it they are written with the next commit.
const STRETCHES_MAX: usize = 4096;

/// What is counted and not yet in the table.
#[derive(Debug, Default)]
pub(crate) struct FigureMemory(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Counted since the last writing began.
    fresh: FigureCounts,
    /// Being written, with the number after `written`.
    writing: Option<FigureCounts>,
    /// The number of the last writing that is in the table.
    written: i64,
}

/// What of the memory a snapshot of the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshot {
    /// It is good, and what it lacked has been told.
    Complete,
    /// Something was written since it was taken: take another one.
    Old,
}

/// Events that a company published.
pub(crate) struct Published {
    pub(crate) company: CompanyId,
    pub(crate) events: u64,
    pub(crate) now: UtcMillis,
}

/// An attempt as far as it is counted.
pub(crate) struct Attempted {
    pub(crate) company: CompanyId,
    pub(crate) subscription: Seq,
    pub(crate) attempted: UtcMillis,
    pub(crate) succeeded: bool,
    pub(crate) elapsed_ms: u32,
}

impl FigureMemory {
    /// Counts what a commit brought.
    pub(crate) fn count(&self, published: &[Published], attempted: &[Attempted]) {
        if published.is_empty() && attempted.is_empty() {
            return;
        }
        let fresh = &mut self.0.lock().fresh;
        for Published {
            company,
            events,
            now,
        } in published
        {
            fresh.count_published(company, *events, *now);
        }
        for attempt in attempted {
            fresh.count_attempt(
                &attempt.company,
                attempt.subscription,
                attempt.attempted,
                attempt.succeeded,
                attempt.elapsed_ms,
            );
        }
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        let counted = self.0.lock();
        counted.fresh.is_empty() && counted.writing.is_none()
    }

    /// Whether so much waits that it is to be written soon.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().fresh.len() > STRETCHES_MAX
    }

    /// What is to be written, and the number of this writing. What an earlier one that failed left
    /// behind is part of it.
    pub(crate) fn to_write(&self) -> Option<(i64, Vec<FigureSum>)> {
        let counted = &mut *self.0.lock();
        let fresh = mem::take(&mut counted.fresh);
        if !fresh.is_empty() {
            counted.writing.get_or_insert_default().merge(fresh);
        }
        let writing = counted.writing.as_ref()?;
        Some((counted.written + 1, writing.sums()))
    }

    /// A writing is in the table: committed just now, or found there when the file was opened.
    pub(crate) fn is_written(&self, number: i64) {
        let counted = &mut *self.0.lock();
        if number > counted.written {
            counted.writing = None;
            counted.written = number;
        }
    }

    /// Tells everything, whether it is being written or not.
    pub(crate) fn each(&self, mut tell: impl FnMut(&FigureCounts)) {
        let counted = &*self.0.lock();
        tell(&counted.fresh);
        if let Some(writing) = &counted.writing {
            tell(writing);
        }
    }

    /// Tells what a snapshot lacks whose last writing has this number.
    pub(crate) fn lacking(&self, number: i64, mut tell: impl FnMut(&FigureCounts)) -> Snapshot {
        let counted = &*self.0.lock();
        if number < counted.written {
            return Snapshot::Old;
        }
        tell(&counted.fresh);
        if let Some(writing) = &counted.writing
            && number == counted.written
        {
            tell(writing);
        }
        Snapshot::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(events: u64) -> [Published; 1] {
        [Published {
            company: CompanyId::parse("acme").unwrap(),
            events,
            now: UtcMillis::from_millis(0),
        }]
    }

    fn told(memory: &FigureMemory, number: i64) -> Option<u64> {
        let mut sum = 0;
        let told = memory.lacking(number, |counts| {
            let platform = counts.sums().into_iter().find(|row| row.company.is_none());
            sum += platform.map_or(0, |row| row.figures.published);
        });
        (told == Snapshot::Complete).then_some(sum)
    }

    #[test]
    fn every_count_is_told_once_whenever_the_snapshot_was_taken() {
        let memory = FigureMemory::default();
        memory.is_written(7);
        assert!(memory.is_empty() && memory.to_write().is_none());
        memory.count(&published(1), &[]);
        assert_eq!((told(&memory, 7), told(&memory, 6)), (Some(1), None));
        let (number, sums) = memory.to_write().unwrap();
        assert_eq!((number, sums[0].figures.published), (8, 1));
        memory.count(&published(2), &[]);
        // Before the commit, and after it while memory does not know yet.
        assert_eq!((told(&memory, 7), told(&memory, 8)), (Some(3), Some(2)));
        memory.is_written(8);
        assert_eq!((told(&memory, 7), told(&memory, 8)), (None, Some(2)));
    }

    #[test]
    fn a_writing_that_failed_is_written_with_the_next_one() {
        let memory = FigureMemory::default();
        memory.count(&published(1), &[]);
        memory.to_write().unwrap();
        memory.count(&published(2), &[]);
        // The file was opened again, and the transaction is not in it.
        memory.is_written(0);
        let (number, sums) = memory.to_write().unwrap();
        assert_eq!((number, sums[0].figures.published), (1, 3));
        // And again, and this time it is in it.
        memory.is_written(1);
        assert!(memory.is_empty());
    }
}
