//! Real time: how long something took, and waiting for what another process does.
//!
//! The only place of this crate that asks the machine's clock or sleeps.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often [`wait_until`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Measures from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has been.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// How long it has been, for people: `3.2 s` or `4 min 10 s`.
    pub(crate) fn told(&self) -> String {
        tell(self.elapsed())
    }
}

/// Looks again and again whether `look` finds something, until it does or `at_most` is over.
pub(crate) fn wait_until<T>(
    at_most: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let stopwatch = Stopwatch::start();
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if stopwatch.elapsed() > at_most {
            return Ok(None);
        }
        rest(LOOK_EVERY);
    }
}

/// Lets time pass, where another process needs it and gives no signal.
#[expect(
    clippy::disallowed_methods,
    reason = "another process gives no signal that could be awaited"
)]
pub(crate) fn rest(span: Duration) {
    thread::sleep(span);
}

fn tell(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds < 60 {
        format!("{:.1} s", span.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_for_people() {
        assert_eq!(tell(Duration::from_millis(3_240)), "3.2 s");
        assert_eq!(tell(Duration::from_secs(250)), "4 min 10 s");
    }

    #[test]
    fn waiting_ends_when_it_is_found_or_at_its_limit() {
        let mut looks = 0;
        let found = wait_until(Duration::from_mins(1), || {
            looks += 1;
            Ok((looks == 3).then_some("here"))
        });
        assert_eq!(found.unwrap(), Some("here"));
        let never: Option<()> = wait_until(Duration::ZERO, || Ok(None)).unwrap();
        assert_eq!(never, None);
    }
}
