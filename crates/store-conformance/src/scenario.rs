//! The stage of every case: a store on an empty database, a clock that stands still, ids that come
//! from a seed, and short words for what companies
//! and subscribers do.
//!
//! Whatever is not the subject of a case is asserted here, so that cases read as what they are
//! about. What nodes do is in [`crate::node`], what comes of attempts in [`crate::outcome`], and
//! what can be seen of it afterwards in [`crate::hindsight`].

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::value::RawValue;
use tidings_domain::{
    actor::Actor,
    clock::{Clock, ManualClock},
    company::CompanyId,
    cursor::Order,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{EventId, SubscriptionId},
    json_object::JsonObject,
    random::SeededRandom,
    secret::Secret,
    subscription::{Endpoint, EventTypes, ManagedBy, Subscription},
    target::TargetUrl,
    time::UtcMillis,
};
use tidings_store::{
    Appended, Deleted, EventQuery, Idempotency, NewSubscription, Publication, Retention, Store,
    SubscriptionChange, Updated,
};

use crate::Harness;

/// What every call of a store under test is expected to do.
pub(crate) const WORKS: &str = "the store works";
/// Who changes things where a case is not about that.
pub(crate) const BY: Actor = Actor::COMMAND;
/// A second, in milliseconds.
pub(crate) const SECOND_MS: i64 = 1000;
/// A day, in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * SECOND_MS;
/// 2026-01-01T00:00:00Z, in milliseconds.
const START_MS: i64 = 1_767_225_600_000;
/// Keeps everything.
const FOR_EVER: Retention = Retention {
    events_ms: None,
    attempts_ms: None,
};
/// More steps than any case's housekeeping takes.
const TIDY_STEPS_MAX: usize = 1000;
/// More than any case puts into a log or a queue.
pub(crate) const EVERYTHING: usize = 10_000;

/// A store under test and everything a case needs to work with it.
pub(crate) struct Scenario<'h> {
    harness: &'h dyn Harness,
    store: Option<Arc<dyn Store>>,
    clock: ManualClock,
    random: SeededRandom,
    made: AtomicU64,
}

impl<'h> Scenario<'h> {
    /// An empty database, and midnight.
    pub(crate) async fn new(harness: &'h dyn Harness) -> Self {
        Self::seeded(harness, 1).await
    }

