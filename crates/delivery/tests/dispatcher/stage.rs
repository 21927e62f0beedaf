//! A stage for one play: a store on a file of its own, receivers, a clock, and a dispatcher.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings_delivery::{DeliveryMetrics, Dispatcher, DispatcherOptions};
use tidings_domain::{
    actor::Actor,
    attempt::Attempt,
    clock::{Clock, ManualClock},
    company::CompanyId,
    cursor::Order,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{EventId, SubscriptionId},
    random::{Random, SeededRandom},
    secret::Secret,
    subscription::{EventTypes, ManagedBy},
    target::{Environment, TargetUrl},
    time::UtcMillis,
    verdict::RetrySchedule,
};
use tidings_store::{
    AttemptFilter, AttemptLog as _, DeliveryState, DeliveryTrace, EncryptionKey, EventLog as _,
    Handover, HandoverLimits, NewSubscription, Publication, Store, StoreError, StoreMetrics,
    SubscriptionBook as _, SubscriptionChange, Upkeep as _,
};
use tidings_store_sqlite::{SqliteOptions, SqliteStore};

use crate::{faulty_store::FaultyStore, receivers::Receivers};

/// 2026-01-31T08:00:00Z.
pub(crate) const START: i64 = 1_769_846_400_000;
/// Longer than any play: no renewal gets between the steps of those that are not about leases.
pub(crate) const LONG_LEASE_MS: i64 = 10 * 24 * 3_600_000;

/// What is done outside of the plan's faults does not fail.
pub(crate) const WORKS: &str = "it works unless it is planned to fail";

/// No play takes this long in real time, unless somebody waits for nobody.
const HANGS_AFTER: Duration = Duration::from_mins(1);

/// How a dispatcher is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) concurrency: usize,
    pub(crate) per_subscription: usize,
    pub(crate) lease_ms: i64,
    pub(crate) limits: HandoverLimits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            concurrency: 1024,
            per_subscription: 16,
            lease_ms: LONG_LEASE_MS,
            limits: HandoverLimits::default(),
        }
    }
}

/// A directory that goes when it is dropped.
pub(crate) struct Directory(PathBuf);

/// Everything a play needs. Fields end in the order in which they stand.
pub(crate) struct Stage {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) metrics: DeliveryMetrics,
    pub(crate) receivers: Arc<Receivers>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<SeededRandom>,
    _directory: Directory,
}

impl Directory {
    /// A new, empty one.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidings-dispatcher-{}-{number}", std::process::id());
        // In memory where there is such a directory: durability is the store's own test, and here
        // thousands of commits would wait for a disk.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = parent.join(name);
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    /// Opens the store in it.
    pub(crate) fn open(&self, random: &Arc<SeededRandom>, now: UtcMillis) -> Arc<dyn Store> {
        Arc::new(open(&self.0.join("tidings.db"), random, now))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays behind is for whoever cleans up temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path, random: &Arc<SeededRandom>, now: UtcMillis) -> SqliteStore {
    SqliteStore::open(SqliteOptions {
        path: path.to_owned(),
        encryption_key: EncryptionKey::new([7; 32]),
        random: Arc::clone(random) as Arc<dyn Random>,
        now,
        metrics: StoreMetrics::default(),
        writer_queue_max: 10_000,
        readers: 1,
    })
    .expect("the store opens")
}

impl Stage {
    /// With the default setup.
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// With another setup. The dispatcher has its lease and has looked into the empty table.
    pub(crate) async fn with(setup: Setup) -> Self {
        let directory = Directory::new();
        let clock = Arc::new(ManualClock::at(UtcMillis::from_millis(START)));
        let random = Arc::new(SeededRandom::new(1));
        let store = FaultyStore::new(directory.open(&random, clock.now()));
        let receivers = Arc::new(Receivers::default());
        let handover = Handover::new(setup.limits);
        let metrics = DeliveryMetrics::default();
        let mut stage = Self {
            dispatcher: dispatcher(
                setup,
                &store,
                &receivers,
                &handover,
                (&clock, &random),
                &metrics,
            ),
            store,
            handover,
            metrics,
            receivers,
            clock,
            random,
            _directory: directory,
        };
        stage.settle_down().await;
        stage
    }

