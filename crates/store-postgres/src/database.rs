//! Connections: how they are made and set up, and the counted way to a statement.
//!
//! Reads and changes borrow one from a pool, claims and leases from another; the writer and the
//! watch own one each. What they are used for is not this module's business.

use std::time::Duration;

use deadpool_postgres::{
    GenericClient, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use futures_util::future::select_ok;
use rustls::{ClientConfig, RootCertStore};
use tidings_store::StoreMetrics;
use tokio_postgres::{Config, Row, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::Failure;

/// How long a connection to one host may take to be made, in seconds, unless the URL says so.
const CONNECT_TIMEOUT_SECONDS: u64 = 2;
/// How long it may take in all, in seconds: where the URL names several hosts, enough to try a few.
const CREATE_SECONDS_MAX: u64 = 10;
/// After how long without a word the other side is asked whether it is there, in seconds.
const KEEPALIVE_IDLE_SECONDS: u64 = 15;
/// And how often after that, in seconds.
const KEEPALIVE_INTERVAL_SECONDS: u64 = 5;
/// How long the other side may leave what was sent without a receipt, in seconds.
const SILENCE_SECONDS_MAX: u64 = 30;
/// How long a borrower waits for a connection of the pool, in seconds.
const POOL_WAIT_SECONDS: u64 = 5;
/// Every connection is set up with this.
///
/// Plans are made once, for any values: each statement has the one index that it is meant for, and
/// statistics of tables that fill and empty within seconds would only mislead. So ways that read
/// whole tables are taken only where there is no other.
const SET_UP: &str = "
    SET application_name = 'tidings';
    SET statement_timeout = '10s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s';
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_sort = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
    SET timezone = 'UTC';
";

/// Values for the parameters of a statement.
pub(crate) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// Makes connections: where to, and how to trust the other side.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// For the database that `config` names. Certificates are checked against `roots` wherever
    /// TLS is spoken.
    pub(crate) fn new(mut config: Config, roots: RootCertStore) -> Self {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECONDS));
        }
        // A server that vanished is noticed, also where nothing is sent.
        config.keepalives_idle(Duration::from_secs(KEEPALIVE_IDLE_SECONDS));
        config.keepalives_interval(Duration::from_secs(KEEPALIVE_INTERVAL_SECONDS));
        config.tcp_user_timeout(Duration::from_secs(SILENCE_SECONDS_MAX));
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            config,
            tls: MakeRustlsConnect::new(tls),
        }
    }

    /// A pool of at most so many connections, each set up.
    pub(crate) fn pool(&self, connections_max: usize) -> Result<Pool, Failure> {
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(
            self.config.clone(),
            self.tls.clone(),
            ManagerConfig { recycling_method },
        );
        let wait = Duration::from_secs(POOL_WAIT_SECONDS);
        Pool::builder(manager)
            .max_size(connections_max)
            .wait_timeout(Some(wait))
            .create_timeout(Some(Duration::from_secs(CREATE_SECONDS_MAX)))
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute(SET_UP)
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| Failure::Broken(error.to_string()))
    }

    /// The configuration and TLS, for a connection that somebody owns alone.
    pub(crate) fn parts(&self) -> (&Config, &MakeRustlsConnect) {
        (&self.config, &self.tls)
    }
}

/// Where to get a connection, and where its statements are counted.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) metrics: &'a StoreMetrics,
}

/// A connection or a transaction, whose statements are prepared once and counted.
pub(crate) struct Database<'c, C> {
    client: &'c C,
    metrics: &'c StoreMetrics,
}

impl<'c, C: GenericClient> Database<'c, C> {
    pub(crate) fn new(client: &'c C, metrics: &'c StoreMetrics) -> Self {
        Self { client, metrics }
    }

    /// All rows of a query.
    pub(crate) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let statement = self.client.prepare_cached(sql).await?;
        self.metrics.statements.inc();
        Ok(self.client.query(&statement, params).await?)
    }

    /// The first row of a query, if there is one.
    pub(crate) async fn first(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Executes a statement; returns how many rows it changed.
    pub(crate) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, Failure> {
        let statement = self.client.prepare_cached(sql).await?;
        self.metrics.statements.inc();
        Ok(self.client.execute(&statement, params).await?)
    }
}

/// A connection of the pool, given back when it is dropped.
pub(crate) async fn borrow(pool: &Pool) -> Result<Object, Failure> {
    Ok(pool.get().await?)
}

/// A connection of whichever pool has one first: for what must not wait for either's users.
pub(crate) async fn borrow_of_either(one: &Pool, other: &Pool) -> Result<Object, Failure> {
    let (client, _) = select_ok([one, other].map(|pool| Box::pin(pool.get()))).await?;
    Ok(client)
}
