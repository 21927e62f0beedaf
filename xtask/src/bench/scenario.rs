//! The situations that are measured.

use clap::ValueEnum;

/// A situation: who subscribes, and how it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// One subscription, 64 publishers without a pause
    One,
    /// Ten subscriptions for every event, 64 publishers without a pause
    FanOut,
    /// One subscription, 100 events a second
    Low,
}

/// A scenario on so many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    pub(super) scenario: Scenario,
    pub(super) nodes: usize,
}

impl Situation {
    /// For people.
    pub(super) fn describe(self) -> String {
        let scenario = self.scenario.describe();
        match self.nodes {
            1 => scenario.to_owned(),
            nodes => format!("{scenario}, {nodes} nodes"),
        }
    }
}

impl Scenario {
    /// All of them, in the order of the table.
    pub(super) const ALL: [Self; 3] = [Self::One, Self::FanOut, Self::Low];

    /// For people.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::One => "1 subscription, 64 publishers",
            Self::FanOut => "10 subscriptions, 64 publishers",
            Self::Low => "1 subscription, 100 events/s",
        }
    }

    /// How many subscriptions want every event.
    pub(super) fn subscriptions(self) -> u64 {
        match self {
            Self::One | Self::Low => 1,
            Self::FanOut => 10,
        }
    }

    /// What the load generator is told.
    pub(super) fn load_args(self) -> &'static [&'static str] {
        match self {
            Self::One | Self::FanOut => &["--concurrency", "64"],
            Self::Low => &["--concurrency", "16", "--rate", "100"],
        }
    }
}
