//! What this crate's own tests need: events, subscriptions, nodes and settlements in few words.

use std::{path::Path, sync::Arc};

use tidings_domain::{
    actor::Actor,
    attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
    company::CompanyId,
    cursor::Order,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{AttemptId, EventId, SubscriptionId},
    json_object::JsonObject,
    random::{Random, SeededRandom},
    secret::Secret,
    subscription::{EventTypes, ManagedBy},
    target::TargetUrl,
    time::UtcMillis,
    verdict::Verdict,
};
use tidings_store::{
    Delivery, EncryptionKey, EventLog as _, EventQuery, NewSubscription, Publication, Settlement,
    StoreMetrics, SubscriptionBook as _,
};
use tidings_store_sqlite::{SqliteOptions, SqliteStore};

/// The moment of every test.
pub(crate) const NOW: i64 = 1_767_225_600_000;

/// A store with the random source of its ids.
pub(crate) struct Stage {
    pub(crate) store: SqliteStore,
    pub(crate) metrics: StoreMetrics,
    pub(crate) random: Arc<SeededRandom>,
}

/// How tests open a database.
pub(crate) fn options(path: &Path, key: u8, metrics: &StoreMetrics) -> SqliteOptions {
    SqliteOptions {
        path: path.to_owned(),
        encryption_key: EncryptionKey::new([key; 32]),
        random: Arc::new(SeededRandom::new(u64::from(key))) as Arc<dyn Random>,
        now: now(),
        metrics: metrics.clone(),
        writer_queue_max: 1000,
        readers: 1,
    }
}

pub(crate) fn now() -> UtcMillis {
    UtcMillis::from_millis(NOW)
}

pub(crate) fn acme() -> CompanyId {
    CompanyId::parse("acme").expect("a company id")
}

impl Stage {
    /// Opens the database under the usual key.
    pub(crate) fn open(path: &Path) -> Self {
        let metrics = StoreMetrics::default();
        let store = SqliteStore::open(options(path, 7, &metrics)).expect("the database opens");
        Self {
            store,
            metrics,
            random: Arc::new(SeededRandom::new(99)),
        }
    }

    pub(crate) fn event(&self, event_type: &str) -> Arc<Event> {
        Arc::new(Event::new(
            EventId::new(now(), &*self.random),
            EventType::parse(event_type).expect("an event type"),
            now(),
            acme(),
            JsonObject::EMPTY,
            JsonObject::EMPTY,
        ))
    }

    pub(crate) fn publication(&self, events: usize) -> Publication {
        Publication {
            company: acme(),
            events: (0..events).map(|_| self.event("a.b")).collect(),
            idempotency: None,
            now: now(),
        }
    }

    /// A subscription to everything.
    pub(crate) async fn subscribe(&self) -> SubscriptionId {
        let new = NewSubscription {
            id: SubscriptionId::new(now(), &*self.random),
            company: acme(),
            url: TargetUrl::from_stored("https://receiver.example/").expect("a URL"),
            event_types: EventTypes::new(vec![EventTypePattern::All]).expect("one pattern"),
            secret: Secret::generate(&*self.random),
            description: None,
            enabled: true,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            now: now(),
        };
        let made = self.store.create_subscription(new, &Actor::COMMAND).await;
        made.expect("the subscription is made").id
    }

    /// The ids of everything in the log.
    pub(crate) async fn log(&self) -> Vec<EventId> {
        let query = EventQuery {
            company: acme(),
            types: Vec::new(),
            order: Order::Ascending,
            after: None,
            limit: 1_000_000,
        };
        let page = self.store.read_events(query).await;
        let events = page.expect("the log reads").events;
        events.iter().map(|event| event.id()).collect()
    }

    /// A first attempt that succeeded.
    pub(crate) fn succeeded(&self, delivery: &Delivery) -> Settlement {
        Settlement {
            key: delivery.key,
            lease: delivery.lease,
            epoch: delivery.epoch,
            first_attempt: now(),
            attempt: Arc::new(Attempt {
                id: AttemptId::new(now(), &*self.random),
                subscription: delivery.key.subscription,
                event: delivery.event.id(),
                event_type: delivery.event.event_type().clone(),
                number: delivery.attempts_made + 1,
                attempted: now(),
                elapsed_ms: 5,
                outcome: AttemptOutcome::Succeeded,
                request: SentRequest {
                    url: "https://receiver.example/".into(),
                    user_agent: "Tidings/0".into(),
                    signatures: None,
                },
                response: ReceivedResponse {
                    status: Some(204),
                    ..ReceivedResponse::default()
                },
                next_attempt: None,
            }),
            verdict: Verdict::Succeeded,
            notice: None,
        }
    }
}
