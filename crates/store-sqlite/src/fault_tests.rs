//! Faults under the writer: a full file, a read-only one, a connection that cannot be trusted.

use std::{path::PathBuf, sync::Arc};

use futures_util::FutureExt as _;
use tidings_domain::{
    actor::Actor,
    company::CompanyId,
    cursor::Order,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{EventId, SubscriptionId},
    json_object::JsonObject,
    random::{Random, SeededRandom},
    secret::Secret,
    subscription::{EventTypes, ManagedBy},
    target::TargetUrl,
    time::UtcMillis,
};
use tidings_store::{
    Appended, DeliveryQueue as _, EncryptionKey, EventLog as _, EventQuery, Handover,
    HandoverLimits, Idempotency, LeaseId, NewSubscription, Publication, Renewal, StoreError,
    StoreMetrics, SubscriptionBook as _, Upkeep as _,
};

use crate::{SqliteOptions, SqliteStore, batch::Batch, failure::Failure};

struct Fixture {
    store: SqliteStore,
    random: Arc<SeededRandom>,
    directory: PathBuf,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let directory = format!("tidings-faults-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        // A process of the same number may have left one behind.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let random = Arc::new(SeededRandom::new(5));
        let store = SqliteStore::open(SqliteOptions {
            path: directory.join("tidings.db"),
            encryption_key: EncryptionKey::new([1; 32]),
            random: Arc::clone(&random) as Arc<dyn Random>,
            now: now(),
            metrics: StoreMetrics::default(),
            writer_queue_max: 1000,
            readers: 1,
        });
        Self {
            store: store.unwrap(),
            random,
            directory,
        }
    }

    fn publication(&self, bytes: usize, key: Option<&str>) -> Publication {
        let payload = format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes));
        let payload = serde_json::value::RawValue::from_string(payload).unwrap();
        let event = Event::new(
            EventId::new(now(), &*self.random),
            EventType::parse("a").unwrap(),
            now(),
            acme(),
            JsonObject::from_raw(&payload).unwrap(),
            JsonObject::EMPTY,
        );
        Publication {
            company: acme(),
            events: vec![Arc::new(event)],
            idempotency: key.map(|key| Idempotency {
                key: key.to_owned(),
                request_hash: [0; 32],
                expires: now().plus_millis(1000),
            }),
            now: now(),
        }
    }

    async fn subscribe(&self) -> SubscriptionId {
        let id = SubscriptionId::new(now(), &*self.random);
        let new = NewSubscription {
            id,
            company: acme(),
            url: TargetUrl::from_stored("https://receiver.example/").unwrap(),
            event_types: EventTypes::new(vec![EventTypePattern::All]).unwrap(),
            secret: Secret::generate(&*self.random),
            description: None,
            enabled: true,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            now: now(),
        };
        self.store
            .create_subscription(new, &Actor::COMMAND)
            .await
            .unwrap();
        id
    }

    async fn attach(&self) -> (LeaseId, Arc<Handover>) {
        let handover = Handover::new(HandoverLimits::default());
        let until = now().plus_millis(1000);
        let lease = self.store.acquire_lease(now(), until).await.unwrap();
        self.store.attach(lease, Arc::clone(&handover));
        (lease, handover)
    }

    async fn stored(&self) -> usize {
        let query = EventQuery {
            company: acme(),
            types: Vec::new(),
            order: Order::Ascending,
            after: None,
            limit: 1000,
        };
        self.store.read_events(query).await.unwrap().events.len()
    }

    async fn pragma(&self, name: &'static str, value: i64) {
        let set = |batch: &mut Batch<'_, '_>, &(name, value): &(&'static str, i64)| {
            let conn = batch.database().connection();
            Ok(conn.pragma_update(None, name, value)?)
        };
        self.store.inner.change((name, value), set).await.unwrap();
    }

    async fn pages(&self) -> i64 {
        let count = |batch: &mut Batch<'_, '_>, (): &()| {
            let conn = batch.db()?.connection();
            Ok(conn.query_row("PRAGMA page_count", [], |row| row.get(0))?)
        };
        self.store.inner.change((), count).await.unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn now() -> UtcMillis {
    UtcMillis::from_millis(1_767_225_600_000)
}

fn acme() -> CompanyId {
    CompanyId::parse("acme").unwrap()
}

#[tokio::test]
async fn a_full_file_refuses_and_recovers() {
    let fixture = Fixture::new("full");
    fixture.subscribe().await;
    let (_, handover) = fixture.attach().await;
    let store = &fixture.store;
    assert_eq!(
        store.append(fixture.publication(10, None)).await,
        Ok(Appended::Stored)
    );
    drop(handover.take());
    let pages = fixture.pages().await;
    fixture.pragma("max_page_count", pages).await;

    let large = fixture.publication(200_000, Some("once"));
    let refused = store.append(large.clone()).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("full")),
        "{refused:?}"
    );
    assert_eq!(fixture.stored().await, 1);
    assert_eq!(store.head().await, Ok(1));
    assert!(
        handover.take().is_empty() && handover.held() == 0,
        "places are given back"
    );
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog.owed, 1);
    // A neighbour for which there is room is not refused with it.
    let small = fixture.publication(10, None);
    let both = tokio::join!(store.append(large.clone()), store.append(small));
    assert!(both.0.is_err());
    assert_eq!(both.1, Ok(Appended::Stored));

    fixture.pragma("max_page_count", 1_000_000).await;
    assert_eq!(
        store.append(large.clone()).await,
        Ok(Appended::Stored),
        "the key is unused"
    );
    assert!(matches!(
        store.append(large).await,
        Ok(Appended::Replayed(_))
    ));
    assert_eq!(fixture.stored().await, 3);
    assert_eq!(store.head().await, Ok(3));
    assert_eq!(store.backlog().await.unwrap().owed, 3);
}

