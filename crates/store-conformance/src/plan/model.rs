//! What a store should be, in plain vectors: nothing is durable, nothing is quick, and every rule
//! of the traits is a line that can be read.
//!
//! Where the traits leave an answer open, the model says that it does not know, and the plan does
//! not compare.

use std::{collections::HashMap, sync::Arc};

use tidings_domain::{
    attempt::{Attempt, AttemptError, AttemptOutcome},
    company::CompanyId,
    event::Event,
    event_type::EventType,
    secret::Secret,
    subscription::{EventTypes, Subscription},
    time::UtcMillis,
    verdict::Verdict,
};
use tidings_store::{DeliveryState, LeaseId, ReplayScope, ReplayWindow, Settled};

/// Everything that a store would know.
#[derive(Default)]
pub(super) struct Model {
    /// In the order of their positions.
    pub(super) events: Vec<Arc<Event>>,
    /// In the order in which they were made, deleted ones too.
    pub(super) subscribers: Vec<Subscriber>,
    /// Every delivery that ever was, in the order in which they became owed.
    pub(super) rows: Vec<Row>,
    /// Idempotency keys by company and key.
    pub(super) promises: HashMap<(CompanyId, String), Promise>,
}

/// A subscription and its past.
pub(super) struct Subscriber {
    pub(super) shown: Subscription,
    pub(super) newest_secret: Secret,
    pub(super) epoch: u32,
    pub(super) deleted: bool,
    /// What it wanted, from which number of events on.
    wishes: Vec<(usize, EventTypes, bool)>,
    /// In the order in which they were settled.
    pub(super) attempts: Vec<Attempt>,
}

/// One delivery.
pub(super) struct Row {
    /// Which event, by its place in the log.
    pub(super) event: usize,
    /// Which subscriber, by its place.
    pub(super) subscriber: usize,
    pub(super) epoch: u32,
    pub(super) state: RowState,
    pub(super) holder: Option<LeaseId>,
    /// As the store names it, once that is known.
    pub(super) round: Option<u32>,
    pub(super) due: UtcMillis,
    /// None where the traits do not say.
    pub(super) owed_since: Option<UtcMillis>,
    pub(super) attempts: u32,
    pub(super) first_attempt: Option<UtcMillis>,
    last: Option<(Option<u16>, Option<AttemptError>)>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowState {
    /// Owed still.
    Owed,
    /// Delivered.
    Succeeded,
    /// Given up.
    Failed,
    /// Its subscription was disabled or deleted.
    Ended,
    /// The same, and its attempt in flight then was the last in any case: failed or disabled?
    EndedAtLast,
    /// It starts anew as a later row.
    Replaced,
}

/// What an idempotency key stands for.
pub(super) struct Promise {
    pub(super) request: u8,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) expires: UtcMillis,
}

/// What the trace should say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) state: DeliveryState,
    pub(super) attempts: u32,
    /// Where it is retrying.
    pub(super) next_attempt: Option<UtcMillis>,
    pub(super) last_status: Option<u16>,
    pub(super) last_error: Option<AttemptError>,
}

impl Model {
    /// Appends an event and owes it to who wants it; says which rows that made.
    pub(super) fn append(
        &mut self,
        event: &Arc<Event>,
        now: UtcMillis,
        owed_since: Option<UtcMillis>,
    ) -> Vec<usize> {
        let place = self.events.len();
        self.events.push(Arc::clone(event));
        let wants = |it: &Subscriber| it.wants(event.company(), event.event_type());
        let wanting: Vec<_> = (0..self.subscribers.len())
            .filter(|&at| wants(&self.subscribers[at]))
            .collect();
        let mut rows = Vec::with_capacity(wanting.len());
        for subscriber in wanting {
            let at = self.owe(place, subscriber, now);
            self.rows[at].owed_since = owed_since;
            rows.push(at);
        }
        rows
    }

    fn owe(&mut self, event: usize, subscriber: usize, now: UtcMillis) -> usize {
        self.rows.push(Row {
            event,
            subscriber,
            epoch: self.subscribers[subscriber].epoch,
            state: RowState::Owed,
            holder: None,
            round: None,
            due: now,
            owed_since: Some(now),
            attempts: 0,
            first_attempt: None,
            last: None,
        });
        self.rows.len() - 1
    }

    pub(super) fn subscribe(&mut self, shown: Subscription, secret: Secret, epoch: u32) {
        self.subscribers.push(Subscriber {
            wishes: vec![(self.events.len(), shown.event_types.clone(), shown.enabled)],
            shown,
            newest_secret: secret,
            epoch,
            deleted: false,
            attempts: Vec::new(),
        });
    }

