//! The dispatcher: which attempt is made when, and what becomes of its outcome.
//!
//! A state machine that is moved by [`Dispatcher::tick`]. A tick takes in what happened since the
//! last one (deliveries that were handed over, attempts that ended, answers of the store) and
//! starts what can be started; it never waits. Attempts and calls of the store run as tasks of
//! their own and report back through one channel. Time comes in as a parameter, so tests turn the
//! clock and tick, and production ([`crate::run`]) waits for the next reason to tick.
//!
//! The parts: [`intake`] takes in what happened, and [`care`] sees to endpoints that fail or are
//! slow; both are further halves of this file. The others keep books, make no call of the store and
//! do not know each other: [`crate::lanes`] chooses fairly, [`crate::flight`] makes and judges an
//! attempt, [`crate::settler`] brings outcomes into the store, [`crate::claims`] knows when to look
//! into the table, [`crate::leases`] keeps the hold on the work, [`crate::releases`] lets go of
//! work, [`crate::endpoints`] remembers how endpoints do, [`crate::signers`] keeps their keys ready.

mod care;
mod intake;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tidings_domain::{
    clock::Clock, random::Random, subscription::Endpoint, time::UtcMillis, verdict::RetrySchedule,
};
use tidings_store::{Claimed, Delivery, Handover, LeaseId, Renewal, Settled, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use care::Failing;

use crate::{
    claims::Claims,
    endpoints::Endpoints,
    flight::{Flight, Landed},
    health::DispatcherHealth,
    lanes::{Kind, Lanes},
    leases::{LeaseCall, Leases},
    metrics::DeliveryMetrics,
    releases::Releases,
    settler::Settler,
    signers::Signers,
    transport::Transport,
};

/// For each slot, so many outcomes may wait for the store before no new attempts are made.
const UNSETTLED_PER_SLOT: usize = 4;
/// A delivery whose subscription this node does not know in its newer state yet is looked at
/// again after this many milliseconds.
const UNKNOWN_EPOCH_MS: i64 = 1000;

/// A clock that goes back by more than this many milliseconds was set; what is less is waited for.
const CLOCK_STEP_MS: i64 = 1000;

/// What a dispatcher is made of.
pub struct DispatcherOptions {
    /// Where deliveries are owed and attempts are recorded.
    pub store: Arc<dyn Store>,
    /// What makes the attempts.
    pub transport: Arc<dyn Transport>,
    /// Through which the store hands fresh deliveries over.
    pub handover: Arc<Handover>,
    /// Tells when an attempt ended, and the production loop how long to wait.
    pub clock: Arc<dyn Clock>,
    /// For ids and jitter.
    pub random: Arc<dyn Random>,
    /// The delays before retries.
    pub schedule: RetrySchedule,
    /// The most attempts in flight; at most half of them retries.
    pub concurrency: usize,
    /// The most attempts in flight to one subscription.
    pub concurrency_per_subscription: usize,
    /// How long others wait before they take over the work of a silent node, in milliseconds.
    pub lease_ms: i64,
    /// What is measured.
    pub metrics: DeliveryMetrics,
}

/// Decides which attempt is made when, and sees to it that its outcome is recorded.
pub struct Dispatcher {
    pub(crate) store: Arc<dyn Store>,
    transport: Arc<dyn Transport>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    schedule: RetrySchedule,
    metrics: DeliveryMetrics,
    health: Arc<DispatcherHealth>,
    lanes: Lanes,
    settler: Settler,
    claims: Claims,
    leases: Leases,
    releases: Releases,
    endpoints: Endpoints,
    /// Subscriptions that are to be disabled because they fail for too long.
    failing: Vec<Failing>,
    signers: Signers,
    slots: Arc<Semaphore>,
    retry_slots: Arc<Semaphore>,
    retries_first: bool,
    unsettled_max: usize,
    reporter: mpsc::UnboundedSender<Report>,
    reports: mpsc::UnboundedReceiver<Report>,
    inbox: Vec<Report>,
    calls: usize,
    /// Under which lease the store hands fresh work over.
    attached: Option<LeaseId>,
    phase: Phase,
    /// When the last tick was.
    ticked: Option<UtcMillis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new attempts; what is in flight ends and is settled.
    Stopping,
    Finished,
}

/// What tasks report back. Their number is bounded by the slots and by one call of each kind.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every report is the large one, and a box would cost each an allocation"
)]
enum Report {
    Landed(Landed),
    Settled(Result<Vec<Settled>, StoreError>),
    Released(Result<(), StoreError>),
    Claimed(LeaseId, Result<Claimed, StoreError>),
    LeaseAcquired(UtcMillis, Result<LeaseId, StoreError>),
    LeaseRenewed(LeaseId, UtcMillis, Result<Renewal, StoreError>),
    LeaseEnded(UtcMillis, Result<(), StoreError>),
    HealthNoted(Result<(), StoreError>),
    FailingDisabled(Failing, Result<(), StoreError>),
}

