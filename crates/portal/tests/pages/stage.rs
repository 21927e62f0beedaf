//! A stage: the portal over a fresh database, a delivery side that does what the test says, and
//! browsers in front of it.

mod browser;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::Router;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tidings_domain::{
    actor::Actor,
    attempt::{Attempt, AttemptError, AttemptOutcome, ReceivedResponse, SentRequest},
    clock::{Clock as _, ManualClock},
    company::CompanyId,
    email::Email,
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::{AttemptId, EventId, SubscriptionId, UserId},
    json_object::JsonObject,
    portal_token::PortalToken,
    random::{Random, SeededRandom},
    secret::Secret,
    signing::Signer,
    subscription::{Endpoint, EventTypes, ManagedBy, Subscription},
    target::{Environment, TargetUrl},
    time::UtcMillis,
    verdict::Verdict,
    visitor::{Role, Visitor},
};
use tidings_portal::{Outbound, PortalOptions, TargetRefusal, hash_password, router};
use tidings_store::{
    DeliveryQueue as _, EncryptionKey, EventLog as _, Handover, HandoverLimits, Link, LinkPurpose,
    NewSubscription, People as _, Publication, Session, Settlement, Store, StoreMetrics,
    SubscriptionBook as _, User,
};
use tidings_store_sqlite::{SqliteOptions, SqliteStore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use browser::{Answer, Browser};

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The portal and everything around it.
pub(crate) struct Stage {
    pub(crate) router: Router,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) outbound: Arc<Scripted>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) random: Arc<SeededRandom>,
    directory: PathBuf,
}

/// What a test may want otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// How people reach the portal.
    pub(crate) public_url: &'static str,
    /// Who may show it in a frame.
    pub(crate) frame_origins: &'static [&'static str],
    /// How strict targets are judged.
    pub(crate) environment: Environment,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080",
            frame_origins: &[],
            environment: Environment::Production,
        }
    }
}

/// A delivery side that does what the test says.
#[derive(Default)]
pub(crate) struct Scripted {
    /// Why targets are refused; none: all are fine.
    pub(crate) refusal: Mutex<Option<String>>,
    /// How tests end.
    pub(crate) outcome: Mutex<Option<(AttemptOutcome, ReceivedResponse)>>,
    /// What was sent.
    pub(crate) sent: Mutex<Vec<Arc<Event>>>,
    /// What was checked.
    pub(crate) checked: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Outbound for Scripted {
    async fn check_target(&self, url: &TargetUrl) -> Result<(), TargetRefusal> {
        self.checked.lock().push(url.to_string());
        match &*self.refusal.lock() {
            Some(reason) => Err(TargetRefusal(reason.clone())),
            None => Ok(()),
        }
    }

    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt {
        self.sent.lock().push(Arc::clone(&event));
        let scripted = self.outcome.lock().clone();
        let (outcome, response) =
            scripted.unwrap_or((AttemptOutcome::Succeeded, answered(200, "ok")));
        attempt_of(&endpoint, &event, 1, start(), outcome, response)
    }
}

/// Where the clock begins: 2026-11-23T08:30:00.000Z.
pub(crate) fn start() -> UtcMillis {
    UtcMillis::from_millis(1_795_422_600_000)
}

/// A response with a status and a body.
pub(crate) fn answered(status: u16, body: &str) -> ReceivedResponse {
    ReceivedResponse {
        status: Some(status),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.to_owned(),
        body_truncated: false,
    }
}

/// A failure by its status.
pub(crate) fn failed(status: u16, body: &str) -> (AttemptOutcome, ReceivedResponse) {
    let outcome = AttemptOutcome::Failed(AttemptError::Status);
    (outcome, answered(status, body))
}

/// A company's id.
pub(crate) fn company(name: &str) -> CompanyId {
    CompanyId::parse(name).unwrap()
}

fn attempt_of(
    endpoint: &Endpoint,
    event: &Event,
    number: u32,
    now: UtcMillis,
    outcome: AttemptOutcome,
    response: ReceivedResponse,
) -> Attempt {
    let previous = endpoint.secrets.previous_at(now);
    let signer = Signer::new(&endpoint.secrets.newest, previous);
    Attempt {
        id: AttemptId::new(now, &SeededRandom::new(number.into())),
        subscription: endpoint.id,
        event: event.id(),
        event_type: event.event_type().clone(),
        number,
        attempted: now,
        elapsed_ms: 42,
        outcome,
        request: SentRequest {
            url: endpoint.url.to_string().into(),
            user_agent: "Tidings/test".into(),
            signatures: Some(signer.sign(event.id(), now, event.json())),
        },
        response,
        next_attempt: None,
    }
}

impl Stage {
    /// A portal as it is by default.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    /// A portal with other settings.
    pub(crate) fn with(settings: Settings) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("tidings-portal-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let clock = Arc::new(ManualClock::at(start()));
        let random = Arc::new(SeededRandom::new(count + 1));
        let store = SqliteStore::open(SqliteOptions {
            path: directory.join("tidings.db"),
            encryption_key: EncryptionKey::new([7; 32]),
            random: Arc::clone(&random) as Arc<dyn Random>,
            now: clock.now(),
            metrics: StoreMetrics::default(),
            writer_queue_max: 1000,
            readers: 1,
        });
        let store = Arc::new(store.unwrap());
        let outbound = Arc::new(Scripted::default());
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let origins = settings.frame_origins.iter();
        let router = router(PortalOptions {
            store: Arc::clone(&store) as Arc<dyn Store>,
            outbound: Arc::clone(&outbound) as Arc<dyn Outbound>,
            clock: Arc::clone(&clock) as Arc<_>,
            random: Arc::clone(&random) as Arc<_>,
            environment: settings.environment,
            public_url: settings.public_url.parse().unwrap(),
            frame_origins: origins.map(|origin| origin.parse().unwrap()).collect(),
            shutdown: shutdown.clone(),
            tasks: tasks.clone(),
        });
        Self {
            router,
            store,
            clock,
            outbound,
            shutdown,
            tasks,
            random,
            directory,
        }
    }

