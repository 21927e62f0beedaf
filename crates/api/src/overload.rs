//! Overload: how much the API takes on at a time. Beyond it the answer is 503 with `Retry-After`,
//! before memory grows.

use std::sync::Arc;

use hashbrown::HashMap;
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
    /// Test sends to one company's subscriptions at a time; each may take as long as an attempt.
    pub tests_per_company_max: usize,
    /// URLs that are looked at for one company at a time, as its subscriptions are made or changed.
    pub url_checks_per_company_max: usize,
    /// Replays of one company's events at a time; each may take minutes.
    pub replays_per_company_max: usize,
    /// Bytes of request bodies in memory at a time.
    pub body_bytes_in_flight_max: usize,
    /// Bytes of large answers that are not yet written to their connections, at a time.
    pub answer_bytes_in_flight_max: usize,
    /// Of these, bytes of answers to the keys of one company.
    pub answer_bytes_per_company_max: usize,
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
            tests_per_company_max: 16,
            url_checks_per_company_max: 64,
            replays_per_company_max: 4,
            body_bytes_in_flight_max: 256 << 20,
            answer_bytes_in_flight_max: 256 << 20,
            answer_bytes_per_company_max: 64 << 20,
            body_timeout_ms: 30_000,
        }
    }
}

/// Bodies and answers are counted in pieces of this size, as a semaphore counts to 2^29 only on
/// small machines.
const PIECE_BYTES: usize = 1024;
/// Answers of so many bytes, and smaller ones, are not counted: they cost little, and counting
/// would cost every request.
const SMALL_ANSWER_BYTES_MAX: usize = 64 << 10;

/// Counts what is being worked on.
pub(crate) struct Overload {
    requests: Arc<Semaphore>,
    waiters: Semaphore,
    streams: Arc<Semaphore>,
    streams_of: Shares,
    tests_of: Shares,
    url_checks_of: Shares,
    replays_of: Shares,
    body_pieces: Arc<Semaphore>,
    answer_pieces: Arc<Semaphore>,
    answer_pieces_of: Shares,
}

/// How much each company has of something of which none may have more than its share.
struct Shares {
    each_max: usize,
    /// A company that has nothing has no entry.
    taken: Arc<Mutex<HashMap<CompanyId, usize>>>,
}

/// What a company took of its share, free again when it is dropped.
pub(crate) struct Share {
    company: CompanyId,
    amount: usize,
    taken: Arc<Mutex<HashMap<CompanyId, usize>>>,
}

impl Shares {
    fn new(each_max: usize) -> Self {
        Self {
            each_max,
            taken: Arc::default(),
        }
    }

    /// So much of the company's share, where as much is left of it.
    fn take(&self, company: &CompanyId, amount: usize) -> Option<Share> {
        let mut taken = self.taken.lock();
        let sum = taken
            .get(company)
            .copied()
            .unwrap_or(0)
            .saturating_add(amount);
        if sum > self.each_max {
            return None;
        }
        taken.insert(company.clone(), sum);
        Some(Share {
            company: company.clone(),
            amount,
            taken: Arc::clone(&self.taken),
        })
    }

    /// One of the company's share, or the refusal.
    fn take_one(&self, company: &CompanyId, refusal: &'static str) -> Result<Share, Problem> {
        self.take(company, 1)
            .ok_or_else(|| Problem::overloaded(refusal))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        match taken.get_mut(&self.company) {
            Some(sum) if *sum > self.amount => *sum -= self.amount,
            _ => drop(taken.remove(&self.company)),
        }
    }
}

/// A stream's place among all, and among its company's.
pub(crate) struct StreamPermit {
    _permit: OwnedSemaphorePermit,
    _share: Share,
}

/// Room for an answer in memory, free again when it is dropped.
pub(crate) struct AnswerRoom {
    /// Whose key asked; none for the platform's.
    company: Option<CompanyId>,
    pieces: usize,
    held: Vec<(OwnedSemaphorePermit, Option<Share>)>,
}

impl AnswerRoom {
    /// None yet, for an answer to a key of this company; of the platform, where it is none.
    pub(crate) fn none_yet(company: Option<&CompanyId>) -> Self {
        Self {
            company: company.cloned(),
            pieces: 0,
            held: Vec::new(),
        }
    }

    /// Makes it room for `bytes` in all. Small answers need none.
    pub(crate) fn grow_to(&mut self, overload: &Overload, bytes: usize) -> Result<(), Problem> {
        let wanted = bytes.div_ceil(PIECE_BYTES);
        if !is_counted(bytes) || wanted <= self.pieces {
            return Ok(());
        }
        let more = wanted - self.pieces;
        self.held
            .push(overload.admit_answer(self.company.as_ref(), more)?);
        self.pieces = wanted;
        Ok(())
    }
}

