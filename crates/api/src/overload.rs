//! Overload: how much the API takes on at a time. Beyond it the answer is 503 with `Retry-After`,
//! before memory grows.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tidings_domain::company::CompanyId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// What a request may ask for, and how much is taken on at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one published event: of the body that publishes it, or of its item in a batch.
    pub event_bytes_max: usize,
    /// Bytes of the body of a batch.
    pub batch_bytes_max: usize,
    /// Requests being worked on at a time; long polls that wait do not count.
    pub requests_max: usize,
    /// Long polls that wait at a time.
    pub waiters_max: usize,
    /// Streams of events at a time.
    pub streams_max: usize,
    /// Streams of one company's events at a time.
    pub streams_per_company_max: usize,
    /// Bytes of request bodies in memory at a time.
    pub body_bytes_in_flight_max: usize,
    /// How long a body may take to arrive, in milliseconds.
    pub body_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes_max: 256 << 10,
            batch_bytes_max: 8 << 20,
            requests_max: 4096,
            waiters_max: 10_000,
            streams_max: 12_000,
            streams_per_company_max: 1_000,
            body_bytes_in_flight_max: 256 << 20,
            body_timeout_ms: 30_000,
        }
    }
}

/// Bodies are counted in pieces of this size, as a semaphore counts to 2^29 only on small
/// machines.
const BODY_PIECE_BYTES: usize = 1024;

/// Counts what is being worked on.
pub(crate) struct Overload {
    requests: Arc<Semaphore>,
    waiters: Semaphore,
    streams: Arc<Semaphore>,
    streams_of: Arc<Mutex<HashMap<CompanyId, usize>>>,
    streams_per_company_max: usize,
    body_pieces: Arc<Semaphore>,
}

/// A stream's place among all, and among its company's.
pub(crate) struct StreamPermit {
    _permit: OwnedSemaphorePermit,
    streams_of: Arc<Mutex<HashMap<CompanyId, usize>>>,
    company: CompanyId,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut streams_of = self.streams_of.lock();
        if let Some(open) = streams_of.get_mut(&self.company) {
            *open -= 1;
            if *open == 0 {
                streams_of.remove(&self.company);
            }
        }
    }
}

impl Overload {
    /// With nothing going on yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.requests_max)),
            waiters: Semaphore::new(limits.waiters_max),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            streams_of: Arc::default(),
            streams_per_company_max: limits.streams_per_company_max,
            body_pieces: Arc::new(Semaphore::new(
                limits.body_bytes_in_flight_max / BODY_PIECE_BYTES,
            )),
        }
    }

    /// Takes a request on, until the permit is dropped.
    pub(crate) fn admit_request(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.requests)
            .try_acquire_owned()
            .map_err(|_| Problem::overloaded("too many requests are being worked on"))
    }

    /// Lets a long poll wait, until the permit is dropped.
    pub(crate) fn admit_waiter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.waiters
            .try_acquire()
            .map_err(|_| Problem::overloaded("too many long polls are waiting"))
    }

    /// Takes a stream on, until the permit is dropped.
    pub(crate) fn admit_stream(&self, company: &CompanyId) -> Result<StreamPermit, Problem> {
        let permit = Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| Problem::overloaded("too many streams are open"))?;
        let mut streams_of = self.streams_of.lock();
        let open = streams_of.entry(company.clone()).or_default();
        if *open >= self.streams_per_company_max {
            return Err(Problem::overloaded(
                "too many streams of this company are open",
            ));
        }
        *open += 1;
        Ok(StreamPermit {
            _permit: permit,
            streams_of: Arc::clone(&self.streams_of),
            company: company.clone(),
        })
    }

    /// Room for `bytes` of a request body, until the permit is dropped.
    pub(crate) fn admit_body(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let pieces = u32::try_from(bytes.div_ceil(BODY_PIECE_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.body_pieces)
            .try_acquire_many_owned(pieces)
            .map_err(|_| Problem::overloaded("too many request bodies are in memory"))
    }
}
