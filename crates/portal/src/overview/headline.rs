//! The figures at the top of an overview.

use tidings_domain::{figures::Figures, time::UtcMillis};

use crate::texts::rounded;

const MINUTE_MS: u64 = 60_000;

/// What waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    /// Deliveries owed.
    pub(crate) owed: u64,
    /// Whether there are more than were counted.
    pub(crate) more: bool,
    /// Since when the oldest is owed.
    pub(crate) oldest: Option<UtcMillis>,
}

/// The figures at the top of an overview.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headline {
    /// Everything of the range together.
    pub(crate) sum: Figures,
    /// Attempts a minute, in tenths.
    pub(crate) per_minute_tenths: u64,
    pub(crate) p50_ms: Option<u32>,
    pub(crate) p95_ms: Option<u32>,
    pub(crate) owed: u64,
    pub(crate) more_owed: bool,
    /// For how long the oldest delivery is owed, in milliseconds.
    pub(crate) oldest_ms: Option<i64>,
}

impl Headline {
    /// The figures of a range of time that was `length_ms` long.
    pub(crate) fn new(sum: &Figures, length_ms: i64, waiting: Waiting, now: UtcMillis) -> Self {
        let length_ms = length_ms.unsigned_abs().max(1);
        Self {
            per_minute_tenths: rounded(sum.attempts().saturating_mul(10 * MINUTE_MS), length_ms),
            p50_ms: sum.elapsed_percentile_ms(50),
            p95_ms: sum.elapsed_percentile_ms(95),
            owed: waiting.owed,
            more_owed: waiting.more,
            oldest_ms: waiting.oldest.map(|since| now.since(since).max(0)),
            sum: *sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_a_minute_are_rounded_to_the_tenth() {
        let figures = Figures {
            succeeded: 89,
            failed: 1,
            ..Figures::default()
        };
        let now = UtcMillis::from_millis(0);
        let waiting = Waiting {
            oldest: Some(now.plus_millis(-1500)),
            ..Waiting::default()
        };
        let headline = Headline::new(&figures, 60 * 60_000, waiting, now);
        assert_eq!(headline.per_minute_tenths, 15);
        assert_eq!(headline.oldest_ms, Some(1500));
        assert_eq!(headline.p95_ms, None);
        let figures = Figures {
            succeeded: 280,
            ..Figures::default()
        };
        let headline = Headline::new(&figures, 24 * 60 * 60_000, Waiting::default(), now);
        assert_eq!(headline.per_minute_tenths, 2, "0.194 is nearer to 0.2");
    }
}
