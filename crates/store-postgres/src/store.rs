//! The store's handle: what callers hold, and how a call gets to the writer or to a pool.
//!
//! The use cases themselves are in the modules named after them; [`crate::surface`] joins them to
//! the traits.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Pool;
use parking_lot::{Mutex, RwLock};
use rustls::RootCertStore;
use tidings_domain::time::UtcMillis;
use tidings_store::{
    Appended, Claimed, DeliveryKey, Handover, LeaseId, Publication, Renewal, Settled, Settlement,
    StoreError,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    attempt_lines::Line,
    beside::KeysBeside,
    claim::{self, Wanted},
    database::{self, Access, Database},
    failure::Failure,
    figures,
    job::{AppendJob, Job, SettleJob},
    leases,
    memory::Memory,
    open::{self, MigrationReport, OpenError, PostgresOptions},
    refresh, release, settle,
};

/// Bytes of publications that may wait for the writer, in KiB.
const QUEUE_KIB_MAX: usize = 64 * 1024;
/// A commit so recent proves that commits are possible, in milliseconds.
const PROOF_VALID_MS: u64 = 1000;
/// How long a commit may take before the store counts as unavailable, in milliseconds.
const CHECK_TIMEOUT_MS: u64 = 3000;
/// How long the end waits for the last figures to be written, in milliseconds.
const LAST_FIGURES_TIMEOUT_MS: u64 = 3000;

/// A node's store on one PostgreSQL. Cloning shares it; when the last clone is dropped, what was
/// handed in is finished and the connections are closed.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) memory: Arc<Memory>,
    /// For reads and changes of whoever asks.
    pub(crate) pool: Pool,
    /// For what deliveries depend on: leases, claims, settling and the watch. However long others
    /// read, a node that lives keeps its lease.
    dispatch_pool: Pool,
    /// None once closed.
    commands: RwLock<Option<mpsc::Sender<Job>>>,
    room: Arc<Semaphore>,
    /// Ends the watch.
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Opens a database: makes or migrates the schema where it must be, measures the clock, reads
    /// what memory holds, and starts the tasks.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let opened = open::open(options).await?;
        let (commands, received) = mpsc::channel(opened.writer_queue_max.max(1));
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(opened.writer.run(received)),
            tokio::spawn(opened.watch.run(stop.clone())),
            tokio::spawn(figures::write_when_full(
                opened.pool.clone(),
                Arc::clone(&opened.memory),
                stop.clone(),
            )),
        ];
        Ok(Self {
            inner: Arc::new(Inner {
                memory: opened.memory,
                pool: opened.pool,
                dispatch_pool: opened.dispatch_pool,
                commands: RwLock::new(Some(commands)),
                room: Arc::new(Semaphore::new(QUEUE_KIB_MAX)),
                stop,
                tasks: Mutex::new(tasks),
            }),
        })
    }

    /// Brings a database to the newest schema. Nodes of the version before go on beside it; where
    /// they cannot, the changelog says so.
    pub async fn migrate_only(
        url: &str,
        roots: RootCertStore,
    ) -> Result<MigrationReport, OpenError> {
        open::migrate_only(url, roots).await
    }

    /// The way to a connection of the pool.
    pub(crate) fn access(&self) -> Access<'_> {
        self.inner.access()
    }

    /// Opens the keys and users of a database for short command-line work, whether nodes are
    /// running on it or not.
    pub async fn open_beside(url: &str, roots: RootCertStore) -> Result<KeysBeside, OpenError> {
        open::open_beside(url, roots).await
    }
}