    /// The same with ids of another seed.
    pub(crate) async fn seeded(harness: &'h dyn Harness, seed: u64) -> Self {
        Self {
            harness,
            store: Some(harness.fresh().await),
            clock: ManualClock::at(UtcMillis::from_millis(START_MS)),
            random: SeededRandom::new(seed),
            made: AtomicU64::new(0),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().expect("it is open between two reopens")
    }

    pub(crate) fn random(&self) -> &SeededRandom {
        &self.random
    }

    /// Closes the store and opens its database again.
    pub(crate) async fn reopen(&mut self) {
        self.open_again(true).await;
    }

    /// Opens the database again as after a power cut.
    pub(crate) async fn crash(&mut self) {
        self.open_again(false).await;
    }

    async fn open_again(&mut self, cleanly: bool) {
        let store = self.store.take().expect("it is open between two reopens");
        assert_eq!(Arc::strong_count(&store), 1, "the case let go of the store");
        self.store = Some(self.harness.reopen(store, cleanly).await);
    }

    // The clock.

    pub(crate) fn now(&self) -> UtcMillis {
        self.clock.now()
    }

    /// `millis` from now.
    pub(crate) fn later(&self, millis: i64) -> UtcMillis {
        self.now().plus_millis(millis)
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.clock.advance(millis);
    }

    pub(crate) fn set_time(&self, time: UtcMillis) {
        self.clock.set(time);
    }

    // Publishing and polling.

    /// An event of this moment, with a payload like no other's.
    pub(crate) fn event(&self, company: &CompanyId, event_type: &str) -> Arc<Event> {
        let payload = format!(r#"{{"made":{}}}"#, self.made.fetch_add(1, Ordering::SeqCst));
        self.event_with(company, event_type, &payload, "{}")
    }

    pub(crate) fn event_with(
        &self,
        company: &CompanyId,
        event_type: &str,
        payload: &str,
        metadata: &str,
    ) -> Arc<Event> {
        self.event_created(company, event_type, payload, metadata, self.now())
    }

    /// An event stored now that happened at another time.
    pub(crate) fn event_at(
        &self,
        company: &CompanyId,
        event_type: &str,
        created: UtcMillis,
    ) -> Arc<Event> {
        self.event_created(company, event_type, "{}", "{}", created)
    }

    fn event_created(
        &self,
        company: &CompanyId,
        event_type: &str,
        payload: &str,
        metadata: &str,
        created: UtcMillis,
    ) -> Arc<Event> {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("valid JSON");
        let (payload, metadata) = (raw(payload), raw(metadata));
        Arc::new(Event::new(
            EventId::new(self.now(), &self.random),
            event_type_of(event_type),
            created,
            company.clone(),
            JsonObject::from_raw(&payload).expect("an object"),
            JsonObject::from_raw(&metadata).expect("an object"),
        ))
    }

    /// A publication of events of one company, now.
    pub(crate) fn publication(&self, events: &[Arc<Event>]) -> Publication {
        Publication {
            company: events[0].company().clone(),
            events: events.to_vec(),
            idempotency: None,
            now: self.now(),
        }
    }

    pub(crate) async fn append(&self, events: &[Arc<Event>]) {
        let appended = self.store().append(self.publication(events)).await;
        assert_eq!(appended.expect(WORKS), Appended::Stored);
    }

    /// Appends under an idempotency key that is good for a day; `request` stands for its hash.
    pub(crate) async fn append_once(
        &self,
        key: &str,
        request: u8,
        events: &[Arc<Event>],
    ) -> Appended {
        let publication = Publication {
            idempotency: Some(self.promise(key, request)),
            ..self.publication(events)
        };
        self.store().append(publication).await.expect(WORKS)
    }

    /// A key that lives for a day, and what it is used for.
    pub(crate) fn promise(&self, key: &str, request: u8) -> Idempotency {
        Idempotency {
            key: key.to_owned(),
            request_hash: [request; 32],
            expires: self.later(DAY_MS),
        }
    }

    pub(crate) async fn publish(&self, company: &CompanyId, event_type: &str) -> Arc<Event> {
        let event = self.event(company, event_type);
        self.append(std::slice::from_ref(&event)).await;
        event
    }

    /// Publishes `count` events one after the other.
    pub(crate) async fn publish_many(
        &self,
        company: &CompanyId,
        event_type: &str,
        count: usize,
    ) -> Vec<Arc<Event>> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.publish(company, event_type).await);
        }
        events
    }

    /// A company's whole log, by following the cursor in pages of `limit`.
    pub(crate) async fn follow(&self, query: EventQuery) -> Vec<Arc<Event>> {
        let mut query = query;
        let mut found = Vec::new();
        loop {
            let page = self.store().read_events(query.clone()).await.expect(WORKS);
            assert!(page.events.len() <= query.limit, "a page keeps its limit");
            found.extend(page.events);
            if !page.has_more {
                return found;
            }
            assert_ne!(
                Some(page.next),
                query.after,
                "a page with more behind it gets on"
            );
            query.after = Some(page.next);
        }
    }

    pub(crate) async fn log(&self, company: &CompanyId) -> Vec<Arc<Event>> {
        self.follow(query(company)).await
    }

    // Subscribing.

    /// A subscription to make: enabled, managed over the API, with a secret of its own.
    pub(crate) fn new_subscription(&self, company: &CompanyId, types: &[&str]) -> NewSubscription {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        NewSubscription {
            id: SubscriptionId::new(self.now(), &self.random),
            company: company.clone(),
            url: url(&format!("https://receiver.example/{made}")),
            event_types: types_of(types),
            secret: self.secret(),
            description: None,
            enabled: true,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            now: self.now(),
        }
    }

    pub(crate) fn secret(&self) -> Secret {
        Secret::generate(&self.random)
    }

    pub(crate) async fn create(&self, new: NewSubscription) -> Subscription {
        self.store()
            .create_subscription(new, &BY)
            .await
            .expect(WORKS)
    }

    pub(crate) async fn subscribe(&self, company: &CompanyId, types: &[&str]) -> SubscriptionId {
        self.create(self.new_subscription(company, types)).await.id
    }

    /// A subscription that exists, as its company sees it.
    pub(crate) async fn read(&self, id: SubscriptionId) -> Subscription {
        let found = self.store().subscription(None, id).await.expect(WORKS);
        found.expect("it was not deleted")
    }

    /// Changes a subscription now, whatever its version.
    pub(crate) async fn change(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Subscription {
        let store = self.store();
        match store
            .update_subscription(None, id, None, change, self.now(), &BY)
            .await
        {
            Ok(Updated::Changed(subscription)) => subscription,
            other => panic!("the subscription can be changed, but: {other:?}"),
        }
    }

    pub(crate) async fn enable(&self, id: SubscriptionId, enabled: bool) -> Subscription {
        let change = SubscriptionChange {
            enabled: Some(enabled),
            ..SubscriptionChange::default()
        };
        self.change(id, change).await
    }

    pub(crate) async fn retype(&self, id: SubscriptionId, types: &[&str]) -> Subscription {
        let change = SubscriptionChange {
            event_types: Some(types_of(types)),
            ..SubscriptionChange::default()
        };
        self.change(id, change).await
    }

    pub(crate) async fn delete(&self, id: SubscriptionId) {
        let deleted = self
            .store()
            .delete_subscription(None, id, self.now(), &BY)
            .await;
        assert_eq!(deleted.expect(WORKS), Deleted::Gone);
    }

    // Housekeeping.

    /// Steps of housekeeping until none is left.
    pub(crate) async fn tidy(&self, retention: Retention) {
        for _ in 0..TIDY_STEPS_MAX {
            let more = self.store().tidy(self.now(), retention).await;
            if !more.expect(WORKS) {
                return;
            }
        }
        panic!("housekeeping comes to an end");
    }

    /// The same, with everything kept for ever: what has ended is swept out.
    pub(crate) async fn sweep(&self) {
        self.tidy(FOR_EVER).await;
    }

    // What delivering goes by.

    pub(crate) fn endpoint(&self, id: SubscriptionId) -> Arc<Endpoint> {
        self.store().endpoint(id).expect("the subscription exists")
    }
}

