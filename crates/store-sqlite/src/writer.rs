//! The writer: one thread that owns the writing connection, and group commit.
//!
//! It takes the first command that waits and whatever else has queued up meanwhile, runs them in
//! one transaction, commits, changes memory, hands deliveries over, and only then answers. Where
//! many are at work at a time it first gives them [`LINGER`] to come, since all of them wait for
//! its answer and are back with their next command shortly after; who is alone never waits. Where
//! a command fails, the transaction is rolled back and each command is run again alone, so that a
//! bad one harms nobody but itself. A connection that had an I/O error is opened anew.

use std::{path::PathBuf, sync::Arc, sync::atomic::Ordering, thread, time::Duration};

use tidings_store::{DeliveryKey, LeaseId, StoreError};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    batch::{Aftermath, Batch, Effect},
    checkpoint::Checkpointer,
    database::{self, Database},
    failure::{Blame, Failure},
    figure_rows,
    job::{Job, Request},
    load, log_index,
    memory::Memory,
    open::{self, ServerLock},
    settle,
    state::{self, State},
};

/// The most commands of one transaction.
const BATCH_COMMANDS_MAX: usize = 1024;
/// A transaction takes no further command beyond so many bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// After a transaction of so many commands, many are at work at a time.
const MANY_COMMANDS: usize = 8;
/// How long these get to come with their next command: about as long as a disk takes to sync.
const LINGER: Duration = Duration::from_micros(200);

/// Everything the writer's thread owns.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    /// The value that tells this database from one that was put in its place.
    pub(crate) identity: Vec<u8>,
    /// None after an I/O error, until it is open again.
    pub(crate) db: Option<Database>,
    pub(crate) state: State,
    pub(crate) memory: Arc<Memory>,
    pub(crate) checkpointer: Checkpointer,
    /// Whether the database was unavailable last time; said once, not for each command.
    pub(crate) failing: bool,
    /// Held as long as anything may be written.
    pub(crate) lock: ServerLock,
}

type Jobs = [Box<dyn Job>];

