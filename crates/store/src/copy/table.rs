//! The tables of a copy, and values by table.

use std::ops::{Index, IndexMut};

/// A table, as both databases have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyTable {
    /// API keys, by their number.
    Keys,
    /// Subscriptions, by their number.
    Subscriptions,
    /// What subscriptions wanted, by their number and the position from which on.
    History,
    /// Events, by their position.
    Events,
    /// Idempotency keys, by their number.
    Promises,
    /// What is owed, by position, subscription and round.
    Queue,
    /// The delivery log, by the number of the attempt.
    Attempts,
}

/// A value for each table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerTable<T>([T; CopyTable::ALL.len()]);

impl CopyTable {
    /// All of them, in the order in which they are copied.
    pub const ALL: [Self; 7] = [
        Self::Keys,
        Self::Subscriptions,
        Self::History,
        Self::Events,
        Self::Promises,
        Self::Queue,
        Self::Attempts,
    ];

    /// What is in it, in words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "API keys",
            Self::Subscriptions => "subscriptions",
            Self::History => "subscription history",
            Self::Events => "events",
            Self::Promises => "idempotency keys",
            Self::Queue => "deliveries owed",
            Self::Attempts => "delivery log",
        }
    }
}

impl<T> Index<CopyTable> for PerTable<T> {
    type Output = T;

    fn index(&self, table: CopyTable) -> &T {
        &self.0[table as usize]
    }
}

impl<T> IndexMut<CopyTable> for PerTable<T> {
    fn index_mut(&mut self, table: CopyTable) -> &mut T {
        &mut self.0[table as usize]
    }
}