    /// A browser in which nobody is signed in.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.router.clone())
    }

    /// One somewhere else.
    pub(crate) fn browser_at(&self, address: &str) -> Browser {
        let mut browser = self.browser();
        browser.address = address.parse().unwrap();
        browser
    }

    /// Makes a user who can sign in with a password.
    pub(crate) async fn user(&self, email: &str, password: &str) -> UserId {
        let hash = hash_password(password, self.random.as_ref()).unwrap();
        self.user_with_hash(email, hash).await
    }

    async fn user_with_hash(&self, email: &str, password_hash: String) -> UserId {
        let now = self.clock.now();
        let id = UserId::new(now, self.random.as_ref());
        let user = User {
            id,
            email: Email::parse(email).unwrap(),
            password_hash,
            created: now,
            last_sign_in: None,
        };
        self.store.create_user(user, &Actor::COMMAND).await.unwrap();
        id
    }

    /// A browser in which an operator is signed in.
    pub(crate) async fn operator(&self) -> Browser {
        let email = format!("operator-{}@example.com", self.random.next_u64());
        let id = self.user_with_hash(&email, "no hash".to_owned()).await;
        let email = Email::parse(&email).unwrap();
        self.signed_in(Visitor::Operator { id, email }).await
    }

    /// A browser in which somebody of a company is signed in.
    pub(crate) async fn guest(&self, of: &str, role: Role) -> Browser {
        let company = company(of);
        self.signed_in(Visitor::Guest { company, role }).await
    }

    /// A browser in which the company's admin is signed in.
    pub(crate) async fn admin(&self, of: &str) -> Browser {
        self.guest(of, Role::Admin).await
    }

    async fn signed_in(&self, visitor: Visitor) -> Browser {
        let now = self.clock.now();
        let token = PortalToken::generate(self.random.as_ref());
        let browser = self.browser();
        let actor = Actor::visitor(&visitor, Some(browser.address));
        let session = Session {
            visitor,
            created: now,
            expires: now.plus_millis(12 * HOUR_MS),
        };
        let opened = self.store.open_session(token.hash(), session, &actor);
        opened.await.unwrap();
        browser.set_cookie("tidings_session", token.expose());
        browser
    }

    /// The path of a link that lets somebody of a company in, good for an hour.
    pub(crate) async fn link(&self, of: &str, role: Role) -> String {
        let purpose = LinkPurpose::Enter {
            company: company(of),
            role,
        };
        format!("/portal/enter/{}", self.link_for(purpose).await)
    }

