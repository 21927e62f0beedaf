//! Checkpoints: the log is moved into the database file off the commit path.
//!
//! A thread with its own connection does it whenever the log has grown beyond
//! [`LOG_PAGES_SOFT`]; commits go on meanwhile. Under constant load there is always a little that
//! was written during the checkpoint, and the log can start afresh only when all of it has been
//! moved. So beyond [`LOG_PAGES_HARD`] the writer moves that remainder itself, between two
//! transactions.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use rusqlite::Connection;

use crate::database::{self, Database};

/// From so many pages on (64 MiB), the log is moved. The same few pages at the end of each table
/// and index are in it once per commit and are moved once, so a longer log is less work.
const LOG_PAGES_SOFT: i32 = 8192;
/// From so many pages on (128 MiB), the writer helps.
const LOG_PAGES_HARD: i32 = 16_384;

/// The writer's hold on the checkpoint thread.
pub(crate) struct Checkpointer {
    /// None once stopped.
    signal: Option<mpsc::SyncSender<()>>,
    busy: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(path: &Path) -> std::io::Result<Self> {
        let (signal, signals) = mpsc::sync_channel::<()>(1);
        let busy = Arc::new(AtomicBool::new(false));
        let path = path.to_owned();
        let is_busy = Arc::clone(&busy);
        let thread = thread::Builder::new()
            .name("tidings-checkpoint".to_owned())
            .spawn(move || {
                for () in signals {
                    move_log(database::open_existing(&path));
                    is_busy.store(false, Ordering::Release);
                }
            })?;
        Ok(Self {
            signal: Some(signal),
            busy,
            thread: Some(thread),
        })
    }

    /// Called by the writer between two transactions.
    pub(crate) fn look(&self, db: Option<&Database>) {
        let Some(db) = db else { return };
        let pages = db.log_pages();
        if pages < LOG_PAGES_SOFT || self.busy.load(Ordering::Acquire) {
            return;
        }
        if pages >= LOG_PAGES_HARD {
            // The thread has just moved most of it; PASSIVE waits for nobody.
            log_failure(checkpoint(db.connection()));
        }
        if let Some(signal) = &self.signal {
            self.busy.store(true, Ordering::Release);
            if signal.try_send(()).is_err() {
                self.busy.store(false, Ordering::Release);
            }
        }
    }

    /// Lets the thread finish and waits for it.
    pub(crate) fn stop(&mut self) {
        self.signal = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the log is moved when the file is closed.
            let _ = thread.join();
        }
    }
}

fn move_log(conn: rusqlite::Result<Connection>) {
    log_failure(conn.and_then(|conn| checkpoint(&conn)));
}

fn checkpoint(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn log_failure(result: rusqlite::Result<()>) {
    if let Err(error) = result {
        // Nothing is lost by it: the log keeps what is not moved, and the next one tries again.
        tracing::warn!(%error, "a checkpoint failed");
    }
}
