//! One API over a fresh database, and short words for asking it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_api::{
    ApiMetrics, ApiOptions, CatalogEnforcement, Health, Limits, Outbound, RateLimits,
    TargetRefusal, router,
};
use tidings_domain::{
    api_key::ApiKeyToken,
    attempt::{Attempt, AttemptError, AttemptOutcome, ReceivedResponse, SentRequest},
    clock::{Clock as _, ManualClock},
    cursor::CursorKey,
    event::Event,
    id::AttemptId,
    random::{Random, SeededRandom},
    signing::Signer,
    subscription::Endpoint,
    target::{Environment, TargetUrl},
    time::UtcMillis,
    verdict::Verdict,
    web_origin::WebOrigin,
};
use tidings_store::{
    DeliveryQueue as _, EncryptionKey, Handover, HandoverLimits, Settlement, Store, StoreMetrics,
};
use tidings_store_sqlite::{SqliteOptions, SqliteStore};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The platform's admin key.
pub(crate) const BOOTSTRAP: &str = "tdg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// How people reach the server.
pub(crate) const PUBLIC_URL: &str = "https://hooks.example.com";
/// Where the clock begins.
pub(crate) const START: &str = "2026-11-23T08:30:00.000Z";
/// A path that many tests use.
pub(crate) const EVENTS: &str = "/api/v1/events";
/// Another one.
pub(crate) const SUBSCRIPTIONS: &str = "/api/v1/webhooks/subscriptions";

/// The API and everything around it.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) outbound: Arc<Scripted>,
    pub(crate) health: Arc<Dispatcher>,
    pub(crate) shutdown: CancellationToken,
    random: Arc<SeededRandom>,
    directory: PathBuf,
}

/// What a test may want otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) catalog_enforcement: CatalogEnforcement,
    pub(crate) environment: Environment,
}

/// A delivery side that does what the test says.
#[derive(Default)]
pub(crate) struct Scripted {
    /// Why targets are refused; none: all are fine.
    pub(crate) refusal: Mutex<Option<String>>,
    /// How tests end.
    pub(crate) outcome: Mutex<Option<(AttemptOutcome, ReceivedResponse)>>,
    /// What was sent.
    pub(crate) sent: Mutex<Vec<(Arc<Endpoint>, Arc<Event>)>>,
    /// What was checked.
    pub(crate) checked: Mutex<Vec<String>>,
    /// Where set, checks and tests end only when it has a permit for them.
    pub(crate) gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Scripted {
    async fn pass_gate(&self) {
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
    }
}

#[async_trait::async_trait]
impl Outbound for Scripted {
    async fn check_target(&self, url: &TargetUrl) -> Result<(), TargetRefusal> {
        self.checked.lock().push(url.to_string());
        self.pass_gate().await;
        match &*self.refusal.lock() {
            Some(reason) => Err(TargetRefusal(reason.clone())),
            None => Ok(()),
        }
    }

    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt {
        self.sent
            .lock()
            .push((Arc::clone(&endpoint), Arc::clone(&event)));
        self.pass_gate().await;
        let scripted = self.outcome.lock().clone();
        let (outcome, response) =
            scripted.unwrap_or((AttemptOutcome::Succeeded, answered(200, "ok")));
        attempt_of(&endpoint, &event, 1, start(), outcome, response)
    }
}

/// [`START`] as an instant.
pub(crate) fn start() -> UtcMillis {
    UtcMillis::from_millis(1_795_422_600_000)
}

/// A response with a status and a body.
pub(crate) fn answered(status: u16, body: &str) -> ReceivedResponse {
    ReceivedResponse {
        status: Some(status),
        headers: vec![
            ("content-type".to_owned(), "text/plain".to_owned()),
            ("set-cookie".to_owned(), "a=1".to_owned()),
            ("set-cookie".to_owned(), "b=2".to_owned()),
        ],
        body: body.to_owned(),
        body_truncated: false,
    }
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
            url: endpoint.url.shared(),
            user_agent: "Tidings/test".into(),
            signatures: Some(signer.sign(event.id(), now, event.json())),
        },
        response,
        next_attempt: None,
    }
}

/// Whether the dispatcher turns.
#[derive(Default)]
pub(crate) struct Dispatcher {
    pub(crate) stalled: AtomicBool,
}

impl Health for Dispatcher {
    fn dispatcher_stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst)
    }
}