/// The right to make one attempt; a retry needs one of the retries' slots as well.
type Slot = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Dispatcher {
    /// A dispatcher that has done nothing yet.
    #[must_use]
    pub fn new(options: DispatcherOptions) -> Self {
        let concurrency = options.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let retries_max = (concurrency / 2).max(1);
        let (reporter, reports) = mpsc::unbounded_channel();
        Self {
            store: options.store,
            transport: options.transport,
            handover: options.handover,
            clock: options.clock,
            random: options.random,
            schedule: options.schedule,
            metrics: options.metrics,
            health: Arc::default(),
            lanes: Lanes::new(
                concurrency,
                retries_max,
                options.concurrency_per_subscription,
            ),
            settler: Settler::new(),
            claims: Claims::new(),
            leases: Leases::new(options.lease_ms),
            releases: Releases::new(),
            endpoints: Endpoints::default(),
            failing: Vec::new(),
            signers: Signers::default(),
            slots: Arc::new(Semaphore::new(concurrency)),
            retry_slots: Arc::new(Semaphore::new(retries_max)),
            retries_first: false,
            unsettled_max: concurrency.saturating_mul(UNSETTLED_PER_SLOT),
            reporter,
            reports,
            inbox: Vec::new(),
            calls: 0,
            attached: None,
            phase: Phase::Running,
            ticked: None,
        }
    }

    /// Its signs of life.
    #[must_use]
    pub fn health(&self) -> Arc<DispatcherHealth> {
        Arc::clone(&self.health)
    }

    /// Takes in what happened and starts what can be started, as of `now`. Waits for nothing, but
    /// must be called within a tokio runtime, where its tasks run.
    ///
    /// Gives the time of the next tick that is needed even if nothing is reported and nobody wakes
    /// the hand-over until then; none where there is no such time.
    pub fn tick(&mut self, now: UtcMillis) -> Option<UtcMillis> {
        if self.phase == Phase::Finished {
            return None;
        }
        self.health.ticked(now);
        self.mind_the_clock(now);
        self.take_reports(now);
        self.take_handed_over(now);
        self.tend_leases(now);
        self.tend_endpoints(now);
        self.settle(now);
        self.release(now);
        if self.phase == Phase::Running {
            self.start_attempts(now);
            // Starting may have found deliveries to let go of.
            self.release(now);
            self.claim(now);
        } else {
            self.finish();
        }
        self.show_figures();
        self.next_wake(now)
    }

    /// Waits until a task has reported something for the next tick. Nothing is lost when this is
    /// dropped half-way.
    pub async fn reported(&mut self) {
        if self.inbox.is_empty()
            && let Some(report) = self.reports.recv().await
        {
            self.inbox.push(report);
        }
    }

    /// No new attempts from here on: what is in flight ends and is settled, everything else is
    /// given back to the store. Ticks go on until [`Dispatcher::is_finished`].
    pub fn stop(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping;
            self.store.detach();
            self.lanes.retain(|_| false);
        }
    }

    /// Whether it was stopped and everything is settled and given back.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// Attempts in flight, as far as they were reported.
    #[must_use]
    pub fn attempts_in_flight(&self) -> usize {
        self.lanes.in_flight()
    }

    /// Endpoints about which it remembers how they fail or how fast they may be delivered to.
    #[must_use]
    pub fn endpoints_remembered(&self) -> usize {
        self.endpoints.known()
    }

    /// Calls of the store whose answer was not taken in yet.
    #[must_use]
    pub fn calls_in_flight(&self) -> usize {
        self.calls
    }

    /// What was to last until a time that is now far off does not last until then.
    fn mind_the_clock(&mut self, now: UtcMillis) {
        let back_ms = self.ticked.map_or(0, |ticked| ticked.since(now));
        self.ticked = Some(now);
        if back_ms > CLOCK_STEP_MS {
            tracing::warn!(back_ms, "the clock was set back");
            self.claims.clock_set_back(now);
            self.endpoints.clock_set_back(now);
            self.lanes.end_all_holds();
        }
    }

    fn tend_leases(&mut self, now: UtcMillis) {
        if let Some(lease) = self.leases.retire_refused(now) {
            self.detach_from(lease);
        }
        let mut ran_out = Vec::new();
        let wants_lease = self.phase == Phase::Running;
        let calls = self
            .leases
            .tend(now, wants_lease, |lease| ran_out.push(lease));
        if !ran_out.is_empty() {
            self.lanes
                .retain(|delivery| !ran_out.contains(&delivery.lease));
            self.claims.note(now);
        }
        for call in calls {
            self.call_for_lease(call, now);
        }
    }

    fn call_for_lease(&mut self, call: LeaseCall, now: UtcMillis) {
        let store = Arc::clone(&self.store);
        match call {
            LeaseCall::Acquire(until) => self.call(
                async move { store.acquire_lease(now, until).await },
                move |answer| Report::LeaseAcquired(until, answer),
            ),
            LeaseCall::Renew(lease, until) => self.call(
                async move { store.renew_lease(lease, now, until).await },
                move |answer| Report::LeaseRenewed(lease, until, answer),
            ),
            LeaseCall::End(lease, until) => self
                .call(async move { store.end_lease(lease).await }, move |answer| {
                    Report::LeaseEnded(until, answer)
                }),
        }
    }

    fn settle(&mut self, now: UtcMillis) {
        if let Some(settlements) = self.settler.next_batch(now) {
            self.health.settling(Some(now));
            let store = Arc::clone(&self.store);
            self.call(
                async move { store.settle(settlements).await },
                Report::Settled,
            );
        }
    }

    fn release(&mut self, now: UtcMillis) {
        if let Some((lease, keys)) = self.releases.next_batch(now) {
            let store = Arc::clone(&self.store);
            self.call(
                async move { store.release(lease, keys).await },
                Report::Released,
            );
        }
    }

    fn start_attempts(&mut self, now: UtcMillis) {
        if self.leases.is_overdue(now) {
            return;
        }
        while self.lanes.waiting() > 0 && self.settler.len() < self.unsettled_max {
            let Some((delivery, slot)) = self.next_delivery() else {
                return;
            };
            if !self.leases.stands(delivery.lease, now) {
                // A retired lease that could not be renewed: the row is free when it runs out.
                self.lanes.ended(&delivery);
                self.leases.remove(delivery.lease);
                continue;
            }
            match self.store.endpoint(delivery.key.subscription) {
                Some(endpoint) if endpoint.enabled && endpoint.epoch == delivery.epoch => {
                    if let Some(delivery) = self.unless_parked(delivery, &endpoint, now) {
                        self.start(delivery, endpoint, slot, now);
                    }
                }
                endpoint => self.let_go(delivery, endpoint.as_deref(), now),
            }
        }
    }

    /// The next delivery that has a turn and a slot. First attempts and retries take turns where
    /// both wait.
    fn next_delivery(&mut self) -> Option<(Delivery, Slot)> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let first = |lanes: &mut Lanes| lanes.pop(Kind::First).map(|delivery| (delivery, None));
        let retry_slots = Arc::clone(&self.retry_slots);
        let retry = |lanes: &mut Lanes| {
            let slot = retry_slots.try_acquire_owned().ok()?;
            lanes
                .pop(Kind::Retry)
                .map(|delivery| (delivery, Some(slot)))
        };
        let lanes = &mut self.lanes;
        let (delivery, retry_slot) = if self.retries_first {
            retry(lanes).or_else(|| first(lanes))
        } else {
            first(lanes).or_else(|| retry(lanes))
        }?;
        self.retries_first = retry_slot.is_none();
        Some((delivery, (slot, retry_slot)))
    }

    fn start(&mut self, delivery: Delivery, endpoint: Arc<Endpoint>, slot: Slot, now: UtcMillis) {
        if delivery.attempts_made == 0 && delivery.key.round == 0 {
            let waited_ms = now.since(delivery.owed_since).max(0);
            #[expect(
                clippy::cast_precision_loss,
                reason = "milliseconds of a wait are far below 2^53"
            )]
            self.metrics
                .first_attempt_seconds
                .observe(waited_ms as f64 / 1000.0);
        }
        self.pace(&endpoint, now);
        let flight = Flight {
            signer: self.signers.signer(&endpoint, now),
            delivery,
            endpoint,
            attempted: now,
        };
        let transport = Arc::clone(&self.transport);
        let clock = Arc::clone(&self.clock);
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            let landed = flight.make(transport.as_ref(), clock.as_ref()).await;
            // The slot is free as soon as the attempt ended, whatever the store does.
            drop(slot);
            // Nobody listens where the dispatcher was dropped; the lease runs out then.
            let _ = reporter.send(Report::Landed(landed));
        });
    }

    /// Gives back a delivery whose subscription has ended, or is newer than this node knows.
    fn let_go(&mut self, delivery: Delivery, endpoint: Option<&Endpoint>, now: UtcMillis) {
        self.lanes.ended(&delivery);
        match endpoint {
            Some(endpoint) if endpoint.epoch < delivery.epoch => {
                self.claims.note(now.plus_millis(UNKNOWN_EPOCH_MS));
            }
            _ => {
                self.let_go_of_endpoint(delivery.key.subscription);
                self.metrics.released.inc();
            }
        }
        self.releases.add(delivery);
    }

    fn claim(&mut self, now: UtcMillis) {
        let has_refused = self.handover.has_refused();
        if !self.claims.is_due(now, has_refused)
            || self.settler.len() >= self.unsettled_max
            || self.settler.forbids_claims(now)
            || self.releases.is_busy()
        {
            return;
        }
        let Some(lease) = self.leases.current(now) else {
            return;
        };
        let limit = Claims::limit(self.handover.room());
        if limit == 0 {
            return;
        }
        self.claims.began(limit, now);
        let store = Arc::clone(&self.store);
        let handover = Arc::clone(&self.handover);
        self.call(
            async move { store.claim(lease, now, limit, &handover).await },
            move |answer| Report::Claimed(lease, answer),
        );
    }

    /// Ends the leases when nothing is in flight any more, and then the run.
    fn finish(&mut self) {
        let is_settled = self.lanes.in_flight() == 0
            && self.settler.len() == 0
            && !self.releases.is_sending()
            && !self.claims.is_busy()
            && !self.leases.is_acquiring();
        if !is_settled {
            return;
        }
        for call in self.leases.end_all() {
            self.call_for_lease(call, self.clock.now());
        }
        if self.leases.are_ended() {
            self.phase = Phase::Finished;
            self.health.ended();
        }
    }

    /// Makes a call of the store in a task of its own. One that panics has failed.
    fn call<T: Send + 'static>(
        &mut self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        report: impl FnOnce(Result<T, StoreError>) -> Report + Send + 'static,
    ) {
        self.calls += 1;
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            let answer = AssertUnwindSafe(call).catch_unwind().await;
            let answer = answer
                .unwrap_or_else(|_| Err(StoreError::Broken("a call of it panicked".to_owned())));
            let _ = reporter.send(report(answer));
        });
    }

    fn show_figures(&self) {
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.in_flight.set(gauge(self.lanes.in_flight()));
        self.metrics.in_memory.set(gauge(self.handover.held()));
        self.metrics.unsettled.set(gauge(self.settler.len()));
        self.metrics
            .breakers_open
            .set(gauge(self.endpoints.tripped()));
    }

    fn next_wake(&self, now: UtcMillis) -> Option<UtcMillis> {
        // A time that has come already is held up by something that reports when it ends.
        [
            self.leases.next_wake(now),
            self.settler.next_wake(),
            self.releases.next_wake(),
            self.lanes.next_wake(),
            self.endpoints.next_wake(),
            self.claims.next_wake(self.handover.has_refused()),
        ]
        .into_iter()
        .flatten()
        .filter(|wake| *wake > now)
        .min()
    }
}
