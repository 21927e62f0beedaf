//! The process's life: how many files it may open, and the signals that end it, softly at first
//! and at once when repeated.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// "File size limit exceeded". A write beyond the limit shall fail as on a full disk, which the
/// store survives; it shall not end the process.
const SIGXFSZ: i32 = 25;

/// The signals that ask a process to end: `SIGTERM` from a supervisor, `SIGINT` from a keyboard.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// Never waited for; listening alone turns its deadly default off.
    _file_size: Signal,
}

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// `SIGTERM`.
    Terminate,
    /// `SIGINT`.
    Interrupt,
}

/// Files that a server should be able to open: sockets in both directions, and the database.
const OPEN_FILES_MIN: u64 = 4096;

/// Lets the process open as many files as its supervisor allows; most systems start it with far
/// fewer, for the sake of programs that use `select`.
pub(crate) fn raise_open_files_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < OPEN_FILES_MIN => tracing::warn!(
            limit,
            "few files may be open at a time: connections may be refused under load; raise the \
             limit of the supervisor (LimitNOFILE, or ulimit -n)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

impl StopSignals {
    /// Listens from now on; until then a signal ends the process as it always does.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let of_kind = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: of_kind(SignalKind::terminate())?,
            interrupt: of_kind(SignalKind::interrupt())?,
            _file_size: of_kind(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }

    /// From now on the next one ends the process at once.
    pub(crate) fn end_at_next(mut self) {
        tokio::spawn(async move {
            let again = self.next().await;
            tracing::warn!("{} again: ending at once", again.name());
            std::process::exit(again.exit_code());
        });
    }
}

impl StopSignal {
    /// The signal's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// What a shell shows for a process that the signal ended: 128 and its number.
    fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}
