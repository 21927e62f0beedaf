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
    /// Users of the portal, by their number.
    Users,
    /// Links that are good once, by their number.
    Links,
    /// Sessions of the portal, by their number.
    Sessions,
    /// The audit log, by the number of the line.
    Audit,
    /// Figures, by resolution and the time at which the stretch begins, and within that counted
    /// from 1 in the order of subscription and company. Their highest number is the latest time.
    Figures,
    /// The catalog of event types, by their number.
    EventTypes,
}

/// A value for each table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerTable<T>([T; CopyTable::ALL.len()]);

impl CopyTable {
    /// All of them, in the order in which they are copied.
    pub const ALL: [Self; 13] = [
        Self::Keys,
        Self::Subscriptions,
        Self::History,
        Self::Events,
        Self::Promises,
        Self::Queue,
        Self::Attempts,
        Self::Users,
        Self::Links,
        Self::Sessions,
        Self::Audit,
        Self::Figures,
        Self::EventTypes,
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
            Self::Users => "users",
            Self::Links => "portal links",
            Self::Sessions => "portal sessions",
            Self::Audit => "audit log",
            Self::Figures => "figures",
            Self::EventTypes => "event types",
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
