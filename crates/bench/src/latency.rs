//! Latencies gathered in a histogram, and the percentiles that are told of them.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones: an hour, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Decimal digits that every recorded value keeps.
const DIGITS: u8 = 3;

/// Many latencies in microseconds, each kept to three digits.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// What is told of many latencies, all in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LatencySummary {
    count: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS);
        Self(histogram.expect("the bounds and digits are in the library's range"))
    }
}

impl Latencies {
    /// Adds one latency. What lies outside of the bounds counts as the bound.
    pub(crate) fn record(&mut self, latency_us: u64) {
        self.0.saturating_record(latency_us);
    }

    /// The percentiles of what was recorded; zeroes where nothing was.
    pub(crate) fn summary(&self) -> LatencySummary {
        LatencySummary {
            count: self.0.len(),
            p50: self.0.value_at_quantile(0.5),
            p90: self.0.value_at_quantile(0.9),
            p99: self.0.value_at_quantile(0.99),
            p999: self.0.value_at_quantile(0.999),
            max: self.0.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_what_was_recorded() {
        let mut latencies = Latencies::default();
        for latency in 1..=1000 {
            latencies.record(latency);
        }
        let summary = latencies.summary();
        assert_eq!(
            (summary.count, summary.p50, summary.p99, summary.max),
            (1000, 500, 990, 1000)
        );
    }

    #[test]
    fn a_latency_beyond_an_hour_counts_as_an_hour() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX);
        let summary = latencies.summary();
        assert_eq!(summary.count, 1);
        assert!(summary.max >= LATENCY_US_MAX, "{}", summary.max);
    }
}
