//! Which subscriptions have deliveries waiting for a claim, and since when: the writer's map of
//! the partial index `queue_waiting`.
//!
//! For each subscription it holds a time at or before its earliest free, live row; never a later
//! one. An entry that is too early costs a claim one look, a missing one would cost a delivery.
//! So notes may be taken before a commit, and only raising or removing must be undone when a
//! transaction fails.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::memory::Seq;

/// The earliest due time of each subscription that waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    due: HashMap<Seq, i64>,
    order: BTreeSet<(i64, Seq)>,
}

/// What was raised or removed, to be undone.
#[derive(Debug, Default)]
pub(crate) struct Undo(Vec<(Seq, i64)>);

impl Waiting {
    /// Something of a subscription is due then.
    pub(crate) fn note(&mut self, subscription: Seq, due_ms: i64) {
        match self.due.get(&subscription) {
            Some(&known) if known <= due_ms => return,
            Some(&known) => {
                self.order.remove(&(known, subscription));
            }
            None => {}
        }
        self.due.insert(subscription, due_ms);
        self.order.insert((due_ms, subscription));
    }

    /// The earliest is due exactly then, or nothing waits.
    pub(crate) fn set(&mut self, subscription: Seq, due_ms: Option<i64>, undo: &mut Undo) {
        if let Some(known) = self.due.remove(&subscription) {
            self.order.remove(&(known, subscription));
            undo.0.push((subscription, known));
        }
        if let Some(due_ms) = due_ms {
            self.note(subscription, due_ms);
        }
    }

    /// Puts back what a failed transaction raised or removed.
    pub(crate) fn undo(&mut self, undo: Undo) {
        for (subscription, due_ms) in undo.0 {
            self.note(subscription, due_ms);
        }
    }

    /// The longest waiting first, with their due times.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, Seq)> + '_ {
        self.order.iter().copied()
    }

    /// Whether anything is due by then.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        self.order
            .first()
            .is_some_and(|&(due_ms, _)| due_ms <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_earliest_and_undoes_what_was_raised() {
        let mut waiting = Waiting::default();
        waiting.note(1, 50);
        waiting.note(1, 70);
        waiting.note(2, 60);
        assert_eq!(waiting.iter().collect::<Vec<_>>(), [(50, 1), (60, 2)]);
        let mut undo = Undo::default();
        waiting.set(1, Some(90), &mut undo);
        waiting.set(2, None, &mut undo);
        assert_eq!(waiting.iter().collect::<Vec<_>>(), [(90, 1)]);
        assert!(!waiting.is_due(89) && waiting.is_due(90));
        waiting.undo(undo);
        assert_eq!(waiting.iter().collect::<Vec<_>>(), [(50, 1), (60, 2)]);
    }
}