/// Every event of a company, oldest first, in one page.
pub(crate) fn query(company: &CompanyId) -> EventQuery {
    EventQuery {
        company: company.clone(),
        types: Vec::new(),
        order: Order::Ascending,
        after: None,
        limit: EVERYTHING,
    }
}

pub(crate) fn company(name: &str) -> CompanyId {
    CompanyId::parse(name).expect("a company id")
}

pub(crate) fn acme() -> CompanyId {
    company("acme")
}

pub(crate) fn event_type_of(text: &str) -> EventType {
    EventType::parse(text).expect("an event type")
}

pub(crate) fn patterns(texts: &[&str]) -> Vec<EventTypePattern> {
    let parse = |text: &&str| EventTypePattern::parse(text).expect("a pattern");
    texts.iter().map(parse).collect()
}

pub(crate) fn types_of(texts: &[&str]) -> EventTypes {
    EventTypes::new(patterns(texts)).expect("1 to 100 patterns")
}

pub(crate) fn url(text: &str) -> TargetUrl {
    TargetUrl::from_stored(text).expect("a target URL")
}

/// The events' ids in their order.
pub(crate) fn ids(events: &[Arc<Event>]) -> Vec<EventId> {
    events.iter().map(|event| event.id()).collect()
}

/// Sorted, for comparisons where order says nothing.
pub(crate) fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    items
}
