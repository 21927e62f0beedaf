//! The dispatcher in production: waits for the next reason to tick, and ticks.

use std::{pin::pin, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{dispatcher::Dispatcher, health::TICK_MS_MAX};

impl Dispatcher {
    /// Runs until `soft` is cancelled and everything in flight has ended, is settled and given
    /// back; or until `hard` is cancelled, at once. What is cut off then is made again by whoever
    /// takes the lease's work over.
    pub async fn run(mut self, soft: CancellationToken, hard: CancellationToken) {
        let handover = self.handover.clone();
        let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
        let mut soft_cancelled = pin!(soft.cancelled());
        let mut hard_cancelled = pin!(hard.cancelled());
        let mut is_stopping = false;
        loop {
            let now = self.clock.now();
            let wake = self.tick(now);
            if self.is_finished() {
                return;
            }
            let wait_ms = wake.map_or(TICK_MS_MAX, |wake| wake.since(now).clamp(1, TICK_MS_MAX));
            let wait = Duration::from_millis(wait_ms.unsigned_abs());
            sleep.as_mut().reset(Instant::now() + wait);
            tokio::select! {
                biased;
                () = &mut hard_cancelled => return,
                () = &mut soft_cancelled, if !is_stopping => {
                    is_stopping = true;
                    self.stop();
                }
                () = handover.woken() => {}
                () = self.reported() => {}
                () = &mut sleep => {}
            }
            // Everybody else who is ready runs first: under load one tick takes in what many
            // tasks have brought, and an idle machine loses nothing.
            tokio::task::yield_now().await;
        }
    }
}
