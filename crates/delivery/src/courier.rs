//! The courier: the HTTP client that makes attempts.
//!
//! One attempt goes from file to file: [`crate::guard`] says which addresses may be dialled now,
//! [`crate::pool`] gives an idle connection to one of them or [`crate::connect`] makes one,
//! [`crate::outgoing`] builds the signed request, [`crate::exchange`] sends it and reads the
//! answer. One deadline stands over all of it. The courier classifies what happened; when to try
//! again is not its affair. Redirects are not followed, proxies of the environment are not asked.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{StatusCode, header::RETRY_AFTER};
use rustls::RootCertStore;
use tidings_domain::{
    address::AddressRules,
    attempt::{AttemptError, AttemptOutcome, SentRequest},
    signing::Signatures,
    target::TargetUrl,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    AttemptReport, AttemptRequest, Transport,
    connect::{Connection, Connector, origin},
    exchange::{Answer, AnswerEnd, exchange},
    failure::Failure,
    guard::{Guard, TargetRefusal, Vetted},
    outgoing::{self, USER_AGENT_VALUE},
    pool::{Pool, PoolLimits},
    resolver::Resolve,
    retry_after,
};

/// How long a connection may take to become ready for its next request once an answer is read. A
/// receiver that answers before it has read the request keeps it busy; such a one is closed.
const READY_WAIT: Duration = Duration::from_millis(20);

/// What a courier needs.
pub struct CourierOptions {
    /// Where deliveries may go.
    pub rules: AddressRules,
    /// Finds the addresses of names.
    pub resolver: Arc<dyn Resolve>,
    /// Whom to trust: see [`crate::trust_roots`].
    pub roots: RootCertStore,
    /// The time that one attempt gets in all.
    pub attempt_timeout: Duration,
    /// How many idle connections are kept.
    pub pool: PoolLimits,
}

/// Makes attempts over the network.
pub struct Courier {
    guard: Guard,
    connector: Connector,
    pool: Arc<Pool>,
    attempt_timeout: Duration,
}

impl Courier {
    /// A courier without any connection yet.
    #[must_use]
    pub fn new(options: CourierOptions) -> Self {
        Self {
            guard: Guard::new(options.rules, options.resolver),
            connector: Connector::new(options.roots),
            pool: Pool::new(options.pool),
            attempt_timeout: options.attempt_timeout,
        }
    }

    /// Whether a subscription may have this target: its name and every address of it are judged
    /// now, and again at every attempt. In development a name that does not resolve is accepted.
    pub async fn check_target(&self, target: &TargetUrl) -> Result<(), TargetRefusal> {
        self.guard.check(target).await
    }

