//! The hand-over: freshly appended deliveries on their way from the store to the dispatcher, in
//! memory and bounded.
//!
//! A [`Place`] is a permit: who holds one may keep a delivery in memory, and dropping it gives the
//! room back. Places are bounded per subscription, per company, in all, and in bytes, so that
//! neither a slow endpoint nor a busy company fills the memory that others need; what finds no
//! place stays in the table until a claim.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tidings_domain::{company::CompanyId, id::SubscriptionId};
use tokio::sync::Notify;

use crate::Delivery;

/// How much may be in memory at a time.
#[derive(Clone, Copy, Debug)]
pub struct HandoverLimits {
    /// Deliveries in all.
    pub deliveries_max: usize,
    /// Deliveries of one subscription.
    pub deliveries_per_subscription_max: usize,
    /// Bytes of event bodies in all; an event owed to several counts for each.
    pub bytes_max: usize,
}

impl Default for HandoverLimits {
    fn default() -> Self {
        Self {
            deliveries_max: 20_000,
            deliveries_per_subscription_max: 1000,
            bytes_max: 128 << 20,
        }
    }
}

/// Hands deliveries over, and bounds how many there are in memory.
#[derive(Debug)]
pub struct Handover {
    limits: HandoverLimits,
    held: Mutex<Held>,
    fresh: Mutex<Vec<Delivery>>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Held {
    deliveries: usize,
    bytes: usize,
    by_subscription: HashMap<SubscriptionId, usize>,
    by_company: HashMap<CompanyId, usize>,
}

/// The right to hold one delivery in memory.
#[derive(Debug)]
pub struct Place {
    handover: Arc<Handover>,
    subscription: SubscriptionId,
    company: CompanyId,
    bytes: usize,
}

impl Handover {
    /// An empty one.
    #[must_use]
    pub fn new(limits: HandoverLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            held: Mutex::default(),
            fresh: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// A place for a delivery of `bytes` to `subscription`, where there is room.
    ///
    /// A company may hold an equal share of all places and leaves one share free: with n
    /// companies holding any, each may hold at most 1/(n + 1) of them.
    #[must_use]
    pub fn admit(
        self: &Arc<Self>,
        subscription: SubscriptionId,
        company: &CompanyId,
        bytes: usize,
    ) -> Option<Place> {
        let mut held = self.held.lock();
        if !self.has_room_in(&held, subscription, company, bytes) {
            return None;
        }
        held.deliveries += 1;
        held.bytes += bytes;
        *held.by_subscription.entry(subscription).or_default() += 1;
        *held.by_company.entry(company.clone()).or_default() += 1;
        drop(held);
        Some(Place {
            handover: Arc::clone(self),
            subscription,
            company: company.clone(),
            bytes,
        })
    }

    /// Whether a small delivery to `subscription` would be admitted now.
    #[must_use]
    pub fn has_room(&self, subscription: SubscriptionId, company: &CompanyId) -> bool {
        self.has_room_in(&self.held.lock(), subscription, company, 0)
    }

    fn has_room_in(
        &self,
        held: &Held,
        subscription: SubscriptionId,
        company: &CompanyId,
        bytes: usize,
    ) -> bool {
        let of_subscription = held
            .by_subscription
            .get(&subscription)
            .copied()
            .unwrap_or(0);
        let of_company = held.by_company.get(company).copied().unwrap_or(0);
        let companies = held.by_company.len() + usize::from(of_company == 0);
        // A body larger than the whole budget still goes through when nothing else is held.
        held.deliveries < self.limits.deliveries_max
            && (held.bytes == 0 || held.bytes + bytes <= self.limits.bytes_max)
            && of_subscription < self.limits.deliveries_per_subscription_max
            && of_company < (self.limits.deliveries_max / (companies + 1)).max(1)
    }

    /// Hands committed deliveries over and wakes the dispatcher.
    pub fn hand_over(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let mut fresh = self.fresh.lock();
        if fresh.is_empty() {
            *fresh = deliveries;
        } else {
            fresh.extend(deliveries);
        }
        drop(fresh);
        self.wake.notify_one();
    }

    /// Everything that was handed over since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.fresh.lock())
    }

    /// Wakes the dispatcher: there is something to look at. Carries no data, and a wake-up while
    /// nobody waits is kept.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for the next wake-up.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Deliveries that hold a place now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.lock().deliveries
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.handover.held.lock();
        held.deliveries -= 1;
        held.bytes -= self.bytes;
        release_one(&mut held.by_subscription, &self.subscription);
        release_one(&mut held.by_company, &self.company);
    }
}

/// Counts one down, and forgets who has none: the maps stay as small as what is held.
fn release_one<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::{random::SeededRandom, time::UtcMillis};

    fn subscription(seed: u64) -> SubscriptionId {
        SubscriptionId::new(UtcMillis::from_millis(0), &SeededRandom::new(seed))
    }

    fn company(name: &str) -> CompanyId {
        CompanyId::parse(name).unwrap()
    }

    #[test]
    fn a_dropped_place_is_free_again() {
        let handover = Handover::new(HandoverLimits {
            deliveries_per_subscription_max: 1,
            ..HandoverLimits::default()
        });
        let place = handover.admit(subscription(1), &company("a"), 10);
        assert!(place.is_some() && handover.admit(subscription(1), &company("a"), 10).is_none());
        assert!(handover.admit(subscription(2), &company("a"), 10).is_some());
        drop(place);
        assert!(handover.has_room(subscription(1), &company("a")));
        assert_eq!(handover.held(), 0);
    }

    #[test]
    fn one_company_leaves_room_for_others() {
        let handover = Handover::new(HandoverLimits {
            deliveries_max: 100,
            ..HandoverLimits::default()
        });
        let greedy: Vec<_> = (0..)
            .map_while(|n| handover.admit(subscription(n), &company("greedy"), 1))
            .collect();
        assert_eq!(greedy.len(), 50);
        let modest: Vec<_> = (0..)
            .map_while(|n| handover.admit(subscription(n), &company("modest"), 1))
            .collect();
        assert_eq!(modest.len(), 33);
    }

    #[test]
    fn bytes_are_bounded_but_a_giant_passes_alone() {
        let handover = Handover::new(HandoverLimits {
            bytes_max: 100,
            ..HandoverLimits::default()
        });
        let giant = handover.admit(subscription(1), &company("a"), 500);
        assert!(giant.is_some());
        assert!(handover.admit(subscription(2), &company("a"), 1).is_none());
    }
}
