//! What this crate's own tests need: events, subscriptions, nodes and settlements in few words.

use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_domain::{
    actor::Actor,
    attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
    company::CompanyId,
    cursor::Order,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{AttemptId, EventId, SubscriptionId},
    json_object::JsonObject,
    random::SeededRandom,
    secret::Secret,
    subscription::{EventTypes, ManagedBy},
    target::TargetUrl,
    time::UtcMillis,
    verdict::Verdict,
};
use tidings_store::{
    Appended, Delivery, EventQuery, Handover, HandoverLimits, Idempotency, NewSubscription,
    Publication, Retention, Settled, Settlement, Store,
};

use crate::harness::PostgresHarness;

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// What every call is expected to do.
const WORKS: &str = "the store works";

/// A store on a database of its own.
pub(crate) struct Stage {
    pub(crate) harness: PostgresHarness,
    pub(crate) store: Arc<dyn Store>,
    random: SeededRandom,
}

/// Noon of a day of 2023, counted from the 14th of November.
pub(crate) fn day(number: i64) -> UtcMillis {
    let first = UtcMillis::parse("2023-11-14T12:00:00Z").expect("a time");
    first.plus_millis(number * DAY_MS)
}

pub(crate) fn acme() -> CompanyId {
    CompanyId::parse("acme").expect("a company id")
}

/// Keeps events and attempts for so many days.
pub(crate) fn keep_days(days: i64) -> Retention {
    Retention {
        events_ms: Some(days * DAY_MS),
        attempts_ms: Some(days * DAY_MS),
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let harness = PostgresHarness::default();
        Self {
            store: harness.open_at(day(0)).await,
            harness,
            random: SeededRandom::new(99),
        }
    }

    /// An event of this moment.
    pub(crate) fn event(&self, now: UtcMillis, event_type: &str, payload: &str) -> Arc<Event> {
        let payload = RawValue::from_string(payload.to_owned()).expect("valid JSON");
        Arc::new(Event::new(
            EventId::new(now, &self.random),
            EventType::parse(event_type).expect("an event type"),
            now,
            acme(),
            JsonObject::from_raw(&payload).expect("an object"),
            JsonObject::EMPTY,
        ))
    }

    /// Publishes so many events at a time, under an idempotency key where `key_until` says how
    /// long it is good.
    pub(crate) async fn publish(
        &self,
        now: UtcMillis,
        count: usize,
        key_until: Option<UtcMillis>,
    ) -> Vec<EventId> {
        let events: Vec<_> = (0..count).map(|_| self.event(now, "a.b", "{}")).collect();
        let ids = events.iter().map(|event| event.id()).collect();
        let idempotency = key_until.map(|expires| Idempotency {
            key: now.to_string(),
            request_hash: [7; 32],
            expires,
        });
        self.append(events, idempotency, now).await;
        ids
    }

    /// Publishes events.
    pub(crate) async fn append(
        &self,
        events: Vec<Arc<Event>>,
        idempotency: Option<Idempotency>,
        now: UtcMillis,
    ) {
        let publication = Publication {
            company: acme(),
            events,
            idempotency,
            now,
        };
        let appended = self.store.append(publication).await;
        assert_eq!(appended.expect(WORKS), Appended::Stored);
    }

    /// A subscription to everything.
    pub(crate) async fn subscribe(&self, now: UtcMillis) -> SubscriptionId {
        let new = NewSubscription {
            id: SubscriptionId::new(now, &self.random),
            company: acme(),
            url: TargetUrl::from_stored("https://receiver.example/").expect("a URL"),
            event_types: EventTypes::new(vec![EventTypePattern::All]).expect("one pattern"),
            secret: Secret::generate(&self.random),
            description: None,
            enabled: true,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            now,
        };
        self.store
            .create_subscription(new, &Actor::COMMAND)
            .await
            .expect(WORKS)
            .id
    }

    /// The ids of everything in the log.
    pub(crate) async fn log(&self) -> Vec<EventId> {
        let query = EventQuery {
            company: acme(),
            types: Vec::new(),
            order: Order::Ascending,
            after: None,
            limit: 10_000,
        };
        let page = self.store.read_events(query).await.expect(WORKS);
        page.events.iter().map(|event| event.id()).collect()
    }

    /// Claims everything that is due, under a lease that is good for ten days.
    pub(crate) async fn claim(&self, now: UtcMillis) -> Vec<Delivery> {
        let until = now.plus_millis(10 * DAY_MS);
        let lease = self.store.acquire_lease(now, until).await.expect(WORKS);
        let handover = Handover::new(HandoverLimits {
            deliveries_max: 100_000,
            deliveries_per_subscription_max: 10_000,
            bytes_max: usize::MAX,
        });
        let claimed = self.store.claim(lease, now, 10_000, &handover).await;
        claimed.expect(WORKS).deliveries
    }

    /// Settles deliveries with attempts that succeeded.
    pub(crate) async fn succeed(&self, deliveries: &[Delivery], now: UtcMillis) {
        let settlement = |delivery: &Delivery| Settlement {
            key: delivery.key,
            lease: delivery.lease,
            epoch: delivery.epoch,
            first_attempt: now,
            attempt: Arc::new(Attempt {
                id: AttemptId::new(now, &self.random),
                subscription: delivery.key.subscription,
                event: delivery.event.id(),
                event_type: delivery.event.event_type().clone(),
                number: 1,
                attempted: now,
                elapsed_ms: 5,
                outcome: AttemptOutcome::Succeeded,
                request: SentRequest {
                    url: "https://receiver.example/".into(),
                    user_agent: "tests".into(),
                    signatures: None,
                },
                response: ReceivedResponse::default(),
                next_attempt: None,
            }),
            verdict: Verdict::Succeeded,
            notice: None,
        };
        let settlements: Vec<_> = deliveries.iter().map(settlement).collect();
        let settled = self.store.settle(settlements).await.expect(WORKS);
        assert!(settled.iter().all(|settled| *settled == Settled::Recorded));
    }

    /// One step of housekeeping.
    pub(crate) async fn tidy_once(&self, now: UtcMillis, retention: Retention) -> bool {
        self.store.tidy(now, retention).await.expect(WORKS)
    }

    /// Housekeeping until nothing is left.
    pub(crate) async fn tidy(&self, now: UtcMillis, retention: Retention) {
        const STEPS_MAX: usize = 100;
        for _ in 0..STEPS_MAX {
            if !self.tidy_once(now, retention).await {
                return;
            }
        }
        panic!("housekeeping comes to an end");
    }

    /// The partitions of a table, by day.
    pub(crate) fn partitions(&self, table: &str) -> Vec<String> {
        let names = self.harness.sql(&format!(
            "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = '{table}'::regclass
             ORDER BY 1::text"
        ));
        let days = names.lines().filter_map(|name| name.strip_prefix(table));
        let mut days: Vec<_> = days
            .map(|day| day.trim_start_matches('_').to_owned())
            .filter(|day| day != "default")
            .collect();
        days.sort();
        days
    }
}
