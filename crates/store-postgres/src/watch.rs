//! The watch: what other nodes do, as far as this one must know of it.
//!
//! It listens on a connection of its own, and looks by itself every second: a change of the book
//! that it was not told of costs no more than that. Where the connection that listens broke, events
//! of other nodes may have come without a word, and every reader is woken as soon as there is a new
//! one. It brings memory up to date, wakes long polls and the dispatcher, reports which version of
//! the book this node knows, and measures the clock. It only ever reads, but for that report.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use deadpool_postgres::Pool;
use futures_util::future::poll_fn;
use tidings_domain::company::CompanyId;
use tidings_store::{Position, StoreError};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_postgres::{AsyncMessage, Client, Notification};
use tokio_util::sync::CancellationToken;

use crate::{
    append::ANYBODY,
    clock::ClockWatch,
    database::{self, Connector, Database},
    failure::Failure,
    leases,
    memory::Memory,
    refresh,
};

/// How often it looks by itself, in milliseconds.
const LOOK_EVERY_MS: u64 = 1000;
/// How long a look may take before its connection counts as broken, in milliseconds.
const LOOK_TIMEOUT_MS: u64 = 10_000;
/// For how many of the looks of every second nobody is relied on to tell what was appended: after
/// the connection that listens was made, and after a node came or went, since others may not have
/// known of this one.
const DEAF_LOOKS: u32 = 3;
/// Notifications that may wait. Beyond it PostgreSQL keeps them.
const NOTIFICATIONS_MAX: usize = 1024;

/// Watches one database for one node.
pub(crate) struct Watch {
    connector: Connector,
    /// For its looks: the one that deliveries depend on, too.
    pool: Pool,
    memory: Arc<Memory>,
    clock: ClockWatch,
    /// The head of the log as of the last look.
    head: Position,
    /// The version of the book that was reported last.
    reported: i64,
    /// Which nodes there were as of the last look: this one's leases, and how many others.
    nodes: (Vec<i64>, i64),
    /// How many more looks count on notifications that did not come.
    deaf_looks: u32,
    /// Whether the last look failed; said once, not every second.
    failing: bool,
}

/// A connection that listens.
struct Ear {
    /// Keeps the connection open.
    client: Client,
    notifications: mpsc::Receiver<Notification>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn new(
        connector: Connector,
        pool: Pool,
        memory: Arc<Memory>,
        clock: ClockWatch,
    ) -> Self {
        Self {
            connector,
            pool,
            memory,
            clock,
            head: 0,
            reported: 0,
            nodes: (Vec::new(), 0),
            deaf_looks: DEAF_LOOKS,
            failing: false,
        }
    }