    /// A further dispatcher on the same store: another node.
    pub(crate) fn another_node(&self, setup: Setup) -> (Dispatcher, Arc<Receivers>) {
        let receivers = Arc::new(Receivers::default());
        let dispatcher = dispatcher(
            setup,
            &self.store,
            &receivers,
            &Handover::new(setup.limits),
            (&self.clock, &self.random),
            &DeliveryMetrics::default(),
        );
        (dispatcher, receivers)
    }

    /// What the clock shows.
    pub(crate) fn clock_now(&self) -> UtcMillis {
        self.clock.now()
    }

    /// The dispatcher ends well, and another begins in its place that knows nothing.
    pub(crate) async fn restart(&mut self) {
        self.dispatcher.stop();
        self.settle_down().await;
        assert!(self.dispatcher.is_finished());
        self.handover = Handover::new(HandoverLimits::default());
        self.dispatcher = dispatcher(
            Setup::default(),
            &self.store,
            &self.receivers,
            &self.handover,
            (&self.clock, &self.random),
            &self.metrics,
        );
        self.settle_down().await;
    }

    /// A subscription to everything of its company.
    pub(crate) async fn subscribe(&self, company: &str) -> SubscriptionId {
        let new = new_subscription(company, self.clock.now(), &self.random);
        self.store
            .create_subscription(new, &Actor::COMMAND)
            .await
            .expect(WORKS)
            .id
    }

    /// Publishes events, acknowledged all at once.
    pub(crate) async fn publish(&self, company: &str, count: usize) -> Vec<EventId> {
        let (ids, appended) = publish(&self.store, company, count, &self.clock, &self.random).await;
        appended.expect(WORKS);
        ids
    }

    /// Enables or disables a subscription.
    pub(crate) async fn enable(&self, subscription: SubscriptionId, enabled: bool) {
        let change = SubscriptionChange {
            enabled: Some(enabled),
            ..SubscriptionChange::default()
        };
        let changed = self.store.update_subscription(
            None,
            subscription,
            None,
            change,
            self.clock.now(),
            &Actor::COMMAND,
        );
        changed.await.expect(WORKS);
    }

    /// Ticks until nothing moves any more but the clock; gives the next wake.
    pub(crate) async fn settle_down(&mut self) -> Option<UtcMillis> {
        settle_down(
            &mut self.dispatcher,
            &self.store,
            &self.receivers,
            &self.clock,
        )
        .await
    }

    /// Turns the clock to the next wake and settles down there; false where there is none.
    pub(crate) async fn next(&mut self) -> bool {
        let Some(wake) = self.settle_down().await else {
            return false;
        };
        self.clock.set(wake);
        self.settle_down().await;
        true
    }

    /// Goes from wake to wake until nothing is owed any more.
    pub(crate) async fn finish(&mut self) {
        for _ in 0..1000 {
            self.settle_down().await;
            if self.owed().await == 0 {
                return;
            }
            assert!(self.next().await, "something is owed and nobody will look");
        }
        panic!("{} deliveries are still owed", self.owed().await);
    }

    /// Turns the clock on and settles down there.
    pub(crate) async fn advance(&mut self, millis: i64) -> Option<UtcMillis> {
        self.clock.advance(millis);
        self.settle_down().await
    }

    /// The delivery log of a subscription, oldest first.
    pub(crate) async fn log(&self, subscription: SubscriptionId) -> Vec<Attempt> {
        log(&self.store, subscription).await
    }

    /// What became of an event at a subscription.
    pub(crate) async fn trace(&self, event: EventId, to: SubscriptionId) -> DeliveryTrace {
        let traces = self
            .store
            .trace(None, event)
            .await
            .expect(WORKS)
            .expect(WORKS);
        let mut traces = traces.into_iter();
        traces.find(|trace| trace.subscription == to).expect(WORKS)
    }

