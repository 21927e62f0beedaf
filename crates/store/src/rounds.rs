//! The rounds of a delivery: what the queue and the log have of one event for one subscription,
//! and what delivering it again makes of that.
//!
//! A new delivery of the same event to the same subscription is a new round. Where one waits for
//! its next attempt, it starts anew as the next round instead of being doubled.

use crate::ReplayScope;

/// A row of the queue, as far as rounds go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedRound {
    /// Which round.
    pub round: u32,
    /// Whether nobody works on it.
    pub free: bool,
    /// Whether its epoch is the current one.
    pub live: bool,
    /// Attempts that were settled.
    pub attempts: u32,
}

/// What there is of an event for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// The next one that was never used.
    next: u32,
    /// A live one that waits, and how often it was attempted.
    waiting: Option<(u32, u32)>,
    /// A live one in somebody's hands.
    in_flight: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Owe it as this round.
    Owe {
        /// Never used before.
        round: u32,
    },
    /// The one that waits is due now, and not attempted yet.
    Restart {
        /// The round that waits.
        waiting: u32,
        /// How often that was attempted.
        attempts: u32,
        /// As which round it goes on: the same where it was not attempted.
        round: u32,
    },
    /// Nothing.
    Leave,
}

impl Default for Rounds {
    /// Nothing, ever. Round 0 is the one that publishing makes, whether it did or not.
    fn default() -> Self {
        Self {
            next: 1,
            waiting: None,
            in_flight: false,
        }
    }
}

impl Rounds {
    /// Takes in a row of the queue.
    pub fn note_queued(&mut self, row: QueuedRound) {
        self.next = self.next.max(row.round + 1);
        if row.live && row.free {
            self.waiting = Some((row.round, row.attempts));
        } else if row.live {
            self.in_flight = true;
        }
    }

    /// Takes in the highest round of the log.
    pub fn note_attempted(&mut self, round: u32) {
        self.next = self.next.max(round + 1);
    }

    /// What a redelivery does: one in flight is left to itself and a second is queued.
    #[must_use]
    pub fn redelivered(&self) -> Again {
        match self.waiting {
            Some((waiting, attempts)) => self.restart(waiting, attempts),
            None => Again::Owe { round: self.next },
        }
    }

    /// What a replay does: one that was not attempted yet or is in flight is left to itself.
    #[must_use]
    pub fn replayed(&self, scope: ReplayScope, succeeded: bool) -> Again {
        match self.waiting {
            Some((waiting, attempts)) if attempts > 0 => self.restart(waiting, attempts),
            Some(_) => Again::Leave,
            None if self.in_flight => Again::Leave,
            None if scope == ReplayScope::Failed && succeeded => Again::Leave,
            None => Again::Owe { round: self.next },
        }
    }

    fn restart(&self, waiting: u32, attempts: u32) -> Again {
        Again::Restart {
            waiting,
            attempts,
            round: if attempts > 0 { self.next } else { waiting },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rows: &[(u32, bool, bool, u32)], attempted: Option<u32>) -> Rounds {
        let mut rounds = Rounds::default();
        for &(round, free, live, attempts) in rows {
            rounds.note_queued(QueuedRound {
                round,
                free,
                live,
                attempts,
            });
        }
        if let Some(round) = attempted {
            rounds.note_attempted(round);
        }
        rounds
    }

    #[test]
    fn rounds_are_used_once() {
        for (rows, attempted, next) in [
            (&[][..], None, 1),
            (&[], Some(0), 1),
            (&[], Some(4), 5),
            (&[(2, false, true, 0)], Some(1), 3),
            (&[(1, false, false, 0)], Some(6), 7),
            (&[(0, true, false, 0)], None, 1),
        ] {
            let found = rounds(rows, attempted).redelivered();
            assert_eq!(found, Again::Owe { round: next }, "{rows:?} {attempted:?}");
        }
    }

    #[test]
    fn what_waits_starts_anew() {
        let untried = Again::Restart {
            waiting: 1,
            attempts: 0,
            round: 1,
        };
        assert_eq!(
            rounds(&[(1, true, true, 0)], Some(0)).redelivered(),
            untried
        );
        let tried = Again::Restart {
            waiting: 0,
            attempts: 3,
            round: 2,
        };
        let beside_one_in_flight = rounds(&[(0, true, true, 3), (1, false, true, 0)], Some(0));
        assert_eq!(beside_one_in_flight.redelivered(), tried);
        assert_eq!(beside_one_in_flight.replayed(ReplayScope::All, true), tried);
    }

    #[test]
    fn a_replay_leaves_alone_what_is_on_its_way() {
        for scope in [ReplayScope::All, ReplayScope::Failed] {
            let untried = rounds(&[(1, true, true, 0)], None);
            assert_eq!(untried.replayed(scope, false), Again::Leave);
            let in_flight = rounds(&[(1, false, true, 2)], None);
            assert_eq!(in_flight.replayed(scope, false), Again::Leave);
            let failed = rounds(&[], Some(0));
            assert_eq!(failed.replayed(scope, false), Again::Owe { round: 1 });
        }
        let succeeded = rounds(&[], Some(0));
        assert_eq!(succeeded.replayed(ReplayScope::Failed, true), Again::Leave);
        assert_eq!(
            succeeded.replayed(ReplayScope::All, true),
            Again::Owe { round: 1 }
        );
    }
}
