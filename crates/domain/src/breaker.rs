//! The circuit breaker: when an endpoint that keeps failing is left alone, and when it is asked
//! again. A pure state machine of (outcome, now, jitter).
//!
//! Closed, everything is attempted. Once nothing but failures came back for a while it opens:
//! deliveries are parked. When its time is over it is half-open: one delivery is the probe, and
//! its outcome closes the breaker or opens it for longer. Parking costs a delivery none of its
//! retries, and its 24 hours go on.

use std::fmt;

use crate::{time::UtcMillis, verdict::Jitter};

/// So many failed attempts in a row, with no success between them, are needed to open a breaker.
/// More than one delivery's whole schedule, so that a single event never opens one.
pub const FAILURES_MIN: u32 = 20;
/// And for so long nothing but failures, in milliseconds: a burst that meets a restart of the
/// receiver is no outage.
pub const FAILING_MIN_MS: i64 = 10_000;
/// How long a breaker is open at first, in milliseconds; each probe that fails doubles it.
pub const OPEN_MIN_MS: i64 = 10_000;
/// How long at the most, in milliseconds.
pub const OPEN_MAX_MS: i64 = 10 * 60_000;
/// After nothing but failures for so long, in milliseconds, a subscription is disabled.
pub const FAILING_MAX_MS: i64 = 5 * 24 * 3_600_000;

/// What a breaker shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is attempted.
    #[default]
    Closed,
    /// Nothing is.
    Open,
    /// One delivery is, to see.
    HalfOpen,
}

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "halfOpen",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an endpoint does, as far as it is worth writing down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Its breaker.
    pub breaker: BreakerState,
    /// Until when the breaker is open, where it is.
    pub open_until: Option<UtcMillis>,
    /// Since when it has done nothing but fail.
    pub failing_since: Option<UtcMillis>,
}

impl EndpointHealth {
    /// What the breaker is by `now`: an open one whose time is over lets the next delivery probe.
    #[must_use]
    pub fn breaker_at(&self, now: UtcMillis) -> BreakerState {
        let is_over = self.open_until.is_none_or(|until| until <= now);
        match self.breaker {
            BreakerState::Open if is_over => BreakerState::HalfOpen,
            breaker => breaker,
        }
    }
}

/// The breaker of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// Failed attempts since the last success.
    failures: u32,
    /// When the first of them ended.
    failing_since: Option<UtcMillis>,
    /// Until when it is open.
    open_until: Option<UtcMillis>,
    /// How long it was open last time, in milliseconds.
    open_ms: i64,
}

impl Breaker {
    /// One that goes on where `health` was noted, perhaps by another node.
    #[must_use]
    pub fn resumed(health: EndpointHealth) -> Self {
        let EndpointHealth {
            breaker,
            open_until,
            failing_since,
        } = health;
        let is_open = breaker == BreakerState::Open && open_until.is_some();
        Self {
            state: if is_open || breaker == BreakerState::Closed {
                breaker
            } else {
                BreakerState::HalfOpen
            },
            open_until: open_until.filter(|_| is_open),
            open_ms: OPEN_MIN_MS,
            failing_since,
            ..Self::default()
        }
    }

    /// What others should know of it.
    #[must_use]
    pub fn health(&self) -> EndpointHealth {
        EndpointHealth {
            breaker: self.state,
            open_until: self.open_until,
            failing_since: self.failing_since,
        }
    }

    /// Whether nothing but failures came for five days, and enough of them to mean something.
    #[must_use]
    pub fn has_failed_too_long(&self, now: UtcMillis) -> bool {
        let since = self.failing_since;
        self.failures >= FAILURES_MIN && since.is_some_and(|at| now.since(at) >= FAILING_MAX_MS)
    }

    /// What it shows.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Until when it is open; none where it is not.
    #[must_use]
    pub fn open_until(&self) -> Option<UtcMillis> {
        self.open_until
    }

    /// Whether there is nothing to remember of it.
    #[must_use]
    pub fn is_unremarkable(&self) -> bool {
        self.health() == EndpointHealth::default()
    }

    /// An attempt succeeded: whatever was, the endpoint works.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// An attempt failed at `now`.
    pub fn failed(&mut self, now: UtcMillis, jitter: Jitter) {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        match self.state {
            BreakerState::Closed => {
                if self.failures >= FAILURES_MIN && now.since(since) >= FAILING_MIN_MS {
                    self.open(now, OPEN_MIN_MS, jitter);
                }
            }
            BreakerState::HalfOpen => {
                let longer_ms = self
                    .open_ms
                    .saturating_mul(2)
                    .clamp(OPEN_MIN_MS, OPEN_MAX_MS);
                self.open(now, longer_ms, jitter);
            }
            // Made before it opened, and nothing new.
            BreakerState::Open => {}
        }
    }

    /// Is open no longer than until then, where it is open: the clock was set back.
    pub fn end_at(&mut self, until: UtcMillis) {
        self.open_until = self.open_until.map(|end| end.min(until));
    }

