//! Moments: how a time is shown. The server writes UTC; a script puts it into the viewer's zone
//! and keeps UTC as the title.

use tidings_domain::time::{InvalidTime, UtcMillis};

/// A time for a template: `<time datetime="…">`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) UtcMillis);

impl Moment {
    /// RFC 3339, as everywhere.
    pub(crate) fn machine(self) -> String {
        self.0.to_string()
    }

    /// `2026-11-26 10:15:00 UTC`, for who has no script.
    pub(crate) fn human(self) -> String {
        let text = self.machine();
        match (text.get(..10), text.get(11..19)) {
            (Some(date), Some(time)) => format!("{date} {time} UTC"),
            _ => text,
        }
    }
}

/// What a field of type `datetime-local` shows, to the minute and in UTC.
pub(crate) fn shown_in_field(time: UtcMillis) -> String {
    const MINUTES_CHARS: usize = "2026-11-26T10:15".len();
    let mut text = time.to_string();
    text.truncate(MINUTES_CHARS);
    text
}

/// Reads what a field of type `datetime-local` sends, `2026-11-26T10:15` with or without seconds,
/// as UTC; or RFC 3339 in full.
pub(crate) fn parse_field(text: &str) -> Result<UtcMillis, InvalidTime> {
    const MINUTES_CHARS: usize = "2026-11-26T10:15".len();
    match text.len() {
        MINUTES_CHARS => UtcMillis::parse(&format!("{text}:00Z")),
        _ => UtcMillis::parse(text).or_else(|_| UtcMillis::parse(&format!("{text}Z"))),
    }
}

impl From<UtcMillis> for Moment {
    fn from(time: UtcMillis) -> Self {
        Self(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_to_machines_and_people() {
        let moment = Moment(UtcMillis::from_millis(1_795_688_100_123));
        assert_eq!(moment.machine(), "2026-11-26T10:15:00.123Z");
        assert_eq!(moment.human(), "2026-11-26 10:15:00 UTC");
    }

    #[test]
    fn what_a_field_shows_reads_back() {
        let time = UtcMillis::from_millis(1_795_688_100_123);
        assert_eq!(shown_in_field(time), "2026-11-26T10:15");
        assert_eq!(
            parse_field(&shown_in_field(time)),
            Ok(time.plus_millis(-123))
        );
    }

    #[test]
    fn what_a_field_sends_is_utc() {
        for (text, machine) in [
            ("2026-11-26T10:15", "2026-11-26T10:15:00.000Z"),
            ("2026-11-26T10:15:07", "2026-11-26T10:15:07.000Z"),
            ("2026-11-26T10:15:07.5", "2026-11-26T10:15:07.500Z"),
            ("2026-11-26T10:15:00+02:00", "2026-11-26T08:15:00.000Z"),
        ] {
            assert_eq!(parse_field(text).unwrap().to_string(), machine);
        }
        for text in [
            "",
            "yesterday",
            "2026-11-26",
            "2026-13-26T10:15",
            "éééééééé",
        ] {
            assert!(parse_field(text).is_err(), "{text}");
        }
    }
}