impl Writer {
    /// Works until nobody can hand in anything any more and everything that was is done.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Box<dyn Job>>) {
        let mut held_over = None;
        let mut former = 0;
        while let Some(first) = held_over.take().or_else(|| commands.blocking_recv()) {
            let mut jobs = vec![first];
            if !jobs[0].is_alone() {
                if former >= MANY_COMMANDS {
                    linger();
                }
                held_over = gather(&mut jobs, &mut commands);
            }
            former = jobs.len();
            self.work_off(&mut jobs);
            self.file_attempts();
            self.checkpointer.look(self.db.as_ref());
        }
        let write_figures = Request::unheard((), figure_rows::write);
        self.work_off(&mut [Box::new(write_figures)]);
        // The last connection to close moves the log into the file; then the lock ends.
        self.checkpointer.stop();
        drop(self.db);
        drop(self.lock);
    }

    /// Files the end of the delivery log, where it is long. In a transaction of its own: on a disk
    /// that is nearly full, commands may still have room where this has none.
    fn file_attempts(&mut self) {
        let unfiled = |writer: &Self| writer.memory.tail.lock().len();
        if unfiled(self) < self.state.file_at {
            return;
        }
        let file = Request::unheard((), log_index::file);
        self.work_off(&mut [Box::new(file)]);
        // Where that failed it is tried again, but not after every command.
        self.state.file_at = unfiled(self) + log_index::FILE_EVERY;
    }

    /// Runs all of them, in as few transactions as may be.
    fn work_off(&mut self, jobs: &mut Jobs) {
        let mut rest = jobs;
        while !rest.is_empty() {
            let done = match self.transact(rest) {
                Ok(done) => {
                    self.answer(&mut rest[..done], &Ok(()));
                    done
                }
                Err(failure) => self.fail(rest, failure),
            };
            rest = &mut rest[done..];
        }
    }

    /// Runs commands in one transaction, up to one that must be its last; returns how many.
    fn transact(&mut self, jobs: &mut Jobs) -> Result<usize, Failure> {
        self.reopen_if_needed()?;
        let Some(db) = &self.db else {
            return Err(Failure::Unavailable("the database is not open".to_owned()));
        };
        let began = Instant::now();
        let mut batch = Batch::new(db, &self.memory, &mut self.state);
        let mut done = 0;
        for job in jobs.iter_mut() {
            if let Err(failure) = job.run(&mut batch) {
                batch.abandon();
                return Err(failure);
            }
            done += 1;
            if batch.must_end() {
                break;
            }
        }
        if self.memory.figures.is_full()
            && let Err(failure) = figure_rows::write(&mut batch, &())
        {
            batch.abandon();
            return Err(failure);
        }
        let aftermath = batch.commit()?;
        if aftermath.begun {
            let metrics = &self.memory.metrics;
            metrics.commits.inc();
            metrics
                .commit_seconds
                .observe(began.elapsed().as_secs_f64());
            metrics.commit_batch_commands.observe(as_float(done));
            *self.memory.last_commit.lock() = Some(Instant::now());
            if std::mem::take(&mut self.failing) {
                tracing::info!("commits are possible again");
            }
        }
        self.follow_up(aftermath);
        Ok(done)
    }

    /// What a commit changes in memory, and whom it tells.
    fn follow_up(&mut self, aftermath: Aftermath) {
        let memory = &self.memory;
        self.state.next_position = aftermath.next_position;
        self.state.next_attempt = aftermath.next_attempt;
        {
            let mut tail = memory.tail.lock();
            tail.extend(aftermath.attempted.iter().map(|made| made.subscription));
            if let Some(up_to) = aftermath.filed_up_to {
                tail.file(up_to);
            }
        }
        memory
            .head
            .store(aftermath.next_position - 1, Ordering::Release);
        state::count_owed(aftermath.owed, memory);
        memory
            .figures
            .count(&aftermath.published, &aftermath.attempted);
        if let Some(number) = aftermath.figures_written {
            memory.figures.is_written(number);
        }
        for effect in aftermath.effects {
            match effect {
                Effect::Put(entry) => memory.book.write().put(entry),
                Effect::Remove(subscription) => memory.book.write().remove(subscription),
                Effect::PutKey(hash, key) => drop(memory.keys.write().insert(hash, key)),
                Effect::RemoveKey(hash) => drop(memory.keys.write().remove(&hash)),
                Effect::PutLease(lease, until) => drop(memory.leases.lock().insert(lease, until)),
            }
        }
        let metrics = &memory.metrics;
        if aftermath.events > 0 {
            metrics.events_appended.inc_by(aftermath.events as u64);
            metrics
                .commit_batch_events
                .observe(as_float(aftermath.events));
        }
        metrics.deliveries_spilled.inc_by(aftermath.spilled as u64);
        if let Some(handover) = aftermath.handover {
            handover.hand_over(aftermath.deliveries);
            if aftermath.wake {
                handover.wake();
            }
        }
        memory.arrivals.announce(&aftermath.companies);
    }

    /// Cleans up after a failed transaction; returns how many commands are answered by that.
    fn fail(&mut self, jobs: &mut Jobs, failure: Failure) -> usize {
        *self.memory.last_commit.lock() = None;
        let blame = failure.blame();
        let rolled_back = self.db.as_ref().is_none_or(Database::roll_back);
        if blame == Blame::Connection || !rolled_back {
            // Whether the last transaction is in the file is not certain any more.
            self.db = None;
        }
        if jobs.len() > 1 && blame == Blame::Command {
            for job in jobs.iter_mut() {
                self.work_off(std::slice::from_mut(job));
            }
            return jobs.len();
        }
        let error = StoreError::from(failure);
        match error {
            StoreError::Unavailable(_) if self.failing => {}
            StoreError::Unavailable(_) => {
                self.failing = true;
                tracing::error!(%error, "nothing can be committed; trying again with each command");
            }
            _ => tracing::error!(%error, "a command failed"),
        }
        self.answer(jobs, &Err(error));
        jobs.len()
    }

    fn answer(&mut self, jobs: &mut Jobs, result: &Result<(), StoreError>) {
        let mut orphans: Vec<(LeaseId, Vec<DeliveryKey>)> = Vec::new();
        for job in jobs {
            orphans.extend(job.answer(result));
        }
        for orphan in orphans {
            self.free(orphan);
        }
    }

    /// Lets go of deliveries that were claimed for somebody who went away meanwhile.
    fn free(&mut self, orphans: (LeaseId, Vec<DeliveryKey>)) {
        if orphans.1.is_empty() {
            return;
        }
        let release = Request::unheard(orphans, settle::release);
        self.work_off(&mut [Box::new(release)]);
    }

    /// Opens the file again after an I/O error. As after a restart, leases are void and memory is
    /// read anew: what the failed transaction left in the file is then known.
    fn reopen_if_needed(&mut self) -> Result<(), Failure> {
        if self.db.is_some() {
            return Ok(());
        }
        let conn = database::open_existing(&self.path)?;
        if open::identity(&conn)?.as_ref() != Some(&self.identity) {
            return Err(Failure::Unavailable(
                "the database file was replaced; restart the server to use the new one".to_owned(),
            ));
        }
        let db = Database::new(conn, self.memory.metrics.clone())?;
        self.state = load::load(db.connection(), &self.memory)?;
        self.db = Some(db);
        // What the failed transaction left in the file may be events that nobody was told of.
        self.memory.arrivals.announce_all();
        tracing::info!("the database is open again");
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells that everybody has come"
)]
fn linger() {
    thread::sleep(LINGER);
}

/// Takes what has queued up, within bounds; returns a command that needs its own transaction.
fn gather(
    jobs: &mut Vec<Box<dyn Job>>,
    commands: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Option<Box<dyn Job>> {
    let mut bytes = jobs[0].bytes();
    while jobs.len() < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
        let job = commands.try_recv().ok()?;
        if job.is_alone() {
            return Some(job);
        }
        bytes += job.bytes();
        jobs.push(job);
    }
    None
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts in one transaction are small"
)]
fn as_float(count: usize) -> f64 {
    count as f64
}
