//! Event types (`client.created`) and the patterns that subscriptions and filters name them by.

use std::{fmt, sync::Arc};

/// The most characters of an event type.
pub const EVENT_TYPE_CHARS_MAX: usize = 128;

/// What happened: dot-separated segments of `a-z 0-9 _ -`, 1 to 128 characters, lower case.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

/// Why a text is no event type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be dot-separated segments of a-z 0-9 _ - like client.created, 1 to 128 characters")]
pub struct InvalidEventType;

/// Why a text is no pattern of event types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an event type like client.created, or a wildcard: * or client.*")]
pub struct InvalidPattern;

impl EventType {
    /// Reads an event type; upper case is folded to lower.
    pub fn parse(text: &str) -> Result<Self, InvalidEventType> {
        fold(text)
            .map(|text| Self(text.into()))
            .ok_or(InvalidEventType)
    }

    /// The type in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One wish of a subscription or a filter: an exact type, everything below a prefix, or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventTypePattern {
    /// `*`: every event.
    All,
    /// `client.*`: every type that begins with `client.`; holds the prefix with its dot.
    Below(Arc<str>),
    /// Exactly this type.
    Exactly(EventType),
}

impl EventTypePattern {
    /// Reads `*`, `prefix.*` or an event type; upper case is folded to lower.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text == "*" {
            return Ok(Self::All);
        }
        if text.len() > EVENT_TYPE_CHARS_MAX {
            return Err(InvalidPattern);
        }
        match text.strip_suffix(".*") {
            Some(prefix) => fold(prefix)
                .map(|prefix| Self::Below(format!("{prefix}.").into()))
                .ok_or(InvalidPattern),
            None => EventType::parse(text)
                .map(Self::Exactly)
                .map_err(|_| InvalidPattern),
        }
    }

    /// Whether an event of this type is wanted.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefix) => event_type.0.starts_with(&**prefix),
            Self::Exactly(exact) => exact == event_type,
        }
    }
}

fn fold(text: &str) -> Option<String> {
    let valid = text.len() <= EVENT_TYPE_CHARS_MAX
        && text.split('.').all(|segment| {
            !segment.is_empty()
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        });
    valid.then(|| text.to_ascii_lowercase())
}

impl std::borrow::Borrow<str> for EventType {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for EventTypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exactly(exact) => f.write_str(exact.as_str()),
        }
    }
}

impl serde::Serialize for EventTypePattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folds_case() {
        assert_eq!(
            EventType::parse("Client.Created").unwrap().as_str(),
            "client.created"
        );
        assert_eq!(
            EventTypePattern::parse("Client.*").unwrap().to_string(),
            "client.*"
        );
    }

    #[test]
    fn refuses_what_breaks_the_rule() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a*",
            "ä",
            &"x".repeat(129),
        ] {
            assert_eq!(EventType::parse(text), Err(InvalidEventType), "{text}");
        }
        for text in ["", "**", "*.created", "a.*.b", "a*", ".*", "a..*"] {
            assert_eq!(EventTypePattern::parse(text), Err(InvalidPattern), "{text}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_dot() {
        let pattern = EventTypePattern::parse("client.*").unwrap();
        let matches = |text: &str| pattern.matches(&EventType::parse(text).unwrap());
        assert!(matches("client.created") && matches("client.address.changed"));
        assert!(!matches("client") && !matches("clients.created"));
    }

    proptest! {
        #[test]
        fn a_shown_pattern_reads_back(text in "[a-z0-9_-]{1,8}(\\.[a-z0-9_-]{1,8}){0,3}(\\.\\*)?") {
            prop_assert_eq!(EventTypePattern::parse(&text).unwrap().to_string(), text);
        }
    }
}
