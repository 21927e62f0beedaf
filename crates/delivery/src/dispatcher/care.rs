//! Seeing to endpoints that fail or are delivered to slowly: what a breaker's turn means for lanes,
//! places and claims, writing it down, and ending a subscription that fails for too long.

use std::sync::Arc;

use tidings_domain::{
    attempt::AttemptOutcome,
    event::Event,
    id::SubscriptionId,
    subscription::{DisabledReason, Endpoint},
    time::UtcMillis,
    verdict::Jitter,
};
use tidings_store::{Bound, Delivery, StoreError};

use super::{Dispatcher, Report};
use crate::{endpoints::Turn, flight::Landed, notice};

/// Places of a subscription with a delivery rate: what it takes in so many seconds, so that it
/// does not hold what it will not need for long.
const PACED_SECONDS: usize = 10;
/// But at least so many.
const PACED_MIN: usize = 16;

/// A subscription that is to be disabled.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    subscription: SubscriptionId,
    epoch: u32,
    notice: Arc<Event>,
}

impl Dispatcher {
    /// Lets probes through, ends waits, and writes down what changed.
    pub(super) fn tend_endpoints(&mut self, now: UtcMillis) {
        self.lanes.end_holds(now);
        let store = Arc::clone(&self.store);
        for (id, turn) in self.endpoints.tick(now, |id| store.endpoint(id)) {
            self.give_turn(id, turn, now);
        }
        for id in self.endpoints.ended(now, |id| store.endpoint(id)) {
            self.let_go_of_endpoint(id);
        }
        if let Some(note) = self.endpoints.next_note(now) {
            let store = Arc::clone(&self.store);
            self.call(
                async move {
                    store
                        .note_health(note.subscription, note.epoch, note.health)
                        .await
                },
                Report::HealthNoted,
            );
        }
        for failing in std::mem::take(&mut self.failing) {
            let store = Arc::clone(&self.store);
            let wish = failing.clone();
            self.call(
                async move {
                    store
                        .disable_failing(wish.subscription, wish.epoch, wish.notice)
                        .await
                },
                move |answer| Report::FailingDisabled(failing, answer),
            );
        }
    }

    /// What an attempt says about its endpoint.
    pub(super) fn learn_from(&mut self, landed: &Landed, now: UtcMillis) {
        let endpoint = landed.endpoint();
        let has_succeeded = landed.outcome() == AttemptOutcome::Succeeded;
        // Chance costs something, and what succeeded needs none.
        let jitter = Jitter(if has_succeeded {
            0
        } else {
            self.random.next_u16()
        });
        let turn = self.endpoints.landed(endpoint, has_succeeded, now, jitter);
        if let Some(turn) = turn {
            self.give_turn(endpoint.id, turn, now);
        }
        if !has_succeeded && self.endpoints.has_failed_too_long(endpoint.id, now) {
            self.end_failing(endpoint, now);
        }
    }

    /// The delivery, unless its endpoint is to be left alone: then it goes back into the table.
    pub(super) fn unless_parked(
        &mut self,
        delivery: Delivery,
        endpoint: &Endpoint,
        now: UtcMillis,
    ) -> Option<Delivery> {
        let Some(turn) = self.endpoints.turn(endpoint, now) else {
            return Some(delivery);
        };
        let id = endpoint.id;
        self.lanes.ended(&delivery);
        self.releases.add(delivery);
        self.give_turn(id, turn, now);
        None
    }

    /// An attempt begins: where the endpoint has a rate, its lane waits for its next turn.
    pub(super) fn pace(&mut self, endpoint: &Endpoint, now: UtcMillis) {
        let Some(rate) = endpoint.max_per_second else {
            if self.endpoints.stop_pacing(endpoint.id) {
                self.handover.bind(endpoint.id, None);
            }
            return;
        };
        // The nodes do not ask each other before an attempt: each keeps an equal part of the rate.
        let nodes = self.store.nodes().max(1);
        let spacing_us = rate.spacing_us() * i64::try_from(nodes).unwrap_or(i64::MAX);
        if let Some(until) = self.endpoints.pace(endpoint, spacing_us, now) {
            self.lanes.hold(endpoint.id, until);
        }
        let most = (usize::from(rate.get()) * PACED_SECONDS / nodes).max(PACED_MIN);
        self.handover.bind(endpoint.id, Some(Bound::AtMost(most)));
    }

    /// A subscription has ended or is another: nothing of its endpoint is remembered.
    pub(super) fn let_go_of_endpoint(&mut self, id: SubscriptionId) {
        self.endpoints.forget(id);
        self.signers.forget(id);
        self.lanes.cap(id, None);
        self.handover.bind(id, None);
    }

    pub(super) fn health_noted(&mut self, answer: &Result<(), StoreError>, now: UtcMillis) {
        if let Err(error) = answer {
            tracing::warn!(%error, "the state of an endpoint is not written down; trying again");
        }
        self.endpoints.noted(answer.is_ok(), now);
    }

    pub(super) fn failing_disabled(&mut self, failing: &Failing, answer: &Result<(), StoreError>) {
        match answer {
            Ok(()) => self.let_go_of_endpoint(failing.subscription),
            // The next attempt that fails asks for it again.
            Err(error) => tracing::warn!(
                subscription = %failing.subscription,
                %error,
                "a subscription that fails for too long is not disabled yet"
            ),
        }
    }

    fn give_turn(&mut self, id: SubscriptionId, turn: Turn, now: UtcMillis) {
        match turn {
            Turn::Park => {
                tracing::info!(subscription = %id, "an endpoint keeps failing and is left alone");
                self.lanes.cap(id, Some(0));
                self.handover.bind(id, Some(Bound::Parked));
                for delivery in self.lanes.drain(id) {
                    self.releases.add(delivery);
                }
            }
            Turn::Probe => {
                self.lanes.cap(id, Some(1));
                self.handover.bind(id, Some(Bound::Probe));
                self.claims.note(now);
            }
            Turn::Free => {
                self.lanes.cap(id, None);
                self.handover.bind(id, None);
                self.claims.note(now);
            }
        }
    }

    fn end_failing(&mut self, endpoint: &Endpoint, now: UtcMillis) {
        let since = self.endpoints.failing_since(endpoint.id).unwrap_or(now);
        let reason = DisabledReason::Failing;
        let random = self.random.as_ref();
        let notice = notice::subscription_disabled(endpoint, reason, since, now, random);
        self.failing.push(Failing {
            subscription: endpoint.id,
            epoch: endpoint.epoch,
            notice,
        });
    }
}
