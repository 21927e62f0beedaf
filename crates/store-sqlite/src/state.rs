//! What the writer alone keeps in memory: the next numbers, and what waits. And how it counts what is
//! owed, which others read.

use std::sync::atomic::Ordering;

use hashbrown::HashMap;
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
    /// When so many attempts are not filed, they are; see [`crate::log_index`].
    pub(crate) file_at: usize,
    pub(crate) waiting: Waiting,
}

/// Counts committed changes of what is owed.
pub(crate) fn count_owed(changes: Vec<OwedChange>, memory: &Memory) {
    if changes.is_empty() {
        return;
    }
    let owed = &mut *memory.owed_by_subscription.lock();
    let (mut more, mut fewer) = (0, 0);
    for change in changes {
        match change {
            OwedChange::More(subscription, deliveries) => {
                *owed.entry(subscription).or_default() += deliveries;
                more += deliveries;
            }
            OwedChange::Fewer(subscription, deliveries) => {
                fewer += take(owed, subscription, deliveries);
            }
            OwedChange::Ended(subscription) => {
                fewer += owed.remove(&subscription).unwrap_or(0);
            }
        }
    }
    memory.metrics.deliveries_owed.inc_by(more);
    memory.owed.fetch_add(more, Ordering::Relaxed);
    memory.owed.fetch_sub(fewer, Ordering::Relaxed);
}

fn take(owed: &mut HashMap<Seq, u64>, subscription: Seq, deliveries: u64) -> u64 {
    let Some(known) = owed.get_mut(&subscription) else {
        return 0;
    };
    let taken = deliveries.min(*known);
    *known -= taken;
    if *known == 0 {
        owed.remove(&subscription);
    }
    taken
}
