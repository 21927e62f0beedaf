//! The steps of subscribers: making, changing, rotating, deleting, listing.

use tidings_domain::{
    cursor::Order,
    subscription::{Endpoint, MaxPerSecond, Subscription},
};
use tidings_store::{Deleted, NewSubscription, Rotated, SubscriptionChange, Updated};

use super::Run;
use crate::scenario::{BY, DAY_MS, WORKS, types_of, url};

/// The most subscriptions that exist at a time.
const SUBSCRIPTIONS_MAX: usize = 15;

impl Run<'_> {
    pub(super) async fn subscribe(&mut self) {
        let existing = self
            .model
            .subscribers
            .iter()
            .filter(|it| !it.deleted)
            .count();
        if existing >= SUBSCRIPTIONS_MAX {
            return;
        }
        let new = NewSubscription {
            enabled: self.roll(5) > 0,
            ..self
                .scenario
                .new_subscription(&self.any_company(), &self.any_types())
        };
        let shown = self.scenario.create(new.clone()).await;
        assert_eq!(
            (shown.id, shown.enabled, shown.version),
            (new.id, new.enabled, 1)
        );
        assert_eq!(
            (&shown.company, &shown.event_types),
            (&new.company, &new.event_types)
        );
        let endpoint = self.scenario.endpoint(new.id);
        self.note(format!("made {shown:?}"));
        self.model.subscribe(shown, new.secret, endpoint.epoch);
    }

    pub(super) async fn change(&mut self) {
        let Some(at) = self.any_subscriber() else {
            return;
        };
        let change = SubscriptionChange {
            url: (self.roll(3) == 0).then(|| url(&format!("https://{}.example/", self.roll(99)))),
            event_types: self.toss().then(|| types_of(&self.any_types())),
            description: (self.roll(4) == 0).then(|| self.toss().then(|| "note".to_owned())),
            enabled: self.toss().then(|| self.roll(3) > 0),
            max_per_second: (self.roll(4) == 0).then(|| self.toss().then(|| rate(self.roll(9999)))),
        };
        let expected_version = match self.roll(3) {
            0 => Some(self.model.subscribers[at].shown.version),
            1 if self.roll(3) == 0 => Some(self.model.subscribers[at].shown.version - 1),
            _ => None,
        };
        let now = self.scenario.now();
        let before = self.model.subscribers[at].shown.clone();
        let (company, id) = (Some(before.company.clone()), before.id);
        let store = self.scenario.store();
        let updated = store
            .update_subscription(
                company.as_ref(),
                id,
                expected_version,
                change.clone(),
                now,
                &BY,
            )
            .await
            .expect(WORKS);
        self.note(format!("change {id}: {}", name(&updated)));
        if self.model.subscribers[at].deleted {
            assert_eq!(updated, Updated::NotFound);
        } else if expected_version.is_some_and(|version| version != before.version) {
            assert_eq!(updated, Updated::Stale);
        } else if let Updated::Changed(shown) = updated {
            let endpoint = self.scenario.endpoint(id);
            self.assert_changed(at, &before, &change, &shown, &endpoint);
            self.model.change(at, shown, endpoint.epoch);
        } else {
            panic!("the change is a good one, but: {updated:?}");
        }
    }

    /// What was named has changed, the rest has not.
    fn assert_changed(
        &self,
        at: usize,
        before: &Subscription,
        change: &SubscriptionChange,
        after: &Subscription,
        endpoint: &Endpoint,
    ) {
        let mut expected = before.clone();
        if let Some(url) = &change.url {
            expected.url = url.clone();
        }
        if let Some(types) = &change.event_types {
            expected.event_types = types.clone();
        }
        if let Some(description) = &change.description {
            expected.description.clone_from(description);
        }
        if let Some(enabled) = change.enabled {
            expected.enabled = enabled;
        }
        if let Some(rate) = change.max_per_second {
            expected.max_per_second = rate;
        }
        if expected.enabled {
            expected.disabled_reason = None;
        } else if change.enabled.is_some() {
            // Disabled once more, by a person this time: whose reason stays is nowhere said.
            expected.disabled_reason = after.disabled_reason;
        }
        if expected == *before {
            // What a change of nothing counts as is nowhere said.
            (expected.version, expected.updated) = (after.version, after.updated);
        } else {
            (expected.version, expected.updated) = (before.version + 1, self.scenario.now());
        }
        assert_eq!(*after, expected);
        assert_eq!(
            (&endpoint.url, endpoint.enabled),
            (&after.url, after.enabled)
        );
        let epoch = self.model.subscribers[at].epoch;
        if before.enabled && !after.enabled {
            assert!(endpoint.epoch > epoch, "disabling begins a new epoch");
        } else if before.enabled || after.enabled {
            assert_eq!(endpoint.epoch, epoch, "nothing else does");
        }
    }

    pub(super) async fn delete(&mut self) {
        let Some(at) = self.any_subscriber() else {
            return;
        };
        let shown = &self.model.subscribers[at].shown;
        let (company, id) = (shown.company.clone(), shown.id);
        let now = self.scenario.now();
        let deleted = self
            .scenario
            .store()
            .delete_subscription(Some(&company), id, now, &BY)
            .await;
        assert_eq!(deleted, Ok(Deleted::Gone));
        assert!(self.scenario.store().endpoint(id).is_none());
        self.model.delete(at);
        self.note(format!("deleted {id}"));
    }

    pub(super) async fn rotate(&mut self) {
        let Some(at) = self.any_subscriber() else {
            return;
        };
        let subscriber = &self.model.subscribers[at];
        let (deleted, id) = (subscriber.deleted, subscriber.shown.id);
        let former = subscriber.newest_secret.clone();
        let (secret, now) = (self.scenario.secret(), self.scenario.now());
        let until = self.scenario.later(DAY_MS);
        let store = self.scenario.store();
        let rotated = store
            .rotate_secret(None, id, secret.clone(), now, until, &BY)
            .await;
        if deleted {
            assert_eq!(rotated, Ok(Rotated::NotFound));
        } else {
            assert_eq!(rotated, Ok(Rotated::Done));
            let secrets = self.scenario.endpoint(id).secrets.clone();
            assert_eq!(
                (secrets.newest, secrets.previous),
                (secret.clone(), Some((former, until)))
            );
            let read = self
                .scenario
                .store()
                .subscription(None, id)
                .await
                .expect(WORKS);
            let subscriber = &mut self.model.subscribers[at];
            subscriber.newest_secret = secret;
            // Whether a rotation counts as a change is nowhere said.
            let read = read.expect("it exists");
            subscriber.shown.version = read.version;
            subscriber.shown.updated = read.updated;
            assert_eq!(subscriber.shown, read);
        }
        self.note(format!("rotated {id}: {rotated:?}"));
    }

    pub(super) async fn list(&mut self) {
        let owner = self.any_company();
        let (limit, mut after, mut found) = (1 + self.roll(4), None, Vec::new());
        let order = if self.toss() {
            Order::Ascending
        } else {
            Order::Descending
        };
        loop {
            let page = self
                .scenario
                .store()
                .subscriptions(&owner, order, after, limit)
                .await;
            let page = page.expect(WORKS);
            found.extend(page.subscriptions);
            if !page.has_more {
                break;
            }
            after = Some(page.next);
        }
        let own = self.model.subscribers.iter();
        let own = own.filter(|it| !it.deleted && it.shown.company == owner);
        let mut expected: Vec<_> = own.map(|it| it.shown.clone()).collect();
        if order == Order::Descending {
            expected.reverse();
        }
        assert_eq!(found, expected);
        self.note(format!("{owner} has {} subscriptions", found.len()));
    }
}

fn name(updated: &Updated) -> &'static str {
    match updated {
        Updated::Changed(_) => "changed",
        Updated::NotFound => "not found",
        Updated::Stale => "stale",
    }
}

/// One more than `number`, as a rate.
fn rate(number: usize) -> MaxPerSecond {
    let per_second = i64::try_from(number + 1).expect("a small number");
    MaxPerSecond::new(per_second).expect("it is within bounds")
}
