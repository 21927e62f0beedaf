//! Standing: how a webhook does, in a badge and in sentences that say what happens next.

use tidings_domain::{
    breaker::{BreakerState, FAILING_MAX_MS},
    subscription::{DisabledReason, Subscription},
    time::UtcMillis,
};

use crate::{moment::Moment, texts::Texts};

/// How a webhook does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The badge's class: `ok`, `warn`, `bad`, or none.
    pub(crate) class: &'static str,
    /// The badge.
    pub(crate) badge: &'static str,
    /// What it means.
    pub(crate) sentence: &'static str,
    /// Since when it has done nothing but fail.
    pub(crate) failing_since: Option<Moment>,
    /// When it is tried again.
    pub(crate) tried_again: Option<Moment>,
    /// When it will be disabled unless something succeeds.
    pub(crate) disabled_at: Option<Moment>,
}

impl Standing {
    /// How a webhook does at `now`.
    pub(crate) fn of(subscription: &Subscription, now: UtcMillis, t: &'static Texts) -> Self {
        let (words, health) = (&t.webhooks, &subscription.health);
        if !subscription.enabled {
            let (badge, sentence) = match subscription.disabled_reason {
                None => words.disabled,
                Some(DisabledReason::Gone) => words.disabled_gone,
                Some(DisabledReason::Failing) => words.disabled_failing,
            };
            let by_server = subscription.disabled_reason.is_some();
            return Self::plain(if by_server { "bad" } else { "" }, badge, sentence);
        }
        let breaker = health.breaker_at(now);
        let (class, (badge, sentence)) = match (breaker, health.failing_since) {
            (BreakerState::Closed, None) => ("ok", words.enabled),
            (BreakerState::Closed, Some(_)) => ("warn", words.failing),
            (BreakerState::Open, _) => ("bad", words.breaker_open),
            (BreakerState::HalfOpen, _) => ("warn", words.breaker_half_open),
        };
        let disabled_at = health
            .failing_since
            .map(|since| since.plus_millis(FAILING_MAX_MS));
        Self {
            failing_since: health.failing_since.map(Moment),
            tried_again: health
                .open_until
                .filter(|_| breaker == BreakerState::Open)
                .map(Moment),
            disabled_at: disabled_at.map(Moment),
            ..Self::plain(class, badge, sentence)
        }
    }

    fn plain(class: &'static str, badge: &'static str, sentence: &'static str) -> Self {
        Self {
            class,
            badge,
            sentence,
            failing_since: None,
            tried_again: None,
            disabled_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;
    use tidings_domain::{
        breaker::EndpointHealth,
        company::CompanyId,
        event_type::EventTypePattern,
        id::SubscriptionId,
        subscription::{EventTypes, ManagedBy},
        target::TargetUrl,
    };

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn subscription() -> Subscription {
        Subscription {
            id: SubscriptionId::from_bytes([1; 16]),
            company: CompanyId::parse("acme").unwrap(),
            url: TargetUrl::from_stored("https://example.com/").unwrap(),
            event_types: EventTypes::new(vec![EventTypePattern::All]).unwrap(),
            description: None,
            enabled: true,
            disabled_reason: None,
            managed_by: ManagedBy::Portal,
            max_per_second: None,
            health: EndpointHealth::default(),
            created: at(0),
            updated: at(0),
            version: 1,
        }
    }

    #[test]
    fn an_open_breaker_says_what_happens_next_and_a_late_one_probes() {
        let mut failing = subscription();
        failing.health = EndpointHealth {
            breaker: BreakerState::Open,
            open_until: Some(at(5000)),
            failing_since: Some(at(1000)),
        };
        let t = texts::default();
        let open = Standing::of(&failing, at(4000), t);
        assert_eq!(
            (open.class, open.tried_again),
            ("bad", Some(at(5000).into()))
        );
        assert_eq!(open.failing_since, Some(at(1000).into()));
        assert_eq!(open.disabled_at, Some(at(1000 + FAILING_MAX_MS).into()));
        let late = Standing::of(&failing, at(5000), t);
        assert_eq!((late.class, late.tried_again), ("warn", None));
        assert_ne!(late.sentence, open.sentence);
    }

    #[test]
    fn every_standing_has_its_own_badge() {
        let t = texts::default();
        let mut badges = vec![Standing::of(&subscription(), at(0), t).badge];
        let mut failing = subscription();
        failing.health.failing_since = Some(at(0));
        badges.push(Standing::of(&failing, at(0), t).badge);
        for reason in [
            None,
            Some(DisabledReason::Gone),
            Some(DisabledReason::Failing),
        ] {
            let mut disabled = subscription();
            (disabled.enabled, disabled.disabled_reason) = (false, reason);
            let standing = Standing::of(&disabled, at(0), t);
            assert_eq!(standing.disabled_at, None);
            badges.push(standing.badge);
        }
        let count = badges.len();
        badges.sort_unstable();
        badges.dedup();
        assert_eq!(badges.len(), count, "{badges:?}");
    }
}
