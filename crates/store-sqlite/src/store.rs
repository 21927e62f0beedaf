//! The store's handle: what callers hold, and how a call gets to the writer or to a reader.
//!
//! The use cases themselves are in the modules named after them; [`crate::surface`] joins them to
//! the traits.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
};

use parking_lot::{Mutex, RwLock};
use tidings_store::{Sealer, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    beside::Beside,
    checkpoint::Checkpointer,
    database::Database,
    failure::Failure,
    job::{Job, Orphans, Request, UseCase},
    load,
    log_index::Tail,
    memory::Memory,
    open::{self, MigrationReport, OpenError, SqliteOptions},
    reads::Readers,
    schema,
    writer::Writer,
};

/// Bytes of publications that may wait for the writer, in KiB.
const QUEUE_KIB_MAX: usize = 64 * 1024;

/// A store on one SQLite file. Cloning shares it; when the last clone is dropped, what was handed
/// in is finished and the file closed.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) memory: Arc<Memory>,
    pub(crate) readers: Readers,
    /// Where tidying goes on looking for old events.
    pub(crate) events_tidied: AtomicI64,
    /// None once closed.
    commands: RwLock<Option<mpsc::Sender<Box<dyn Job>>>>,
    room: Arc<Semaphore>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens a database, makes it where it is missing, migrates it, frees what an earlier process
    /// held, and starts the threads. Blocks while it does so.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key should not stay with the caller"
    )]
    pub fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let path = &options.path;
        let lock = open::lock(path)?;
        let opened = open::open_and_migrate(path)?;
        let sealer = Sealer::new(&options.encryption_key, Arc::clone(&options.random));
        let identity = open::check_key(path, &opened.conn, &sealer)?;
        let memory = Arc::new(Memory::new(sealer, options.metrics.clone()));
        let fail = |failure| failed(path, failure);
        let db = Database::new(opened.conn, options.metrics.clone()).map_err(fail)?;
        let state = load::load(db.connection(), &memory).map_err(fail)?;
        let threads = |error: std::io::Error| OpenError::Broken {
            path: path.clone(),
            why: format!("a thread does not start: {error}"),
        };
        let readers = Readers::start(path, options.readers).map_err(threads)?;
        let writer = Writer {
            path: path.clone(),
            identity,
            db: Some(db),
            state,
            memory: Arc::clone(&memory),
            checkpointer: Checkpointer::start(path).map_err(threads)?,
            failing: false,
            lock,
        };
        let (commands, received) = mpsc::channel(options.writer_queue_max.max(1));
        let thread = thread::Builder::new()
            .name("tidings-write".to_owned())
            .spawn(move || writer.run(received))
            .map_err(threads)?;
        Ok(Self {
            inner: Arc::new(Inner {
                memory,
                readers,
                events_tidied: AtomicI64::new(0),
                commands: RwLock::new(Some(commands)),
                room: Arc::new(Semaphore::new(QUEUE_KIB_MAX)),
                writer: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Brings a database to the newest schema and closes it again; makes it where it is missing.
    /// Beside a running server there is nothing to do, as it migrated when it started; a server
    /// that is older than this program must be stopped first.
    pub fn migrate_only(path: &Path) -> Result<MigrationReport, OpenError> {
        match open::lock(path) {
            Ok(_lock) => open::open_and_migrate(path).map(|opened| opened.report),
            Err(OpenError::Locked { path }) => {
                let found = open::schema_of(&path)?;
                if found == schema::newest() {
                    Ok(MigrationReport {
                        from: found,
                        to: found,
                    })
                } else {
                    Err(OpenError::Locked { path })
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the keys and users of a database for short command-line work, whether a server is running on
    /// it or not.
    pub fn open_beside(path: &Path) -> Result<Beside, OpenError> {
        Self::migrate_only(path)?;
        Ok(Beside::new(path))
    }
}

impl Inner {
    /// Hands a publication to the writer, or refuses it where too much waits already.
    pub(crate) async fn publish<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        bytes: usize,
        use_case: UseCase<I, O>,
    ) -> Result<O, StoreError> {
        // One that is larger than all the room still gets in when nothing else waits.
        let kib = u32::try_from((bytes / 1024 + 1).min(QUEUE_KIB_MAX));
        let share = Arc::clone(&self.room)
            .try_acquire_many_owned(kib.expect("bounded by the room"))
            .map_err(|_| StoreError::Overloaded)?;
        let (mut request, answer) = request(input, use_case);
        request.bytes = bytes;
        request.share = Some(share);
        self.send_or_refuse(Box::new(request))?;
        received(answer).await
    }

    /// Hands a change to the writer, for a transaction of its own.
    pub(crate) async fn change<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        use_case: UseCase<I, O>,
    ) -> Result<O, StoreError> {
        let (mut request, answer) = request(input, use_case);
        request.alone = true;
        self.send_or_refuse(Box::new(request))?;
        received(answer).await
    }

    /// Hands the dispatcher's work to the writer. It waits for a place where publications take
    /// them all: it is bounded already, and what is owed must be able to shrink.
    pub(crate) async fn work<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        bytes: usize,
        use_case: UseCase<I, O>,
        orphans: Option<Orphans<O>>,
    ) -> Result<O, StoreError> {
        let (mut request, answer) = request(input, use_case);
        request.bytes = bytes;
        request.orphans = orphans;
        let commands = self.commands.read().clone().ok_or_else(closed)?;
        commands
            .send(Box::new(request))
            .await
            .map_err(|_| closed())?;
        drop(commands);
        received(answer).await
    }

    fn send_or_refuse(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        match &*self.commands.read() {
            None => Err(closed()),
            Some(commands) => commands.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => closed(),
            }),
        }
    }

    /// Finishes what was handed in, closes the file, and ends the server's lock. Blocks.
    pub(crate) fn shut_down(&self) {
        self.readers.close();
        *self.commands.write() = None;
        if let Some(writer) = self.writer.lock().take() {
            // A panic there has been printed; the file is as the last commit left it.
            let _ = writer.join();
        }
        // Nothing can be committed any more, however short ago it could.
        *self.memory.last_commit.lock() = None;
    }

    /// A copy of the end of the delivery log, to be taken before a snapshot of the database.
    pub(crate) fn tail(&self) -> Tail {
        self.memory.tail.lock().clone()
    }

    /// Where tidying goes on looking for old events.
    pub(crate) fn events_tidied(&self) -> i64 {
        self.events_tidied.load(Ordering::Relaxed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

type Answer<O> = oneshot::Receiver<Result<O, StoreError>>;

fn request<I, O>(input: I, use_case: UseCase<I, O>) -> (Request<I, O>, Answer<O>) {
    let (reply, answer) = oneshot::channel();
    let request = Request {
        reply: Some(reply),
        ..Request::unheard(input, use_case)
    };
    (request, answer)
}

async fn received<O>(answer: Answer<O>) -> Result<O, StoreError> {
    answer.await.unwrap_or_else(|_| Err(closed()))
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn failed(path: &Path, failure: Failure) -> OpenError {
    match failure {
        Failure::Sql(error) => open::open_error(path, &error),
        other => OpenError::Broken {
            path: path.to_owned(),
            why: StoreError::from(other).to_string(),
        },
    }
}