    /// Takes over a changed subscription.
    pub(super) fn change(&mut self, at: usize, shown: Subscription, epoch: u32) {
        let since = self.events.len();
        let subscriber = &mut self.subscribers[at];
        let ends = subscriber.shown.enabled && !shown.enabled;
        subscriber
            .wishes
            .push((since, shown.event_types.clone(), shown.enabled));
        subscriber.shown = shown;
        subscriber.epoch = epoch;
        if ends {
            self.end_rows(at);
        }
    }

    pub(super) fn delete(&mut self, at: usize) {
        self.subscribers[at].deleted = true;
        self.end_rows(at);
    }

    fn end_rows(&mut self, subscriber: usize) {
        for row in &mut self.rows {
            if row.subscriber == subscriber && row.state == RowState::Owed {
                row.state = RowState::Ended;
            }
        }
    }

    /// The rows of one event at one subscriber, oldest first.
    pub(super) fn rounds(&self, event: usize, subscriber: usize) -> Vec<usize> {
        let same = |row: &Row| row.event == event && row.subscriber == subscriber;
        (0..self.rows.len())
            .filter(|&at| same(&self.rows[at]))
            .collect()
    }

    /// Free rows that are due, the longest due first.
    pub(super) fn claimable(&self, now: UtcMillis) -> Vec<usize> {
        let claimable = |row: &Row| row.is_free() && row.due <= now;
        let mut found: Vec<_> = (0..self.rows.len())
            .filter(|&at| claimable(&self.rows[at]))
            .collect();
        found.sort_by_key(|&at| (self.rows[at].due, at));
        found
    }

    /// Every row that `lease` holds is free.
    pub(super) fn free(&mut self, lease: LeaseId) {
        for row in &mut self.rows {
            if row.holder == Some(lease) {
                row.holder = None;
            }
        }
    }

    /// What a settlement of a row should give; applies it, but for what follows from
    /// [`Verdict::Gone`].
    pub(super) fn settle(
        &mut self,
        at: usize,
        lease: LeaseId,
        verdict: Verdict,
        attempt: &Attempt,
    ) -> Settled {
        let row = &mut self.rows[at];
        if row.holder != Some(lease) {
            return Settled::LeaseLost;
        }
        let mut logged = attempt.clone();
        let settled = if row.state == RowState::Owed {
            Settled::Recorded
        } else {
            logged.next_attempt = None;
            Settled::Ended
        };
        row.holder = None;
        row.attempts += 1;
        row.first_attempt.get_or_insert(attempt.attempted);
        let error = match attempt.outcome {
            AttemptOutcome::Succeeded => None,
            AttemptOutcome::Failed(error) => Some(error),
        };
        row.last = Some((attempt.response.status, error));
        row.state = match (verdict, settled) {
            (Verdict::Succeeded, _) => RowState::Succeeded,
            (Verdict::RetryAt(next), Settled::Recorded) => {
                row.due = next;
                RowState::Owed
            }
            (Verdict::RetryAt(_), _) => RowState::Ended,
            (Verdict::GaveUp | Verdict::Gone, Settled::Recorded) => RowState::Failed,
            (Verdict::GaveUp | Verdict::Gone, _) => RowState::EndedAtLast,
        };
        self.subscribers[row.subscriber].attempts.push(logged);
        settled
    }

    /// Owes an event once more, where the traits say what that means: with two deliveries under
    /// way at once they do not, and the answer is no.
    pub(super) fn redeliver(&mut self, event: usize, subscriber: usize, now: UtcMillis) -> bool {
        let rounds = self.rounds(event, subscriber);
        let owed: Vec<_> = rounds
            .into_iter()
            .filter(|&at| self.rows[at].state == RowState::Owed)
            .collect();
        match owed[..] {
            [] => {
                self.owe(event, subscriber, now);
            }
            [at] => {
                let untried = self.rows[at].attempts == 0;
                if self.rows[at].holder.is_none() {
                    self.rows[at].state = RowState::Replaced;
                    let anew = self.owe(event, subscriber, now);
                    if untried {
                        self.rows[anew].owed_since = None;
                    }
                } else {
                    self.owe(event, subscriber, now);
                }
            }
            _ => return false,
        }
        true
    }

