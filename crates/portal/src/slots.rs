//! Slots: how much of something slow or scarce one company, or one client, may have under way at a
//! time, so that nobody takes what is there for all.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;

/// How many are taken, by owner; an owner without any has no entry.
type Taken<K> = Mutex<HashMap<K, usize>>;

/// Slots of which each owner has the same number.
pub(crate) struct Slots<K: Eq + Hash> {
    each_max: usize,
    taken: Arc<Taken<K>>,
}

/// One slot, free again when it is dropped.
pub(crate) struct Slot<K: Eq + Hash> {
    owner: K,
    taken: Arc<Taken<K>>,
}

impl<K: Clone + Eq + Hash> Slots<K> {
    /// So many for each owner.
    pub(crate) fn new(each_max: usize) -> Self {
        Self {
            each_max,
            taken: Arc::default(),
        }
    }

    /// A slot, as long as the owner has one left.
    pub(crate) fn take(&self, owner: &K) -> Option<Slot<K>> {
        let mut taken = self.taken.lock();
        let count = taken.get(owner).copied().unwrap_or(0);
        if count >= self.each_max {
            return None;
        }
        taken.insert(owner.clone(), count + 1);
        Some(Slot {
            owner: owner.clone(),
            taken: Arc::clone(&self.taken),
        })
    }
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        match taken.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_domain::company::CompanyId;

    use super::*;

    #[test]
    fn each_owner_has_its_own() {
        let (acme, globex) = (
            CompanyId::parse("acme").unwrap(),
            CompanyId::parse("globex").unwrap(),
        );
        let slots = Slots::new(2);
        let first = slots.take(&acme).unwrap();
        let second = slots.take(&acme).unwrap();
        assert!(slots.take(&acme).is_none());
        assert!(slots.take(&globex).is_some());
        drop(first);
        let third = slots.take(&acme).unwrap();
        assert!(slots.take(&acme).is_none());
        drop((second, third));
        assert!(slots.taken.lock().is_empty(), "nothing is left behind");
    }
}