impl Inner {
    /// The way to a connection of the pool.
    pub(crate) fn access(&self) -> Access<'_> {
        Access {
            pool: &self.pool,
            metrics: &self.memory.metrics,
        }
    }

    /// Hands a publication to the writer, or refuses it where too much waits already.
    pub(crate) async fn append(&self, publication: Publication) -> Result<Appended, StoreError> {
        const EVENT_FIXED_BYTES: usize = 200;
        if publication.events.is_empty() {
            return Err(StoreError::Broken(
                "a publication without events".to_owned(),
            ));
        }
        let bytes: usize = publication
            .events
            .iter()
            .map(|event| event.json().len() + EVENT_FIXED_BYTES)
            .sum();
        // One that is larger than all the room still gets in when nothing else waits.
        let kib = u32::try_from((bytes / 1024 + 1).min(QUEUE_KIB_MAX));
        let share = Arc::clone(&self.room)
            .try_acquire_many_owned(kib.expect("bounded by the room"))
            .map_err(|_| StoreError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(AppendJob {
            publication,
            bytes,
            reply,
            _share: share,
        });
        self.send_or_refuse(job)?;
        received(answer).await
    }

    /// Hands settlements to the writer. They wait for a place where publications take them all:
    /// they are bounded already, and what is owed must be able to shrink.
    pub(crate) async fn settle(
        &self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, StoreError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let lines = settlements.into_iter().map(Line::prepare).collect();
        let lines = settle::name_subscriptions(&self.dispatch_pool, &self.memory, lines).await?;
        let (reply, answer) = oneshot::channel();
        let job = Job::Settle(SettleJob::new(lines, reply));
        let commands = self.commands.read().clone().ok_or_else(closed)?;
        commands.send(job).await.map_err(|_| closed())?;
        drop(commands);
        received(answer).await
    }

    /// Lets go of deliveries without an attempt.
    pub(crate) async fn release(
        &self,
        lease: LeaseId,
        keys: Vec<DeliveryKey>,
    ) -> Result<(), StoreError> {
        Ok(release::release(&self.dispatch_pool, &self.memory, lease, &keys).await?)
    }

    /// Leases due deliveries. It is carried out to its end whatever becomes of the caller; what
    /// nobody receives is let go of.
    pub(crate) async fn claim(
        &self,
        lease: LeaseId,
        now: UtcMillis,
        limit: usize,
        handover: &Arc<Handover>,
    ) -> Result<Claimed, StoreError> {
        let wanted = Wanted {
            lease,
            now,
            limit,
            handover: Arc::clone(handover),
        };
        let (pool, memory) = (self.dispatch_pool.clone(), Arc::clone(&self.memory));
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let claimed = claim::claim(&pool, &memory, &wanted).await;
            let Err(Ok(unheard)) = reply.send(claimed.map_err(StoreError::from)) else {
                return;
            };
            let keys: Vec<_> = unheard.deliveries.iter().map(|one| one.key).collect();
            if let Err(failure) = release::release(&pool, &memory, lease, &keys).await {
                let error = StoreError::from(failure);
                tracing::warn!(%error, "deliveries that nobody received wait until their lease ends");
            }
        });
        received(answer).await
    }

    /// A new lease for this node.
    pub(crate) async fn acquire_lease(
        &self,
        now: UtcMillis,
        until: UtcMillis,
    ) -> Result<LeaseId, StoreError> {
        Ok(leases::acquire(&self.dispatch_pool, &self.memory, now, until).await?)
    }

    /// Prolongs a lease that nobody has taken over.
    pub(crate) async fn renew_lease(
        &self,
        lease: LeaseId,
        until: UtcMillis,
    ) -> Result<Renewal, StoreError> {
        let pools = [&self.dispatch_pool, &self.pool];
        Ok(leases::renew(pools, &self.memory, lease, until).await?)
    }

    /// Ends a lease: what it held is free.
    pub(crate) async fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        Ok(leases::end(&self.dispatch_pool, &self.memory, lease).await?)
    }

    /// From now on, appended work is leased to `lease` and handed over as far as there is room.
    pub(crate) fn attach(&self, lease: LeaseId, handover: Arc<Handover>) {
        *self.memory.attached.lock() = Some((lease, handover));
    }

    /// From now on, appended work waits for a claim.
    pub(crate) fn detach(&self) {
        *self.memory.attached.lock() = None;
    }

    /// Takes into memory what is committed, this node's own changes and those of others.
    pub(crate) async fn refresh(&self) -> Result<(), Failure> {
        let memory = &self.memory;
        let client = database::borrow(&self.pool).await?;
        let db = Database::new(&client, &memory.metrics);
        let version = refresh::refresh(&db, memory, &memory.refreshing).await?;
        leases::report_seen(&db, memory, version).await
    }

    /// Proves that the writer can commit right now: what is published and settled goes by it.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let last = *self.memory.last_commit.lock();
        if last.is_some_and(|last| last.elapsed() < Duration::from_millis(PROOF_VALID_MS)) {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.send_or_refuse(Job::Probe(reply))?;
        let proof = received(answer);
        match tokio::time::timeout(Duration::from_millis(CHECK_TIMEOUT_MS), proof).await {
            Ok(proved) => proved,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no commit was possible within {CHECK_TIMEOUT_MS} ms"
            ))),
        }
    }

    /// Finishes what was handed in and closes the connections.
    pub(crate) async fn shut_down(&self) {
        *self.commands.write() = None;
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // A panic there has been printed; the database is as the last commit left it.
            let _ = task.await;
        }
        self.write_last_figures().await;
        self.pool.close();
        self.dispatch_pool.close();
        // Nothing can be committed any more, however short ago it could.
        *self.memory.last_commit.lock() = None;
    }

    /// Writes what was counted since the last time. An end does not wait for a database that is
    /// not there.
    async fn write_last_figures(&self) {
        let writing = figures::write(&self.pool, &self.memory);
        let limit = Duration::from_millis(LAST_FIGURES_TIMEOUT_MS);
        let written = tokio::time::timeout(limit, writing).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => StoreError::from(failure),
            Err(_) => StoreError::Unavailable("PostgreSQL does not answer".to_owned()),
        };
        tracing::warn!(%error, "the figures of the last seconds are lost");
    }

    fn send_or_refuse(&self, job: Job) -> Result<(), StoreError> {
        match &*self.commands.read() {
            None => Err(closed()),
            Some(commands) => commands.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => closed(),
            }),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends by itself, once it has done what was handed in.
        self.stop.cancel();
    }
}

async fn received<O>(answer: oneshot::Receiver<Result<O, StoreError>>) -> Result<O, StoreError> {
    answer.await.unwrap_or_else(|_| Err(closed()))
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