    /// The token of a link, good for an hour.
    pub(crate) async fn link_for(&self, purpose: LinkPurpose) -> String {
        let token = PortalToken::generate(self.random.as_ref());
        let expires = self.clock.now().plus_millis(HOUR_MS);
        let link = Link { purpose, expires };
        self.store.create_link(token.hash(), link).await.unwrap();
        token.expose().to_owned()
    }

    /// A subscription to some types at a URL.
    pub(crate) async fn subscribe(&self, of: &str, url: &str, types: &[&str]) -> SubscriptionId {
        self.subscribe_as(of, url, types, ManagedBy::Portal).await
    }

    /// One that somebody else manages.
    pub(crate) async fn subscribe_as(
        &self,
        of: &str,
        url: &str,
        types: &[&str],
        managed_by: ManagedBy,
    ) -> SubscriptionId {
        let now = self.clock.now();
        let patterns = types.iter().map(|text| EventTypePattern::parse(text));
        let new = NewSubscription {
            id: SubscriptionId::new(now, self.random.as_ref()),
            company: company(of),
            url: TargetUrl::parse(url, Environment::Development).unwrap(),
            event_types: EventTypes::new(patterns.collect::<Result<_, _>>().unwrap()).unwrap(),
            secret: Secret::generate(self.random.as_ref()),
            description: None,
            enabled: true,
            managed_by,
            max_per_second: None,
            now,
        };
        let made = self.store.create_subscription(new, &Actor::COMMAND).await;
        made.unwrap().id
    }

    /// A subscription as it is now.
    pub(crate) async fn subscription(&self, id: SubscriptionId) -> Option<Subscription> {
        self.store.subscription(None, id).await.unwrap()
    }

    /// Publishes an event and gives its id.
    pub(crate) async fn publish(&self, of: &str, event_type: &str, payload: &str) -> EventId {
        let now = self.clock.now();
        let raw = RawValue::from_string(payload.to_owned()).unwrap();
        let id = EventId::new(now, self.random.as_ref());
        let event = Event::new(
            id,
            EventType::parse(event_type).unwrap(),
            now,
            company(of),
            JsonObject::from_raw(&raw).unwrap(),
            JsonObject::EMPTY,
        );
        let publication = Publication {
            company: company(of),
            events: vec![Arc::new(event)],
            idempotency: None,
            now,
        };
        self.store.append(publication).await.unwrap();
        id
    }

    /// Makes one attempt of everything that is due, all with the same answer. One that fails is
    /// tried again in an hour. Gives how many there were.
    pub(crate) async fn attempt_all(
        &self,
        (outcome, response): (AttemptOutcome, ReceivedResponse),
    ) -> usize {
        let now = self.clock.now();
        let until = now.plus_millis(60_000);
        let lease = self.store.acquire_lease(now, until).await.unwrap();
        let handover = Handover::new(HandoverLimits::default());
        let claimed = self.store.claim(lease, now, 1000, &handover).await.unwrap();
        let next = (outcome != AttemptOutcome::Succeeded).then(|| now.plus_millis(HOUR_MS));
        let verdict = next.map_or(Verdict::Succeeded, Verdict::RetryAt);
        let settle = |delivery: &tidings_store::Delivery| {
            let endpoint = self.store.endpoint(delivery.key.subscription).unwrap();
            let number = delivery.attempts_made + 1;
            let response = response.clone();
            let mut attempt =
                attempt_of(&endpoint, &delivery.event, number, now, outcome, response);
            attempt.id = AttemptId::new(now, self.random.as_ref());
            attempt.next_attempt = next;
            Settlement {
                key: delivery.key,
                lease,
                epoch: delivery.epoch,
                first_attempt: delivery.first_attempt.unwrap_or(now),
                attempt: attempt.into(),
                verdict,
                notice: None,
            }
        };
        let settlements: Vec<Settlement> = claimed.deliveries.iter().map(settle).collect();
        let count = settlements.len();
        self.store.settle(settlements).await.unwrap();
        self.store.end_lease(lease).await.unwrap();
        count
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left in the temporary directory is not worth failing over.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