    /// The state of the trace.
    pub(crate) async fn state(&self, event: EventId, to: SubscriptionId) -> DeliveryState {
        self.trace(event, to).await.state
    }

    /// Deliveries that are still owed.
    pub(crate) async fn owed(&self) -> u64 {
        self.store.backlog().await.expect(WORKS).owed
    }
}

/// A dispatcher on these parts.
pub(crate) fn dispatcher(
    setup: Setup,
    store: &Arc<FaultyStore>,
    receivers: &Arc<Receivers>,
    handover: &Arc<Handover>,
    (clock, random): (&Arc<ManualClock>, &Arc<SeededRandom>),
    metrics: &DeliveryMetrics,
) -> Dispatcher {
    Dispatcher::new(DispatcherOptions {
        store: Arc::clone(store) as Arc<dyn Store>,
        transport: Arc::clone(receivers) as _,
        handover: Arc::clone(handover),
        clock: Arc::clone(clock) as _,
        random: Arc::clone(random) as _,
        schedule: RetrySchedule::default(),
        concurrency: setup.concurrency,
        concurrency_per_subscription: setup.per_subscription,
        lease_ms: setup.lease_ms,
        metrics: metrics.clone(),
    })
}

/// Ticks until everything that is under way hangs, is held, or has ended.
pub(crate) async fn settle_down(
    dispatcher: &mut Dispatcher,
    store: &FaultyStore,
    receivers: &Receivers,
    clock: &ManualClock,
) -> Option<UtcMillis> {
    loop {
        let wake = dispatcher.tick(clock.now());
        if dispatcher.calls_in_flight() == store.held()
            && dispatcher.attempts_in_flight() == receivers.hanging()
        {
            return wake;
        }
        let moved = async {
            tokio::select! {
                () = dispatcher.reported() => {}
                () = receivers.hung.notified() => {}
                () = store.holding.notified() => {}
            }
        };
        tokio::time::timeout(HANGS_AFTER, moved)
            .await
            .expect("somebody reports");
    }
}

/// A subscription of a company to everything, made at `now`.
pub(crate) fn new_subscription(
    company: &str,
    now: UtcMillis,
    random: &SeededRandom,
) -> NewSubscription {
    NewSubscription {
        id: SubscriptionId::new(now, random),
        company: CompanyId::parse(company).expect(WORKS),
        url: TargetUrl::parse("https://receiver.example/in", Environment::Production).expect(WORKS),
        event_types: EventTypes::new(vec![EventTypePattern::parse("*").expect(WORKS)])
            .expect(WORKS),
        secret: Secret::generate(random),
        description: None,
        enabled: true,
        managed_by: ManagedBy::Api,
        max_per_second: None,
        now,
    }
}

/// Publishes events; gives their ids and whether they were acknowledged.
pub(crate) async fn publish(
    store: &FaultyStore,
    company: &str,
    count: usize,
    clock: &ManualClock,
    random: &SeededRandom,
) -> (Vec<EventId>, Result<(), StoreError>) {
    let now = clock.now();
    let company = CompanyId::parse(company).expect(WORKS);
    let events: Vec<Arc<Event>> = (0..count)
        .map(|_| {
            Arc::new(Event::from_stored(
                EventId::new(now, random),
                EventType::parse("client.created").expect(WORKS),
                now,
                company.clone(),
                r#"{"name":"Ada"}"#,
                "{}",
            ))
        })
        .collect();
    let ids = events.iter().map(|event| event.id()).collect();
    let appended = store.append(Publication {
        company,
        events,
        idempotency: None,
        now,
    });
    (ids, appended.await.map(drop))
}

/// The delivery log of a subscription, oldest first.
pub(crate) async fn log(store: &FaultyStore, subscription: SubscriptionId) -> Vec<Attempt> {
    let filter = AttemptFilter {
        subscription,
        outcome: None,
        event_type: None,
        event: None,
        order: Order::Ascending,
        after: None,
        limit: 100_000,
    };
    let page = store.attempts(None, filter).await.expect(WORKS);
    page.map_or_else(Vec::new, |page| page.attempts)
}
