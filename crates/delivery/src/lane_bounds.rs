//! How much each lane may have in flight: everybody's cap, the tighter ones of those that are left
//! alone or probed, and the waits of those that keep a rate.

use std::collections::{BTreeMap, BTreeSet};

use tidings_domain::{id::SubscriptionId, time::UtcMillis};

/// The bounds of all lanes, whether or not they exist.
#[derive(Debug)]
pub(crate) struct LaneBounds {
    per_subscription: usize,
    /// Those with a cap of their own.
    caps: BTreeMap<SubscriptionId, usize>,
    /// Those that have no turn until a time; and by that time.
    holds: BTreeMap<SubscriptionId, UtcMillis>,
    hold_ends: BTreeSet<(UtcMillis, SubscriptionId)>,
}

impl LaneBounds {
    /// Everybody may have so much, and at least 1.
    pub(crate) fn new(per_subscription: usize) -> Self {
        Self {
            per_subscription: per_subscription.max(1),
            caps: BTreeMap::new(),
            holds: BTreeMap::new(),
            hold_ends: BTreeSet::new(),
        }
    }

    /// How much a lane may have in flight now.
    pub(crate) fn cap(&self, subscription: SubscriptionId) -> usize {
        if self.holds.contains_key(&subscription) {
            return 0;
        }
        let own = self.caps.get(&subscription).copied();
        own.unwrap_or(usize::MAX).min(self.per_subscription)
    }

    /// Gives a lane a cap of its own, or takes it away.
    pub(crate) fn set(&mut self, subscription: SubscriptionId, cap: Option<usize>) {
        match cap {
            Some(cap) => drop(self.caps.insert(subscription, cap)),
            None => drop(self.caps.remove(&subscription)),
        }
    }

    /// Gives a lane no turn until `until`.
    pub(crate) fn hold(&mut self, subscription: SubscriptionId, until: UtcMillis) {
        if let Some(former) = self.holds.insert(subscription, until) {
            self.hold_ends.remove(&(former, subscription));
        }
        self.hold_ends.insert((until, subscription));
    }

    /// Ends a hold whose time has come, and says whose it was; none where there is none.
    pub(crate) fn end_hold(&mut self, now: UtcMillis) -> Option<SubscriptionId> {
        let &(until, subscription) = self.hold_ends.first()?;
        if until > now {
            return None;
        }
        self.hold_ends.pop_first();
        self.holds.remove(&subscription);
        Some(subscription)
    }

    /// Ends all holds, and says whose they were.
    pub(crate) fn end_all_holds(&mut self) -> impl Iterator<Item = SubscriptionId> + use<> {
        self.holds.clear();
        std::mem::take(&mut self.hold_ends)
            .into_iter()
            .map(|(_, subscription)| subscription)
    }

    /// When the next hold ends of a lane that matters.
    pub(crate) fn next_end(&self, matters: impl Fn(SubscriptionId) -> bool) -> Option<UtcMillis> {
        let mut ends = self.hold_ends.iter();
        ends.find(|(_, subscription)| matters(*subscription))
            .map(|&(until, _)| until)
    }
}
