//! What the writer alone keeps in memory: the next numbers, what waits, how many are owed.

use std::{collections::HashMap, sync::atomic::Ordering};

use tidings_store::Position;

use crate::{
    batch::OwedChange,
    memory::{Memory, Seq},
    waiting::Waiting,
};

/// The writer's own memory of the committed state.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) next_position: Position,
    pub(crate) next_attempt: i64,
    pub(crate) waiting: Waiting,
    /// Deliveries owed per subscription; dead rows do not count.
    pub(crate) owed: HashMap<Seq, u64>,
}

impl State {
    /// Counts committed changes of what is owed.
    pub(crate) fn count(&mut self, changes: Vec<OwedChange>, memory: &Memory) {
        let (mut more, mut fewer) = (0, 0);
        for change in changes {
            match change {
                OwedChange::More(subscription, deliveries) => {
                    *self.owed.entry(subscription).or_default() += deliveries;
                    more += deliveries;
                }
                OwedChange::Fewer(subscription, deliveries) => {
                    fewer += self.take(subscription, deliveries);
                }
                OwedChange::Ended(subscription) => {
                    fewer += self.owed.remove(&subscription).unwrap_or(0);
                }
            }
        }
        memory.metrics.deliveries_owed.inc_by(more);
        memory.owed.fetch_add(more, Ordering::Relaxed);
        memory.owed.fetch_sub(fewer, Ordering::Relaxed);
    }

    fn take(&mut self, subscription: Seq, deliveries: u64) -> u64 {
        let Some(owed) = self.owed.get_mut(&subscription) else {
            return 0;
        };
        let taken = deliveries.min(*owed);
        *owed -= taken;
        if *owed == 0 {
            self.owed.remove(&subscription);
        }
        taken
    }
}
