//! Nodes under test: several stores on one database, each with its figures and its dispatcher's
//! side of the hand-over.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use std::time::Duration;

use rustls::RootCertStore;
use tidings_domain::{
    actor::Actor,
    attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
    clock::ManualClock,
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
use tidings_store::DeliveryQueue as _;
use tidings_store::{
    Delivery, EncryptionKey, EventLog as _, EventQuery, Handover, HandoverLimits, LeaseId,
    NewSubscription, Position, Publication, Settlement, StoreMetrics, SubscriptionBook as _,
};
use tidings_store_postgres::{OpenError, PostgresOptions, PostgresStore};
use tidings_test_cluster::{Cluster, Database};
use tokio::time::{interval, timeout};

/// The moment of every test.
pub(crate) const NOW: i64 = 1_767_225_600_000;
/// How long a lease is good.
pub(crate) const LEASE_MS: i64 = 15_000;
/// What every call is expected to do.
pub(crate) const WORKS: &str = "the store works";
/// How long a test waits for what is to happen, in seconds.
const PATIENCE_SECONDS: u64 = 20;

/// No two nodes of a test run make the same ids.
static SEEDS: AtomicU64 = AtomicU64::new(1000);

/// A store, as one node of several.
pub(crate) struct Node {
    pub(crate) store: PostgresStore,
    pub(crate) metrics: StoreMetrics,
    pub(crate) handover: Arc<Handover>,
    random: SeededRandom,
}

pub(crate) fn now() -> UtcMillis {
    UtcMillis::from_millis(NOW)
}

pub(crate) fn acme() -> CompanyId {
    CompanyId::parse("acme").expect("a company id")
}

/// A database of one's own in the cluster that this process shares.
pub(crate) fn database() -> Database {
    Cluster::shared().database()
}

/// What a statement selects, a row per line.
pub(crate) fn sql(database: &Database, sql: &str) -> String {
    Cluster::shared().sql(database.name(), sql)
}

/// How many connections to the database wait for a lock.
pub(crate) fn waiting_for_locks(database: &Database) -> String {
    let waiting = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sql(database, waiting).trim().to_owned()
}

/// How tests open a database.
pub(crate) fn options(url: &str, metrics: &StoreMetrics) -> PostgresOptions {
    PostgresOptions {
        url: url.to_owned(),
        roots: RootCertStore::empty(),
        encryption_key: EncryptionKey::new([7; 32]),
        random: Arc::new(SeededRandom::new(SEEDS.fetch_add(1, Ordering::Relaxed))),
        now: now(),
        clock: Arc::new(ManualClock::at(now())),
        clock_offset_ms: Arc::new(AtomicI64::new(0)),
        metrics: metrics.clone(),
        writer_queue_max: 1000,
        connections_max: 6,
    }
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        let mut looks = interval(Duration::from_millis(5));
        while !is_so().await {
            looks.tick().await;
        }
    };
    timeout(Duration::from_secs(PATIENCE_SECONDS), waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

impl Node {
    /// One more node on a database.
    pub(crate) async fn open(url: &str) -> Self {
        Self::try_open(options(url, &StoreMetrics::default()))
            .await
            .expect("the database opens")
    }

    pub(crate) async fn try_open(options: PostgresOptions) -> Result<Self, OpenError> {
        let metrics = options.metrics.clone();
        Ok(Self {
            store: PostgresStore::open(options).await?,
            metrics,
            handover: Handover::new(HandoverLimits::default()),
            random: SeededRandom::new(SEEDS.fetch_add(1, Ordering::Relaxed)),
        })
    }

    /// Takes a lease and fresh work.
    pub(crate) async fn attach(&self) -> LeaseId {
        let until = now().plus_millis(LEASE_MS);
        let lease = self.store.acquire_lease(now(), until).await.expect(WORKS);
        self.store.attach(lease, Arc::clone(&self.handover));
        lease
    }

    pub(crate) fn event(&self) -> Arc<Event> {
        self.event_of(&acme())
    }

    pub(crate) fn event_of(&self, company: &CompanyId) -> Arc<Event> {
        Arc::new(Event::new(
            EventId::new(now(), &self.random),
            EventType::parse("a.b").expect("an event type"),
            now(),
            company.clone(),
            JsonObject::EMPTY,
            JsonObject::EMPTY,
        ))
    }

    pub(crate) fn publication(&self, events: usize) -> Publication {
        Publication {
            company: acme(),
            events: (0..events).map(|_| self.event()).collect(),
            idempotency: None,
            now: now(),
        }
    }

    pub(crate) fn new_subscription(&self) -> NewSubscription {
        NewSubscription {
            id: SubscriptionId::new(now(), &self.random),
            company: acme(),
            url: TargetUrl::from_stored("https://receiver.example/").expect("a URL"),
            event_types: EventTypes::new(vec![EventTypePattern::All]).expect("one pattern"),
            secret: Secret::generate(&self.random),
            description: None,
            enabled: true,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            now: now(),
        }
    }

    /// A subscription to everything.
    pub(crate) async fn subscribe(&self) -> SubscriptionId {
        let new = self.new_subscription();
        self.store
            .create_subscription(new, &Actor::COMMAND)
            .await
            .expect(WORKS)
            .id
    }

    /// The company's events beyond a position, and where to go on.
    pub(crate) async fn read(&self, after: Option<Position>) -> (Vec<EventId>, Position) {
        let query = EventQuery {
            company: acme(),
            types: Vec::new(),
            order: Order::Ascending,
            after,
            limit: 1000,
        };
        let page = self.store.read_events(query).await.expect(WORKS);
        let ids = page.events.iter().map(|event| event.id()).collect();
        (ids, page.next)
    }

    /// The ids of everything in the log, page by page.
    pub(crate) async fn log(&self) -> Vec<EventId> {
        let (mut log, mut after) = (Vec::new(), None);
        loop {
            let (ids, next) = self.read(after).await;
            if ids.is_empty() {
                return log;
            }
            log.extend(ids);
            after = Some(next);
        }
    }

    /// A first attempt that had this verdict.
    pub(crate) fn settlement(&self, delivery: &Delivery, verdict: Verdict) -> Settlement {
        Settlement {
            key: delivery.key,
            lease: delivery.lease,
            epoch: delivery.epoch,
            first_attempt: now(),
            attempt: Arc::new(Attempt {
                id: AttemptId::new(now(), &self.random),
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
            verdict,
            notice: None,
        }
    }

    /// First attempts that succeeded.
    pub(crate) fn succeeded<'d>(
        &self,
        deliveries: impl IntoIterator<Item = &'d Delivery>,
    ) -> Vec<Settlement> {
        deliveries
            .into_iter()
            .map(|delivery| self.settlement(delivery, Verdict::Succeeded))
            .collect()
    }

    /// Claims what is due.
    pub(crate) async fn claim(&self, lease: LeaseId, at: UtcMillis) -> Vec<Delivery> {
        let claimed = self.store.claim(lease, at, 10_000, &self.handover).await;
        claimed.expect(WORKS).deliveries
    }
}
