//! What the dispatcher measures, for `/metrics`. No company, URL or subscription is a label.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tidings_domain::{
    attempt::{AttemptError, AttemptOutcome},
    verdict::Verdict,
};

/// Figures about deliveries. Cloning shares them.
#[derive(Clone, Debug)]
pub struct DeliveryMetrics {
    /// Attempts by how they ended: `succeeded`, or the contract's word for the error.
    attempts: Family<Outcome, Counter>,
    /// The counters of `attempts`, at hand: `succeeded`, then the errors in the contract's order.
    attempts_by_outcome: [Counter; 1 + AttemptError::ALL.len()],
    /// Deliveries that succeeded.
    pub delivered: Counter,
    /// Deliveries that were given up, by the last failure or by a 410.
    pub failed: Counter,
    /// Attempts after which a retry was planned.
    pub retried: Counter,
    /// Deliveries that were let go without an attempt, as their subscription had ended.
    pub released: Counter,
    /// Deliveries that came from the table and not from memory.
    pub claimed: Counter,
    /// Settlements that changed nothing, as the lease was no longer held.
    pub lease_lost: Counter,
    /// Seconds from publishing to the first attempt.
    pub first_attempt_seconds: Histogram,
    /// Seconds of one attempt.
    pub attempt_seconds: Histogram,
    /// Attempts in flight.
    pub in_flight: Gauge,
    /// Deliveries in memory: waiting, in flight, or not yet settled.
    pub in_memory: Gauge,
    /// Outcomes of attempts that the store has not recorded yet.
    pub unsettled: Gauge,
    /// Endpoints that are left alone, or asked by a probe, because they keep failing.
    pub breakers_open: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Default for DeliveryMetrics {
    fn default() -> Self {
        let seconds = [
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            60.0, 300.0,
        ];
        let attempts = Family::<Outcome, Counter>::default();
        let counter = |outcome| attempts.get_or_create_owned(&Outcome { outcome });
        let mut words = ["succeeded"; 1 + AttemptError::ALL.len()];
        for (word, error) in words[1..].iter_mut().zip(AttemptError::ALL) {
            *word = error.as_str();
        }
        Self {
            attempts_by_outcome: words.map(counter),
            attempts,
            delivered: Counter::default(),
            failed: Counter::default(),
            retried: Counter::default(),
            released: Counter::default(),
            claimed: Counter::default(),
            lease_lost: Counter::default(),
            first_attempt_seconds: Histogram::new(seconds),
            attempt_seconds: Histogram::new(seconds),
            in_flight: Gauge::default(),
            in_memory: Gauge::default(),
            unsettled: Gauge::default(),
            breakers_open: Gauge::default(),
        }
    }
}

impl DeliveryMetrics {
    /// Makes the figures visible under `tidings_delivery_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tidings_delivery");
        registry.register("attempts", "Attempts by outcome", self.attempts.clone());
        let counters = [
            ("delivered", "Deliveries that succeeded", &self.delivered),
            ("failed", "Deliveries that were given up", &self.failed),
            (
                "retried",
                "Attempts after which a retry was planned",
                &self.retried,
            ),
            (
                "released",
                "Deliveries of ended subscriptions that were let go",
                &self.released,
            ),
            (
                "claimed",
                "Deliveries that came from the table",
                &self.claimed,
            ),
            (
                "lease_lost",
                "Settlements under a lost lease",
                &self.lease_lost,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            ("in_flight", "Attempts in flight", &self.in_flight),
            ("in_memory", "Deliveries in memory", &self.in_memory),
            (
                "unsettled",
                "Outcomes that the store has not recorded yet",
                &self.unsettled,
            ),
            (
                "breakers_open",
                "Endpoints that are left alone, or probed, because they keep failing",
                &self.breakers_open,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let histograms = [
            (
                "first_attempt",
                "Time from publishing to the first attempt",
                &self.first_attempt_seconds,
            ),
            ("attempt", "Time of one attempt", &self.attempt_seconds),
        ];
        for (name, help, histogram) in histograms {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
    }

    /// Counts an attempt that ended.
    pub(crate) fn attempted(&self, outcome: AttemptOutcome, elapsed_ms: u32) {
        let index = match outcome {
            AttemptOutcome::Succeeded => 0,
            // The order of `ALL` is the order of the declaration.
            AttemptOutcome::Failed(error) => 1 + error as usize,
        };
        self.attempts_by_outcome[index].inc();
        self.attempt_seconds.observe(f64::from(elapsed_ms) / 1000.0);
    }

    /// Counts what became of a delivery whose attempt was recorded.
    pub(crate) fn recorded(&self, verdict: Verdict) {
        match verdict {
            Verdict::Succeeded => self.delivered.inc(),
            Verdict::RetryAt(_) => self.retried.inc(),
            Verdict::GaveUp | Verdict::Gone => self.failed.inc(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_under_its_own_word() {
        let metrics = DeliveryMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let failures = AttemptError::ALL.map(AttemptOutcome::Failed);
        for (times, outcome) in (1..).zip([AttemptOutcome::Succeeded].into_iter().chain(failures)) {
            for _ in 0..times {
                metrics.attempted(outcome, 20);
            }
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let words = AttemptError::ALL.map(AttemptError::as_str);
        for (times, word) in (1..).zip(["succeeded"].into_iter().chain(words)) {
            let line = format!("tidings_delivery_attempts_total{{outcome=\"{word}\"}} {times}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(
            text.contains("tidings_delivery_attempt_seconds_count 45\n"),
            "{text}"
        );
    }
}
