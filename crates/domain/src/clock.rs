//! The clock as a parameter: production passes the machine's, tests a hand-turned one.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::time::UtcMillis;

/// Tells the time. The only implementation that asks the machine lives in the server.
pub trait Clock: Send + Sync + 'static {
    /// The present, in milliseconds since the Unix epoch.
    fn now(&self) -> UtcMillis;
}

/// A clock that stands still until it is turned: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: UtcMillis) -> Self {
        Self(AtomicI64::new(start.as_millis()))
    }

    /// Turns the clock forward by `millis`.
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock to `time`.
    pub fn set(&self, time: UtcMillis) {
        self.0.store(time.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UtcMillis {
        UtcMillis::from_millis(self.0.load(Ordering::SeqCst))
    }
}