    /// Makes one attempt; see [`Transport::attempt`].
    pub async fn attempt(&self, request: AttemptRequest) -> AttemptReport {
        let begun = Instant::now();
        let deadline = begun + self.attempt_timeout;
        let mut journey = Journey {
            courier: self,
            request: &request,
            deadline,
            is_vetted: false,
            signatures: None,
            answer: Answer::default(),
        };
        let made = timeout_at(deadline, journey.make()).await;
        let made = made.unwrap_or_else(|_| Err(journey.cut_off()));
        let elapsed = begun.elapsed();
        let Journey {
            signatures, answer, ..
        } = journey;
        let outcome = match made {
            Ok(reusable) => {
                if let Some(connection) = reusable {
                    self.keep(connection).await;
                }
                judge(answer.status)
            }
            Err(failure) => {
                tracing::debug!(
                    subscription = %request.endpoint.id,
                    event = %request.event.id(),
                    attempt = request.number,
                    %failure,
                    "an attempt failed"
                );
                AttemptOutcome::Failed(failure.kind)
            }
        };
        let retry_after = answer.headers.get(RETRY_AFTER);
        AttemptReport {
            outcome,
            retry_after_ms: retry_after
                .and_then(|value| value.to_str().ok())
                .and_then(|text| retry_after::parse(text, request.now)),
            request: SentRequest {
                url: request.endpoint.url.shared(),
                user_agent: USER_AGENT_VALUE.into(),
                signatures,
            },
            response: answer.into_received(),
            elapsed_ms: u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Puts a connection into the pool once it is ready for the next request. That is mostly so
    /// already; else it is a matter of another task's turn.
    async fn keep(&self, mut connection: Connection) {
        let is_ready = connection.sender.is_ready()
            || matches!(
                timeout(READY_WAIT, connection.sender.ready()).await,
                Ok(Ok(()))
            );
        if is_ready {
            self.pool.put(connection);
        }
    }
}

#[async_trait]
impl Transport for Courier {
    async fn attempt(&self, request: AttemptRequest) -> AttemptReport {
        Courier::attempt(self, request).await
    }
}

/// An attempt on its way: what it has come by stands here when it is cut off.
struct Journey<'a> {
    courier: &'a Courier,
    request: &'a AttemptRequest,
    deadline: Instant,
    is_vetted: bool,
    signatures: Option<Signatures>,
    answer: Answer,
}

impl Journey<'_> {
    /// Goes all the way; hands the connection back where it can be used again.
    async fn make(&mut self) -> Result<Option<Connection>, Failure> {
        let target = &self.request.endpoint.url;
        let vetted = self.courier.guard.vet(target).await?;
        self.is_vetted = true;
        if let Some(done) = self.over_an_idle_connection(&vetted).await {
            return done;
        }
        let connector = &self.courier.connector;
        let mut connection = connector
            .connect(target, vetted.addresses(), self.deadline)
            .await?;
        let request = self.sign()?;
        match exchange(&mut connection, request, &mut self.answer).await {
            Ok(end) => Ok(reusable(connection, end)),
            Err(broken) => Err(broken.failure),
        }
    }

    /// None where there is no idle connection, or where the one that was taken turned out to be
    /// closed: receivers close idle connections when they like, so that is no failure of theirs,
    /// and the request is made anew on a fresh one. At least once makes that safe.
    async fn over_an_idle_connection(
        &mut self,
        vetted: &Vetted,
    ) -> Option<Result<Option<Connection>, Failure>> {
        let target = &self.request.endpoint.url;
        let pool = &self.courier.pool;
        let mut connection = pool.take(origin(target), vetted.addresses())?;
        let request = match self.sign() {
            Ok(request) => request,
            Err(failure) => return Some(Err(failure)),
        };
        match exchange(&mut connection, request, &mut self.answer).await {
            Ok(end) => Some(Ok(reusable(connection, end))),
            Err(broken) if broken.was_silent => {
                tracing::trace!(failure = %broken.failure, "an idle connection was closed");
                None
            }
            Err(broken) => Some(Err(broken.failure)),
        }
    }

    /// What the deadline means here: a resolver that is silent for so long is `dns`, whether its
    /// own limit or the attempt's is the shorter.
    fn cut_off(&self) -> Failure {
        if self.is_vetted {
            AttemptError::Timeout.into()
        } else {
            AttemptError::Dns.into()
        }
    }

    fn sign(&mut self) -> Result<outgoing::Outgoing, Failure> {
        let AttemptRequest {
            signer, event, now, ..
        } = self.request;
        let signatures = self
            .signatures
            .get_or_insert_with(|| signer.sign(event.id(), *now, event.json()));
        outgoing::request(self.request, signatures)
    }
}

fn reusable(connection: Connection, end: AnswerEnd) -> Option<Connection> {
    (end == AnswerEnd::Whole).then_some(connection)
}

/// What a full answer means. Every 3xx is a redirect here, since none is followed.
fn judge(status: Option<StatusCode>) -> AttemptOutcome {
    match status {
        Some(status) if status.is_success() => AttemptOutcome::Succeeded,
        Some(status) if status.is_redirection() => AttemptOutcome::Failed(AttemptError::Redirect),
        Some(_) | None => AttemptOutcome::Failed(AttemptError::Status),
    }
}
