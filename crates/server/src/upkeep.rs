//! Housekeeping: asks the store to tidy up each minute, in bounded steps, until nothing is left.

use std::{sync::Arc, time::Duration};

use tidings_domain::clock::Clock;
use tidings_store::{Retention, Store};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often to look.
const PERIOD: Duration = Duration::from_mins(1);

/// Tidies until the token.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention: Retention,
    soft: CancellationToken,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = tidy_all(&*store, &*clock, retention, &soft).await {
            tracing::warn!(%error, "could not tidy up; trying again in a minute");
        }
    }
}

async fn tidy_all(
    store: &dyn Store,
    clock: &dyn Clock,
    retention: Retention,
    soft: &CancellationToken,
) -> Result<(), tidings_store::StoreError> {
    while !soft.is_cancelled() && store.tidy(clock.now(), retention).await? {
        // Publishing goes first: its work may stand in the same queue.
        tokio::task::yield_now().await;
    }
    Ok(())
}
