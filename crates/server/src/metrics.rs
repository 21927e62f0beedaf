//! What waits at the moment of a scrape: the queue's depth and age, read from the store then and
//! there. What the parts count by themselves they register by themselves.
//!
//! No label names a company, a URL or a key.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _},
    metrics::{gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};
use tidings_domain::clock::Clock;
use tidings_store::{Backlog, Store};
use tokio::runtime::Handle;

/// How long the store may take to say what waits.
const BACKLOG_TIMEOUT: Duration = Duration::from_secs(2);

/// Registers the program's own figures: its version, and what waits in `store`.
pub(crate) fn register(registry: &mut Registry, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("tidings_build", "The running program", version);
    registry.register_collector(Box::new(QueueFigures { store, clock }));
}

/// Asks the store at each scrape.
struct QueueFigures {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl QueueFigures {
    /// What waits; none where the store does not say so in time.
    fn backlog(&self) -> Option<Backlog> {
        let asked = async { tokio::time::timeout(BACKLOG_TIMEOUT, self.store.backlog()).await };
        // A scrape is synchronous and rare; the other threads take this one's tasks over meanwhile.
        tokio::task::block_in_place(|| Handle::current().block_on(asked))
            .ok()?
            .ok()
    }
}

impl Collector for QueueFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let backlog = self.backlog();
        let up = i64::from(backlog.is_some());
        let help = "1 where the store answered this scrape";
        gauge(&mut encoder, "tidings_store_up", help, None, up)?;
        let Some(backlog) = backlog else {
            return Ok(());
        };
        let owed = i64::try_from(backlog.owed).unwrap_or(i64::MAX);
        let help = "Deliveries owed, those in flight included";
        gauge(&mut encoder, "tidings_queue_deliveries", help, None, owed)?;
        let age_ms = backlog
            .oldest
            .map_or(0, |oldest| self.clock.now().since(oldest).max(0));
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits of milliseconds are ages"
        )]
        let age_seconds = age_ms as f64 / 1000.0;
        let help = "Age of the oldest delivery owed";
        let unit = Some(&Unit::Seconds);
        gauge(
            &mut encoder,
            "tidings_queue_oldest_age",
            help,
            unit,
            age_seconds,
        )
    }
}

fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: N,
) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

impl fmt::Debug for QueueFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueFigures")
    }
}
