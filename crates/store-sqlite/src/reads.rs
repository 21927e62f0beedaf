//! Readers: a few threads, each with its own read-only connection, fed by one bounded queue.
//!
//! A read sees what was committed when it began and never waits for the writer. Each is bounded
//! by its caller, so that a thread is soon free again and the log can be moved.

use std::{path::Path, sync::Arc, thread};

use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use tidings_store::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::{
    database,
    failure::{Blame, Failure},
};

/// Reads that may wait, per thread.
const QUEUE_PER_READER_MAX: usize = 256;

/// A read on its way. Gets the connection, or why there is none; returns whether the connection
/// is still sound.
type Read = Box<dyn FnOnce(Result<&Connection, Failure>) -> Sound + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    Yes,
    No,
}

/// The threads that read.
pub(crate) struct Readers {
    /// None once closed.
    queue: RwLock<Option<mpsc::Sender<Read>>>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Readers {
    /// Starts so many threads.
    pub(crate) fn start(path: &Path, threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let (sender, receiver) = mpsc::channel(threads * QUEUE_PER_READER_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..threads).map(|_| {
            let receiver = Arc::clone(&receiver);
            let path = path.to_owned();
            thread::Builder::new()
                .name("tidings-read".to_owned())
                .spawn(move || work(&path, &receiver))
        });
        let threads = threads.collect::<Result<_, _>>()?;
        Ok(Self {
            queue: RwLock::new(Some(sender)),
            threads: Mutex::new(threads),
        })
    }

    /// Reads with one of them.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Read = Box::new(move |conn| {
            if reply.is_closed() {
                return Sound::Yes;
            }
            let result = conn.and_then(|conn| in_one_snapshot(conn, read));
            let sound = match &result {
                Err(failure) if failure.blame() == Blame::Connection => Sound::No,
                _ => Sound::Yes,
            };
            // Nobody may be waiting any more, and that is their choice.
            let _ = reply.send(result.map_err(StoreError::from));
            sound
        });
        match &*self.queue.read() {
            None => return Err(closed()),
            Some(queue) => queue.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => closed(),
            })?,
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Finishes what waits and ends the threads.
    pub(crate) fn close(&self) {
        *self.queue.write() = None;
        for thread in self.threads.lock().drain(..) {
            // A panic there has been printed, and there is nothing left to save.
            let _ = thread.join();
        }
    }
}

fn work(path: &Path, reads: &Mutex<mpsc::Receiver<Read>>) {
    let mut conn = None;
    loop {
        // Whoever holds the lock waits for the next read; the others wait for the lock.
        let next = reads.lock().blocking_recv();
        let Some(read) = next else { return };
        if conn.is_none() {
            conn = match database::open_reader(path) {
                Ok(conn) => Some(conn),
                Err(error) => {
                    read(Err(error.into()));
                    continue;
                }
            };
        }
        if let Some(open) = &conn
            && read(Ok(open)) == Sound::No
        {
            conn = None;
        }
    }
}

/// Several statements see the same state.
fn in_one_snapshot<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let tx = conn.unchecked_transaction()?;
    let result = read(&tx)?;
    tx.commit()?;
    Ok(result)
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
