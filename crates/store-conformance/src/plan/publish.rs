//! The steps of publishers: events, batches, idempotency keys, redelivery and replay.

use std::sync::Arc;

use tidings_domain::{company::CompanyId, event::Event, time::UtcMillis};
use tidings_store::{Appended, Redelivered, ReplayScope, ReplayWindow, Replayed};

use super::{
    EVENT_TYPES, Run,
    model::{Promise, RowState},
};
use crate::scenario::{DAY_MS, WORKS, ids};

impl Run<'_> {
    pub(super) async fn publish(&mut self) {
        let events = self.any_batch(&self.any_company());
        self.scenario.append(&events).await;
        self.appended(&events, Some(self.scenario.now()));
        self.note(format!("published {:?}", ids(&events)));
    }

    /// One to four events.
    fn any_batch(&self, owner: &CompanyId) -> Vec<Arc<Event>> {
        let size = if self.roll(4) == 0 {
            1 + self.roll(4)
        } else {
            1
        };
        let any_type = || EVENT_TYPES[self.roll(EVENT_TYPES.len())];
        (0..size)
            .map(|_| self.scenario.event(owner, any_type()))
            .collect()
    }

    /// The model's part of an append; what is owed goes to the attached node. `owed_since` where
    /// the traits say it.
    pub(super) fn appended(&mut self, events: &[Arc<Event>], owed_since: Option<UtcMillis>) {
        let now = self.scenario.now();
        let owed: Vec<_> = events
            .iter()
            .flat_map(|event| self.model.append(event, now, owed_since))
            .collect();
        self.absorb_fresh();
        for at in owed {
            let held = self.model.rows[at].holder.is_some();
            assert_eq!(
                held,
                self.attached.is_some(),
                "fresh work goes to who is attached"
            );
        }
    }

    pub(super) async fn publish_under_a_key(&mut self) {
        let owner = self.any_company();
        let key = format!("key-{}", self.roll(6));
        let request = u8::try_from(self.roll(2)).expect("a small number");
        let events = self.any_batch(&owner);
        let answer = self.scenario.append_once(&key, request, &events).await;
        let now = self.scenario.now();
        let name = (owner, key);
        let known = self
            .model
            .promises
            .get(&name)
            .filter(|promise| now < promise.expires);
        match known {
            Some(promise) if promise.request == request => {
                assert_eq!(answer, Appended::Replayed(promise.events.clone()));
                self.note(format!("{name:?} is replayed"));
            }
            Some(_) => {
                assert_eq!(answer, Appended::KeyReused);
                self.note(format!("{name:?} is refused"));
            }
            None => {
                assert_eq!(answer, Appended::Stored);
                self.note(format!("{name:?} is stored"));
                self.appended(&events, Some(now));
                let expires = now.plus_millis(DAY_MS);
                self.model.promises.insert(
                    name,
                    Promise {
                        request,
                        events,
                        expires,
                    },
                );
            }
        }
    }

    pub(super) async fn redeliver(&mut self) {
        let (Some(event), Some(at)) = (self.any_event(), self.any_subscriber()) else {
            return;
        };
        let owner = self.model.events[event].company().clone();
        let shown = &self.model.subscribers[at].shown;
        let (id, enabled) = (shown.id, shown.enabled);
        let exists = !self.model.subscribers[at].deleted && shown.company == owner;
        let expected = match (exists, enabled) {
            (false, _) => Redelivered::NoSubscription,
            (true, false) => Redelivered::Disabled,
            (true, true) => Redelivered::Queued,
        };
        let now = self.scenario.now();
        if expected == Redelivered::Queued && !self.model.redeliver(event, at, now) {
            return;
        }
        let event_id = self.model.events[event].id();
        let redelivered = self
            .scenario
            .store()
            .redeliver(Some(&owner), event_id, id, now)
            .await;
        assert_eq!(redelivered.expect(WORKS), expected);
        self.absorb_fresh();
        self.note(format!("redeliver {event_id} to {id}: {expected:?}"));
    }

    pub(super) async fn replay(&mut self) {
        let (Some(from), Some(at)) = (self.any_event(), self.any_subscriber()) else {
            return;
        };
        let since = self.model.events[from].created();
        let until = self.toss().then(|| {
            let until = self.any_event().unwrap_or(from);
            self.model.events[until].created()
        });
        let scope = if self.toss() {
            ReplayScope::Failed
        } else {
            ReplayScope::All
        };
        let window = ReplayWindow {
            since,
            until,
            scope,
        };
        let subscriber = &self.model.subscribers[at];
        let (deleted, shown) = (subscriber.deleted, subscriber.shown.clone());
        let now = self.scenario.now();
        let expected = match (deleted, shown.enabled) {
            (true, _) => Replayed::NoSubscription,
            (false, false) => Replayed::Disabled,
            (false, true) => match self.model.replay(at, window, now) {
                Some(count) => Replayed::Queued(count),
                None => return,
            },
        };
        let store = self.scenario.store();
        let replayed = store
            .replay(Some(&shown.company), shown.id, window, now, None)
            .await;
        assert_eq!(
            replayed.expect(WORKS),
            expected,
            "{window:?} at {}",
            shown.id
        );
        self.absorb_fresh();
        self.note(format!("replay {window:?} to {}: {expected:?}", shown.id));
    }

    /// Takes in what was handed over, to the attached node alone.
    pub(super) fn absorb_fresh(&mut self) {
        for number in 0..self.hands.len() {
            let fresh = self.hands[number].node.handover.take();
            assert!(fresh.is_empty() || self.attached == Some(number));
            for delivery in fresh {
                let row = self.row_of(&delivery);
                assert_eq!(self.model.rows[row].state, RowState::Owed);
                self.hold(number, row, delivery);
            }
        }
    }
}
