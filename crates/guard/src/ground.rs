//! What the workloads stand on: a database in memory where there is such a place, a company, a
//! subscription, events of 1 KiB.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tidings_domain::{
    actor::Actor,
    clock::{Clock as _, ManualClock},
    company::CompanyId,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{EventId, SubscriptionId},
    random::{Random, SeededRandom},
    secret::Secret,
    subscription::{EventTypes, ManagedBy},
    target::{Environment, TargetUrl},
    time::UtcMillis,
};
use tidings_store::{
    EncryptionKey, EventLog as _, NewSubscription, Publication, StoreMetrics, SubscriptionBook as _,
};
use tidings_store_sqlite::{SqliteOptions, SqliteStore};

/// Events of one group.
pub(crate) const GROUP: usize = 64;
/// 2026-01-31T08:00:00Z.
const START_MS: i64 = 1_769_846_400_000;

/// A store with one subscription to everything.
pub(crate) struct Ground {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<SeededRandom>,
    payload: String,
    directory: PathBuf,
}

pub(crate) fn company() -> anyhow::Result<CompanyId> {
    CompanyId::parse("acme").context("a company")
}

impl Ground {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let directory = parent.join(format!("tidings-guard-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let clock = Arc::new(ManualClock::at(UtcMillis::from_millis(START_MS)));
        let random = Arc::new(SeededRandom::new(1));
        let store = SqliteStore::open(SqliteOptions {
            path: directory.join("tidings.db"),
            encryption_key: EncryptionKey::new([7; 32]),
            random: Arc::clone(&random) as Arc<dyn Random>,
            now: clock.now(),
            metrics: StoreMetrics::default(),
            writer_queue_max: 1024,
            readers: 1,
        })?;
        let ground = Self {
            store: Arc::new(store),
            clock,
            random,
            payload: format!(r#"{{"text":"{}"}}"#, "x".repeat(1013)),
            directory,
        };
        ground.subscribe().await?;
        Ok(ground)
    }

    async fn subscribe(&self) -> anyhow::Result<()> {
        let random = self.random.as_ref();
        let new = NewSubscription {
            id: SubscriptionId::new(self.clock.now(), random),
            company: company()?,
            url: TargetUrl::parse("https://receiver.example/in", Environment::Production)?,
            event_types: EventTypes::new(vec![EventTypePattern::parse("*")?])?,
            secret: Secret::generate(random),
            description: None,
            enabled: true,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            now: self.clock.now(),
        };
        self.store.create_subscription(new, &Actor::COMMAND).await?;
        Ok(())
    }

    /// Appends a group of events.
    pub(crate) async fn append(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let company = company()?;
        let event_type = EventType::parse("client.created")?;
        let events = (0..GROUP).map(|_| {
            Arc::new(Event::from_stored(
                EventId::new(now, self.random.as_ref()),
                event_type.clone(),
                now,
                company.clone(),
                &self.payload,
                "{}",
            ))
        });
        let publication = Publication {
            events: events.collect(),
            company: company.clone(),
            idempotency: None,
            now,
        };
        self.store.append(publication).await?;
        self.clock.advance(1);
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Left to the system's own tidying where it does not work.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