    /// Owes a window's events once more and counts them, where the traits say what that means.
    pub(super) fn replay(
        &mut self,
        subscriber: usize,
        window: ReplayWindow,
        now: UtcMillis,
    ) -> Option<u64> {
        let mut wanted = Vec::new();
        for event in 0..self.events.len() {
            if self.is_in(window, event, subscriber)
                && self.wants_replay(event, subscriber, window.scope)?
            {
                wanted.push(event);
            }
        }
        for &event in &wanted {
            for at in self.rounds(event, subscriber) {
                if self.rows[at].state == RowState::Owed {
                    self.rows[at].state = RowState::Replaced;
                }
            }
            self.owe(event, subscriber, now);
        }
        Some(wanted.len() as u64)
    }

    fn is_in(&self, window: ReplayWindow, event: usize, subscriber: usize) -> bool {
        let (event, shown) = (&self.events[event], &self.subscribers[subscriber].shown);
        *event.company() == shown.company
            && shown.event_types.matches(event.event_type())
            && event.created() >= window.since
            && window.until.is_none_or(|until| event.created() < until)
    }

    /// None where an event has two deliveries under way, or succeeded in one and failed in a
    /// later one: what counts then is nowhere said.
    fn wants_replay(&self, event: usize, subscriber: usize, scope: ReplayScope) -> Option<bool> {
        let rounds = self.rounds(event, subscriber);
        let rows = || rounds.iter().map(|&at| &self.rows[at]);
        let mut owed = rows().filter(|row| row.state == RowState::Owed);
        match (owed.next(), owed.next()) {
            (Some(row), None) => return Some(row.holder.is_none() && row.attempts > 0),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
        let ever = rows().any(|row| row.state == RowState::Succeeded);
        let newest = rows()
            .next_back()
            .is_some_and(|row| row.state == RowState::Succeeded);
        match scope {
            ReplayScope::All => Some(true),
            ReplayScope::Failed if ever != newest => None,
            ReplayScope::Failed => Some(!newest),
        }
    }

    /// What the trace should say; none where the traits leave it open.
    pub(super) fn line(&self, event: usize, subscriber: usize) -> Option<Line> {
        let rounds = self.rounds(event, subscriber);
        let Some((&newest, older)) = rounds.split_last() else {
            return Some(Line {
                state: self
                    .unowed_state(event, subscriber)
                    .expect("it has no rows"),
                attempts: 0,
                next_attempt: None,
                last_status: None,
                last_error: None,
            });
        };
        let row = &self.rows[newest];
        let state = match row.state {
            RowState::Owed if row.attempts == 0 => DeliveryState::Pending,
            RowState::Owed => DeliveryState::Retrying,
            RowState::Succeeded => DeliveryState::Succeeded,
            RowState::Failed => DeliveryState::Failed,
            RowState::Ended => DeliveryState::Disabled,
            RowState::EndedAtLast | RowState::Replaced => return None,
        };
        if self.is_forgotten(row, older) {
            return None;
        }
        let (last_status, last_error) = row.last.unwrap_or_default();
        Some(Line {
            state,
            attempts: row.attempts,
            next_attempt: (state == DeliveryState::Retrying).then_some(row.due),
            last_status,
            last_error,
        })
    }

    /// Whether something else may be told than the newest delivery. One that ended untried leaves
    /// nothing of its own to be told, if an older one or the first state of things does; and one
    /// that is over may say less than an older one that is not.
    fn is_forgotten(&self, row: &Row, older: &[usize]) -> bool {
        let mut older = older.iter().map(|&at| &self.rows[at]);
        match (row.state, row.attempts) {
            (RowState::Owed, _) => false,
            (RowState::Ended, 0) => {
                older.any(|row| row.attempts > 0)
                    || self.unowed_state(row.event, row.subscriber)
                        == Some(DeliveryState::NotMatched)
            }
            _ => older.any(|row| row.state == RowState::Owed),
        }
    }

    /// What became of an event that publishing did not owe; none where it did.
    fn unowed_state(&self, event: usize, subscriber: usize) -> Option<DeliveryState> {
        let wishes = &self.subscribers[subscriber].wishes;
        let wish = wishes.iter().rev().find(|(since, ..)| *since <= event);
        match wish {
            Some((_, types, enabled)) if types.matches(self.events[event].event_type()) => {
                (!enabled).then_some(DeliveryState::Disabled)
            }
            _ => Some(DeliveryState::NotMatched),
        }
    }
}

impl Subscriber {
    fn wants(&self, company: &CompanyId, event_type: &EventType) -> bool {
        !self.deleted
            && self.shown.enabled
            && self.shown.company == *company
            && self.shown.event_types.matches(event_type)
    }
}

impl Row {
    /// Whether it is owed and nobody holds it.
    pub(super) fn is_free(&self) -> bool {
        self.state == RowState::Owed && self.holder.is_none()
    }
}
