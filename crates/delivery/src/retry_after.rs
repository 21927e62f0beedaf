//! `Retry-After` (RFC 9110, section 10.2.3): how long an answer asks to wait.
//!
//! This module reads it; whether it is honoured, and how far, is the verdict's to say.

use std::time::{SystemTime, UNIX_EPOCH};

use tidings_domain::time::UtcMillis;

/// The wait in milliseconds from `now`: of a number of seconds, or until a date in any of the three
/// forms of HTTP. A date that has passed is 0; what is beyond all measure is cut to what fits. None
/// where the text is neither.
pub(crate) fn parse(text: &str, now: UtcMillis) -> Option<i64> {
    let text = text.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only by being too many.
        let seconds: i64 = text.parse().unwrap_or(i64::MAX);
        return Some(seconds.saturating_mul(1000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(
        millis_since_epoch(date)
            .saturating_sub(now.as_millis())
            .max(0),
    )
}

/// HTTP dates begin in 1970, so there is nothing before the epoch.
fn millis_since_epoch(date: SystemTime) -> i64 {
    let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1994-11-06T08:49:37Z, the example date of RFC 9110, section 5.6.7.
    const EXAMPLE_MS: i64 = 784_111_777_000;

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    #[test]
    fn reads_seconds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            (" 7\t", Some(7000)),
            ("99999999999999999999999999", Some(i64::MAX)),
            ("9223372036854775807", Some(i64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("10 s", None),
        ] {
            assert_eq!(parse(text, at(0)), expected, "{text:?}");
        }
    }

    #[test]
    fn reads_every_form_of_a_date_relative_to_now() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text, at(EXAMPLE_MS - 90_500)), Some(90_500), "{text}");
            assert_eq!(parse(text, at(EXAMPLE_MS + 1)), Some(0), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_asks_for_less_than_nothing(text: String, now in 0..i64::MAX) {
            if let Some(wait_ms) = parse(&text, at(now)) {
                prop_assert!(wait_ms >= 0);
            }
        }
    }
}
