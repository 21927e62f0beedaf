//! The pause between two calls of a store that fails, on the clock that the dispatcher is given.

use tidings_domain::time::UtcMillis;

/// The first pause, in milliseconds.
const PAUSE_MS_MIN: i64 = 250;
/// The longest pause, in milliseconds.
const PAUSE_MS_MAX: i64 = 2000;

/// Doubles with every failure, from 250 ms to 2 s, and starts anew after a success.
#[derive(Debug)]
pub(crate) struct Pause {
    until: Option<UtcMillis>,
    next_ms: i64,
}

impl Pause {
    /// No pause.
    pub(crate) fn new() -> Self {
        Self {
            until: None,
            next_ms: PAUSE_MS_MIN,
        }
    }

    /// Begins a pause after a failure at `now`.
    pub(crate) fn begin(&mut self, now: UtcMillis) {
        self.until = Some(now.plus_millis(self.next_ms));
        self.next_ms = (self.next_ms * 2).min(PAUSE_MS_MAX);
    }

    /// Ends the pause after a success.
    pub(crate) fn end(&mut self) {
        *self = Self::new();
    }

    /// Whether to wait still. An end that is further off than any pause means that the clock was
    /// set back, and is no reason to wait.
    pub(crate) fn lasts_at(&self, now: UtcMillis) -> bool {
        self.until
            .is_some_and(|until| (1..=PAUSE_MS_MAX).contains(&until.since(now)))
    }

    /// When it ends; none where there is none.
    pub(crate) fn until(&self) -> Option<UtcMillis> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_starts_anew() {
        let now = UtcMillis::from_millis(0);
        let mut pause = Pause::new();
        assert!(!pause.lasts_at(now));
        let mut length = || {
            pause.begin(now);
            pause.until().unwrap().since(now)
        };
        let lengths: Vec<i64> = (0..6).map(|_| length()).collect();
        assert_eq!(lengths, [250, 500, 1000, 2000, 2000, 2000]);
        assert!(pause.lasts_at(now.plus_millis(1999)) && !pause.lasts_at(now.plus_millis(2000)));
        assert!(
            !pause.lasts_at(now.plus_millis(-1)),
            "the clock was set back"
        );
        pause.end();
        assert!(!pause.lasts_at(now));
    }
}
