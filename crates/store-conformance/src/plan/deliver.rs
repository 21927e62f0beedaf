//! The steps of nodes: attaching, claiming, settling, letting go, dying.

use std::collections::{BTreeMap, HashSet};

use tidings_domain::{subscription::DisabledReason, verdict::Verdict};
use tidings_store::{Delivery, Handover, Renewal, Settled, Settlement};

use super::{Run, model::RowState, new_hand, with_room};
use crate::{
    node::{LEASE_MS, Node},
    scenario::WORKS,
};

/// How many deliveries of a dead node are settled in vain.
const GHOSTS_MAX: usize = 3;

impl Run<'_> {
    pub(super) fn attach_or_detach(&mut self) {
        self.attached = match self.roll(4) {
            0 => None,
            roll => Some(roll % self.hands.len()),
        };
        match self.attached {
            Some(number) => self.scenario.attach(&self.hands[number].node),
            None => self.scenario.store().detach(),
        }
        self.note(format!("attached: {:?}", self.attached));
    }

    pub(super) async fn claim(&mut self) {
        let number = self.roll(self.hands.len());
        let room = if self.toss() {
            1 + self.roll(4)
        } else {
            usize::MAX
        };
        self.claim_at(number, room).await;
    }

    /// Claims what is due, the `room` longest due of each subscription, and compares.
    async fn claim_at(&mut self, number: usize, room: usize) {
        let (expected, room) = self.expected_claim(room);
        let through = Node {
            lease: self.hands[number].node.lease,
            handover: Handover::new(with_room(room)),
        };
        let mut claimed = HashSet::new();
        for delivery in self.scenario.claim(&through).await {
            let row = self.row_of(&delivery);
            assert!(
                expected.contains(&row),
                "{delivery:?} is not among the longest due"
            );
            assert!(claimed.insert(row), "{delivery:?} came twice");
            self.hold(number, row, delivery);
        }
        assert_eq!(
            claimed.len(),
            expected.len(),
            "everything that is due is claimed"
        );
        self.note(format!("node {number} claimed {}", claimed.len()));
    }

    /// What a claim finds with this much room for each subscription. Of deliveries that are due
    /// at the same time the store may take whichever it likes: where that would matter, or where
    /// the traits do not say when one is due, it has room for all.
    fn expected_claim(&self, room: usize) -> (Vec<usize>, usize) {
        let due = self.model.claimable(self.scenario.now());
        let mut of_each: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &at in &due {
            of_each
                .entry(self.model.rows[at].subscriber)
                .or_default()
                .push(at);
        }
        let time = |at: usize| self.model.rows[at].due;
        let unclear = due
            .iter()
            .any(|&at| self.model.rows[at].owed_since.is_none())
            || of_each
                .values()
                .any(|rows| rows.len() > room && time(rows[room - 1]) == time(rows[room]));
        if unclear {
            return (due, usize::MAX);
        }
        let longest = of_each
            .into_values()
            .flat_map(|rows| rows.into_iter().take(room));
        (longest.collect(), room)
    }

    /// The model's row of a delivery that was claimed or handed over, with all that it carries.
    pub(super) fn row_of(&self, delivery: &Delivery) -> usize {
        let event = self
            .model
            .events
            .iter()
            .rposition(|it| it.id() == delivery.event.id());
        let event = event.expect("the event was published");
        assert_eq!(self.model.events[event].json(), delivery.event.json());
        let to = |at: &usize| self.model.subscribers[*at].shown.id == delivery.key.subscription;
        let subscriber = (0..self.model.subscribers.len())
            .find(to)
            .expect("it was made");
        let rounds = self.model.rounds(event, subscriber);
        let free = || {
            rounds
                .iter()
                .copied()
                .filter(|&at| self.model.rows[at].is_free())
        };
        let named = |at: &usize| self.model.rows[*at].round == Some(delivery.key.round);
        let unnamed = |at: &usize| self.model.rows[*at].round.is_none();
        let at = free().find(named).or_else(|| free().find(unnamed));
        let at = at.unwrap_or_else(|| panic!("{delivery:?} is not owed, or not free"));
        let row = &self.model.rows[at];
        assert_eq!(delivery.epoch, row.epoch);
        assert_eq!(delivery.attempts_made, row.attempts);
        assert_eq!(delivery.first_attempt, row.first_attempt);
        assert!(
            row.owed_since
                .is_none_or(|since| since == delivery.owed_since)
        );
        at
    }

    pub(super) fn hold(&mut self, number: usize, row: usize, delivery: Delivery) {
        let hand = &mut self.hands[number];
        assert_eq!(delivery.lease, hand.node.lease);
        self.model.rows[row].holder = Some(delivery.lease);
        self.model.rows[row].round = Some(delivery.key.round);
        hand.held.push((row, delivery));
        hand.held.sort_by_key(|(row, _)| *row);
    }

    pub(super) async fn settle(&mut self) {
        let number = self.roll(self.hands.len());
        let count = (1 + self.roll(12)).min(self.hands[number].held.len());
        let (mut settlements, mut expected) = (Vec::new(), Vec::new());
        let mut gone = None;
        for _ in 0..count {
            let at = self.roll(self.hands[number].held.len());
            let (row, delivery) = self.hands[number].held.remove(at);
            // One at a time, so that the order of the log is not the store's own affair.
            self.scenario.advance(1);
            let settlement = self.any_settlement(&delivery, gone.is_none());
            let (lease, verdict) = (delivery.lease, settlement.verdict);
            let answer = self.model.settle(row, lease, verdict, &settlement.attempt);
            if verdict == Verdict::Gone && answer == Settled::Recorded {
                gone = settlement.notice.clone().map(|notice| (row, notice));
                self.end_subscriber(row);
            }
            settlements.push(settlement);
            expected.push(answer);
        }
        assert_eq!(self.scenario.settle(settlements).await, expected);
        if let Some((row, notice)) = gone {
            self.subscriber_ended(row).await;
            // A settlement names no time of its own for what it appends.
            self.appended(&[notice], None);
        }
        self.note(format!("node {number} settled {expected:?}"));
    }

    fn any_settlement(&self, delivery: &Delivery, may_be_gone: bool) -> Settlement {
        match self.roll(100) {
            0..50 => self.scenario.succeeded(delivery),
            50..80 => {
                let wait_ms = i64::try_from(1 + self.roll(60_000)).expect("at most a minute");
                self.scenario
                    .retry_at(delivery, self.scenario.later(wait_ms))
            }
            80..95 => self.scenario.gave_up(delivery),
            _ if may_be_gone => self.scenario.gone(delivery),
            _ => self.scenario.gave_up(delivery),
        }
    }

    /// What a 410 means for the model, before later settlements of the same call are judged.
    fn end_subscriber(&mut self, row: usize) {
        let at = self.model.rows[row].subscriber;
        let mut shown = self.model.subscribers[at].shown.clone();
        shown.enabled = false;
        shown.disabled_reason = Some(DisabledReason::Gone);
        let epoch = self.model.subscribers[at].epoch;
        self.model.change(at, shown, epoch);
    }

    /// Compares what a 410 has left of its subscription.
    async fn subscriber_ended(&mut self, row: usize) {
        let subscriber = &mut self.model.subscribers[self.model.rows[row].subscriber];
        let id = subscriber.shown.id;
        let read = self
            .scenario
            .store()
            .subscription(None, id)
            .await
            .expect(WORKS);
        let read = read.expect("it still exists");
        assert!(
            read.version > subscriber.shown.version,
            "an edit against the old one is stale"
        );
        subscriber.shown.version = read.version;
        // The server has no time of its own for it; the attempt's or the notice's will do.
        subscriber.shown.updated = read.updated;
        assert_eq!(read, subscriber.shown);
        let epoch = self.scenario.endpoint(id).epoch;
        assert!(epoch > subscriber.epoch);
        subscriber.epoch = epoch;
    }

    pub(super) async fn release(&mut self) {
        let number = self.roll(self.hands.len());
        let count = self.roll(4).min(self.hands[number].held.len());
        let mut keys = Vec::new();
        for _ in 0..count {
            let at = self.roll(self.hands[number].held.len());
            let (row, delivery) = self.hands[number].held.remove(at);
            self.model.rows[row].holder = None;
            keys.push(delivery.key);
        }
        let lease = self.hands[number].node.lease;
        self.scenario
            .store()
            .release(lease, keys)
            .await
            .expect(WORKS);
        self.note(format!("node {number} let go of {count}"));
    }

    /// A node stops politely and comes back with a new lease.
    pub(super) async fn end_lease(&mut self) {
        let number = self.roll(self.hands.len());
        let lease = self.hands[number].node.lease;
        self.detach_from(number);
        self.scenario.store().end_lease(lease).await.expect(WORKS);
        self.model.free(lease);
        let void = self.replace(number).await;
        self.settle_in_vain(&void).await;
        self.note(format!("node {number} ended its lease"));
    }

    /// A node stands still until its lease is over, and the other one takes everything that is
    /// due.
    pub(super) async fn take_over(&mut self) {
        let victim = self.roll(self.hands.len());
        let other = (victim + 1) % self.hands.len();
        self.detach_from(victim);
        let over = self.hands[victim].until.plus_millis(1);
        self.scenario.set_time(over.max(self.scenario.now()));
        let (now, until) = (self.scenario.now(), self.scenario.later(LEASE_MS));
        let store = self.scenario.store();
        let renewed = store
            .renew_lease(self.hands[other].node.lease, now, until)
            .await;
        assert_eq!(renewed, Ok(Renewal::Held));
        self.hands[other].until = until;
        let lease = self.hands[victim].node.lease;
        let owed = |(row, _): &(usize, Delivery)| self.model.rows[*row].state == RowState::Owed;
        let loses = self.hands[victim].held.iter().any(owed);
        self.model.free(lease);
        self.claim_at(other, usize::MAX).await;
        if loses {
            let renewed = self.scenario.store().renew_lease(lease, now, until).await;
            assert_eq!(renewed, Ok(Renewal::Lost));
        }
        self.scenario.store().end_lease(lease).await.expect(WORKS);
        let void = self.replace(victim).await;
        self.settle_in_vain(&void).await;
        self.note(format!("node {other} took over from node {victim}"));
    }

    /// The process ends, politely or not, and another one begins on the same database once every
    /// lease of the old one is over.
    pub(super) async fn reopen(&mut self) {
        let cleanly = self.toss();
        for number in 0..self.hands.len() {
            self.model.free(self.hands[number].node.lease);
            self.scenario
                .set_time(self.hands[number].until.max(self.scenario.now()));
        }
        self.attached = None;
        if cleanly {
            self.scenario.reopen().await;
        } else {
            self.scenario.crash().await;
        }
        self.scenario.advance(1);
        self.note(format!("reopened, cleanly: {cleanly}"));
        let mut void = Vec::new();
        for number in 0..self.hands.len() {
            void.extend(self.replace(number).await);
        }
        self.claim_at(0, usize::MAX).await;
        self.settle_in_vain(&void).await;
        self.look_at_everything().await;
    }

    fn detach_from(&mut self, number: usize) {
        if self.attached == Some(number) {
            self.scenario.store().detach();
            self.attached = None;
        }
    }

    /// A new lease for a node whose old one is over. Gives what it had in memory, which is void.
    async fn replace(&mut self, number: usize) -> Vec<(usize, Delivery)> {
        let fresh = new_hand(&self.scenario).await;
        std::mem::replace(&mut self.hands[number], fresh).held
    }

    /// The word of a node whose lease was lost no longer counts.
    async fn settle_in_vain(&self, void: &[(usize, Delivery)]) {
        let owed = |row: usize| self.model.rows[row].state == RowState::Owed;
        let owed = void.iter().filter(|(row, _)| owed(*row)).take(GHOSTS_MAX);
        let settlements: Vec<_> = owed
            .map(|(_, delivery)| self.scenario.succeeded(delivery))
            .collect();
        let lost = vec![Settled::LeaseLost; settlements.len()];
        assert_eq!(self.scenario.settle(settlements).await, lost);
    }
}
