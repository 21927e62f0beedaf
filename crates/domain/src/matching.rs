//! Matching: which subscriptions of a company want an event type.
//!
//! [`MatchIndex`] answers for one company in time that grows with the segments of the type and the
//! number of matches, not with the number of subscriptions.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::event_type::{EventType, EventTypePattern};

/// The enabled subscriptions of one company, found by event type. `S` is whatever the store
/// matches to: an id, an endpoint.
#[derive(Clone, Debug)]
pub struct MatchIndex<S> {
    all: Vec<S>,
    below: HashMap<Arc<str>, Vec<S>>,
    exactly: HashMap<EventType, Vec<S>>,
}

impl<S> Default for MatchIndex<S> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            below: HashMap::new(),
            exactly: HashMap::new(),
        }
    }
}

impl<S: Clone + Ord> MatchIndex<S> {
    /// Adds a subscription under its patterns.
    pub fn insert(&mut self, subscriber: &S, patterns: &[EventTypePattern]) {
        for pattern in patterns {
            let list = match pattern {
                EventTypePattern::All => &mut self.all,
                EventTypePattern::Below(prefix) => self.below.entry(prefix.clone()).or_default(),
                EventTypePattern::Exactly(exact) => self.exactly.entry(exact.clone()).or_default(),
            };
            list.push(subscriber.clone());
        }
    }

    /// Takes a subscription out; `patterns` are those it was added under.
    pub fn remove(&mut self, subscriber: &S, patterns: &[EventTypePattern]) {
        for pattern in patterns {
            match pattern {
                EventTypePattern::All => self.all.retain(|other| other != subscriber),
                EventTypePattern::Below(prefix) => {
                    remove_from(&mut self.below, prefix, subscriber);
                }
                EventTypePattern::Exactly(exact) => {
                    remove_from(&mut self.exactly, exact, subscriber);
                }
            }
        }
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.below.is_empty() && self.exactly.is_empty()
    }

    /// Everybody who wants the type, each once, in ascending order.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> Vec<S> {
        let mut found = self.all.clone();
        found.extend(self.exactly.get(event_type).into_iter().flatten().cloned());
        if !self.below.is_empty() {
            let text = event_type.as_str();
            for (dot, _) in text.match_indices('.') {
                found.extend(self.below.get(&text[..=dot]).into_iter().flatten().cloned());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn remove_from<K, Q, S>(lists: &mut HashMap<K, Vec<S>>, key: &Q, subscriber: &S)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
    S: PartialEq,
{
    if let Some(list) = lists.get_mut(key) {
        list.retain(|other| other != subscriber);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = EventTypePattern> {
        "(\\*|[ab](\\.[ab]){0,2}(\\.\\*)?)".prop_map(|text| EventTypePattern::parse(&text).unwrap())
    }

    proptest! {
        /// The index says what asking each pattern in turn would say, also after removals.
        #[test]
        fn agrees_with_the_patterns(
            lists in proptest::collection::vec(proptest::collection::vec(pattern(), 1..4), 0..8),
            removed in proptest::collection::vec(any::<bool>(), 8),
            event_type in "[ab](\\.[ab]){0,3}",
        ) {
            let event_type = EventType::parse(&event_type).unwrap();
            let mut index = MatchIndex::default();
            for (subscriber, patterns) in lists.iter().enumerate() {
                index.insert(&subscriber, patterns);
            }
            let mut expected = Vec::new();
            for (subscriber, patterns) in lists.iter().enumerate() {
                if removed[subscriber] {
                    index.remove(&subscriber, patterns);
                } else if patterns.iter().any(|pattern| pattern.matches(&event_type)) {
                    expected.push(subscriber);
                }
            }
            prop_assert_eq!(index.matches(&event_type), expected);
            prop_assert_eq!(index.is_empty(), lists.iter().zip(&removed).all(|(_, gone)| *gone));
        }
    }
}
