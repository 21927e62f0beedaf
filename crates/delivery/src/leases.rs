//! The leases under which this node's deliveries are held.
//!
//! There is one current lease: new work is held under it. It is renewed long before it runs out.
//! When others took it over, everything held under it is void, and a new one is acquired. A lease
//! is retired when a claim under it failed without a clear answer, or the store refused for good
//! what was to be written under it: rows may be held under it that nobody here knows of. What is
//! known is still finished under it; then it is ended, or left to run out, and the unknown rows are
//! free again.
//!
//! Bookkeeping only: the dispatcher makes the calls that [`Leases::tend`] asks for and brings the
//! answers.

use tidings_domain::time::UtcMillis;
use tidings_store::{LeaseId, Renewal, StoreError};

use crate::pause::Pause;

/// A retired lease is not renewed for longer than this, in milliseconds, so that the unknown rows
/// under it are made within the minute that the contract gives a cut-off attempt.
const RETIRED_MS_MAX: i64 = 30_000;
/// What the store refused under a lease keeps its rows held. The lease is retired after so many
/// milliseconds, for the cause may be over by then,
const REFUSED_WAIT_MS: i64 = 60_000;
/// and not again for so many, for it may not be: each time, the receivers get what was refused
/// once more.
const REFUSED_AGAIN_MS: i64 = 3_600_000;

/// A call to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseCall {
    /// Acquire one that is good until then.
    Acquire(UtcMillis),
    /// Prolong this one until then.
    Renew(LeaseId, UtcMillis),
    /// End this one, which is good until then.
    End(LeaseId, UtcMillis),
}

/// A lease that stands, as far as is known.
#[derive(Debug)]
struct Hold {
    lease: LeaseId,
    until: UtcMillis,
    renew_at: UtcMillis,
    renewing: bool,
    pause: Pause,
    /// Deliveries in memory under it: waiting, in flight, or not settled yet.
    deliveries: usize,
    retired: Option<UtcMillis>,
}

/// The leases of this node.
#[derive(Debug)]
pub(crate) struct Leases {
    lease_ms: i64,
    /// The current one is the last that is not retired.
    holds: Vec<Hold>,
    acquiring: bool,
    ending: usize,
    pause: Pause,
    /// Under which lease the store refused something, and when that is to be retired.
    refused: Option<(LeaseId, UtcMillis)>,
    /// From when on another may be retired for that.
    refused_again: Option<UtcMillis>,
}

impl Leases {
    /// None yet; each will be good for `lease_ms` milliseconds at a time.
    pub(crate) fn new(lease_ms: i64) -> Self {
        Self {
            lease_ms: lease_ms.max(1),
            holds: Vec::new(),
            acquiring: false,
            ending: 0,
            pause: Pause::new(),
            refused: None,
            refused_again: None,
        }
    }

    /// The current lease, where it certainly stands at `now`.
    pub(crate) fn current(&self, now: UtcMillis) -> Option<LeaseId> {
        let hold = self.holds.iter().rfind(|hold| hold.retired.is_none())?;
        (now < hold.until).then_some(hold.lease)
    }

    /// Whether the current lease was not renewed in time: nothing may be begun until it is, as
    /// others may have taken over what is held under it.
    pub(crate) fn is_overdue(&self, now: UtcMillis) -> bool {
        self.holds
            .iter()
            .any(|hold| hold.retired.is_none() && now >= hold.until)
    }

    /// Whether a delivery under `lease` may be attempted at `now`.
    pub(crate) fn stands(&self, lease: LeaseId, now: UtcMillis) -> bool {
        self.holds
            .iter()
            .any(|hold| hold.lease == lease && now < hold.until)
    }

    /// Whether deliveries under `lease` are to be kept.
    pub(crate) fn is_held(&self, lease: LeaseId) -> bool {
        self.holds.iter().any(|hold| hold.lease == lease)
    }

    /// Counts a delivery that came into memory under `lease`.
    pub(crate) fn add(&mut self, lease: LeaseId) {
        if let Some(hold) = self.hold_mut(lease) {
            hold.deliveries += 1;
        }
    }