    /// Lets a probe through when the time has come; says whether it did just now.
    pub fn tick(&mut self, now: UtcMillis) -> bool {
        let is_over = self.open_until.is_some_and(|until| until <= now);
        if is_over {
            self.state = BreakerState::HalfOpen;
            self.open_until = None;
        }
        is_over
    }

    fn open(&mut self, now: UtcMillis, open_ms: i64, jitter: Jitter) {
        self.state = BreakerState::Open;
        self.open_ms = open_ms;
        self.open_until = Some(now.plus_millis(jitter.on(open_ms)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: Jitter = Jitter(0);

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn failing(times: u32, every_ms: i64) -> Breaker {
        let mut breaker = Breaker::default();
        for number in 0..i64::from(times) {
            breaker.failed(at(number * every_ms), NONE);
        }
        breaker
    }

    #[test]
    fn words_read_back() {
        for state in BreakerState::ALL {
            assert_eq!(BreakerState::parse(state.as_str()), Some(state));
        }
        assert_eq!(BreakerState::parse("halfopen"), None);
    }

    #[test]
    fn many_failures_over_a_while_open_it() {
        assert_eq!(failing(19, 1000).state(), BreakerState::Closed);
        assert_eq!(failing(20, 1000).state(), BreakerState::Open);
        assert_eq!(failing(500, 10).state(), BreakerState::Closed, "a burst");
        assert_eq!(failing(1001, 10).state(), BreakerState::Open);
        assert_eq!(
            failing(11, 3_600_000).state(),
            BreakerState::Closed,
            "one event's retries"
        );
    }

    #[test]
    fn one_success_starts_afresh() {
        let mut breaker = failing(19, 1000);
        breaker.succeeded();
        assert!(breaker.is_unremarkable());
        breaker.failed(at(20_000), NONE);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_closes_it_or_opens_it_for_longer() {
        let mut breaker = failing(20, 1000);
        let opened = 19_000;
        assert_eq!(breaker.open_until(), Some(at(opened + OPEN_MIN_MS)));
        assert!(!breaker.tick(at(opened + OPEN_MIN_MS - 1)));
        assert!(breaker.tick(at(opened + OPEN_MIN_MS)));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(!breaker.tick(at(opened + OPEN_MIN_MS)), "once");
        breaker.failed(at(30_000), NONE);
        assert_eq!(breaker.open_until(), Some(at(30_000 + 2 * OPEN_MIN_MS)));
        breaker.tick(at(50_000));
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn it_is_never_open_for_long() {
        let mut breaker = failing(20, 1000);
        let mut now = at(19_000);
        for _ in 0..20 {
            let until = breaker.open_until().unwrap();
            assert!(until.since(now) <= OPEN_MAX_MS + OPEN_MAX_MS / 10);
            now = until;
            breaker.tick(now);
            breaker.failed(now, Jitter(u16::MAX));
        }
        assert_eq!(
            breaker.open_until().unwrap().since(now),
            OPEN_MAX_MS + OPEN_MAX_MS / 10
        );
    }

    #[test]
    fn five_days_of_nothing_but_failures_are_too_long() {
        let mut breaker = failing(19, 1000);
        assert!(!breaker.has_failed_too_long(at(FAILING_MAX_MS)), "too few");
        breaker.failed(at(20_000), NONE);
        assert!(!breaker.has_failed_too_long(at(FAILING_MAX_MS - 1)));
        assert!(breaker.has_failed_too_long(at(FAILING_MAX_MS)));
        breaker.succeeded();
        assert!(!breaker.has_failed_too_long(at(2 * FAILING_MAX_MS)));
    }

    #[test]
    fn it_goes_on_where_it_was_noted() {
        let open = failing(20, 1000);
        let mut resumed = Breaker::resumed(open.health());
        assert_eq!(resumed.health(), open.health());
        assert!(resumed.tick(at(29_000)));
        assert_eq!(
            Breaker::resumed(resumed.health()).state(),
            BreakerState::HalfOpen
        );
        let health = open.health();
        assert_eq!(health.breaker_at(at(28_999)), BreakerState::Open);
        assert_eq!(health.breaker_at(at(29_000)), BreakerState::HalfOpen);
        assert!(Breaker::resumed(EndpointHealth::default()).is_unremarkable());
    }

    #[test]
    fn what_was_in_flight_when_it_opened_changes_nothing() {
        let mut breaker = failing(20, 1000);
        let until = breaker.open_until();
        breaker.failed(at(25_000), NONE);
        assert_eq!(breaker.open_until(), until);
    }

    proptest! {
        /// Whatever comes, an open breaker has an end, and one that is not open has none.
        #[test]
        fn an_open_one_has_an_end(
            steps in proptest::collection::vec((0..3_u8, 0..30_000_i64, any::<u16>()), 0..200)
        ) {
            let (mut breaker, mut now) = (Breaker::default(), at(0));
            for (what, pause_ms, jitter) in steps {
                now = now.plus_millis(pause_ms);
                match what {
                    0 => breaker.succeeded(),
                    1 => breaker.failed(now, Jitter(jitter)),
                    _ => drop(breaker.tick(now)),
                }
                let is_open = breaker.state() == BreakerState::Open;
                prop_assert_eq!(is_open, breaker.open_until().is_some());
            }
        }
    }
}
