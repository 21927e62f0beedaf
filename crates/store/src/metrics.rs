//! What a store measures, for `/metrics`.

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

/// Figures about commits. Cloning shares them.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Events appended.
    pub events_appended: Counter,
    /// Deliveries that became owed by publishing, redelivery or replay.
    pub deliveries_owed: Counter,
    /// Deliveries that found no place in memory and wait in the table.
    pub deliveries_spilled: Counter,
    /// Transactions committed by the writer.
    pub commits: Counter,
    /// Commands (appends, settles, changes) in one commit.
    pub commit_batch_commands: Histogram,
    /// Events in one commit that had any.
    pub commit_batch_events: Histogram,
    /// Seconds of one commit, from the first statement to durable.
    pub commit_seconds: Histogram,
    /// SQL statements executed by the writer.
    pub statements: Counter,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let sizes = [
            1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0,
        ];
        let seconds = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
        ];
        Self {
            events_appended: Counter::default(),
            deliveries_owed: Counter::default(),
            deliveries_spilled: Counter::default(),
            commits: Counter::default(),
            commit_batch_commands: Histogram::new(sizes),
            commit_batch_events: Histogram::new(sizes),
            commit_seconds: Histogram::new(seconds),
            statements: Counter::default(),
        }
    }
}

impl StoreMetrics {
    /// Makes the figures visible under `tidings_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tidings_store");
        registry.register(
            "events_appended",
            "Events appended",
            self.events_appended.clone(),
        );
        registry.register(
            "deliveries_owed",
            "Deliveries that became owed",
            self.deliveries_owed.clone(),
        );
        registry.register(
            "deliveries_spilled",
            "Deliveries that waited in the table for want of room in memory",
            self.deliveries_spilled.clone(),
        );
        registry.register("commits", "Transactions committed", self.commits.clone());
        registry.register(
            "commit_batch_commands",
            "Commands in one commit",
            self.commit_batch_commands.clone(),
        );
        registry.register(
            "commit_batch_events",
            "Events in one commit",
            self.commit_batch_events.clone(),
        );
        registry.register(
            "commit_seconds",
            "Seconds of one commit",
            self.commit_seconds.clone(),
        );
        registry.register(
            "statements",
            "SQL statements executed",
            self.statements.clone(),
        );
    }
}