    /// Counts a delivery that left memory.
    pub(crate) fn remove(&mut self, lease: LeaseId) {
        if let Some(hold) = self.hold_mut(lease) {
            hold.deliveries = hold.deliveries.saturating_sub(1);
        }
    }

    /// The calls to make now. Each is made once; its answer comes back to the method named for it.
    /// Where there is no current lease, one is acquired if `wants_lease`. Leases that were retired
    /// and ran out are let go, and `ran_out` is told.
    pub(crate) fn tend(
        &mut self,
        now: UtcMillis,
        wants_lease: bool,
        mut ran_out: impl FnMut(LeaseId),
    ) -> Vec<LeaseCall> {
        let mut calls = Vec::new();
        let until = now.plus_millis(self.lease_ms);
        self.holds.retain_mut(|hold| {
            if hold.renewing {
                return true;
            }
            if let Some(since) = hold.retired {
                if hold.deliveries == 0 {
                    calls.push(LeaseCall::End(hold.lease, hold.until));
                    return false;
                }
                if now.since(since) >= RETIRED_MS_MAX {
                    let stands = now < hold.until;
                    if !stands {
                        ran_out(hold.lease);
                    }
                    return stands;
                }
            }
            // A renewal that is further off than a whole lease means that the clock was set back.
            let due = now >= hold.renew_at || hold.renew_at.since(now) > self.lease_ms;
            if due && !hold.pause.lasts_at(now) {
                hold.renewing = true;
                calls.push(LeaseCall::Renew(hold.lease, until));
            }
            true
        });
        self.ending += calls
            .iter()
            .filter(|call| matches!(call, LeaseCall::End(..)))
            .count();
        let has_current = self.holds.iter().any(|hold| hold.retired.is_none());
        if wants_lease && !has_current && !self.acquiring && !self.pause.lasts_at(now) {
            self.acquiring = true;
            calls.push(LeaseCall::Acquire(until));
        }
        calls
    }

    /// The answer to [`LeaseCall::Acquire`]; the lease, where there is one.
    pub(crate) fn acquired(
        &mut self,
        answer: Result<LeaseId, StoreError>,
        until: UtcMillis,
        now: UtcMillis,
    ) -> Option<LeaseId> {
        self.acquiring = false;
        match answer {
            Ok(lease) => {
                self.pause.end();
                self.holds.push(Hold {
                    lease,
                    until,
                    renew_at: self.renew_at(until),
                    renewing: false,
                    pause: Pause::new(),
                    deliveries: 0,
                    retired: None,
                });
                Some(lease)
            }
            Err(error) => {
                self.pause.begin(now);
                tracing::warn!(%error, "no lease to work under");
                None
            }
        }
    }

    /// The answer to [`LeaseCall::Renew`]; true where the lease was lost, and with it everything
    /// in memory under it.
    pub(crate) fn renewed(
        &mut self,
        lease: LeaseId,
        until: UtcMillis,
        answer: Result<Renewal, StoreError>,
        now: UtcMillis,
    ) -> bool {
        let renew_at = self.renew_at(until);
        let Some(hold) = self.hold_mut(lease) else {
            return false;
        };
        hold.renewing = false;
        match answer {
            Ok(Renewal::Held) => {
                hold.until = until;
                hold.renew_at = renew_at;
                hold.pause.end();
                false
            }
            Ok(Renewal::Lost) => {
                tracing::warn!(
                    deliveries = hold.deliveries,
                    "the lease was lost: others took its work over"
                );
                self.holds.retain(|hold| hold.lease != lease);
                true
            }
            Err(error) => {
                hold.pause.begin(now);
                tracing::warn!(%error, "the lease was not renewed");
                false
            }
        }
    }

    /// The answer to [`LeaseCall::End`]. One that was not ended runs out by itself.
    pub(crate) fn ended(&mut self, answer: Result<(), StoreError>) {
        self.ending = self.ending.saturating_sub(1);
        if let Err(error) = answer {
            tracing::warn!(%error, "a lease was not ended; it runs out by itself");
        }
    }

