//! Spans of time as people write them in settings: `10s`, `2m`, `1h30m`, `30d`, `forever`.

use std::{fmt, str::FromStr, time::Duration};

use tidings_domain::verdict::RetrySchedule;

/// What a unit is worth, in milliseconds; the longest first, so that showing a span is greedy.
const UNITS: [(&str, i64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// The longest span: 100 years, in milliseconds.
const LONGEST_MS: i64 = 36_525 * 86_400_000;

/// A positive span of time with millisecond precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    ms: i64,
}

/// How long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// So long.
    For(Span),
    /// Without end.
    Forever,
}

/// The delays before each retry; `none` for no retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) RetrySchedule);

/// A text that is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time like 500ms, 10s, 2m, 1h30m or 30d (at least 1ms)")]
pub(crate) struct InvalidSpan;

impl Span {
    /// A span of `ms` milliseconds.
    #[cfg(test)]
    pub(crate) fn from_ms(ms: i64) -> Self {
        Self { ms }
    }

    /// The span in milliseconds.
    pub(crate) fn as_ms(self) -> i64 {
        self.ms
    }

    /// The span for a timer.
    pub(crate) fn as_duration(self) -> Duration {
        Duration::from_millis(self.ms.unsigned_abs())
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let mut rest = text.trim();
        let mut total: i64 = 0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .ok_or(InvalidSpan)?;
            let number: i64 = rest[..digits].parse().map_err(|_| InvalidSpan)?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| !c.is_ascii_lowercase())
                .unwrap_or(rest.len());
            let (_, unit_ms) = UNITS
                .iter()
                .find(|(name, _)| *name == &rest[..letters])
                .ok_or(InvalidSpan)?;
            rest = &rest[letters..];
            total = number
                .checked_mul(*unit_ms)
                .and_then(|part| total.checked_add(part))
                .ok_or(InvalidSpan)?;
        }
        if (1..=LONGEST_MS).contains(&total) {
            Ok(Self { ms: total })
        } else {
            Err(InvalidSpan)
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.ms;
        for (name, unit_ms) in UNITS {
            if rest >= unit_ms {
                write!(f, "{}{name}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

impl Keep {
    /// In milliseconds, none for ever: as the store takes it.
    pub(crate) fn as_ms(self) -> Option<i64> {
        match self {
            Self::For(span) => Some(span.as_ms()),
            Self::Forever => None,
        }
    }
}

impl FromStr for Keep {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        text.parse().map(Self::For)
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return RetrySchedule::new(Vec::new())
                .map(Self)
                .map_err(|error| error.to_string());
        }
        let delays = text
            .split(',')
            .map(|delay| delay.parse().map(Span::as_ms))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("{error}, separated by commas, or none"))?;
        RetrySchedule::new(delays)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows() {
        for (text, ms, shown) in [
            ("500ms", 500, "500ms"),
            ("10s", 10_000, "10s"),
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("30d", 2_592_000_000, "30d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span, span.to_string().as_str()),
                (Span::from_ms(ms), shown)
            );
        }
    }

    #[test]
    fn refuses_what_is_no_span() {
        for text in [
            "",
            "10",
            "s",
            "0s",
            "-1s",
            "1y",
            "1.5s",
            "10 s",
            "99999999d",
            "1S",
        ] {
            assert_eq!(text.parse::<Span>(), Err(InvalidSpan), "{text}");
        }
    }

    #[test]
    fn a_schedule_is_a_list_or_none() {
        let schedule: Schedule = "5s, 30s,2m".parse().unwrap();
        assert_eq!(schedule.0.delays_ms(), [5000, 30_000, 120_000]);
        assert_eq!(
            "none".parse::<Schedule>().unwrap().0.delays_ms(),
            [0_i64; 0]
        );
        assert!("5s,,30s".parse::<Schedule>().is_err());
        assert!("25h".parse::<Schedule>().unwrap_err().contains("24h"));
    }

    #[test]
    fn forever_is_without_end() {
        assert_eq!("forever".parse::<Keep>().unwrap().as_ms(), None);
        assert_eq!("1s".parse::<Keep>().unwrap().as_ms(), Some(1000));
    }
}
