//! What the sink remembers of the deliveries it received.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde::Serialize;

use crate::latency::{Latencies, LatencySummary};

/// Counts of what has arrived since the start or the last reset.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Hashes of (target, event), 64 bits each: among a million deliveries two coincide with a
    /// probability of 3 in 100 million.
    seen: HashSet<u64>,
    deliveries: u64,
    last_us: u64,
    verified: u64,
    forged: u64,
    ages: Latencies,
}

/// What is told of a [`Tally`]; times in microseconds since 1970, latencies in microseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TallyReport {
    /// Requests received.
    deliveries: u64,
    /// Different pairs of target and event among them.
    distinct: usize,
    /// When the last one arrived.
    last_us: u64,
    /// Signatures that were checked and are right.
    verified: u64,
    /// Signatures that were checked and are wrong.
    forged: u64,
    /// From the event being sent by its publisher to its first arrival here.
    age_us: LatencySummary,
}

impl Tally {
    /// Counts a delivery of the event `id` to `target` that arrived at `now_us`, of an event that
    /// was sent at `sent_us`. Returns how many have arrived.
    pub(crate) fn arrived(&mut self, target: &str, id: &[u8], sent_us: u64, now_us: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (target, id).hash(&mut hasher);
        self.deliveries += 1;
        self.last_us = now_us;
        // The second arrival of an event says nothing about how fast it was delivered.
        if self.seen.insert(hasher.finish()) {
            self.ages.record(now_us.saturating_sub(sent_us));
        }
        self.deliveries
    }

    /// Counts a signature that was checked.
    pub(crate) fn checked(&mut self, right: bool) {
        *(if right {
            &mut self.verified
        } else {
            &mut self.forged
        }) += 1;
    }

    /// The figures so far.
    pub(crate) fn report(&self) -> TallyReport {
        TallyReport {
            deliveries: self.deliveries,
            distinct: self.seen.len(),
            last_us: self.last_us,
            verified: self.verified,
            forged: self.forged,
            age_us: self.ages.summary(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_once_per_target() {
        let mut tally = Tally::default();
        tally.arrived("/1", b"evt_a", 1000, 1500);
        tally.arrived("/2", b"evt_a", 1000, 1500);
        tally.arrived("/1", b"evt_b", 1000, 1500);
        assert_eq!(tally.arrived("/1", b"evt_a", 1000, 900_000), 4);
        let report = tally.report();
        assert_eq!((report.deliveries, report.distinct), (4, 3));
        assert_eq!(report.last_us, 900_000);
        let ages = serde_json::to_value(&report.age_us).unwrap();
        assert_eq!((&ages["count"], &ages["max"]), (&3.into(), &500.into()));
    }

    #[test]
    fn right_and_wrong_signatures_are_told_apart() {
        let mut tally = Tally::default();
        tally.checked(true);
        tally.checked(false);
        tally.checked(true);
        let report = tally.report();
        assert_eq!((report.verified, report.forged), (2, 1));
    }
}
