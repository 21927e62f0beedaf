//! A node: store, dispatcher, API, portal and housekeeping, put together and taken apart in order.
//!
//! `serve` and the demo both run one of these, and neither knows its parts.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tidings_api::{ApiMetrics, ApiOptions, Limits, RateLimits};
use tidings_delivery::{
    Courier, CourierOptions, DeliveryMetrics, Dispatcher, DispatcherOptions, PoolLimits,
    SystemResolver, trust_roots,
};
use tidings_domain::{
    api_key::ApiKeyToken, clock::Clock, cursor::CursorKey, random::Random, web_origin::WebOrigin,
};
use tidings_portal::PortalOptions;
use tidings_store::{Handover, HandoverLimits, Store, StoreError, StoreMetrics};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{HttpConfig, ServeConfig, TargetConfig},
    database::{self, Opened},
    health::NodeHealth,
    listener::{Listener, StopTokens},
    metrics,
    outbound::CourierOutbound,
    setup_link,
    site::Site,
    upkeep,
};

/// How long requests and attempts in flight may take to finish when the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(12);
/// How long the rest may take after they were cut off.
const CUT_OFF_MAX: Duration = Duration::from_secs(1);
/// How long the store may take to write out what it holds and close.
const CLOSE_MAX: Duration = Duration::from_millis(1500);

/// The clock and the chance that a node lives by.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub(crate) random: Arc<dyn Random>,
}

/// A running node.
pub(crate) struct Node {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    public_url: WebOrigin,
    database: String,
    surroundings: Surroundings,
    store: Arc<dyn Store>,
    stop: StopTokens,
    tasks: TaskTracker,
    dispatcher: JoinHandle<()>,
}

impl Node {
    /// Opens the store and starts everything. When this returns the API answers.
    pub(crate) async fn start(
        config: &ServeConfig,
        mut surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        let bootstrap_key = config.http.bootstrap_key()?;
        let courier = Arc::new(courier(config)?);
        let (listener, metrics_listener) = listeners(&config.http).await?;
        let mut registry = Registry::default();
        let store_metrics = StoreMetrics::default();
        store_metrics.register(&mut registry);
        let Opened {
            store,
            cursor_key,
            clock,
            name: database,
        } = database::open(
            &config.database,
            &config.connections,
            &surroundings,
            store_metrics,
        )
        .await?;
        // From here on nobody goes by any other.
        surroundings.clock = clock;
        metrics::register(
            &mut registry,
            Arc::clone(&store),
            Arc::clone(&surroundings.clock),
        );
        let api_metrics = ApiMetrics::default();
        api_metrics.register(&mut registry);
        let dispatcher = dispatcher(config, &surroundings, &store, &courier, &mut registry);

        let (stop, tasks) = (StopTokens::default(), TaskTracker::new());
        let registry = Arc::new(registry);
        let shared = Shared {
            store: Arc::clone(&store),
            outbound: Arc::new(CourierOutbound::new(courier, surroundings.clone())),
            public_url: config.portal.public_url(listener.address()),
            surroundings: surroundings.clone(),
            shutdown: stop.soft.clone(),
            tasks: tasks.clone(),
        };
        let health = NodeHealth::new(dispatcher.health(), Arc::clone(&surroundings.clock));
        let site = site(
            config,
            &shared,
            ApiOwn {
                cursor_key,
                bootstrap_key,
                health: Arc::new(health),
                metrics: api_metrics,
                registry: metrics_listener.is_none().then(|| Arc::clone(&registry)),
            },
        );
        let node = Self {
            address: listener.address(),
            metrics_address: metrics_listener.as_ref().map(Listener::address),
            public_url: shared.public_url,
            database,
            surroundings: surroundings.clone(),
            store: Arc::clone(&store),
            dispatcher: tokio::spawn(dispatcher.run(stop.soft.clone(), stop.hard.clone())),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        tasks.spawn(listener.serve(site, stop.clone()));
        if let Some(listener) = metrics_listener {
            let router = tidings_api::metrics_router(registry, surroundings.random.as_ref());
            tasks.spawn(listener.serve(router, stop.clone()));
        }
        let retention = config.retention.retention();
        tasks.spawn(upkeep::run(store, surroundings.clock, retention, stop.soft));
        tasks.close();
        Ok(node)
    }

    /// Where the API and the portal listen.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the metrics are, if they have an address of their own.
    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// How people reach the portal: its origin.
    pub(crate) fn public_url(&self) -> &WebOrigin {
        &self.public_url
    }

    /// A link by which the portal's first user is made; none where there is a user.
    pub(crate) async fn offer_setup(&self) -> Result<Option<String>, StoreError> {
        setup_link::offer(&*self.store, &self.surroundings, &self.public_url).await
    }

    /// How the database is called, without secrets.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Waits until the node breaks: its dispatcher ends although nobody stopped it. It must not
    /// be asked again after that.
    pub(crate) async fn broken(&mut self) {
        if let Err(error) = (&mut self.dispatcher).await {
            tracing::error!(%error, "the dispatcher broke");
        }
    }

    /// Stops: begins nothing new, finishes what is in flight, cuts off what takes too long, and
    /// closes the store. Takes at most [`DRAIN_MAX`], [`CUT_OFF_MAX`] and [`CLOSE_MAX`] together.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            store,
            stop,
            tasks,
            dispatcher,
            ..
        } = self;
        stop.soft.cancel();
        let drained = async {
            tasks.wait().await;
            dispatcher.await.context("the dispatcher broke")
        };
        tokio::pin!(drained);
        let mut ended = tokio::time::timeout(DRAIN_MAX, &mut drained).await;
        if ended.is_err() {
            tracing::warn!("cutting off what is still in flight; it will be made again");
            stop.hard.cancel();
            ended = tokio::time::timeout(CUT_OFF_MAX, drained).await;
        }
        // Everything that was promised is durable already. Closing saves the next start work, and
        // writes down the figures of the last seconds.
        let closing = async {
            store.write_figures().await?;
            store.close().await
        };
        match tokio::time::timeout(CLOSE_MAX, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the store did not close well"),
            Err(_) => tracing::warn!("the store did not close in time"),
        }
        ended.unwrap_or(Ok(()))
    }
}

