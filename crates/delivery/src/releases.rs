//! Letting go of deliveries without an attempt: their subscription was disabled or deleted while
//! they waited in memory, or their endpoint is left alone and they go back into the table.
//!
//! They leave memory when the store has let go of them; one call is under way at a time, and a
//! failed one is made again. While any are left, no claim is made: a release that is sent twice
//! must not hit a row that was claimed in between.

use tidings_domain::time::UtcMillis;
use tidings_store::{Delivery, DeliveryKey, LeaseId, StoreError};

use crate::pause::Pause;

/// The most deliveries in one call.
const BATCH_MAX: usize = 512;

/// Deliveries to let go of.
#[derive(Debug)]
pub(crate) struct Releases {
    waiting: Vec<Delivery>,
    sent: Vec<Delivery>,
    pause: Pause,
}

impl Releases {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            waiting: Vec::new(),
            sent: Vec::new(),
            pause: Pause::new(),
        }
    }

    /// Takes a delivery to let go of.
    pub(crate) fn add(&mut self, delivery: Delivery) {
        self.waiting.push(delivery);
    }

    /// The next call to make, for deliveries under one lease; none while one is under way, during
    /// a pause after a failure, or where nothing waits.
    pub(crate) fn next_batch(&mut self, now: UtcMillis) -> Option<(LeaseId, Vec<DeliveryKey>)> {
        if !self.sent.is_empty() || self.pause.lasts_at(now) {
            return None;
        }
        let lease = self.waiting.last()?.lease;
        let mut count = 0;
        self.sent = self
            .waiting
            .extract_if(.., |delivery| {
                let belongs = delivery.lease == lease && count < BATCH_MAX;
                count += usize::from(belongs);
                belongs
            })
            .collect();
        Some((
            lease,
            self.sent.iter().map(|delivery| delivery.key).collect(),
        ))
    }

    /// Takes the answer; gives the deliveries that may leave memory.
    pub(crate) fn answer(
        &mut self,
        answer: Result<(), StoreError>,
        now: UtcMillis,
    ) -> Vec<Delivery> {
        match answer {
            Ok(()) => self.pause.end(),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Overloaded)) => {
                self.pause.begin(now);
                tracing::warn!(%error, "deliveries could not be given back yet");
                self.waiting.append(&mut self.sent);
            }
            Err(error @ StoreError::Broken(_)) => {
                tracing::error!(
                    deliveries = self.sent.len(),
                    %error,
                    "deliveries cannot be given back; they wait for another lease"
                );
            }
        }
        std::mem::take(&mut self.sent)
    }

    /// Whether some are left.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_sending() || !self.waiting.is_empty()
    }

    /// Whether a call is under way.
    pub(crate) fn is_sending(&self) -> bool {
        !self.sent.is_empty()
    }

    /// When to look again without being asked to.
    pub(crate) fn next_wake(&self) -> Option<UtcMillis> {
        let idle = self.sent.is_empty() && !self.waiting.is_empty();
        idle.then(|| self.pause.until()).flatten()
    }
}