/// Whether an answer of so many bytes needs an [`AnswerRoom`].
pub(crate) fn is_counted(answer_bytes: usize) -> bool {
    answer_bytes > SMALL_ANSWER_BYTES_MAX
}

impl Overload {
    /// With nothing going on yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        let pieces = |bytes| Arc::new(Semaphore::new(bytes / PIECE_BYTES));
        Self {
            requests: Arc::new(Semaphore::new(limits.requests_max)),
            waiters: Semaphore::new(limits.waiters_max),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            streams_of: Shares::new(limits.streams_per_company_max),
            tests_of: Shares::new(limits.tests_per_company_max),
            url_checks_of: Shares::new(limits.url_checks_per_company_max),
            replays_of: Shares::new(limits.replays_per_company_max),
            body_pieces: pieces(limits.body_bytes_in_flight_max),
            answer_pieces: pieces(limits.answer_bytes_in_flight_max),
            answer_pieces_of: Shares::new(limits.answer_bytes_per_company_max / PIECE_BYTES),
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
        let refusal = "too many streams of this company are open";
        Ok(StreamPermit {
            _permit: permit,
            _share: self.streams_of.take_one(company, refusal)?,
        })
    }

    /// Takes on a test send to a subscription of the company, until the share is dropped.
    pub(crate) fn admit_test(&self, company: &CompanyId) -> Result<Share, Problem> {
        let refusal = "too many tests of this company are under way";
        self.tests_of.take_one(company, refusal)
    }

    /// Takes on a look at a URL for the company, until the share is dropped.
    pub(crate) fn admit_url_check(&self, company: &CompanyId) -> Result<Share, Problem> {
        let refusal = "too many URLs are being looked at for this company";
        self.url_checks_of.take_one(company, refusal)
    }

    /// Takes on a replay for the company, until the share is dropped.
    pub(crate) fn admit_replay(&self, company: &CompanyId) -> Result<Share, Problem> {
        let refusal = "too many replays of this company are under way";
        self.replays_of.take_one(company, refusal)
    }

    /// Room for `bytes` of a request body, until the permit is dropped.
    pub(crate) fn admit_body(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.body_pieces)
            .try_acquire_many_owned(pieces)
            .map_err(|_| Problem::overloaded("too many request bodies are in memory"))
    }

    /// Room for so many more pieces of an answer.
    fn admit_answer(
        &self,
        company: Option<&CompanyId>,
        pieces: usize,
    ) -> Result<(OwnedSemaphorePermit, Option<Share>), Problem> {
        let refusal = "too many large answers wait to be read; ask for smaller pages";
        let share = company.map(|company| self.answer_pieces_of.take(company, pieces));
        let share = share.map(|share| share.ok_or_else(|| Problem::overloaded(refusal)));
        let share = share.transpose()?;
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.answer_pieces).try_acquire_many_owned(pieces);
        let permit = permit.map_err(|_| Problem::overloaded(refusal))?;
        Ok((permit, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn company(name: &str) -> CompanyId {
        CompanyId::parse(name).unwrap()
    }

    #[test]
    fn each_company_has_its_own_share() {
        let (acme, globex) = (company("acme"), company("globex"));
        let shares = Shares::new(3);
        let two = shares.take(&acme, 2).unwrap();
        assert!(shares.take(&acme, 2).is_none(), "one is left");
        let one = shares.take(&acme, 1).unwrap();
        assert!(shares.take(&globex, 3).is_some());
        drop(two);
        assert!(shares.take(&acme, 2).is_some());
        drop(one);
        assert!(shares.taken.lock().is_empty(), "nothing is left behind");
        assert!(Shares::new(0).take(&acme, 1).is_none());
    }

    #[test]
    fn room_for_an_answer_grows_and_is_given_back_whole() {
        let overload = Overload::new(&Limits {
            answer_bytes_in_flight_max: 300 << 10,
            answer_bytes_per_company_max: 200 << 10,
            ..Limits::default()
        });
        let acme = company("acme");
        let mut room = AnswerRoom::none_yet(Some(&acme));
        for kib in [64, 65, 100, 90, 200] {
            room.grow_to(&overload, kib << 10).unwrap();
        }
        assert_eq!(overload.answer_pieces.available_permits(), 100);
        assert!(room.grow_to(&overload, 201 << 10).is_err(), "its share");
        let mut other = AnswerRoom::none_yet(Some(&acme));
        assert!(other.grow_to(&overload, 65 << 10).is_err());
        other.grow_to(&overload, 64 << 10).unwrap();
        let mut platform = AnswerRoom::none_yet(None);
        assert!(platform.grow_to(&overload, 101 << 10).is_err(), "all of it");
        platform.grow_to(&overload, 100 << 10).unwrap();
        drop((room, platform));
        assert_eq!(overload.answer_pieces.available_permits(), 300);
        assert!(overload.answer_pieces_of.taken.lock().is_empty());
    }
}
