//! When to look into the table for work that was not handed over: retries that came due, work that
//! found no room in memory, redeliveries and replays, and what others left behind.
//!
//! An idle dispatcher makes no claim. It knows when the next retry is due, because the last claim
//! said so and later settlements told their times; everything else that may put work into the
//! table wakes it through the hand-over. A store that several nodes share answers a claim with a
//! next time that is never far off, as work of other nodes is told by nobody.

use tidings_domain::time::UtcMillis;

use crate::pause::Pause;

/// The most deliveries of one claim.
const CLAIM_MAX: usize = 500;
/// A claim that found less than it had room for is followed by the next after this many
/// milliseconds at the earliest, so that retries that come due one by one are fetched together.
const SPACING_MS: i64 = 20;
/// Where work waits in the table for want of room, another look is worth it after this many
/// milliseconds, whether or not room was reported: other companies' ends give room as well.
const LOOK_AGAIN_MS: i64 = 1000;

/// What is known about work in the table.
#[derive(Debug)]
pub(crate) struct Claims {
    due: Option<UtcMillis>,
    /// The limit of the claim under way.
    in_flight: Option<usize>,
    last: Option<UtcMillis>,
    spacing_from: Option<UtcMillis>,
    pause: Pause,
}

impl Claims {
    /// Nothing is known to be due.
    pub(crate) fn new() -> Self {
        Self {
            due: None,
            in_flight: None,
            last: None,
            spacing_from: None,
            pause: Pause::new(),
        }
    }

    /// Something may be due at `time`.
    pub(crate) fn note(&mut self, time: UtcMillis) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }

    /// Whether a claim is worth making now. `has_refused` where work waits for want of room.
    pub(crate) fn is_due(&self, now: UtcMillis, has_refused: bool) -> bool {
        self.next_wake(has_refused).is_some_and(|due| due <= now)
    }

    /// How many deliveries to claim where there is room for `room`.
    pub(crate) fn limit(room: usize) -> usize {
        room.min(CLAIM_MAX)
    }

    /// A claim is under way. What is noted from here on may not be seen by it.
    pub(crate) fn began(&mut self, limit: usize, now: UtcMillis) {
        self.in_flight = Some(limit);
        self.last = Some(now);
        self.due = None;
    }

    /// The claim under way found `found` deliveries, and the next is due at `next_due`.
    pub(crate) fn answered(&mut self, found: usize, next_due: Option<UtcMillis>, now: UtcMillis) {
        let limit = self.in_flight.take().unwrap_or(0);
        self.spacing_from = (found < limit).then_some(now);
        self.pause.end();
        if let Some(next_due) = next_due {
            self.note(next_due);
        }
    }

    /// The claim under way failed; another try follows after a pause.
    pub(crate) fn failed(&mut self, now: UtcMillis) {
        self.in_flight = None;
        self.pause.begin(now);
        self.note(now);
    }

    /// The clock was set back: nothing waits for the times that it showed before.
    pub(crate) fn clock_set_back(&mut self, now: UtcMillis) {
        self.last = self.last.map(|last| last.min(now));
        self.spacing_from = None;
        self.pause.end();
        self.note(now);
    }

    /// Whether a claim is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When to look again without being asked to.
    pub(crate) fn next_wake(&self, has_refused: bool) -> Option<UtcMillis> {
        if self.is_busy() {
            return None;
        }
        let again = self
            .last
            .filter(|_| has_refused)
            .map(|last| last.plus_millis(LOOK_AGAIN_MS));
        let due = self.due.into_iter().chain(again).min()?;
        let spaced = self.spacing_from.map(|from| from.plus_millis(SPACING_MS));
        Some(
            [spaced, self.pause.until()]
                .into_iter()
                .flatten()
                .fold(due, UtcMillis::max),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    #[test]
    fn an_idle_one_wants_nothing() {
        let mut claims = Claims::new();
        assert!(!claims.is_due(at(0), false));
        claims.note(at(100));
        assert_eq!(claims.next_wake(false), Some(at(100)));
        assert!(!claims.is_due(at(99), false));
        assert!(claims.is_due(at(100), false));
        claims.began(10, at(100));
        claims.answered(0, None, at(100));
        assert_eq!(claims.next_wake(false), None);
    }

    #[test]
    fn what_is_noted_while_a_claim_is_under_way_is_not_forgotten() {
        let mut claims = Claims::new();
        claims.note(at(0));
        claims.began(10, at(0));
        claims.note(at(50));
        assert!(!claims.is_due(at(60), false), "one at a time");
        claims.answered(3, Some(at(500)), at(60));
        assert_eq!(claims.next_wake(false), Some(at(80)), "spaced");
        claims.began(3, at(80));
        claims.answered(3, Some(at(81)), at(81));
        assert_eq!(claims.next_wake(false), Some(at(81)), "a full one is not");
    }

    #[test]
    fn refused_work_and_failures_are_looked_at_again() {
        let mut claims = Claims::new();
        claims.note(at(0));
        claims.began(10, at(0));
        claims.answered(0, None, at(0));
        assert_eq!(claims.next_wake(true), Some(at(LOOK_AGAIN_MS)));
        claims.began(10, at(1000));
        claims.failed(at(1000));
        assert_eq!(claims.next_wake(false), Some(at(1250)));
    }
}
