//! Subscriptions: a company's wish to receive some event types at one URL.

use std::fmt;

use crate::{
    breaker::EndpointHealth,
    company::CompanyId,
    event_type::{EventType, EventTypePattern},
    id::SubscriptionId,
    secret::Secret,
    target::TargetUrl,
    time::UtcMillis,
};

/// The most patterns of one subscription.
pub const EVENT_TYPES_MAX: usize = 100;
/// The most characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 1000;
/// The longest overlap of two secrets, in hours.
pub const OVERLAP_HOURS_MAX: i64 = 168;

/// Who manages a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagedBy {
    /// A program over the API.
    #[default]
    Api,
    /// A person in the portal.
    Portal,
    /// A Zap.
    Zapier,
    /// An n8n workflow.
    N8n,
    /// A Make scenario.
    Make,
}

impl ManagedBy {
    /// Every manager, in the contract's order.
    pub const ALL: [Self; 5] = [Self::Api, Self::Portal, Self::Zapier, Self::N8n, Self::Make];

    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Portal => "portal",
            Self::Zapier => "zapier",
            Self::N8n => "n8n",
            Self::Make => "make",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|manager| manager.as_str() == word)
    }
}

impl fmt::Display for ManagedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the server disabled a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// The receiver answered 410.
    Gone,
    /// The receiver did nothing but fail for days.
    Failing,
}

impl DisabledReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Gone, Self::Failing];

    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for DisabledReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A delivery rate that is never exceeded: 1 to [`MaxPerSecond::MAX`] attempts a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPerSecond(u16);

/// Why a number is no delivery rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an integer from 1 to {}", MaxPerSecond::MAX)]
pub struct InvalidRate;

impl MaxPerSecond {
    /// The highest rate.
    pub const MAX: u16 = 10_000;

    /// Takes a number of attempts a second.
    pub fn new(per_second: i64) -> Result<Self, InvalidRate> {
        match u16::try_from(per_second) {
            Ok(number @ 1..=Self::MAX) => Ok(Self(number)),
            _ => Err(InvalidRate),
        }
    }

    /// Attempts a second.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// The time from one attempt to the next, in microseconds: 2 % more than the rate asks for, since
    /// what leaves evenly arrives unevenly, and the receiver counts what arrives.
    #[must_use]
    pub fn spacing_us(self) -> i64 {
        i64::from(1_020_000_u32.div_ceil(self.0.into()))
    }
}

/// 1 to [`EVENT_TYPES_MAX`] patterns, each once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct EventTypes(Vec<EventTypePattern>);

/// Why a list of patterns is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {EVENT_TYPES_MAX} event types")]
pub struct InvalidEventTypes;

impl EventTypes {
    /// Takes patterns in the caller's order; repeated ones are dropped.
    pub fn new(patterns: Vec<EventTypePattern>) -> Result<Self, InvalidEventTypes> {
        if patterns.len() > EVENT_TYPES_MAX || patterns.is_empty() {
            return Err(InvalidEventTypes);
        }
        let mut distinct: Vec<EventTypePattern> = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            if !distinct.contains(&pattern) {
                distinct.push(pattern);
            }
        }
        Ok(Self(distinct))
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[EventTypePattern] {
        &self.0
    }

    /// Whether any pattern wants the type.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        self.0.iter().any(|pattern| pattern.matches(event_type))
    }
}

/// A subscription as its company sees it; the secret is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `sub_…`.
    pub id: SubscriptionId,
    /// Whose it is.
    pub company: CompanyId,
    /// Where to.
    pub url: TargetUrl,
    /// Which events.
    pub event_types: EventTypes,
    /// A note by and for people.
    pub description: Option<String>,
    /// Whether it receives anything.
    pub enabled: bool,
    /// Why the server disabled it; none where a person did.
    pub disabled_reason: Option<DisabledReason>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// How fast it is delivered to at the most; none for as fast as it takes.
    pub max_per_second: Option<MaxPerSecond>,
    /// How its endpoint does.
    pub health: EndpointHealth,
    /// When it was made.
    pub created: UtcMillis,
    /// When it was last changed.
    pub updated: UtcMillis,
    /// Counts its changes from 1; the `ETag` of the API.
    pub version: i64,
}

