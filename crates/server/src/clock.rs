//! The machine's clock and its source of randomness: the only place that asks either.
//!
//! Everything else takes `&dyn Clock` and `&dyn Random`, so that tests turn the time by hand and
//! seed the chance. Deadlines of sockets are no business of this module: they are tokio's.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom as OsRandom};
use parking_lot::Mutex;
use tidings_domain::{clock::Clock, random::Random, time::UtcMillis};

/// Random bytes that are made at a time.
const SPARE_BYTES: usize = 1000;
/// What needs no more than this many bytes, as ids do, gets them from the stock. Nonces and secrets
/// need more.
const FROM_SPARE_BYTES_MAX: usize = 10;

/// The machine's clock, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

/// A clock that follows another one that it cannot ask each time: the database's, which is the same
/// for all nodes. Whoever measures how far that one is ahead of this machine's writes it down here.
#[derive(Clone)]
pub(crate) struct FollowingClock {
    machine: Arc<dyn Clock>,
    ahead_ms: Arc<AtomicI64>,
}

/// The operating system's random bytes, through the cryptographic library.
#[derive(Clone, Debug)]
pub(crate) struct SystemRandom {
    source: OsRandom,
    spare: Arc<Mutex<Spare>>,
}

/// Random bytes on stock, for ids: the generator takes as long for ten bytes as for hundreds.
struct Spare {
    bytes: [u8; SPARE_BYTES],
    /// Those at the end that were not given out.
    left: usize,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> UtcMillis {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A machine whose clock stands before 1970 has no time worth telling.
            Err(_) => 0,
        };
        UtcMillis::from_millis(millis)
    }
}

impl FollowingClock {
    /// A clock that shows what `machine` does until something else is measured.
    pub(crate) fn new(machine: Arc<dyn Clock>) -> Self {
        let ahead_ms = Arc::default();
        Self { machine, ahead_ms }
    }

    /// How far the other clock is ahead of the machine's, in milliseconds: to be kept up to date.
    pub(crate) fn ahead_ms(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.ahead_ms)
    }
}

impl Clock for FollowingClock {
    fn now(&self) -> UtcMillis {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        self.machine.now().plus_millis(ahead_ms)
    }
}

impl SystemRandom {
    /// A handle to the operating system's generator.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source of randomness"
    )]
    pub(crate) fn new() -> Self {
        Self {
            source: OsRandom::new(),
            spare: Arc::new(Mutex::new(Spare {
                bytes: [0; SPARE_BYTES],
                left: 0,
            })),
        }
    }

    fn fill_afresh(&self, bytes: &mut [u8]) {
        self.source
            .fill(bytes)
            .expect("the operating system gives random bytes once it has booted");
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > FROM_SPARE_BYTES_MAX {
            return self.fill_afresh(bytes);
        }
        let mut spare = self.spare.lock();
        if spare.left < bytes.len() {
            self.fill_afresh(&mut spare.bytes);
            spare.left = SPARE_BYTES;
        }
        let from = SPARE_BYTES - spare.left;
        let given = &mut spare.bytes[from..from + bytes.len()];
        bytes.copy_from_slice(given);
        // Nothing is given out twice, and nothing that was stays here.
        given.fill(0);
        spare.left -= bytes.len();
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} random bytes", self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::clock::ManualClock;

    #[test]
    fn a_following_clock_is_the_machine_s_and_what_was_measured() {
        let start = UtcMillis::from_millis(1_700_000_000_000);
        let machine = Arc::new(ManualClock::at(start));
        let clock = FollowingClock::new(Arc::<ManualClock>::clone(&machine));
        assert_eq!(clock.now(), start);
        let (measured, copy) = (clock.ahead_ms(), clock.clone());
        measured.store(-300_000, Ordering::Relaxed);
        machine.advance(1000);
        assert_eq!(clock.now(), start.plus_millis(-299_000));
        assert_eq!(copy.now(), clock.now(), "copies follow too");
        measured.store(300_000, Ordering::Relaxed);
        assert_eq!(clock.now(), start.plus_millis(301_000));
    }

    #[test]
    fn the_clock_is_in_this_age() {
        let year_2020 = UtcMillis::parse("2020-01-01T00:00:00Z").unwrap();
        let year_2200 = UtcMillis::parse("2200-01-01T00:00:00Z").unwrap();
        assert!((year_2020..year_2200).contains(&SystemClock.now()));
    }

    #[test]
    fn random_bytes_differ() {
        let random = SystemRandom::new();
        let (mut first, mut second) = ([0; 32], [0; 32]);
        random.fill(&mut first);
        random.fill(&mut second);
        assert_ne!(first, second);
    }
}
