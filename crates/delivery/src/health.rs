//! Whether the dispatcher is alive, for `/readyz`.

use std::sync::atomic::{AtomicI64, Ordering};

use tidings_domain::time::UtcMillis;

/// A running dispatcher ticks at least this often, in milliseconds, also where nothing happens.
pub(crate) const TICK_MS_MAX: i64 = 5000;
/// Without a tick for this long, in milliseconds, it has stalled.
const STALLED_MS: i64 = 10_000;
/// A call of the store that lasts this long, in milliseconds, will hardly be answered: the store
/// answers what it cannot do with an error much earlier.
const CALL_STALLED_MS: i64 = 60_000;

const NEVER: i64 = i64::MIN;

/// Signs of life of a dispatcher, shared with whoever asks for its health.
#[derive(Debug)]
pub struct DispatcherHealth {
    last_tick: AtomicI64,
    settling_since: AtomicI64,
}

impl Default for DispatcherHealth {
    fn default() -> Self {
        Self {
            last_tick: AtomicI64::new(NEVER),
            settling_since: AtomicI64::new(NEVER),
        }
    }
}

impl DispatcherHealth {
    /// Whether the dispatcher has not moved for ten seconds, or outcomes of attempts have been on
    /// their way into the store for a minute. One that has not begun or has ended is not stalled.
    #[must_use]
    pub fn is_stalled(&self, now: UtcMillis) -> bool {
        let lasts = |since: &AtomicI64, max_ms: i64| {
            let since = since.load(Ordering::Relaxed);
            since != NEVER && now.as_millis() - since >= max_ms
        };
        lasts(&self.last_tick, STALLED_MS) || lasts(&self.settling_since, CALL_STALLED_MS)
    }

    pub(crate) fn ticked(&self, now: UtcMillis) {
        self.last_tick.store(now.as_millis(), Ordering::Relaxed);
    }

    pub(crate) fn settling(&self, since: Option<UtcMillis>) {
        let since = since.map_or(NEVER, UtcMillis::as_millis);
        self.settling_since.store(since, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.last_tick.store(NEVER, Ordering::Relaxed);
        self.settling(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_stalled_one_from_one_that_does_not_run() {
        let at = UtcMillis::from_millis;
        let health = DispatcherHealth::default();
        assert!(!health.is_stalled(at(1_000_000)));
        health.ticked(at(0));
        assert!(!health.is_stalled(at(STALLED_MS - 1)));
        assert!(health.is_stalled(at(STALLED_MS)));
        health.settling(Some(at(0)));
        health.ticked(at(CALL_STALLED_MS));
        assert!(health.is_stalled(at(CALL_STALLED_MS)));
        health.settling(None);
        assert!(!health.is_stalled(at(CALL_STALLED_MS)));
        health.ended();
        assert!(!health.is_stalled(at(1_000_000)));
    }
}