#[tokio::test]
async fn a_read_only_database_refuses_and_recovers() {
    let fixture = Fixture::new("read-only");
    let store = &fixture.store;
    fixture.pragma("query_only", 1).await;
    let refused = store.append(fixture.publication(10, None)).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("read-only")),
        "{refused:?}"
    );
    assert!(matches!(
        store.check().await,
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(fixture.stored().await, 0, "reading goes on");
    fixture.pragma("query_only", 0).await;
    assert_eq!(store.check().await, Ok(()));
    assert_eq!(
        store.append(fixture.publication(10, None)).await,
        Ok(Appended::Stored)
    );
}

/// After an I/O error nobody knows what is in the file: the connection is opened anew, memory is
/// read anew, and leases are void, so that nothing is held that nobody has.
#[tokio::test]
async fn a_broken_connection_is_opened_anew() {
    let fixture = Fixture::new("broken");
    let id = fixture.subscribe().await;
    let (lease, handover) = fixture.attach().await;
    let store = &fixture.store;
    assert_eq!(
        store.append(fixture.publication(10, None)).await,
        Ok(Appended::Stored)
    );
    assert_eq!(handover.take().len(), 1);
    let breaks = |batch: &mut Batch<'_, '_>, (): &()| -> Result<(), Failure> {
        batch.db()?.execute("DELETE FROM events", [])?;
        Err(Failure::Unavailable("the disk went away".to_owned()))
    };
    assert!(store.inner.change((), breaks).await.is_err());

    assert_eq!(
        store.append(fixture.publication(10, None)).await,
        Ok(Appended::Stored)
    );
    assert_eq!(
        fixture.stored().await,
        2,
        "the broken transaction left nothing"
    );
    assert_eq!(store.head().await, Ok(2));
    assert!(store.endpoint(id).is_some());
    let renewed = store
        .renew_lease(lease, now(), now().plus_millis(1000))
        .await;
    assert_eq!(renewed, Ok(Renewal::Lost));
    let (lease, handover) = fixture.attach().await;
    let claimed = store.claim(lease, now(), 10, &handover).await.unwrap();
    assert_eq!(
        claimed.deliveries.len(),
        2,
        "both are owed to whoever asks next"
    );
}

/// A claim whose caller went away must not hold on to what it leased.
#[tokio::test]
async fn what_nobody_received_is_free_again() {
    let fixture = Fixture::new("orphans");
    fixture.subscribe().await;
    let store = &fixture.store;
    assert_eq!(
        store.append(fixture.publication(10, None)).await,
        Ok(Appended::Stored)
    );
    let handover = Handover::new(HandoverLimits::default());
    let until = now().plus_millis(1000);
    let lease = store.acquire_lease(now(), until).await.unwrap();
    // One poll hands it in; then its caller is gone.
    let first = store.claim(lease, now(), 10, &handover).now_or_never();
    assert!(first.is_none());
    // The next may still share a transaction with it; the one after that finds what it let go of.
    let mut found = store.claim(lease, now(), 10, &handover).await.unwrap();
    if found.deliveries.is_empty() {
        found = store.claim(lease, now(), 10, &handover).await.unwrap();
    }
    assert_eq!(found.deliveries.len(), 1);
}

/// The statements of the happy path and of claims find their rows by an index, whatever the
/// planner of a new SQLite may think.
#[tokio::test]
async fn hot_statements_scan_nothing() {
    let fixture = Fixture::new("plans");
    let statements = [
        crate::queue_rows::DELETE,
        crate::queue_rows::LEASE,
        crate::claim::WAITING.as_str(),
        crate::log_index::FILE,
        crate::log_index::REMOVE,
        crate::log_index::FILED_ASCENDING,
        crate::log_index::FILED_DESCENDING,
    ];
    let conn = rusqlite::Connection::open(fixture.directory.join("tidings.db")).unwrap();
    for sql in statements {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Unbound parameters are NULL, which is good enough for a plan.
        let steps = plan.raw_query().mapped(|row| row.get::<_, String>(3));
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert!(
            steps.iter().any(|step| step.starts_with("SEARCH q")),
            "{sql}: {steps:?}"
        );
        assert!(
            !steps.iter().any(|step| step.starts_with("SCAN q")),
            "{sql}: {steps:?}"
        );
    }
}