/// The secrets that sign: the newest, and during an overlap the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecrets {
    /// The newest.
    pub newest: Secret,
    /// The one before, and when it ends.
    pub previous: Option<(Secret, UtcMillis)>,
}

impl SigningSecrets {
    /// The previous secret, where it is still valid at `now`.
    #[must_use]
    pub fn previous_at(&self, now: UtcMillis) -> Option<&Secret> {
        self.previous
            .as_ref()
            .filter(|(_, until)| now < *until)
            .map(|(secret, _)| secret)
    }

    /// What is valid after a rotation to `newest` at `now`; the former newest one lives on until
    /// `previous_until`, and any older one ends at once.
    #[must_use]
    pub fn rotated(self, newest: Secret, now: UtcMillis, previous_until: UtcMillis) -> Self {
        let previous = (previous_until > now).then_some((self.newest, previous_until));
        Self { newest, previous }
    }
}

/// What delivering to a subscription needs to know, as it is right now.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `sub_…`.
    pub id: SubscriptionId,
    /// Whose it is.
    pub company: CompanyId,
    /// Where to.
    pub url: TargetUrl,
    /// What signs.
    pub secrets: SigningSecrets,
    /// Whether it receives anything.
    pub enabled: bool,
    /// Counts how often it was disabled. A delivery that was owed in an earlier epoch has been
    /// ended and must not be made.
    pub epoch: u32,
    /// How fast it is delivered to at the most.
    pub max_per_second: Option<MaxPerSecond>,
    /// How it does, as it was noted last.
    pub health: EndpointHealth,
}

impl Endpoint {
    /// Whether what is known of this epoch and URL is about it: one that was enabled anew, or that
    /// goes elsewhere, starts afresh.
    #[must_use]
    pub fn is_still(&self, epoch: u32, url: &TargetUrl) -> bool {
        self.epoch == epoch && self.url == *url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn event_types_are_deduplicated_and_bounded() {
        let parse = |text: &str| EventTypePattern::parse(text).unwrap();
        let types = EventTypes::new(vec![parse("A.B"), parse("a.b"), parse("*")]).unwrap();
        assert_eq!(types.patterns(), [parse("a.b"), parse("*")]);
        assert_eq!(EventTypes::new(vec![]), Err(InvalidEventTypes));
        assert_eq!(
            EventTypes::new(vec![parse("a"); 101]),
            Err(InvalidEventTypes)
        );
    }

    #[test]
    fn a_rate_is_a_number_within_bounds() {
        for good in [1, 7, 10_000] {
            assert_eq!(i64::from(MaxPerSecond::new(good).unwrap().get()), good);
        }
        for bad in [0, -1, 10_001, 65_537, i64::MAX] {
            assert_eq!(MaxPerSecond::new(bad), Err(InvalidRate));
        }
        assert_eq!(MaxPerSecond::new(3).unwrap().spacing_us(), 340_000);
    }

    #[test]
    fn at_most_two_secrets_are_valid() {
        let random = SeededRandom::new(7);
        let [first, second, third] = std::array::from_fn(|_| Secret::generate(&random));
        let at = UtcMillis::from_millis;
        let secrets = SigningSecrets {
            newest: first.clone(),
            previous: None,
        }
        .rotated(second.clone(), at(0), at(100));
        assert_eq!(secrets.previous_at(at(99)), Some(&first));
        assert_eq!(secrets.previous_at(at(100)), None);
        let secrets = secrets.rotated(third, at(50), at(150));
        assert_eq!(secrets.previous_at(at(60)), Some(&second));
        let secrets = secrets.rotated(first, at(60), at(60));
        assert_eq!(
            secrets.previous, None,
            "no overlap ends the old one at once"
        );
    }
}
