//! The pool: idle connections, kept for the next attempt to the same target.
//!
//! A connection belongs to one origin (scheme, host, port) and is given out only where its peer is
//! among the addresses that were vetted for the attempt at hand. Idle ones are bounded per origin
//! and in all, the longest idle go first, and none stays longer than the idle timeout.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::connect::Connection;

/// How many idle connections are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Idle connections to one origin. Many subscriptions may share one (an automation service's
    /// host, say), and a connection that is closed between two bursts costs more than an attempt.
    pub idle_per_origin_max: usize,
    /// Idle connections in all.
    pub idle_max: usize,
    /// How long a connection may be idle. Below what common servers and load balancers allow (60 s
    /// and more), so that it is rarely the receiver that ends it under a request.
    pub idle_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            idle_per_origin_max: 256,
            idle_max: 1024,
            idle_timeout: Duration::from_secs(50),
        }
    }
}

/// The idle connections.
pub(crate) struct Pool {
    limits: PoolLimits,
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    /// By origin, the longest idle first.
    idle: HashMap<Arc<str>, VecDeque<Idle>>,
    /// All of them by the order in which they came; as many as there are in `idle`.
    order: BTreeMap<u64, Arc<str>>,
    /// The number that the next one gets.
    next: u64,
    /// Whether a task watches over the idle timeout.
    is_watched: bool,
}

struct Idle {
    number: u64,
    since: Instant,
    connection: Connection,
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            shelves: Mutex::default(),
        })
    }

    /// The connection to `origin` that was used last, where its peer is one of `peers`.
    pub(crate) fn take(&self, origin: &str, peers: &[IpAddr]) -> Option<Connection> {
        let mut shelves = self.shelves.lock();
        loop {
            let connection = shelves.take(origin, peers)?;
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection that is ready for its next request.
    pub(crate) fn put(self: &Arc<Self>, connection: Connection) {
        if self.limits.idle_per_origin_max == 0 {
            return;
        }
        let mut shelves = self.shelves.lock();
        shelves.put(connection, self.limits.idle_per_origin_max);
        while shelves.order.len() > self.limits.idle_max {
            shelves.drop_oldest();
        }
        if !shelves.is_watched && !shelves.order.is_empty() {
            shelves.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(self)));
        }
    }

    /// Closes what has been idle for too long; says when to look again, or that there is nothing
    /// left to watch over.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut shelves = self.shelves.lock();
        loop {
            let Some(since) = shelves.oldest() else {
                shelves.is_watched = false;
                return None;
            };
            let end = since + self.limits.idle_timeout;
            if end > now {
                return Some(end);
            }
            shelves.drop_oldest();
        }
    }
}

/// Runs while there are idle connections: without traffic nobody else would close them.
async fn watch(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.expire(Instant::now())) {
        sleep_until(next).await;
    }
}

impl Shelves {
    fn take(&mut self, origin: &str, peers: &[IpAddr]) -> Option<Connection> {
        let queue = self.idle.get_mut(origin)?;
        let place = queue
            .iter()
            .rposition(|idle| peers.contains(&idle.connection.peer))?;
        let idle = queue.remove(place)?;
        if queue.is_empty() {
            self.idle.remove(origin);
        }
        self.order.remove(&idle.number);
        Some(idle.connection)
    }

    fn put(&mut self, connection: Connection, per_origin_max: usize) {
        let origin = Arc::clone(&connection.origin);
        let queue = self.idle.entry(Arc::clone(&origin)).or_default();
        queue.push_back(Idle {
            number: self.next,
            since: Instant::now(),
            connection,
        });
        self.order.insert(self.next, origin);
        self.next += 1;
        if queue.len() > per_origin_max
            && let Some(oldest) = queue.pop_front()
        {
            self.order.remove(&oldest.number);
        }
    }

    /// Since when the longest idle one is idle.
    fn oldest(&self) -> Option<Instant> {
        let (_, origin) = self.order.first_key_value()?;
        self.idle.get(origin)?.front().map(|idle| idle.since)
    }

    /// Within an origin the numbers ascend, so the lowest of all stands at the front of its queue.
    fn drop_oldest(&mut self) {
        let Some((_, origin)) = self.order.pop_first() else {
            return;
        };
        if let Some(queue) = self.idle.get_mut(&origin) {
            queue.pop_front();
            if queue.is_empty() {
                self.idle.remove(&origin);
            }
        }
    }
}