    /// A claim under `lease` failed without a clear answer: finish what is known, then let go.
    pub(crate) fn retire(&mut self, lease: LeaseId, now: UtcMillis) {
        if let Some(hold) = self.hold_mut(lease) {
            hold.retired.get_or_insert(now);
        }
    }

    /// The store refused for good what this node wanted written under `lease`: its rows stay held by
    /// a lease that lives, and nobody knows of them any more.
    pub(crate) fn refused(&mut self, lease: LeaseId, now: UtcMillis) {
        if self.refused.is_none_or(|(former, _)| former != lease) {
            let due = now.plus_millis(REFUSED_WAIT_MS);
            let due = self.refused_again.map_or(due, |from| from.max(due));
            self.refused = Some((lease, due));
        }
    }

    /// Retires the lease under which something was refused, when that is due; says which it was.
    pub(crate) fn retire_refused(&mut self, now: UtcMillis) -> Option<LeaseId> {
        // A time further off than was ever set means that the clock was set back.
        let is_due = |due: UtcMillis| !(1..=REFUSED_AGAIN_MS).contains(&due.since(now));
        let (lease, _) = self.refused.take_if(|(_, due)| is_due(*due))?;
        self.refused_again = Some(now.plus_millis(REFUSED_AGAIN_MS));
        self.retire(lease, now);
        Some(lease)
    }

    /// A settlement under `lease` was refused as not held: ask soon whether it still stands.
    pub(crate) fn doubt(&mut self, lease: LeaseId, now: UtcMillis) {
        if let Some(hold) = self.hold_mut(lease) {
            hold.renew_at = hold.renew_at.min(now);
        }
    }

    /// Ends every lease, for the end of the run.
    pub(crate) fn end_all(&mut self) -> Vec<LeaseCall> {
        let calls: Vec<_> = self
            .holds
            .drain(..)
            .map(|hold| LeaseCall::End(hold.lease, hold.until))
            .collect();
        self.ending += calls.len();
        calls
    }

    /// Whether a lease is being acquired.
    pub(crate) fn is_acquiring(&self) -> bool {
        self.acquiring
    }

    /// Whether there is no lease, and none is being ended.
    pub(crate) fn are_ended(&self) -> bool {
        self.holds.is_empty() && self.ending == 0
    }

    /// When to look again without being asked to.
    pub(crate) fn next_wake(&self, now: UtcMillis) -> Option<UtcMillis> {
        let has_current = self.holds.iter().any(|hold| hold.retired.is_none());
        let acquire = (!has_current && !self.acquiring)
            .then(|| self.pause.until())
            .flatten();
        let holds = self.holds.iter().filter(|hold| !hold.renewing);
        let renewals = holds.map(|hold| {
            let pause_end = hold.pause.until().unwrap_or(hold.renew_at);
            let renewal = hold.renew_at.max(pause_end);
            match hold.retired.map(|since| since.plus_millis(RETIRED_MS_MAX)) {
                Some(end) if now >= end => hold.until,
                Some(end) => renewal.min(end),
                None => renewal,
            }
        });
        let refused = self.refused.map(|(_, due)| due);
        acquire.into_iter().chain(renewals).chain(refused).min()
    }

    /// A third into its time: two more tries are left before it runs out.
    fn renew_at(&self, until: UtcMillis) -> UtcMillis {
        until.plus_millis(-(self.lease_ms - self.lease_ms / 3))
    }

