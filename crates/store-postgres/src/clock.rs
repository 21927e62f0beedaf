//! The clock that all nodes share, the database's: how far it is ahead of this machine's.
//!
//! The store itself goes by the times that it is given. Whoever gives them follows what is
//! measured here, so that the nodes agree about what is due and whose lease ran out.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tidings_domain::{clock::Clock, time::UtcMillis};

/// Smaller differences are within what a measurement is good for, in milliseconds.
const NOTICEABLE_MS: i64 = 250;
/// An answer that took longer says nothing about the time, in milliseconds.
const ROUND_TRIP_MS_MAX: i64 = 1000;

/// Measures how far the database's clock is ahead of the machine's.
#[derive(Clone)]
pub(crate) struct ClockWatch {
    pub(crate) machine: Arc<dyn Clock>,
    /// Where the result goes, in milliseconds.
    pub(crate) offset_ms: Arc<AtomicI64>,
}

impl ClockWatch {
    /// The time to measure from, before the database is asked.
    pub(crate) fn begin(&self) -> UtcMillis {
        self.machine.now()
    }

    /// Takes in what the database's clock showed somewhere between `began` and now.
    pub(crate) fn measured(&self, began: UtcMillis, database_ms: i64) {
        let (began_ms, ended_ms) = (began.as_millis(), self.machine.now().as_millis());
        let round_trip_ms = ended_ms - began_ms;
        if !(0..=ROUND_TRIP_MS_MAX).contains(&round_trip_ms) {
            return;
        }
        let offset_ms = database_ms - (began_ms + round_trip_ms / 2);
        let known_ms = self.offset_ms.load(Ordering::Relaxed);
        if (offset_ms - known_ms).abs() > NOTICEABLE_MS {
            self.offset_ms.store(offset_ms, Ordering::Relaxed);
            tracing::warn!(
                offset_ms,
                "this machine's clock differs from the database's, which is followed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::clock::ManualClock;

    fn watch(clock: &Arc<ManualClock>) -> ClockWatch {
        ClockWatch {
            machine: Arc::clone(clock) as Arc<dyn Clock>,
            offset_ms: Arc::default(),
        }
    }

    #[test]
    fn half_of_the_round_trip_is_taken_off() {
        let clock = Arc::new(ManualClock::at(UtcMillis::from_millis(10_000)));
        let watch = watch(&clock);
        let began = watch.begin();
        clock.advance(400);
        watch.measured(began, 15_200);
        assert_eq!(watch.offset_ms.load(Ordering::Relaxed), 5000);
    }

    #[test]
    fn small_differences_and_slow_answers_change_nothing() {
        let clock = Arc::new(ManualClock::at(UtcMillis::from_millis(10_000)));
        let watch = watch(&clock);
        watch.measured(watch.begin(), 10_250);
        assert_eq!(watch.offset_ms.load(Ordering::Relaxed), 0);
        let began = watch.begin();
        clock.advance(ROUND_TRIP_MS_MAX + 1);
        watch.measured(began, 99_000);
        assert_eq!(watch.offset_ms.load(Ordering::Relaxed), 0);
        watch.measured(watch.begin(), 11_252);
        assert_eq!(watch.offset_ms.load(Ordering::Relaxed), 251);
    }
}
