//! Instants as the contract shows them: RFC 3339, UTC, milliseconds, `Z`.

use std::fmt;

use jiff::{SignedDuration, civil::DateTime, fmt::temporal::Pieces};

/// The Unix epoch. A calendar without time zones reckons from it, since jiff's `Timestamp` ends
/// before the year 9999 does.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The latest instant that a four-digit year can show, 9999-12-31T23:59:59.999Z, in milliseconds.
const LATEST_MILLIS: i64 = 253_402_300_799_999;
/// The earliest instant that a four-digit year of our era can show, 0001-01-01T00:00:00Z, in
/// milliseconds.
const EARLIEST_MILLIS: i64 = -62_135_596_800_000;

/// An instant in UTC with millisecond precision, from the year 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMillis(i64);

/// Why a text is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 date and time with an offset, like 2026-01-31T08:30:00.000Z")]
pub struct InvalidTime;

impl UtcMillis {
    /// The instant `millis` after the Unix epoch, clamped to what RFC 3339 can show.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST_MILLIS, LATEST_MILLIS))
    }

    /// Reads an RFC 3339 date and time (section 5.6) with any offset; digits below the
    /// millisecond are cut off.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        // jiff also reads shorter ISO 8601 forms; RFC 3339 wants date, time and offset in full.
        let bytes = text.as_bytes();
        let full = bytes.len() >= 20
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && matches!(bytes[10], b'T' | b't' | b' ')
            && bytes[13] == b':'
            && bytes[16] == b':'
            && !text.contains(['[', ',']);
        // After the date, which has hyphens, a sign begins an offset of hours, colon and minutes.
        let offset = text.bytes().rposition(|byte| matches!(byte, b'+' | b'-'));
        let is_whole =
            offset.is_none_or(|at| at <= 7 || bytes.len() == at + 6 && bytes[at + 3] == b':');
        if !full || !is_whole {
            return Err(InvalidTime);
        }
        let pieces = Pieces::parse(text).map_err(|_| InvalidTime)?;
        let (Some(time), Some(offset)) = (pieces.time(), pieces.to_numeric_offset()) else {
            return Err(InvalidTime);
        };
        let there = pieces.date().to_datetime(time).duration_since(EPOCH);
        let offset = SignedDuration::from_secs(offset.seconds().into());
        let millis = (there - offset).as_nanos().div_euclid(1_000_000);
        match i64::try_from(millis) {
            Ok(millis) if (EARLIEST_MILLIS..=LATEST_MILLIS).contains(&millis) => Ok(Self(millis)),
            _ => Err(InvalidTime),
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant and `millis` more.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; negative where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for UtcMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let datetime = EPOCH
            .checked_add(SignedDuration::from_millis(self.0))
            .map_err(|_| fmt::Error)?;
        write!(f, "{datetime:.3}Z")
    }
}

impl serde::Serialize for UtcMillis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_milliseconds_and_z() {
        assert_eq!(
            UtcMillis::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        let time = UtcMillis::parse("2026-02-28T23:59:59.9999+02:00").unwrap();
        assert_eq!(time.to_string(), "2026-02-28T21:59:59.999Z");
        let before_the_epoch = UtcMillis::parse("1969-12-31T23:59:59.9999Z").unwrap();
        assert_eq!(before_the_epoch, UtcMillis::from_millis(-1));
    }

    #[test]
    fn reaches_from_the_first_to_the_last_year() {
        let last = UtcMillis::parse("9999-12-31T23:59:59.999Z").unwrap();
        assert_eq!(last, UtcMillis::from_millis(i64::MAX));
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999Z");
        let first = UtcMillis::parse("0001-01-01T00:00:00Z").unwrap();
        assert_eq!(first, UtcMillis::from_millis(i64::MIN));
        for beyond in ["9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"] {
            assert_eq!(UtcMillis::parse(beyond), Err(InvalidTime), "{beyond}");
        }
    }

    #[test]
    fn refuses_what_is_not_rfc_3339() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T08:30:00",
            "2026-01-31T08:30Z",
            "2026-01-31T08:30:00,5Z",
            "2026-01-31T08:30:00+0100",
            "1738312200",
            "2026-13-01T00:00:00Z",
            "20260131T083000Z",
            "2026-01-31T08:30:00+01:00[Europe/Paris]",
        ] {
            assert_eq!(UtcMillis::parse(text), Err(InvalidTime), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_instant_reads_back(millis in EARLIEST_MILLIS..=LATEST_MILLIS) {
            let time = UtcMillis::from_millis(millis);
            prop_assert_eq!(UtcMillis::parse(&time.to_string()), Ok(time));
        }
    }
}