impl App {
    /// An API as it is by default, in production.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    /// An API with other settings.
    pub(crate) fn with(settings: Settings) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("tidings-api-{}-{count}", std::process::id());
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
        let health = Arc::new(Dispatcher::default());
        let shutdown = CancellationToken::new();
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = ApiMetrics::default();
        metrics.register(&mut registry);
        let router = router(ApiOptions {
            store: Arc::clone(&store) as Arc<dyn Store>,
            outbound: Arc::clone(&outbound) as Arc<dyn Outbound>,
            health: Arc::clone(&health) as Arc<dyn Health>,
            clock: Arc::clone(&clock) as Arc<_>,
            random: Arc::clone(&random) as Arc<_>,
            cursor_key: CursorKey::new(&[9; 32]),
            environment: settings.environment,
            public_url: WebOrigin::parse(PUBLIC_URL).unwrap(),
            bootstrap_key: Some(ApiKeyToken::parse(BOOTSTRAP).unwrap()),
            limits: settings.limits,
            rate_limits: settings.rate_limits,
            catalog_enforcement: settings.catalog_enforcement,
            metrics,
            registry: Some(Arc::new(registry)),
            shutdown: shutdown.clone(),
        });
        Self {
            router,
            store,
            clock,
            outbound,
            health,
            shutdown,
            random,
            directory,
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        };
        assert!(
            answer.headers.contains_key("x-request-id"),
            "every answer has one"
        );
        answer
    }

    /// Asks with a key, and a JSON body where it is not empty.
    pub(crate) async fn ask(&self, method: Method, key: &str, path: &str, body: &str) -> Answer {
        self.send(request(method, key, path, body)).await
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(Method::GET, key, path, "").await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &str) -> Answer {
        self.ask(Method::POST, key, path, body).await
    }

    pub(crate) async fn patch(&self, key: &str, path: &str, body: &str) -> Answer {
        self.ask(Method::PATCH, key, path, body).await
    }

    pub(crate) async fn delete(&self, key: &str, path: &str) -> Answer {
        self.ask(Method::DELETE, key, path, "").await
    }

    /// A key of a company with these scopes.
    pub(crate) async fn key(&self, company: &str, scopes: &[&str]) -> String {
        let body = json!({"name": "test", "scopes": scopes, "companyId": company}).to_string();
        let answer = self.post(BOOTSTRAP, "/api/v1/api-keys", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["key"].as_str().unwrap().to_owned()
    }

    /// An admin key of a company.
    pub(crate) async fn admin(&self, company: &str) -> String {
        self.key(company, &["admin"]).await
    }

    /// Publishes an event of a type and gives its id.
    pub(crate) async fn publish(&self, key: &str, event_type: &str) -> String {
        let body = json!({"type": event_type, "payload": {}}).to_string();
        let answer = self.post(key, EVENTS, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Subscribes to types and gives the subscription's id.
    pub(crate) async fn subscribe(&self, key: &str, types: &[&str]) -> String {
        let body = json!({"url": "https://example.com/hook", "eventTypes": types}).to_string();
        let answer = self.post(key, SUBSCRIPTIONS, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Makes one attempt of everything that is due, as a dispatcher would. Gives how many.
    pub(crate) async fn attempt_all(&self, outcome: AttemptOutcome, verdict: Verdict) -> usize {
        let now = self.clock.now();
        let until = now.plus_millis(60_000);
        let lease = self.store.acquire_lease(now, until).await.unwrap();
        let handover = Handover::new(HandoverLimits::default());
        let claimed = self.store.claim(lease, now, 1000, &handover).await.unwrap();
        let status = match outcome {
            AttemptOutcome::Succeeded => 200,
            AttemptOutcome::Failed(_) => 503,
        };
        let response = match outcome {
            AttemptOutcome::Failed(AttemptError::Timeout) => ReceivedResponse::default(),
            _ => answered(status, "body"),
        };
        let settlements: Vec<Settlement> = claimed
            .deliveries
            .iter()
            .map(|delivery| {
                let endpoint = self.store.endpoint(delivery.key.subscription).unwrap();
                let number = delivery.attempts_made + 1;
                let response = response.clone();
                let mut attempt =
                    attempt_of(&endpoint, &delivery.event, number, now, outcome, response);
                attempt.id = AttemptId::new(now, self.random.as_ref());
                if let Verdict::RetryAt(next) = verdict {
                    attempt.next_attempt = Some(next);
                }
                Settlement {
                    key: delivery.key,
                    lease,
                    epoch: delivery.epoch,
                    first_attempt: delivery.first_attempt.unwrap_or(now),
                    attempt: Arc::new(attempt),
                    verdict,
                    notice: None,
                }
            })
            .collect();
        let count = settlements.len();
        self.store.settle(settlements).await.unwrap();
        self.store.end_lease(lease).await.unwrap();
        count
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // What is left in the temporary directory is not worth failing over.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A request with a key, and a JSON body where it is not empty.
pub(crate) fn request(method: Method, key: &str, path: &str, body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !key.is_empty() {
        request = request.header("x-api-key", key);
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// The same request with another header field.
pub(crate) fn with_field(
    mut request: Request<Body>,
    name: &'static str,
    value: &str,
) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header field's value; empty where it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem, in every respect, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["requestId"], self.field("x-request-id"));
        for member in ["type", "title", "detail", "instance"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{member} in {problem}");
        }
        problem
    }

    /// Checks that this is a 422, and gives the pointers it names.
    #[track_caller]
    pub(crate) fn invalid(&self) -> Vec<String> {
        let problem = self.problem(422, "invalid_request");
        let errors = problem["errors"].as_array().unwrap();
        let pointer = |error: &Value| {
            assert!(!error["detail"].as_str().unwrap().is_empty());
            error["pointer"].as_str().unwrap().to_owned()
        };
        errors.iter().map(pointer).collect()
    }

    /// The ids of the listed items.
    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{self:?}");
        let items = self.json();
        let items = items.as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn cursor(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        self.field("x-paging-cursor")
    }
}
