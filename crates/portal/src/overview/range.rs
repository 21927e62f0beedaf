//! The range of time that an overview is about: in the URL, so that a view can be shared.

use tidings_domain::{figures::Resolution, time::UtcMillis};

use crate::{chart::Span, texts::Texts, visit::Fields};

/// A range of time up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Range {
    /// By the minute.
    Hour,
    /// By ten minutes.
    #[default]
    Day,
    /// By the hour.
    Week,
}

impl Range {
    /// Every range, the shortest first.
    pub(crate) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// The one that the query names; a day where it names none.
    pub(crate) fn of(query: &Fields) -> Self {
        let word = query.get("range").unwrap_or_default();
        let named = Self::ALL.into_iter().find(|range| range.word() == word);
        named.unwrap_or_default()
    }

    /// The word for it in the URL.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// What it is called.
    pub(crate) fn name(self, t: &'static Texts) -> &'static str {
        match self {
            Self::Hour => t.overview.last_hour,
            Self::Day => t.overview.last_day,
            Self::Week => t.overview.last_week,
        }
    }

    /// Its stretches up to now.
    pub(crate) fn span(self, now: UtcMillis) -> Span {
        match self {
            Self::Hour => Span::last(Resolution::Minute, 60, now),
            Self::Day => Span::last(Resolution::TenMinutes, 24 * 6, now),
            Self::Week => Span::last(Resolution::Hour, 7 * 24, now),
        }
    }

    /// Every range, for the links between them.
    #[expect(clippy::unused_self, reason = "templates reach it by a range alone")]
    pub(crate) fn all(self) -> [Self; 3] {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_in_the_url() {
        for range in Range::ALL {
            let query = format!("range={}", range.word());
            assert_eq!(Range::of(&Fields::parse(query.as_bytes())), range);
        }
        assert_eq!(Range::of(&Fields::parse(b"range=1y")), Range::Day);
        assert_eq!(Range::of(&Fields::default()), Range::Day);
    }

    #[test]
    fn figures_are_kept_for_as_long_as_a_range_needs_them() {
        let now = UtcMillis::from_millis(1_795_688_100_123);
        for range in Range::ALL {
            let span = range.span(now);
            assert!(span.length_ms(now) < span.resolution.kept_ms(), "{range:?}");
        }
    }
}
