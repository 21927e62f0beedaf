//! Attempts by themselves: what the delivery side does between the dispatcher and the store, to a
//! receiver over the network.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use tidings_delivery::{
    AttemptRequest, Courier, CourierOptions, PoolLimits, SystemResolver, trust_roots,
};
use tidings_domain::{
    address::AddressRules,
    attempt::AttemptOutcome,
    breaker::EndpointHealth,
    event::Event,
    event_type::EventType,
    id::{EventId, SubscriptionId},
    random::SeededRandom,
    secret::Secret,
    signing::Signer,
    subscription::{Endpoint, SigningSecrets},
    target::{Environment, TargetUrl},
    time::UtcMillis,
};
use tokio::task::JoinSet;

/// Attempts under way at a time.
const CONCURRENCY: usize = 64;
/// Attempts before the measurement, which open the connections.
const WARM_UP: usize = 5_000;
/// 2026-01-31T08:00:00Z.
const START_MS: i64 = 1_769_846_400_000;
/// Microseconds of one tick in `/proc/self/stat`.
const TICK_US: u64 = 10_000;

/// Where attempts go.
#[derive(Args, Debug)]
pub(crate) struct Receiver {
    /// The receiver's URL, for `post`
    #[arg(long)]
    url: Option<String>,
    /// The signing secret
    #[arg(long)]
    secret: Option<String>,
    /// A root certificate to trust, in PEM
    #[arg(long)]
    root: Option<PathBuf>,
}

/// What every attempt is made with.
struct Engine {
    courier: Courier,
    endpoint: Arc<Endpoint>,
    signer: Arc<Signer>,
    event_type: EventType,
    payload: String,
    random: SeededRandom,
}

/// Makes so many attempts, and prints what each cost this process.
pub(crate) async fn post(count: usize, receiver: Receiver) -> anyhow::Result<()> {
    let engine = Arc::new(Engine::new(receiver)?);
    attempt_all(&engine, WARM_UP).await?;
    let before = cpu_us()?;
    attempt_all(&engine, count).await?;
    let used = cpu_us()? - before;
    let us = f64::from(u32::try_from(used).context("a measurement of minutes")?)
        / f64::from(u32::try_from(count).context("so many")?);
    println!("{{\"cpuUsPerAttempt\": {us:.2}}}");
    Ok(())
}

async fn attempt_all(engine: &Arc<Engine>, count: usize) -> anyhow::Result<()> {
    let mut workers = JoinSet::new();
    for worker in 0..CONCURRENCY {
        let engine = Arc::clone(engine);
        let share = count / CONCURRENCY + usize::from(worker < count % CONCURRENCY);
        workers.spawn(async move {
            for _ in 0..share {
                engine.attempt().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

impl Engine {
    fn new(receiver: Receiver) -> anyhow::Result<Self> {
        let random = SeededRandom::new(1);
        let url = receiver.url.context("post needs --url")?;
        let secret = match receiver.secret {
            Some(text) => Secret::parse(&text)?,
            None => Secret::generate(&random),
        };
        let now = UtcMillis::from_millis(START_MS);
        Ok(Self {
            courier: Courier::new(CourierOptions {
                rules: AddressRules::new(Environment::Development, Vec::new(), Vec::new()),
                resolver: Arc::new(SystemResolver::new(None)?),
                roots: trust_roots(receiver.root.as_deref())?,
                attempt_timeout: Duration::from_secs(10),
                pool: PoolLimits::default(),
            }),
            signer: Arc::new(Signer::new(&secret, None)),
            endpoint: Arc::new(Endpoint {
                id: SubscriptionId::new(now, &random),
                company: crate::ground::company()?,
                url: TargetUrl::parse(&url, Environment::Development)?,
                secrets: SigningSecrets {
                    newest: secret,
                    previous: None,
                },
                enabled: true,
                epoch: 0,
                max_per_second: None,
                health: EndpointHealth::default(),
            }),
            event_type: EventType::parse("bench.happened")?,
            // The mark by which the sink of the benchmark knows a body.
            payload: format!(
                r#"{{"sentUs":1700000000000000,"text":"{}"}}"#,
                "x".repeat(983)
            ),
            random,
        })
    }

    async fn attempt(&self) -> anyhow::Result<()> {
        let now = UtcMillis::from_millis(START_MS);
        let event = Event::from_stored(
            EventId::new(now, &self.random),
            self.event_type.clone(),
            now,
            self.endpoint.company.clone(),
            &self.payload,
            "{}",
        );
        let report = self
            .courier
            .attempt(AttemptRequest {
                endpoint: Arc::clone(&self.endpoint),
                event: Arc::new(event),
                signer: Arc::clone(&self.signer),
                number: 1,
                now,
            })
            .await;
        ensure!(
            report.outcome == AttemptOutcome::Succeeded,
            "an attempt ended with {:?}",
            report.outcome
        );
        Ok(())
    }
}

/// CPU time of this process, user and system, in microseconds (proc(5): fields 14 and 15).
fn cpu_us() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("Linux is needed")?;
    let (_, rest) = stat
        .rsplit_once(')')
        .context("the form of /proc/self/stat")?;
    let fields = rest.split_ascii_whitespace().skip(11).take(2);
    let ticks: Result<Vec<u64>, _> = fields.map(str::parse).collect();
    Ok(ticks?.iter().sum::<u64>() * TICK_US)
}
