//! The hand-over: freshly appended deliveries on their way from the store to the dispatcher, in
//! memory and bounded.
//!
//! A [`Place`] is a permit: who holds one may keep a delivery in memory, and dropping it gives the
//! room back. Places are bounded per subscription, per company, in all, and in bytes, so that
//! neither a slow endpoint nor a busy company fills the memory that others need; what finds no
//! place stays in the table until a claim. The hand-over remembers which bound refused somebody,
//! and says when that bound has room again ([`Handover::take_look`]): only then is a claim worth
//! its statement.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tidings_domain::{company::CompanyId, id::SubscriptionId};
use tokio::sync::Notify;

use crate::Delivery;

/// A bound of one subscription that is tighter than everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Nothing may be held: its circuit breaker is open. Who sets this looks again by itself, so
    /// a refusal is not remembered.
    Parked,
    /// One delivery may be held, the probe of a half-open breaker. As above.
    Probe,
    /// At most so many, because it is delivered to slowly.
    AtMost(usize),
}

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
    look: AtomicBool,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Held {
    deliveries: usize,
    bytes: usize,
    by_subscription: HashMap<SubscriptionId, usize>,
    by_company: HashMap<CompanyId, usize>,
    /// Subscriptions with bounds of their own.
    bounds: HashMap<SubscriptionId, Bound>,
    refused: Refused,
}

