//! Scripted receivers on the loopback interface, and couriers to visit them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidings_delivery::{
    AttemptReport, AttemptRequest, Courier, CourierOptions, PoolLimits, trust_roots,
};
use tidings_domain::{
    address::AddressRules,
    attempt::{AttemptError, AttemptOutcome},
    breaker::EndpointHealth,
    company::CompanyId,
    event::Event,
    event_type::EventType,
    id::{EventId, SubscriptionId},
    json_object::JsonObject,
    random::SeededRandom,
    secret::Secret,
    signing::Signer,
    subscription::{Endpoint, SigningSecrets},
    target::{Environment, TargetUrl},
    time::UtcMillis,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    task::{AbortHandle, JoinSet},
};

use crate::names::ScriptedNames;

/// Longer than anything here takes: whoever waits for so long waits in vain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// For attempts that are meant to run out of time.
pub(crate) const SHORT: Duration = Duration::from_millis(150);
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A listening socket with a script; it stops listening when dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Mutex<mpsc::UnboundedReceiver<Received>>,
    accepting: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a script may do: it has the connection, and reports the requests that it reads.
pub(crate) struct Visit<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) log: mpsc::UnboundedSender<Received>,
}

impl<S: AsyncRead + tokio::io::AsyncWrite + Unpin> Visit<S> {
    /// The next request; none where the courier closed the connection.
    pub(crate) async fn request(&mut self) -> Option<Received> {
        let request = read_request(&mut self.stream).await?;
        // A test that is over does not listen any more.
        let _ = self.log.send(request.clone());
        Some(request)
    }

    /// Writes, whether the courier still reads or not.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Answers every request alike until the courier closes the connection.
    pub(crate) async fn answer_all(&mut self, answer: impl AsRef<[u8]>) {
        while self.request().await.is_some() {
            self.write(&answer).await;
        }
    }

    /// Waits until the courier closes the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}

impl Receiver {
    /// Runs `script` for each connection, numbered from 0.
    pub(crate) async fn at<F>(
        address: &str,
        script: impl Fn(usize, Visit) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, requests) = mpsc::unbounded_channel();
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut visits = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let log = log.clone();
                visits.spawn(script(number, Visit { stream, log }));
            }
        });
        Self {
            address,
            connections,
            requests: Mutex::new(requests),
            accepting: accepting.abort_handle(),
        }
    }

    pub(crate) async fn with<F>(script: impl Fn(usize, Visit) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1:0", script).await
    }

    /// One that answers every request with the same bytes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::with(move |_, mut visit| {
            let answer = answer.clone();
            async move { visit.answer_all(answer).await }
        })
        .await
    }

    /// One that answers the first request of each connection with these bytes, and closes.
    pub(crate) async fn answering_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::with(move |_, mut visit| {
            let answer = answer.clone();
            async move {
                visit.request().await;
                visit.write(answer).await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn next_request(&self) -> Received {
        let mut requests = self.requests.lock().await;
        patiently(requests.recv()).await.unwrap()
    }
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut received = Received {
        line,
        headers,
        body: Vec::new(),
    };
    let length = received.header("content-length")?.parse().unwrap();
    received.body.resize(length, 0);
    stream.read_exact(&mut received.body).await.ok()?;
    Some(received)
}

/// Options of a courier in development that knows no names.
pub(crate) fn development() -> CourierOptions {
    CourierOptions {
        rules: AddressRules::new(Environment::Development, Vec::new(), Vec::new()),
        resolver: Arc::new(ScriptedNames::default()),
        roots: trust_roots(None).unwrap(),
        attempt_timeout: PATIENCE,
        pool: PoolLimits::default(),
    }
}

pub(crate) fn courier() -> Courier {
    Courier::new(development())
}

/// A courier whose attempts run out of time quickly.
pub(crate) fn hasty_courier() -> Courier {
    Courier::new(CourierOptions {
        attempt_timeout: SHORT,
        ..development()
    })
}

pub(crate) fn target(url: &str) -> TargetUrl {
    TargetUrl::parse(url, Environment::Development).unwrap()
}

pub(crate) fn secret() -> Secret {
    Secret::generate(&SeededRandom::new(7))
}

pub(crate) fn event() -> Event {
    let payload = serde_json::value::RawValue::from_string(r#"{"amount": 99.00}"#.into()).unwrap();
    let now = UtcMillis::from_millis(1_700_000_000_000);
    Event::new(
        EventId::new(now, &SeededRandom::new(3)),
        EventType::parse("payment.failed").unwrap(),
        now,
        CompanyId::parse("acme").unwrap(),
        JsonObject::from_raw(&payload).unwrap(),
        JsonObject::EMPTY,
    )
}

pub(crate) fn attempt_to(url: &str) -> AttemptRequest {
    let now = UtcMillis::from_millis(1_700_000_000_000);
    let event = event();
    AttemptRequest {
        endpoint: Arc::new(Endpoint {
            id: SubscriptionId::new(now, &SeededRandom::new(5)),
            company: event.company().clone(),
            url: target(url),
            secrets: SigningSecrets {
                newest: secret(),
                previous: None,
            },
            enabled: true,
            epoch: 0,
            max_per_second: None,
            health: EndpointHealth::default(),
        }),
        event: Arc::new(event),
        signer: Arc::new(Signer::new(&secret(), None)),
        number: 1,
        now,
    }
}

pub(crate) async fn deliver(courier: &Courier, url: &str) -> AttemptReport {
    patiently(courier.attempt(attempt_to(url))).await
}

/// One attempt of a new courier in development.
pub(crate) async fn deliver_once(url: &str) -> AttemptReport {
    deliver(&courier(), url).await
}

pub(crate) fn failed(error: AttemptError) -> AttemptOutcome {
    AttemptOutcome::Failed(error)
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