    /// Watches until it is told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let watching = stop.run_until_cancelled(self.watch());
        watching.await;
    }

    async fn watch(&mut self) {
        let mut ticks = interval(Duration::from_millis(LOOK_EVERY_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ear: Option<Ear> = None;
        // Whether readers may have missed something since they last read.
        let mut has_missed = false;
        loop {
            let heard = async {
                match &mut ear {
                    Some(ear) => ear.notifications.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                notification = heard => if let Some(notification) = notification {
                    if self.take(&notification) {
                        self.look().await;
                    }
                } else {
                    // It broke; the next tick listens anew. It may have been dead long before that
                    // was noticed, and looks meanwhile relied on it.
                    ear = None;
                    has_missed = true;
                },
                _ = ticks.tick() => {
                    if ear.is_none() {
                        // Before the look, so that nothing falls between the two.
                        ear = self.listen().await;
                        self.deaf_looks = DEAF_LOOKS;
                    }
                    let has_looked = self.look().await;
                    self.deaf_looks = self.deaf_looks.saturating_sub(u32::from(has_looked));
                    if ear.is_some() && std::mem::take(&mut has_missed) {
                        self.memory.arrivals.announce_all();
                    }
                    if self.memory.peers.load(Ordering::Relaxed) > 0 {
                        // Work of other nodes comes due, or is left behind, without a word.
                        self.memory.wake();
                    }
                }
            }
        }
    }

    /// Takes in a notification; says whether it is worth a look.
    fn take(&self, notification: &Notification) -> bool {
        let memory = &self.memory;
        let own = memory.writer_process.load(Ordering::Relaxed);
        match notification.channel() {
            "tidings_book" => return true,
            _ if notification.process_id() == own => {}
            "tidings_events" if notification.payload() == ANYBODY => {
                memory.arrivals.announce_all();
            }
            "tidings_events" => {
                let names = notification.payload().split(',');
                let companies: Vec<_> = names
                    .filter_map(|name| CompanyId::parse(name).ok())
                    .collect();
                memory.arrivals.announce(&companies);
            }
            "tidings_work" => memory.wake(),
            _ => {}
        }
        false
    }

    /// A connection that listens; none where there is no way to the database.
    async fn listen(&self) -> Option<Ear> {
        let ear = Ear::open(&self.connector);
        match tokio::time::timeout(Duration::from_millis(LOOK_TIMEOUT_MS), ear).await {
            Ok(Ok(ear)) => Some(ear),
            // The look that follows says what is wrong.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Looks; says whether there was something to be seen.
    async fn look(&mut self) -> bool {
        let limit = Duration::from_millis(LOOK_TIMEOUT_MS);
        let result = match tokio::time::timeout(limit, self.try_look()).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Unavailable("no answer in time".to_owned())),
        };
        let has_looked = result.is_ok();
        match result {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("what other nodes do is seen again");
            }
            Err(failure) if !self.failing => {
                self.failing = true;
                let error = StoreError::from(failure);
                tracing::warn!(%error, "what other nodes do is not seen; trying every second");
            }
            Ok(()) | Err(_) => {}
        }
        has_looked
    }

    async fn try_look(&mut self) -> Result<(), Failure> {
        let client = database::borrow(&self.pool).await?;
        let memory = &self.memory;
        let db = Database::new(&client, &memory.metrics);
        let own = memory.own_leases();
        let began = self.clock.begin();
        let row = db
            .first(
                "SELECT position, book_version,
                     (SELECT count(*) FROM leases WHERE id <> ALL ($1)),
                     (extract(epoch FROM clock_timestamp()) * 1000)::bigint
                 FROM log_heads WHERE shard = 0",
                &[&own],
            )
            .await?
            .ok_or_else(|| Failure::Broken("the log has no head".to_owned()))?;
        let (head, version, peers): (Position, i64, i64) = (row.get(0), row.get(1), row.get(2));
        self.clock.measured(began, row.get(3));
        memory
            .peers
            .store(usize::try_from(peers).unwrap_or(0), Ordering::Relaxed);
        if version != memory.book_version.load(Ordering::Acquire) {
            refresh::refresh(&db, memory, &memory.refreshing).await?;
            // Deliveries of a subscription that was not known may be waiting.
            memory.wake();
        }
        let known = memory.book_version.load(Ordering::Acquire);
        if known != self.reported {
            leases::report_seen(&db, memory, known).await?;
            self.reported = known;
        }
        let nodes = (own, peers);
        if nodes != self.nodes {
            // Somebody who took this node for lost told it nothing meanwhile.
            memory.arrivals.announce_all();
            self.nodes = nodes;
            self.deaf_looks = DEAF_LOOKS;
        }
        // Others tell of what they append, once they know that there is somebody to tell.
        let is_told = self.deaf_looks == 0 && !self.nodes.0.is_empty();
        if head != self.head && !is_told {
            memory.arrivals.announce_all();
        }
        self.head = head;
        Ok(())
    }
}

impl Ear {
    async fn open(connector: &Connector) -> Result<Self, Failure> {
        let (config, tls) = connector.parts();
        let (client, mut connection) = config.connect(tls.clone()).await?;
        let (heard, notifications) = mpsc::channel(NOTIFICATIONS_MAX);
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message
                    && heard.send(notification).await.is_err()
                {
                    break;
                }
            }
        });
        let ear = Self {
            client,
            notifications,
            task,
        };
        ear.client
            .batch_execute(
                "SET application_name = 'tidings';
                 LISTEN tidings_book; LISTEN tidings_events; LISTEN tidings_work",
            )
            .await?;
        Ok(ear)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}