/// The bounds that refused somebody and have not had room to speak of since. Each entry stands for
/// somebody at a bound, so there are never more than holders of places.
#[derive(Debug, Default)]
struct Refused {
    subscriptions: HashSet<SubscriptionId>,
    companies: HashSet<CompanyId>,
    all: bool,
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
            look: AtomicBool::new(false),
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
        if !held.has_room(&self.limits, subscription, company, bytes) {
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

    /// Gives a subscription a bound of its own, or takes it away. What is held already stays.
    pub fn bind(&self, subscription: SubscriptionId, bound: Option<Bound>) {
        let mut held = self.held.lock();
        match bound {
            Some(bound) => drop(held.bounds.insert(subscription, bound)),
            None => drop(held.bounds.remove(&subscription)),
        }
    }

    /// Whether a small delivery to `subscription` would be admitted now. A no is remembered as a
    /// refusal of [`Handover::admit`] is.
    #[must_use]
    pub fn has_room(&self, subscription: SubscriptionId, company: &CompanyId) -> bool {
        let mut held = self.held.lock();
        held.has_room(&self.limits, subscription, company, 0)
    }

    /// How many more deliveries fit in all. A zero is remembered as a refusal.
    #[must_use]
    pub fn room(&self) -> usize {
        let mut held = self.held.lock();
        let room = self.limits.deliveries_max.saturating_sub(held.deliveries);
        held.refused.all |= room == 0;
        room
    }

    /// Whether somebody was refused whose bound has no room to speak of yet: work waits in the
    /// table that no due time tells of.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        let held = self.held.lock();
        held.refused.all
            || !held.refused.subscriptions.is_empty()
            || !held.refused.companies.is_empty()
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

    /// Wakes the dispatcher: there is something to look for in the table. Carries no data, and a
    /// wake-up while nobody waits is kept.
    pub fn wake(&self) {
        self.look.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether a claim may find something new: somebody called [`Handover::wake`], or a bound that
    /// refused somebody has room again. Asking forgets it.
    #[must_use]
    pub fn take_look(&self) -> bool {
        self.look.swap(false, Ordering::AcqRel)
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

impl Held {
    /// Whether a delivery fits; remembers the bounds that say no.
    fn has_room(
        &mut self,
        limits: &HandoverLimits,
        subscription: SubscriptionId,
        company: &CompanyId,
        bytes: usize,
    ) -> bool {
        let of_subscription = self
            .by_subscription
            .get(&subscription)
            .copied()
            .unwrap_or(0);
        let of_company = self.by_company.get(company).copied().unwrap_or(0);
        // A body larger than the whole budget still goes through when nothing else is held.
        let in_all = self.deliveries < limits.deliveries_max
            && (self.bytes == 0 || self.bytes + bytes <= limits.bytes_max);
        let for_company = of_company < self.share(limits, of_company == 0);
        let bound = self.bounds.get(&subscription);
        let for_subscription = of_subscription < most_of_one(limits, bound);
        if !for_subscription && matches!(bound, Some(Bound::Parked | Bound::Probe)) {
            return false;
        }
        if in_all && for_company && for_subscription {
            return true;
        }
        self.refused.all |= !in_all;
        if !for_company {
            self.refused.companies.insert(company.clone());
        }
        if !for_subscription {
            self.refused.subscriptions.insert(subscription);
        }
        false
    }

    /// How many places a company may hold; `newcomer` where one more company wants to.
    fn share(&self, limits: &HandoverLimits, newcomer: bool) -> usize {
        let companies = self.by_company.len() + usize::from(newcomer);
        (limits.deliveries_max / (companies + 1)).max(1)
    }

    /// After a place was given back: whether a bound that refused somebody has room again, enough
    /// that a claim brings more than the one row that just went.
    fn relieve(
        &mut self,
        limits: &HandoverLimits,
        subscription: SubscriptionId,
        company: &CompanyId,
    ) -> bool {
        let mut relieved = false;
        if self.refused.all
            && self.deliveries <= limits.deliveries_max / 4 * 3
            && self.bytes <= limits.bytes_max / 4 * 3
        {
            self.refused.all = false;
            relieved = true;
        }
        let of_company = self.by_company.get(company).copied().unwrap_or(0);
        if !self.refused.companies.is_empty() && of_company <= self.share(limits, false) / 2 {
            relieved |= self.refused.companies.remove(company);
        }
        let of_subscription = self
            .by_subscription
            .get(&subscription)
            .copied()
            .unwrap_or(0);
        let most = most_of_one(limits, self.bounds.get(&subscription));
        if !self.refused.subscriptions.is_empty() && of_subscription <= most / 2 {
            relieved |= self.refused.subscriptions.remove(&subscription);
        }
        relieved
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.handover.held.lock();
        held.deliveries -= 1;
        held.bytes -= self.bytes;
        release_one(&mut held.by_subscription, &self.subscription);
        release_one(&mut held.by_company, &self.company);
        let relieved = held.relieve(&self.handover.limits, self.subscription, &self.company);
        drop(held);
        if relieved {
            self.handover.wake();
        }
    }
}

/// How many deliveries of one subscription may be held.
fn most_of_one(limits: &HandoverLimits, bound: Option<&Bound>) -> usize {
    let most = match bound {
        None => usize::MAX,
        Some(Bound::Parked) => 0,
        Some(Bound::Probe) => 1,
        Some(Bound::AtMost(most)) => *most,
    };
    most.min(limits.deliveries_per_subscription_max)
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

    #[test]
    fn a_bound_that_refused_says_when_it_has_room_again() {
        let handover = Handover::new(HandoverLimits {
            deliveries_per_subscription_max: 4,
            ..HandoverLimits::default()
        });
        let mut places: Vec<_> = (0..4)
            .map_while(|_| handover.admit(subscription(1), &company("a"), 1))
            .collect();
        assert!(!handover.has_refused() && !handover.take_look());
        assert!(!handover.has_room(subscription(1), &company("a")));
        assert!(handover.has_refused());
        places.pop();
        assert!(!handover.take_look(), "one row is not worth a claim");
        places.pop();
        assert!(handover.take_look() && !handover.has_refused());
        assert!(!handover.take_look(), "asking forgets it");
    }

    #[test]
    fn a_parked_subscription_is_refused_and_not_remembered() {
        let handover = Handover::new(HandoverLimits::default());
        handover.bind(subscription(1), Some(Bound::Parked));
        assert!(handover.admit(subscription(1), &company("a"), 1).is_none());
        assert!(!handover.has_refused());
        handover.bind(subscription(1), Some(Bound::Probe));
        let probe = handover.admit(subscription(1), &company("a"), 1);
        assert!(probe.is_some());
        assert!(!handover.has_room(subscription(1), &company("a")));
        drop(probe);
        assert!(!handover.take_look() && !handover.has_refused());
        handover.bind(subscription(1), None);
        assert!(handover.has_room(subscription(1), &company("a")));
    }

    #[test]
    fn a_slow_subscription_has_fewer_places() {
        let handover = Handover::new(HandoverLimits::default());
        handover.bind(subscription(1), Some(Bound::AtMost(2)));
        let mut places: Vec<_> = (0..9)
            .map_while(|_| handover.admit(subscription(1), &company("a"), 1))
            .collect();
        assert_eq!(places.len(), 2);
        assert!(handover.has_refused());
        places.pop();
        assert!(handover.take_look(), "half of its places are free");
    }

    #[test]
    fn a_company_that_was_refused_is_told_when_it_has_room_again() {
        let handover = Handover::new(HandoverLimits {
            deliveries_max: 12,
            ..HandoverLimits::default()
        });
        let mut places: Vec<_> = (0..)
            .map_while(|n| handover.admit(subscription(n), &company("a"), 1))
            .collect();
        assert_eq!(places.len(), 6);
        assert!(handover.admit(subscription(9), &company("b"), 1).is_some());
        places.truncate(4);
        assert!(!handover.take_look());
        places.truncate(3);
        assert!(handover.take_look() && !handover.has_refused());
        assert_eq!(handover.room(), 9);
    }
}