/// What the API and the portal both need.
struct Shared {
    store: Arc<dyn Store>,
    outbound: Arc<CourierOutbound>,
    public_url: WebOrigin,
    surroundings: Surroundings,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// What the API alone needs.
struct ApiOwn {
    cursor_key: CursorKey,
    bootstrap_key: Option<ApiKeyToken>,
    health: Arc<NodeHealth>,
    metrics: ApiMetrics,
    registry: Option<Arc<Registry>>,
}

/// The API and the portal.
fn site(config: &ServeConfig, shared: &Shared, own: ApiOwn) -> Site {
    let Surroundings { clock, random } = &shared.surroundings;
    let api = tidings_api::router(ApiOptions {
        store: Arc::clone(&shared.store),
        outbound: Arc::<CourierOutbound>::clone(&shared.outbound),
        health: own.health,
        clock: Arc::clone(clock),
        random: Arc::clone(random),
        cursor_key: own.cursor_key,
        environment: config.target.environment,
        public_url: shared.public_url.clone(),
        bootstrap_key: own.bootstrap_key,
        limits: limits(&config.http),
        rate_limits: rate_limits(&config.http),
        catalog_enforcement: config.http.catalog_enforce.into(),
        metrics: own.metrics,
        registry: own.registry,
        shutdown: shared.shutdown.clone(),
    });
    let portal = tidings_portal::router(PortalOptions {
        store: Arc::clone(&shared.store),
        outbound: Arc::<CourierOutbound>::clone(&shared.outbound),
        clock: Arc::clone(clock),
        random: Arc::clone(random),
        environment: config.target.environment,
        public_url: shared.public_url.clone(),
        frame_origins: config.portal.portal_frame_origin.clone(),
        shutdown: shared.shutdown.clone(),
        tasks: shared.tasks.clone(),
    });
    Site::with_portal(api, portal)
}

/// Takes the addresses: the site's, and the metrics' own where they have one.
async fn listeners(config: &HttpConfig) -> anyhow::Result<(Listener, Option<Listener>)> {
    let listener = Listener::bind(config.listen, "--listen").await?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(Listener::bind(address, "--metrics-listen").await?),
        None => None,
    };
    Ok((
        listener.trusting(config.trusted_proxies()),
        metrics_listener,
    ))
}

fn courier(config: &ServeConfig) -> anyhow::Result<Courier> {
    let TargetConfig {
        extra_root_ca,
        dns_server,
        ..
    } = &config.target;
    let roots = trust_roots(extra_root_ca.as_deref()).context("--extra-root-ca is not usable")?;
    let resolver = SystemResolver::new(dns_server.map(|server| server.0))
        .context("cannot set up the resolver of names; try --dns-server")?;
    Ok(Courier::new(CourierOptions {
        rules: config.target.rules(),
        resolver: Arc::new(resolver),
        roots,
        attempt_timeout: config.delivery.attempt_timeout.as_duration(),
        pool: PoolLimits::default(),
    }))
}

fn dispatcher(
    config: &ServeConfig,
    surroundings: &Surroundings,
    store: &Arc<dyn Store>,
    courier: &Arc<Courier>,
    registry: &mut Registry,
) -> Dispatcher {
    let metrics = DeliveryMetrics::default();
    metrics.register(registry);
    let delivery = &config.delivery;
    Dispatcher::new(DispatcherOptions {
        store: Arc::clone(store),
        transport: Arc::<Courier>::clone(courier),
        handover: Handover::new(HandoverLimits::default()),
        clock: Arc::clone(&surroundings.clock),
        random: Arc::clone(&surroundings.random),
        schedule: delivery.retry_schedule.0.clone(),
        concurrency: delivery.concurrency.get(),
        concurrency_per_subscription: delivery.concurrency_per_subscription.get(),
        lease_ms: delivery.node_lease.as_ms(),
        metrics,
    })
}

fn limits(config: &HttpConfig) -> Limits {
    Limits {
        event_bytes_max: config.max_event_bytes.0,
        ..Limits::default()
    }
}

fn rate_limits(config: &HttpConfig) -> RateLimits {
    let limits = config.rate_limit.unwrap_or_default();
    RateLimits {
        read: limits.read,
        write: limits.write,
        publish: limits.publish,
    }
}
