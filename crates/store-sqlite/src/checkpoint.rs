//! Checkpoints: the log is moved into the database file off the commit path.
//!
//! A thread with its own connection does it each time that the log has grown by [`MOVE_EVERY`];
//! commits go on meanwhile. Under constant load there is always a little that was written during
//! the checkpoint, and the log can start afresh only when all of it has been moved. So from
//! [`HELP_FROM`] on, shortly after the thread has begun its second round, the writer moves that
//! remainder itself, between two transactions.

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

/// Pages by which the log grows (56 MiB) until it is moved. The same pages at the end of each table
/// and index are in it once per commit, and are moved once for each time that the log is; so that
/// is done seldom.
const MOVE_EVERY: i32 = 7168;
/// From so many pages on (120 MiB), the writer helps; and again after so many more, as long as
/// readers keep it from getting all of it.
const HELP_FROM: i32 = 2 * MOVE_EVERY + HELP_EVERY;
const HELP_EVERY: i32 = 1024;

/// The writer's hold on the checkpoint thread.
pub(crate) struct Checkpointer {
    /// None once stopped.
    signal: Option<mpsc::SyncSender<()>>,
    busy: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
    /// How long the log was, in pages, when the thread last began to move it, and when the writer
    /// last helped; 0 where neither was since it started afresh.
    moved_at: i32,
    helped_at: i32,
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
            moved_at: 0,
            helped_at: 0,
        })
    }

    /// Called by the writer between two transactions.
    pub(crate) fn look(&mut self, db: Option<&Database>) {
        let Some(db) = db else { return };
        let pages = db.log_pages();
        if pages < self.moved_at {
            (self.moved_at, self.helped_at) = (0, 0);
        }
        // As long as the thread is at it, the writer could not help.
        if self.busy.load(Ordering::Acquire) {
            return;
        }
        if pages >= HELP_FROM && pages >= self.helped_at + HELP_EVERY {
            self.helped_at = pages;
            // The thread has moved most of it; PASSIVE waits for nobody.
            log_failure(checkpoint(db.connection()));
        }
        if pages < self.moved_at + MOVE_EVERY {
            return;
        }
        if let Some(signal) = &self.signal {
            self.busy.store(true, Ordering::Release);
            if signal.try_send(()).is_ok() {
                self.moved_at = pages;
            } else {
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
