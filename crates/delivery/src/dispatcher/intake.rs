//! Taking in what happened since the last tick: reports of tasks, and deliveries that were handed
//! over. What follows from it (attempts, settlements, claims) is begun by the tick itself.

use std::sync::Arc;

use tidings_domain::{time::UtcMillis, verdict::Verdict};
use tidings_store::{Claimed, Delivery, LeaseId, Settled, Settlement, StoreError};

use super::{Dispatcher, Phase, Report};
use crate::{flight::Landed, settler::Answered};

impl Dispatcher {
    /// Takes in every report that is there.
    pub(super) fn take_reports(&mut self, now: UtcMillis) {
        let mut inbox = std::mem::take(&mut self.inbox);
        for report in inbox.drain(..) {
            self.take_report(report, now);
        }
        // The emptied buffer serves again.
        self.inbox = inbox;
        while let Ok(report) = self.reports.try_recv() {
            self.take_report(report, now);
        }
    }

    fn take_report(&mut self, report: Report, now: UtcMillis) {
        self.calls -= usize::from(!matches!(report, Report::Landed(_)));
        match report {
            Report::Landed(landed) => self.land(landed, now),
            Report::HealthNoted(answer) => self.health_noted(&answer, now),
            Report::FailingDisabled(failing, answer) => self.failing_disabled(&failing, &answer),
            Report::Settled(answer) => self.settled(answer, now),
            Report::Released(answer) => {
                let is_refused = matches!(answer, Err(StoreError::Broken(_)));
                for delivery in self.releases.answer(answer, now) {
                    if is_refused {
                        self.leases.refused(delivery.lease, now);
                    }
                    self.leases.remove(delivery.lease);
                }
            }
            Report::Claimed(lease, answer) => self.claimed(lease, answer, now),
            Report::LeaseAcquired(until, answer) => {
                if let Some(lease) = self.leases.acquired(answer, until, now)
                    && self.phase == Phase::Running
                {
                    self.store.attach(lease, Arc::clone(&self.handover));
                    self.attached = Some(lease);
                    // What became owed while nothing was attached, and what others left behind; nor
                    // was anybody told of changes meanwhile.
                    self.claims.note(now);
                    self.endpoints.look_again();
                }
            }
            Report::LeaseRenewed(lease, until, answer) => {
                if self.leases.renewed(lease, until, answer, now) {
                    self.detach_from(lease);
                    self.lanes.retain(|delivery| delivery.lease != lease);
                    self.claims.note(now);
                }
            }
            Report::LeaseEnded(until, answer) => {
                self.claims.note(if answer.is_ok() { now } else { until });
                self.leases.ended(answer);
            }
        }
    }

    /// Takes in an attempt that ended. Where its subscription goes elsewhere by now, or was enabled
    /// anew, what the former endpoint answered is no word about this one.
    fn land(&mut self, landed: Landed, now: UtcMillis) {
        self.lanes.ended(landed.delivery());
        let attempted = landed.endpoint();
        let current = self.store.endpoint(attempted.id);
        let is_current = current.is_some_and(|now| now.is_still(attempted.epoch, &attempted.url));
        if is_current {
            self.learn_from(&landed, now);
        }
        self.metrics
            .attempted(landed.outcome(), landed.elapsed_ms());
        self.settler
            .add(landed.judge(is_current, &self.schedule, self.random.as_ref()));
    }

    fn settled(&mut self, answer: Result<Vec<Settled>, StoreError>, now: UtcMillis) {
        self.health.settling(None);
        match self.settler.answer(answer, now) {
            Answered::Settled(settled) => {
                for (unsettled, settled) in settled {
                    self.forget(&unsettled.settlement, settled, now);
                    drop(unsettled.place);
                }
            }
            Answered::Kept => {}
            Answered::Refused(refused) => {
                let lease = refused.settlement.lease;
                self.leases.refused(lease, now);
                self.leases.remove(lease);
            }
        }
    }

    /// Draws the consequences of a settlement that the store has answered for.
    fn forget(&mut self, settlement: &Settlement, settled: Settled, now: UtcMillis) {
        self.leases.remove(settlement.lease);
        match settled {
            Settled::Recorded => self.metrics.recorded(settlement.verdict),
            Settled::Ended => {
                self.metrics.released.inc();
            }
            Settled::LeaseLost => {
                // Also the answer where an earlier sending was committed although it failed; only
                // the lease itself tells which it is.
                self.metrics.lease_lost.inc();
                self.leases.doubt(settlement.lease, now);
            }
        }
        let subscription = settlement.key.subscription;
        let ends = settled == Settled::Recorded && settlement.verdict == Verdict::Gone;
        // One that ended may have been enabled anew meanwhile.
        let is_over = || {
            let endpoint = self.store.endpoint(subscription);
            endpoint.is_none_or(|endpoint| !endpoint.enabled)
        };
        if ends || settled == Settled::Ended && is_over() {
            self.let_go_of_endpoint(subscription);
        }
        // Whoever recorded it, the next attempt is due then.
        if let Verdict::RetryAt(next) = settlement.verdict {
            self.claims.note(next);
        }
    }

    fn claimed(&mut self, lease: LeaseId, answer: Result<Claimed, StoreError>, now: UtcMillis) {
        match answer {
            Ok(claimed) => {
                let found = claimed.deliveries.len();
                self.claims.answered(found, claimed.next_due, now);
                self.metrics.claimed.inc_by(found as u64);
                self.take_deliveries(claimed.deliveries);
            }
            Err(error) => {
                tracing::warn!(%error, "due deliveries were not claimed");
                self.claims.failed(now);
                // Unless the store did not even begin, rows may be leased that nobody here knows.
                if error != StoreError::Overloaded {
                    self.leases.retire(lease, now);
                    self.detach_from(lease);
                }
            }
        }
    }

    /// No fresh work under a lease that is about to end: until there is another one, it waits in
    /// the table.
    pub(super) fn detach_from(&mut self, lease: LeaseId) {
        if self.attached == Some(lease) {
            self.store.detach();
            self.attached = None;
        }
    }

    /// Takes in what was handed over, and whether to look into the table.
    pub(super) fn take_handed_over(&mut self, now: UtcMillis) {
        let fresh = self.handover.take();
        self.take_deliveries(fresh);
        if self.handover.take_look() {
            self.claims.note(now);
            self.endpoints.look_again();
        }
    }

    /// Takes deliveries into their lanes, those under a lease that is no longer held excepted.
    fn take_deliveries(&mut self, deliveries: Vec<Delivery>) {
        if self.phase != Phase::Running {
            return;
        }
        for delivery in deliveries {
            if self.leases.is_held(delivery.lease) {
                self.leases.add(delivery.lease);
                self.lanes.push(delivery);
            }
        }
    }
}
