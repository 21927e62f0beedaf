//! What the overviews say: a company's, and the platform's.

use std::borrow::Borrow;

use super::numbers::NumberTexts;

#[derive(Debug)]
pub(crate) struct OverviewTexts {
    pub(crate) range: &'static str,
    pub(crate) last_hour: &'static str,
    pub(crate) last_day: &'static str,
    pub(crate) last_week: &'static str,
    pub(crate) figures: &'static str,
    pub(crate) per_minute: &'static str,
    pub(crate) success: &'static str,
    pub(crate) latency: &'static str,
    pub(crate) published: &'static str,
    pub(crate) backlog: &'static str,
    pub(crate) attempts: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) half_within: &'static str,
    pub(crate) most_within: &'static str,
    pub(crate) oldest: &'static str,
    pub(crate) nothing_waits: &'static str,
    pub(crate) deliveries: &'static str,
    pub(crate) failing: &'static str,
    pub(crate) none_failing: &'static str,
    pub(crate) failing_url: &'static str,
    pub(crate) failing_count: &'static str,
    pub(crate) last_failure: &'static str,
    pub(crate) parked: &'static str,
    pub(crate) none_parked: &'static str,
    pub(crate) parked_what: &'static str,
    pub(crate) open_until: &'static str,
    pub(crate) open: &'static str,
    pub(crate) probing: &'static str,
    pub(crate) first_steps: &'static str,
    pub(crate) step_webhook: &'static str,
    pub(crate) step_webhook_what: &'static str,
    pub(crate) step_webhook_link: &'static str,
    pub(crate) step_event: &'static str,
    pub(crate) step_event_what: &'static str,
    pub(crate) step_key_link: &'static str,
    pub(crate) step_look: &'static str,
    pub(crate) step_look_link: &'static str,
    pub(crate) done: &'static str,
    pub(crate) more_parked: &'static str,
    looked_at: (&'static str, &'static str),
    or_more: &'static str,
}

pub(super) const ENGLISH: OverviewTexts = OverviewTexts {
    range: "Time range",
    last_hour: "1 hour",
    last_day: "24 hours",
    last_week: "7 days",
    figures: "Figures",
    per_minute: "Attempts per minute",
    success: "Successful attempts",
    latency: "Latency",
    published: "Events published",
    backlog: "Backlog",
    attempts: "attempts",
    failed: "failed",
    half_within: "p50",
    most_within: "p95",
    oldest: "oldest waits for",
    nothing_waits: "nothing waits",
    deliveries: "Attempts over time",
    failing: "Failing most",
    none_failing: "No delivery failed in this time.",
    failing_url: "Webhook",
    failing_count: "Failed",
    last_failure: "Last failure",
    parked: "Left alone for now",
    none_parked: "Every endpoint is being delivered to.",
    parked_what: "These endpoints kept failing. Their deliveries wait, none is lost, and each endpoint is tried again with one delivery.",
    open_until: "tried again at",
    open: "left alone",
    probing: "being tried again",
    first_steps: "First steps",
    step_webhook: "Add a webhook",
    step_webhook_what: "Say where events go and which ones.",
    step_webhook_link: "Add webhook",
    step_event: "Publish an event",
    step_event_what: "With an API key that may publish (events:write):",
    step_key_link: "New API key",
    step_look: "See it arrive",
    step_look_link: "Open the delivery log",
    done: "done",
    more_parked: "And more.",
    looked_at: ("Of the", "webhooks that were made or failed last."),
    or_more: "+",
};

impl OverviewTexts {
    /// A count that may be short of the truth: `10,000+`.
    pub(crate) fn at_least(
        &self,
        numbers: &NumberTexts,
        count: impl Borrow<u64>,
        more: impl Borrow<bool>,
    ) -> String {
        let count = numbers.count(count);
        if *more.borrow() {
            format!("{count}{}", self.or_more)
        } else {
            count
        }
    }

    /// That not all webhooks were looked at.
    pub(crate) fn looked_at(&self, numbers: &NumberTexts, count: impl Borrow<u64>) -> String {
        let (before, after) = self.looked_at;
        format!("{before} {} {after}", numbers.count(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;

    #[test]
    fn a_count_that_may_be_short_says_so() {
        let numbers = &texts::default().numbers;
        assert_eq!(ENGLISH.at_least(numbers, 10_000_u64, true), "10,000+");
        assert_eq!(ENGLISH.at_least(numbers, 10_000_u64, false), "10,000");
    }
}
