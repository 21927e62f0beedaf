//! The writer: one task that owns a connection, and group commit.
//!
//! It takes the first job that waits and whatever else has queued up meanwhile, and records all
//! attempts with one statement and appends all publications with another, both in one transaction
//! that is sent without waiting in between. Only after the commit it hands deliveries over and
//! answers. Where a job fails, each is done again alone, so that a bad one harms nobody but
//! itself. Where the connection breaks, everybody is told that the store is unavailable, and what
//! may have been committed all the same is seen to before the next transaction
//! ([`crate::doubt`]).

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use deadpool_postgres::Pool;
use tidings_store::{LeaseId, StoreError};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use uuid::Uuid;

use crate::{
    append::{Ground, as_float},
    book_change,
    database::Database,
    doubt::Doubt,
    failure::Failure,
    gone::{self, Ended},
    group::{Done, Group},
    job::{Job, SettleJob},
    link::Link,
    memory::Memory,
    probe, refresh, settle,
};

/// The most jobs of one transaction.
const BATCH_JOBS_MAX: usize = 1024;
/// A transaction takes no further job beyond so many bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How long a transaction may take before its connection counts as broken, in milliseconds. The
/// statements themselves are given up by PostgreSQL before that.
const TRANSACTION_TIMEOUT_MS: u64 = 15_000;
/// How often a transaction is prepared anew because subscriptions or leases had changed.
const STALE_TRIES_MAX: u32 = 20;
/// How often that may happen before changes of the book have to wait.
const STALE_TRIES_PATIENT: u32 = 2;
/// How often a transaction is tried again that got into somebody's way.
const CONFLICT_TRIES_MAX: u32 = 5;

/// Everything the writer's task owns.
pub(crate) struct Writer {
    /// A pool of one connection.
    pool: Pool,
    memory: Arc<Memory>,
    /// None until it is needed, and after it broke.
    link: Option<Link>,
    doubts: Vec<Doubt>,
    /// Whose lease was looked at last, and what was found.
    standing: Option<(Option<LeaseId>, Ground)>,
    /// Whether the database was unavailable last time; said once, not for each job.
    failing: bool,
}

impl Writer {
    /// A writer with a pool of its own, of one connection.
    pub(crate) fn new(pool: Pool, memory: Arc<Memory>) -> Self {
        Self {
            pool,
            memory,
            link: None,
            doubts: Vec::new(),
            standing: None,
            failing: false,
        }
    }