    fn hold_mut(&mut self, lease: LeaseId) -> Option<&mut Hold> {
        self.holds.iter_mut().find(|hold| hold.lease == lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE_MS: i64 = 15_000;

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn tend(leases: &mut Leases, now: i64) -> Vec<LeaseCall> {
        leases.tend(at(now), true, |lease| panic!("{lease:?} ran out"))
    }

    fn with_current() -> Leases {
        let mut leases = Leases::new(LEASE_MS);
        assert_eq!(tend(&mut leases, 0), [LeaseCall::Acquire(at(LEASE_MS))]);
        assert_eq!(tend(&mut leases, 1), [], "one call at a time");
        leases.acquired(Ok(LeaseId(1)), at(LEASE_MS), at(0));
        leases
    }

    #[test]
    fn renews_after_a_third_and_counts_on_nothing_beyond_its_time() {
        let mut leases = with_current();
        assert_eq!(leases.next_wake(at(0)), Some(at(5000)));
        assert_eq!(tend(&mut leases, 4999), []);
        let until = at(5000 + LEASE_MS);
        assert_eq!(
            tend(&mut leases, 5000),
            [LeaseCall::Renew(LeaseId(1), until)]
        );
        let failure = Err(StoreError::Unavailable("down".to_owned()));
        assert!(!leases.renewed(LeaseId(1), until, failure, at(5100)));
        assert_eq!(leases.next_wake(at(5100)), Some(at(5350)), "after a pause");
        assert_eq!(leases.current(at(14_999)), Some(LeaseId(1)));
        assert_eq!(leases.current(at(15_000)), None);
        let until = at(16_000 + LEASE_MS);
        assert_eq!(
            tend(&mut leases, 16_000),
            [LeaseCall::Renew(LeaseId(1), until)]
        );
        assert!(!leases.renewed(LeaseId(1), until, Ok(Renewal::Held), at(16_000)));
        assert_eq!(leases.current(at(16_000)), Some(LeaseId(1)));
    }

    #[test]
    fn a_lost_lease_is_replaced() {
        let mut leases = with_current();
        leases.add(LeaseId(1));
        leases.doubt(LeaseId(1), at(100));
        let calls = tend(&mut leases, 100);
        assert!(matches!(calls[..], [LeaseCall::Renew(LeaseId(1), _)]));
        assert!(leases.renewed(LeaseId(1), at(1), Ok(Renewal::Lost), at(101)));
        assert!(!leases.is_held(LeaseId(1)));
        leases.remove(LeaseId(1));
        assert_eq!(
            tend(&mut leases, 101),
            [LeaseCall::Acquire(at(101 + LEASE_MS))]
        );
    }

    #[test]
    fn a_retired_lease_is_ended_when_what_is_known_under_it_is_done() {
        let mut leases = with_current();
        leases.add(LeaseId(1));
        leases.retire(LeaseId(1), at(10));
        assert_eq!(leases.current(at(10)), None);
        assert!(leases.stands(LeaseId(1), at(10)));
        let calls = tend(&mut leases, 10);
        assert!(matches!(calls[..], [LeaseCall::Acquire(_)]));
        leases.acquired(Ok(LeaseId(2)), at(10 + LEASE_MS), at(10));
        assert_eq!(leases.current(at(11)), Some(LeaseId(2)));
        leases.remove(LeaseId(1));
        assert_eq!(
            tend(&mut leases, 12),
            [LeaseCall::End(LeaseId(1), at(LEASE_MS))]
        );
        leases.renewed(LeaseId(2), at(1), Ok(Renewal::Lost), at(12));
        assert!(!leases.are_ended());
        leases.ended(Ok(()));
        assert!(leases.are_ended());
    }

    #[test]
    fn a_retired_lease_whose_work_does_not_end_runs_out() {
        let mut leases = with_current();
        leases.add(LeaseId(1));
        leases.retire(LeaseId(1), at(0));
        leases.acquired(Ok(LeaseId(2)), at(35_000 + LEASE_MS), at(0));
        let until = at(25_000 + LEASE_MS);
        assert_eq!(
            tend(&mut leases, 25_000),
            [LeaseCall::Renew(LeaseId(1), until)]
        );
        leases.renewed(LeaseId(1), until, Ok(Renewal::Held), at(25_000));
        assert_eq!(tend(&mut leases, 30_000), [], "no longer renewed");
        assert_eq!(leases.next_wake(at(30_000)), Some(until));
        let mut gone = Vec::new();
        let calls = leases.tend(until, true, |lease| gone.push(lease));
        assert_eq!(gone, [LeaseId(1)]);
        let renewed = until.plus_millis(LEASE_MS);
        assert_eq!(calls, [LeaseCall::Renew(LeaseId(2), renewed)], "the other");
    }
}
