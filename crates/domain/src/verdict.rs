//! The verdict on an attempt: succeed, retry when, give up, disable. One pure function.

use crate::{
    attempt::{AttemptError, AttemptOutcome},
    time::UtcMillis,
};

/// No retry is made later than this after the first attempt, in milliseconds.
pub const RETRY_WINDOW_MS: i64 = 24 * HOUR_MS;
/// The most delays a schedule may have.
pub const RETRIES_MAX: usize = 10;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The delays before each retry: the first after the first attempt, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<i64>);

/// Why a list of delays is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// More than [`RETRIES_MAX`].
    #[error("must have at most {RETRIES_MAX} delays")]
    TooMany,
    /// A delay of nothing, or beyond a day.
    #[error("each delay must be from 1ms to 24h")]
    OutOfRange,
}

impl RetrySchedule {
    /// A schedule of `delays_ms`, in milliseconds; an empty one means no retries.
    pub fn new(delays_ms: Vec<i64>) -> Result<Self, InvalidSchedule> {
        if delays_ms.len() > RETRIES_MAX {
            return Err(InvalidSchedule::TooMany);
        }
        if delays_ms
            .iter()
            .any(|delay| !(1..=RETRY_WINDOW_MS).contains(delay))
        {
            return Err(InvalidSchedule::OutOfRange);
        }
        Ok(Self(delays_ms))
    }

    /// The delays, in milliseconds.
    #[must_use]
    pub fn delays_ms(&self) -> &[i64] {
        &self.0
    }
}

impl Default for RetrySchedule {
    /// 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h, 6 h, 8 h.
    fn default() -> Self {
        Self(vec![
            5 * SECOND_MS,
            30 * SECOND_MS,
            2 * MINUTE_MS,
            10 * MINUTE_MS,
            30 * MINUTE_MS,
            HOUR_MS,
            2 * HOUR_MS,
            4 * HOUR_MS,
            6 * HOUR_MS,
            8 * HOUR_MS,
        ])
    }
}

/// Up to 10 % that is added to a delay, so that retries of one outage do not come back together.
/// 0 adds nothing, `u16::MAX` the whole 10 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter(pub u16);

impl Jitter {
    pub(crate) fn on(self, delay_ms: i64) -> i64 {
        delay_ms + delay_ms * i64::from(self.0) / (10 * i64::from(u16::MAX))
    }
}

/// What the verdict is about.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How the attempt ended.
    pub outcome: AttemptOutcome,
    /// The answer's status, where there was one.
    pub status: Option<u16>,
    /// The wait that the answer asked for with `Retry-After`, in milliseconds from `now`.
    pub retry_after_ms: Option<i64>,
    /// 1-based number of the attempt within its delivery.
    pub attempt: u32,
    /// When the first attempt of the delivery began.
    pub first_attempt: UtcMillis,
    /// When this attempt ended.
    pub now: UtcMillis,
}

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Succeeded,
    /// Try again then.
    RetryAt(UtcMillis),
    /// That was the last attempt.
    GaveUp,
    /// The receiver is gone for good (410): the subscription ends too.
    Gone,
}

