//! What callers hand to the writer: a use case with its input, and where its answer goes.

use tidings_store::{DeliveryKey, LeaseId, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{batch::Batch, failure::Failure};

/// A use case inside a transaction. May run more than once: after a failure that a neighbour in
/// the same transaction caused it is run again, and only its last outcome counts.
pub(crate) type UseCase<I, O> = for<'w, 'b> fn(&mut Batch<'w, 'b>, &'b I) -> Result<O, Failure>;

/// Says which leased deliveries are in nobody's hands when an answer does not arrive.
pub(crate) type Orphans<O> = fn(&O) -> (LeaseId, Vec<DeliveryKey>);

/// A use case on its way through the writer.
pub(crate) trait Job: Send {
    /// Does it, inside the batch's transaction.
    fn run<'b>(&'b mut self, batch: &mut Batch<'_, 'b>) -> Result<(), Failure>;

    /// Answers: with the outcome of the last run, which is durable, or with an error. Returns
    /// deliveries that nobody received.
    fn answer(&mut self, result: &Result<(), StoreError>) -> Option<(LeaseId, Vec<DeliveryKey>)>;

    /// Whether it needs a transaction of its own.
    fn is_alone(&self) -> bool;

    /// About how many bytes it writes.
    fn bytes(&self) -> usize;
}

/// The one implementation.
pub(crate) struct Request<I, O> {
    pub(crate) input: I,
    pub(crate) use_case: UseCase<I, O>,
    pub(crate) outcome: Option<O>,
    pub(crate) reply: Option<oneshot::Sender<Result<O, StoreError>>>,
    pub(crate) orphans: Option<Orphans<O>>,
    pub(crate) alone: bool,
    pub(crate) bytes: usize,
    /// Its share of the bytes that may wait, given back when it is done.
    pub(crate) share: Option<OwnedSemaphorePermit>,
}

impl<I, O> Request<I, O> {
    /// One whose answer nobody waits for.
    pub(crate) fn unheard(input: I, use_case: UseCase<I, O>) -> Self {
        Self {
            input,
            use_case,
            outcome: None,
            reply: None,
            orphans: None,
            alone: false,
            bytes: 0,
            share: None,
        }
    }
}

impl<I: Send, O: Send> Job for Request<I, O> {
    fn run<'b>(&'b mut self, batch: &mut Batch<'_, 'b>) -> Result<(), Failure> {
        self.outcome = Some((self.use_case)(batch, &self.input)?);
        Ok(())
    }

    fn answer(&mut self, result: &Result<(), StoreError>) -> Option<(LeaseId, Vec<DeliveryKey>)> {
        let outcome = self.outcome.take();
        self.share = None;
        let answer = result.clone().and_then(|()| {
            outcome.ok_or_else(|| StoreError::Broken("a use case had no outcome".to_owned()))
        });
        let unheard = self.reply.take()?.send(answer).err()?.ok()?;
        self.orphans.map(|orphans| orphans(&unheard))
    }

    fn is_alone(&self) -> bool {
        self.alone
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
