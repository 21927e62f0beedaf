//! What callers hand to the writer, and where the answers go.

use tidings_domain::verdict::Verdict;
use tidings_store::{Appended, Publication, Settled, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::attempt_lines::Line;

/// Where an answer goes. Nobody may be waiting for it any more.
pub(crate) type Reply<O> = oneshot::Sender<Result<O, StoreError>>;

/// Something for the writer.
pub(crate) enum Job {
    Append(AppendJob),
    Settle(SettleJob),
    /// To prove that a commit is possible.
    Probe(Reply<()>),
}

/// A publication.
pub(crate) struct AppendJob {
    pub(crate) publication: Publication,
    pub(crate) bytes: usize,
    pub(crate) reply: Reply<Appended>,
    /// Its share of the bytes that may wait, given back when it is done.
    pub(crate) _share: OwnedSemaphorePermit,
}

/// Attempts to record.
pub(crate) struct SettleJob {
    pub(crate) lines: Vec<Line>,
    pub(crate) bytes: usize,
    pub(crate) reply: Reply<Vec<Settled>>,
}

impl Job {
    /// About how many bytes it writes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(job) => job.bytes,
            Self::Settle(job) => job.bytes,
            Self::Probe(_) => 0,
        }
    }
}

impl AppendJob {
    /// The company and the key that it must not be appended twice under.
    pub(crate) fn key(&self) -> Option<(&str, &str)> {
        let idempotency = self.publication.idempotency.as_ref()?;
        Some((self.publication.company.as_str(), &idempotency.key))
    }
}

impl SettleJob {
    pub(crate) fn new(lines: Vec<Line>, reply: Reply<Vec<Settled>>) -> Self {
        let bytes = lines.iter().map(Line::bytes).sum();
        Self {
            lines,
            bytes,
            reply,
        }
    }

    /// Whether it may end a subscription, and so needs a transaction of its own.
    pub(crate) fn may_end(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.settlement.verdict == Verdict::Gone)
    }
}