/// Judges a finished attempt.
///
/// A failed attempt is retried after its schedule's delay plus jitter, or after `Retry-After` on
/// a 429 or 503 where that is longer, and never later than [`RETRY_WINDOW_MS`] after the first
/// attempt. One that ended past that window (nothing ran in between) was the last.
#[must_use]
pub fn verdict(schedule: &RetrySchedule, finished: &Finished, jitter: Jitter) -> Verdict {
    match finished.outcome {
        AttemptOutcome::Succeeded => return Verdict::Succeeded,
        AttemptOutcome::Failed(AttemptError::Status) if finished.status == Some(410) => {
            return Verdict::Gone;
        }
        AttemptOutcome::Failed(_) => {}
    }
    let made = usize::try_from(finished.attempt)
        .unwrap_or(usize::MAX)
        .max(1);
    let Some(&delay_ms) = schedule.0.get(made - 1) else {
        return Verdict::GaveUp;
    };
    let window_end = finished.first_attempt.plus_millis(RETRY_WINDOW_MS);
    if finished.now >= window_end {
        return Verdict::GaveUp;
    }
    let asked_ms = finished
        .retry_after_ms
        .filter(|_| matches!(finished.status, Some(429 | 503)))
        .unwrap_or(0);
    let next = finished.now.plus_millis(jitter.on(delay_ms).max(asked_ms));
    Verdict::RetryAt(next.min(window_end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> UtcMillis {
        UtcMillis::from_millis(1_700_000_000_000)
    }

    fn failed(attempt: u32, after_ms: i64) -> Finished {
        Finished {
            outcome: AttemptOutcome::Failed(AttemptError::Status),
            status: Some(500),
            retry_after_ms: None,
            attempt,
            first_attempt: start(),
            now: start().plus_millis(after_ms),
        }
    }

    fn judge(finished: &Finished) -> Verdict {
        verdict(&RetrySchedule::default(), finished, Jitter(0))
    }

    #[test]
    fn follows_the_schedule() {
        let delays = RetrySchedule::default();
        for (attempt, delay) in (1..).zip(delays.delays_ms()) {
            let finished = failed(attempt, 1000);
            assert_eq!(
                judge(&finished),
                Verdict::RetryAt(start().plus_millis(1000 + delay))
            );
        }
        assert_eq!(judge(&failed(11, 1000)), Verdict::GaveUp);
    }

    #[test]
    fn table() {
        let ok = Finished {
            outcome: AttemptOutcome::Succeeded,
            status: Some(204),
            ..failed(1, 0)
        };
        assert_eq!(judge(&ok), Verdict::Succeeded);
        assert_eq!(
            judge(&Finished {
                status: Some(410),
                ..failed(1, 0)
            }),
            Verdict::Gone
        );
        let redirect = AttemptOutcome::Failed(AttemptError::Redirect);
        assert_eq!(
            judge(&Finished {
                outcome: redirect,
                status: Some(302),
                ..failed(1, 0)
            }),
            Verdict::RetryAt(start().plus_millis(5000))
        );
        let asks = |status, ms| Finished {
            status: Some(status),
            retry_after_ms: Some(ms),
            ..failed(1, 0)
        };
        let at = |ms| Verdict::RetryAt(start().plus_millis(ms));
        assert_eq!(judge(&asks(429, 60_000)), at(60_000));
        assert_eq!(judge(&asks(503, 60_000)), at(60_000));
        assert_eq!(
            judge(&asks(503, 1_000)),
            at(5_000),
            "it lengthens, it never shortens"
        );
        assert_eq!(
            judge(&asks(500, 60_000)),
            at(5_000),
            "only 429 and 503 may ask"
        );
        assert_eq!(
            judge(&asks(429, 90 * HOUR_MS)),
            at(RETRY_WINDOW_MS),
            "within the 24 h"
        );
    }

    #[test]
    fn a_retry_past_the_window_is_the_last() {
        assert_eq!(judge(&failed(2, RETRY_WINDOW_MS)), Verdict::GaveUp);
        assert_eq!(
            judge(&failed(2, RETRY_WINDOW_MS - 1)),
            Verdict::RetryAt(start().plus_millis(RETRY_WINDOW_MS))
        );
    }

    proptest! {
        #[test]
        fn a_retry_lies_ahead_and_within_the_window(
            attempt in 1..40_u32, after in 0..2 * RETRY_WINDOW_MS, jitter: u16,
            asked in proptest::option::of(0..i64::MAX / 4), status in 400..600_u16,
        ) {
            let finished = Finished {
                status: Some(status), retry_after_ms: asked, ..failed(attempt, after)
            };
            match verdict(&RetrySchedule::default(), &finished, Jitter(jitter)) {
                Verdict::RetryAt(next) => {
                    prop_assert!(next > finished.now);
                    prop_assert!(next.since(start()) <= RETRY_WINDOW_MS);
                }
                Verdict::GaveUp => prop_assert!(attempt > 10 || after >= RETRY_WINDOW_MS),
                Verdict::Gone => prop_assert_eq!(status, 410),
                Verdict::Succeeded => prop_assert!(false, "it failed"),
            }
        }

        #[test]
        fn jitter_adds_at_most_a_tenth(attempt in 1..10_u32, jitter: u16) {
            let delay = RetrySchedule::default().delays_ms()[attempt as usize - 1];
            let Verdict::RetryAt(next) =
                verdict(&RetrySchedule::default(), &failed(attempt, 0), Jitter(jitter))
            else { panic!("retries are left") };
            prop_assert!((delay..=delay + delay / 10).contains(&next.since(start())));
        }
    }
}