    /// Works until nobody can hand in anything any more and everything that was is done.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut held_over = None;
        loop {
            let next = match held_over.take() {
                Some(job) => Some(job),
                None => jobs.recv().await,
            };
            match next {
                None => break,
                Some(Job::Settle(job)) if job.may_end() => self.end(job).await,
                Some(Job::Probe(reply)) => {
                    let proved = self.prove().await;
                    // Nobody may be waiting any more.
                    let _ = reply.send(proved.map_err(|failure| self.fail(failure)));
                }
                Some(first) => {
                    let mut group = Group::default();
                    held_over = gather(&mut group, first, &mut jobs);
                    self.work_off(group).await;
                }
            }
        }
        self.pool.close();
    }

    /// Does all jobs of a group, in as few transactions as may be.
    async fn work_off(&mut self, group: Group) {
        let mut groups = vec![group];
        while let Some(mut group) = groups.pop() {
            if let Err(failure) = self.commit(&mut group).await {
                if failure.blames_statement() && group.len() > 1 {
                    groups.extend(group.split());
                } else {
                    let error = self.fail(failure);
                    group.answer_all(&error);
                }
            }
        }
    }

    /// Commits a group, prepared anew as often as it must be.
    async fn commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        let committed = self.try_to_commit(group).await;
        self.let_changes_on().await;
        committed
    }

    async fn try_to_commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        let (mut stale, mut conflicts) = (0, 0);
        while group.len() > 0 {
            match self.transact(group).await {
                Ok(Done::All) => {}
                Ok(Done::Stale) if stale < STALE_TRIES_MAX => {
                    stale += 1;
                    self.catch_up_after(stale).await?;
                }
                Ok(Done::Stale) => return Err(changes_too_fast()),
                Err(failure) if failure.is_conflict() && conflicts < CONFLICT_TRIES_MAX => {
                    conflicts += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// One transaction. Jobs that are done leave the group.
    async fn transact(&mut self, group: &mut Group) -> Result<Done, Failure> {
        let ground = self.ground().await?;
        let link = self.link.as_mut().ok_or_else(no_link)?;
        let began = Instant::now();
        let jobs = group.len();
        let mut leased = None;
        let transaction = group.transact(link, &self.memory, &ground, &mut leased);
        match in_time(transaction).await {
            Ok(done) => {
                self.committed(began, jobs);
                Ok(done)
            }
            Err(failure) => {
                self.cut_off_after(&failure, leased);
                Err(failure)
            }
        }
    }

    /// Records attempts of which some may end their subscription, in a transaction of their own.
    async fn end(&mut self, job: SettleJob) {
        let (mut stale, mut conflicts) = (0, 0);
        let error = loop {
            match self.try_end(&job).await {
                Ok(Some(settled)) => {
                    self.let_changes_on().await;
                    // Nobody may be waiting any more.
                    let _ = job.reply.send(Ok(settled));
                    return;
                }
                Ok(None) if stale < STALE_TRIES_MAX => {
                    stale += 1;
                    if let Err(failure) = self.catch_up_after(stale).await {
                        break failure;
                    }
                }
                Ok(None) => break changes_too_fast(),
                Err(failure) if failure.is_conflict() && conflicts < CONFLICT_TRIES_MAX => {
                    conflicts += 1;
                }
                Err(failure) => break failure,
            }
        };
        self.let_changes_on().await;
        let error = self.fail(error);
        let _ = job.reply.send(Err(error));
    }

    async fn try_end(
        &mut self,
        job: &SettleJob,
    ) -> Result<Option<Vec<tidings_store::Settled>>, Failure> {
        let ground = self.ground().await?;
        let link = self.link.as_mut().ok_or_else(no_link)?;
        let began = Instant::now();
        let transaction = gone::settle(link, &self.memory, &ground, &job.lines);
        match in_time(transaction).await {
            Ok(Ended::Stale) => Ok(None),
            Ok(Ended::Committed { settled, notices }) => {
                self.committed(began, 1);
                settle::count(&self.memory, &job.lines, &settled);
                // The book first: who is woken by a notice finds the subscription ended.
                let refreshed = self.catch_up().await;
                for (staged, base) in notices {
                    staged.follow_up(&self.memory, base);
                }
                if let Err(failure) = refreshed {
                    let error = self.fail(failure);
                    tracing::warn!(%error, "a subscription ended, but that is not yet in memory");
                }
                Ok(Some(settled))
            }
            Err(failure) => {
                let leased = ground
                    .holder
                    .map(|(lease, _)| (lease, gone::notices_of(&job.lines)));
                self.cut_off_after(&failure, leased);
                Err(failure)
            }
        }
    }

    /// Proves that what publishing and settling need is there, by a commit of its own.
    async fn prove(&mut self) -> Result<(), Failure> {
        self.ground().await?;
        let link = self.link.as_ref().ok_or_else(no_link)?;
        let began = Instant::now();
        let db = Database::new(&link.client, &self.memory.metrics);
        let written = in_time(probe::write(&db)).await;
        match &written {
            Ok(()) => self.committed(began, 1),
            Err(failure) => self.cut_off_after(failure, None),
        }
        written
    }

    /// Makes sure of a connection, of the end of earlier doubts, and of what is known about the
    /// attached lease.
    async fn ground(&mut self) -> Result<Ground, Failure> {
        if self
            .link
            .as_ref()
            .is_some_and(|link| link.client.is_closed())
        {
            self.cut_off();
        }
        let memory = Arc::clone(&self.memory);
        if self.link.is_none() {
            let link = Link::make(&self.pool, &memory.metrics).await?;
            memory
                .writer_process
                .store(link.backend.process, Ordering::Relaxed);
            self.link = Some(link);
        }
        self.resolve_doubts().await?;
        let attached = memory.attached.lock().clone();
        let lease = attached.as_ref().map(|(lease, _)| *lease);
        let lease_version = match &self.standing {
            Some((known, ground)) if *known == lease => {
                // The same lease may be attached with another handover meanwhile.
                let holder = attached.filter(|_| ground.holder.is_some());
                return Ok(Ground {
                    lease_version: ground.lease_version,
                    holder,
                });
            }
            _ => self.look_at(lease).await?,
        };
        let (lease_version, stands) = lease_version;
        let ground = Ground {
            lease_version,
            holder: attached.filter(|_| stands),
        };
        self.standing = Some((lease, ground.clone()));
        Ok(ground)
    }

    /// The version of the leases, and whether this one stands at it.
    async fn look_at(&mut self, lease: Option<LeaseId>) -> Result<(i64, bool), Failure> {
        let link = self.link.as_ref().ok_or_else(no_link)?;
        let db = Database::new(&link.client, &self.memory.metrics);
        let row = db
            .first(
                "SELECT lease_version, EXISTS (SELECT 1 FROM leases WHERE id = $1 AND NOT lost)
                 FROM log_heads WHERE shard = 0",
                &[&lease.map_or(0, |lease| lease.0)],
            )
            .await?
            .ok_or_else(|| Failure::Broken("the log has no head".to_owned()))?;
        Ok((row.get(0), row.get(1)))
    }

    /// Learns what has changed, and has changes of the book wait where they came too often.
    async fn catch_up_after(&mut self, stale: u32) -> Result<(), Failure> {
        if stale > STALE_TRIES_PATIENT {
            self.ground().await?;
            let link = self.link.as_mut().ok_or_else(no_link)?;
            if !link.holds_off {
                let db = Database::new(&link.client, &self.memory.metrics);
                book_change::hold_off(&db).await?;
                link.holds_off = true;
            }
        }
        self.catch_up().await
    }

    /// Lets changes of the book begin again, if this writer has them wait.
    async fn let_changes_on(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| link.holds_off) else {
            return;
        };
        let db = Database::new(&link.client, &self.memory.metrics);
        match book_change::let_on(&db).await {
            Ok(()) => link.holds_off = false,
            // They begin at the latest with the end of the connection.
            Err(_) => self.cut_off(),
        }
    }

    /// Learns what has changed in the book and about leases.
    async fn catch_up(&mut self) -> Result<(), Failure> {
        self.standing = None;
        self.ground().await?;
        let link = self.link.as_ref().ok_or_else(no_link)?;
        let memory = &self.memory;
        let db = Database::new(&link.client, &memory.metrics);
        refresh::refresh(&db, memory, &memory.refreshing)
            .await
            .map(drop)
    }

    /// Sees to what may have been committed before a connection broke.
    async fn resolve_doubts(&mut self) -> Result<(), Failure> {
        let link = self.link.as_ref().ok_or_else(no_link)?;
        let db = Database::new(&link.client, &self.memory.metrics);
        while let Some(doubt) = self.doubts.last() {
            let freed = doubt.resolve(&db).await?;
            self.doubts.pop();
            if freed > 0 {
                tracing::warn!(
                    deliveries = freed,
                    "events were stored although their publishers were told otherwise"
                );
                self.memory.wake();
            }
            self.memory.arrivals.announce_all();
        }
        Ok(())
    }

    /// After a failed transaction: gives the connection up where it cannot be used any more, and
    /// remembers what may have been committed.
    fn cut_off_after(&mut self, failure: &Failure, leased: Option<(LeaseId, Vec<Uuid>)>) {
        let Some(link) = &self.link else { return };
        if !failure.is_disconnect() && !link.client.is_closed() {
            return;
        }
        if let Some((lease, events)) = leased
            && !events.is_empty()
        {
            self.doubts.push(Doubt {
                backend: link.backend,
                lease,
                events,
            });
        }
        self.cut_off();
    }

    fn cut_off(&mut self) {
        if let Some(link) = self.link.take() {
            link.discard();
        }
        self.memory.writer_process.store(0, Ordering::Relaxed);
        // Another server may have taken over, with other numbers.
        self.standing = None;
    }

    fn committed(&mut self, began: Instant, jobs: usize) {
        let metrics = &self.memory.metrics;
        metrics.commits.inc();
        metrics
            .commit_seconds
            .observe(began.elapsed().as_secs_f64());
        metrics.commit_batch_commands.observe(as_float(jobs));
        *self.memory.last_commit.lock() = Some(Instant::now());
        if std::mem::take(&mut self.failing) {
            tracing::info!("commits are possible again");
        }
    }

    /// Notes a failure that nothing more can be done about; returns what callers are told.
    fn fail(&mut self, failure: Failure) -> StoreError {
        *self.memory.last_commit.lock() = None;
        let error = StoreError::from(failure);
        match error {
            StoreError::Unavailable(_) if self.failing => {}
            StoreError::Unavailable(_) => {
                self.failing = true;
                tracing::error!(%error, "nothing can be committed; trying again with each command");
            }
            _ => tracing::error!(%error, "a command failed"),
        }
        error
    }
}

/// Takes what has queued up, within bounds; returns a job that needs another transaction.
fn gather(group: &mut Group, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
    let mut bytes = first.bytes();
    group.push(first);
    while group.len() < BATCH_JOBS_MAX && bytes < BATCH_BYTES_MAX {
        let job = jobs.try_recv().ok()?;
        if !group.takes(&job) {
            return Some(job);
        }
        bytes += job.bytes();
        group.push(job);
    }
    None
}

/// What a transaction came to, where that is known in time.
async fn in_time<T>(transaction: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let limit = Duration::from_millis(TRANSACTION_TIMEOUT_MS);
    timeout(limit, transaction).await.unwrap_or_else(|_| {
        Err(Failure::Unavailable(format!(
            "PostgreSQL did not answer within {TRANSACTION_TIMEOUT_MS} ms"
        )))
    })
}

fn changes_too_fast() -> Failure {
    Failure::Unavailable("subscriptions change faster than events can be matched".to_owned())
}

fn no_link() -> Failure {
    Failure::Unavailable("there is no connection to PostgreSQL".to_owned())
}
