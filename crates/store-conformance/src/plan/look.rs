//! The steps of those who look: polling, traces, the delivery log, and at last everything.

use std::sync::Arc;

use tidings_domain::{attempt::AttemptOutcome, company::CompanyId, cursor::Order, event::Event};
use tidings_store::{AttemptFilter, DeliveryState, DeliveryTrace, EventQuery, OutcomeFilter};

use super::{EVENT_TYPES, Run, model::Line};
use crate::{
    hindsight::attempts_of,
    scenario::{WORKS, event_type_of, ids, patterns, query},
};

impl Run<'_> {
    pub(super) async fn poll(&mut self) {
        if self.toss() {
            self.poll_from_the_start().await;
        } else {
            self.poll_on().await;
        }
    }

    /// A filtered log in small pages, in any order.
    async fn poll_from_the_start(&mut self) {
        let owner = self.any_company();
        let types = if self.toss() {
            Vec::new()
        } else {
            patterns(&self.any_types())
        };
        let order = if self.toss() {
            Order::Ascending
        } else {
            Order::Descending
        };
        let limit = 1 + self.roll(40);
        let wanted = EventQuery {
            types,
            order,
            limit,
            ..query(&owner)
        };
        let found = self.scenario.follow(wanted.clone()).await;
        let matches = |event: &Arc<Event>| {
            let types = &wanted.types;
            types.is_empty() || types.iter().any(|one| one.matches(event.event_type()))
        };
        let mut expected = self.log_of(&owner);
        expected.retain(matches);
        if order == Order::Descending {
            expected.reverse();
        }
        assert_eq!(ids(&found), ids(&expected), "{wanted:?}");
        self.note(format!("{owner} polled {}", found.len()));
    }

    /// A reader who comes back for one page.
    async fn poll_on(&mut self) {
        let number = self.roll(self.companies.len());
        let owner = self.companies[number].clone();
        let (after, limit) = (self.pollers[number].after, 1 + self.roll(20));
        let page = EventQuery {
            after,
            limit,
            ..query(&owner)
        };
        let page = self.scenario.store().read_events(page).await.expect(WORKS);
        let expected = self.log_of(&owner);
        let poller = &mut self.pollers[number];
        let rest = &expected[poller.seen..];
        let found = ids(&page.events);
        assert_eq!(
            found[..],
            ids(rest)[..found.len()],
            "the next ones come next"
        );
        poller.seen += found.len();
        poller.after = Some(page.next);
        let all = poller.seen == expected.len();
        assert!(all || page.has_more, "a page says whether more follow");
        self.note(format!(
            "{owner} polled on to {}",
            self.pollers[number].seen
        ));
    }

    fn log_of(&self, owner: &CompanyId) -> Vec<Arc<Event>> {
        let own = self
            .model
            .events
            .iter()
            .filter(|event| event.company() == owner);
        own.cloned().collect()
    }

    pub(super) async fn trace(&mut self) {
        if let Some(event) = self.any_event() {
            let line = self.compare_trace(event).await;
            self.note(line);
        }
    }

    async fn compare_trace(&self, event: usize) -> String {
        let published = &self.model.events[event];
        let owner = published.company();
        let trace = self
            .scenario
            .store()
            .trace(Some(owner), published.id())
            .await
            .expect(WORKS);
        let trace = trace.expect("the event is there");
        let mut told = vec![format!("trace of {}:", published.id())];
        let own = self.model.subscribers.iter().enumerate();
        for (at, subscriber) in own.filter(|(_, it)| !it.deleted && it.shown.company == *owner) {
            let mut lines = trace
                .iter()
                .filter(|line| line.subscription == subscriber.shown.id);
            let line = lines.next().expect("every subscription is in it");
            assert!(lines.next().is_none() && !line.reason.is_empty());
            if let Some(expected) = self.model.line(event, at) {
                assert_eq!(
                    shown(line),
                    expected,
                    "{published:?} at {}",
                    subscriber.shown.id
                );
                let Line {
                    state, attempts, ..
                } = expected;
                told.push(format!("{state:?}/{attempts}"));
            }
        }
        told.join(" ")
    }

    pub(super) async fn read_attempts(&mut self) {
        let Some(at) = self.any_subscriber() else {
            return;
        };
        let any_type = EVENT_TYPES[self.roll(EVENT_TYPES.len())];
        let outcome = match self.roll(4) {
            0 => Some(OutcomeFilter::Succeeded),
            1 => Some(OutcomeFilter::Failed),
            _ => None,
        };
        let filter = AttemptFilter {
            outcome,
            event_type: (self.roll(4) == 0).then(|| event_type_of(any_type)),
            event: (self.roll(4) == 0)
                .then(|| self.any_event().map(|event| self.model.events[event].id()))
                .flatten(),
            order: if self.toss() {
                Order::Ascending
            } else {
                Order::Descending
            },
            limit: 1 + self.roll(30),
            ..attempts_of(self.model.subscribers[at].shown.id)
        };
        let count = self.compare_attempts(at, filter.clone()).await;
        self.note(format!("{filter:?}: {count}"));
    }

    async fn compare_attempts(&self, at: usize, filter: AttemptFilter) -> usize {
        let subscriber = &self.model.subscribers[at];
        let owner = &subscriber.shown.company;
        let mut expected = subscriber.attempts.clone();
        expected.retain(|attempt| {
            let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
            filter
                .outcome
                .is_none_or(|it| (it == OutcomeFilter::Succeeded) == succeeded)
                && filter
                    .event_type
                    .as_ref()
                    .is_none_or(|it| *it == attempt.event_type)
                && filter.event.is_none_or(|it| it == attempt.event)
        });
        if filter.order == Order::Descending {
            expected.reverse();
        }
        let (mut next, mut found) = (filter, Vec::new());
        loop {
            let page = self
                .scenario
                .store()
                .attempts(Some(owner), next.clone())
                .await;
            let page = page
                .expect(WORKS)
                .expect("there is or was such a subscription");
            found.extend(page.attempts);
            if !page.has_more {
                break;
            }
            next.after = Some(page.next);
        }
        assert_eq!(found, expected, "{next:?}");
        found.len()
    }

    /// Every log, every trace, every attempt and every subscription.
    pub(super) async fn look_at_everything(&mut self) {
        for owner in &self.companies {
            assert_eq!(
                ids(&self.scenario.log(owner).await),
                ids(&self.log_of(owner))
            );
        }
        for event in 0..self.model.events.len() {
            self.compare_trace(event).await;
        }
        for (at, subscriber) in self.model.subscribers.iter().enumerate() {
            let id = subscriber.shown.id;
            self.compare_attempts(at, attempts_of(id)).await;
            let read = self
                .scenario
                .store()
                .subscription(None, id)
                .await
                .expect(WORKS);
            let endpoint = self.scenario.store().endpoint(id);
            if subscriber.deleted {
                assert!(read.is_none() && endpoint.is_none());
            } else {
                assert_eq!(read.as_ref(), Some(&subscriber.shown));
                let endpoint = endpoint.expect("it exists");
                assert_eq!(endpoint.epoch, subscriber.epoch);
                assert_eq!(endpoint.secrets.newest, subscriber.newest_secret);
            }
        }
        self.note("looked at everything".to_owned());
    }
}

/// What of a trace's line the traits determine.
fn shown(line: &DeliveryTrace) -> Line {
    Line {
        state: line.state,
        attempts: line.attempts,
        next_attempt: line
            .next_attempt
            .filter(|_| line.state == DeliveryState::Retrying),
        last_status: line.last_status,
        last_error: line.last_error,
    }
}
