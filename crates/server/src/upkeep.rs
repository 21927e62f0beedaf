//! Housekeeping: asks the store each minute to tidy up, in bounded steps, until nothing is left,
//! and every few seconds to write down the figures that people look at.

use std::{sync::Arc, time::Duration};

use tidings_domain::clock::Clock;
use tidings_store::{Retention, Store, StoreError};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often to tidy up.
const TIDY_PERIOD: Duration = Duration::from_mins(1);
/// How often to write figures: what a node that is killed may lose of them.
const FIGURES_PERIOD: Duration = Duration::from_secs(10);

/// Keeps house until the token.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention: Retention,
    soft: CancellationToken,
) {
    let tidying = tidy_regularly(&*store, &*clock, retention, &soft);
    let writing = write_figures_regularly(&*store, &soft);
    tokio::join!(tidying, writing);
}

async fn tidy_regularly(
    store: &dyn Store,
    clock: &dyn Clock,
    retention: Retention,
    soft: &CancellationToken,
) {
    let mut turns = Turns::new(TIDY_PERIOD);
    while turns.next(soft).await {
        if let Err(error) = tidy_all(store, clock, retention, soft).await {
            tracing::warn!(%error, "could not tidy up; trying again in a minute");
        }
    }
}

async fn write_figures_regularly(store: &dyn Store, soft: &CancellationToken) {
    let mut turns = Turns::new(FIGURES_PERIOD);
    let mut failing = false;
    while turns.next(soft).await {
        // What could not be written stays in memory. An outage is told of once, not every time.
        match store.write_figures().await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "could not write figures; trying until it works");
            }
            Err(_) => {}
        }
    }
}

/// Turns of work: one at once, and then one each period.
struct Turns(Interval);

impl Turns {
    fn new(period: Duration) -> Self {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(ticks)
    }

    /// Waits for the next turn; false where the token comes first.
    async fn next(&mut self, soft: &CancellationToken) -> bool {
        tokio::select! {
            () = soft.cancelled() => false,
            _ = self.0.tick() => true,
        }
    }
}

async fn tidy_all(
    store: &dyn Store,
    clock: &dyn Clock,
    retention: Retention,
    soft: &CancellationToken,
) -> Result<(), StoreError> {
    while !soft.is_cancelled() && store.tidy(clock.now(), retention).await? {
        // Publishing goes first: its work may stand in the same queue.
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_is_a_turn_at_once_and_then_each_period_until_the_token() {
        let soft = CancellationToken::new();
        let began = tokio::time::Instant::now();
        let mut turns = Turns::new(FIGURES_PERIOD);
        let mut times = Vec::new();
        while turns.next(&soft).await {
            times.push(began.elapsed().as_secs());
            if times.len() == 3 {
                soft.cancel();
            }
        }
        assert_eq!(times, [0, 10, 20]);
    }
}
