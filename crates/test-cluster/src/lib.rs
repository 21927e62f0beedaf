//! A private PostgreSQL for tests and benchmarks.
//!
//! A [`Cluster`] is a server of its own: made in a directory of its own, listening on a port of
//! its own on the loopback address, and gone when the process that made it is gone, however that
//! ended. It drives PostgreSQL's own programs and needs no library. A machine without PostgreSQL
//! fails the tests that ask for it; they are never skipped.

mod processor;
mod programs;
mod session;
mod supervisor;

use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use programs::Programs;
pub use session::Session;
use supervisor::Supervisor;

/// Ports to choose from: this one and [`PORTS`] above it. They lie below those that systems give to
/// outgoing connections, so that nobody takes the server's port while it is stopped.
const PORTS_FROM: u16 = 15_360;
/// How many ports there are to choose from: as many as 14 bits count.
const PORTS: u16 = 1 << 14;
/// How many ports are tried before giving up.
const PORTS_TRIED_MAX: u64 = 50;

/// What a cluster of one's own is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many may connect at once.
    pub connections_max: u32,
    /// Whether commits are written out to the disk before they are answered, as in production.
    pub fsync: bool,
    /// More lines for `postgresql.conf`: names and values.
    pub settings: Vec<(String, String)>,
}

/// A running server. Dropping it ends it and removes all it stored.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    port: u16,
    state: Mutex<State>,
    databases: AtomicU64,
}

#[derive(Debug)]
struct State {
    supervisor: Supervisor,
    /// The server's own first process, while it runs.
    server_pid: Option<u32>,
    /// Where databases are made; opened when it is first needed.
    maker: Option<Session>,
}

/// A database of its own within a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    name: String,
    url: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 100,
            fsync: true,
            settings: Vec::new(),
        }
    }
}

impl Cluster {
    /// The cluster that all tests of this process share, started when the first one asks. It does
    /// not write out to the disk, so it must not be stopped.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let quick = [
                ("full_page_writes", "off"),
                // Made, used and left: there is nothing to clean up for later.
                ("autovacuum", "off"),
                ("max_wal_size", "256MB"),
            ];
            Self::start(&Options {
                connections_max: 500,
                fsync: false,
                settings: quick
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .to_vec(),
            })
        })
    }

    /// Makes and starts a cluster of one's own. Panics where that is not possible, and says why.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let programs = Programs::find();
        let mut supervisor = Supervisor::make(&programs, &options.to_conf());
        let chance = RandomState::new();
        for attempt in 0..PORTS_TRIED_MAX {
            let [low, high, ..] = chance.hash_one(attempt).to_le_bytes();
            let port = PORTS_FROM + u16::from_le_bytes([low, high]) % PORTS;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                continue;
            }
            // Somebody may have taken it in between.
            if let Some(pid) = supervisor.start(port) {
                let state = State {
                    supervisor,
                    server_pid: Some(pid),
                    maker: None,
                };
                return Self {
                    programs,
                    port,
                    state: Mutex::new(state),
                    databases: AtomicU64::new(0),
                };
            }
        }
        panic!("PostgreSQL does not start: {}", supervisor.log());
    }

    /// Makes an empty database. It is there as long as the cluster.
    pub fn database(&self) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("tidings_{number}");
        let mut state = self.state();
        let maker = state
            .maker
            .get_or_insert_with(|| self.session_at(&self.url("postgres")));
        // The template that nobody can be connected to, or have changed.
        maker.run(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        let url = self.url(&name);
        Database { name, url }
    }

    /// Runs statements in a database, each by itself, and returns what they select: a row per
    /// line, columns separated by `|`. Panics where one fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut command = self.programs.command("psql");
        command
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database)])
            .args(["-c", sql])
            .stdin(Stdio::null());
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {complaint}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Opens a session that stays open: for a transaction that a test holds.
    pub fn session(&self, database: &str) -> Session {
        self.session_at(&self.url(database))
    }

    /// Stops the server as a crash would: at once, cutting off everybody. Does nothing where it is
    /// stopped.
    pub fn stop_immediate(&self) {
        let mut state = self.state();
        state.maker = None;
        state.server_pid = None;
        state.supervisor.stop();
    }

    /// Starts the server again, at the same address with the same databases, and waits until it
    /// answers.
    pub fn start_again(&self) {
        let mut state = self.state();
        assert!(state.server_pid.is_none(), "stop it first");
        let pid = state.supervisor.start(self.port);
        let pid = pid.unwrap_or_else(|| panic!("it does not start: {}", state.supervisor.log()));
        state.server_pid = Some(pid);
    }

    /// Processor time that the server's processes have used so far, user and system, with those
    /// that ended; in microseconds. Known in steps of some 10 ms for each process. Take the
    /// difference of two.
    pub fn cpu_us(&self) -> u64 {
        processor::used_us(self.state().supervisor.pid())
    }

    /// How much the server has written to its log of changes so far, in bytes. Take the difference
    /// of two.
    pub fn wal_bytes(&self) -> u64 {
        let bytes = self.sql("postgres", "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn");
        bytes.parse().expect("PostgreSQL counts in whole bytes")
    }

    /// The process of the server that started all its others. Panics where it is stopped.
    pub fn pid(&self) -> u32 {
        self.state().server_pid.expect("it is stopped")
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it stores everything.
    pub fn directory(&self) -> PathBuf {
        self.state().supervisor.directory().to_owned()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        self.state().supervisor.log()
    }

    /// The address of a database in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn session_at(&self, url: &str) -> Session {
        Session::open(&self.programs, url)
    }

    /// A test that panicked leaves nothing half done here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database {
    /// Its name within the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, as `postgres://…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Options {
    fn to_conf(&self) -> String {
        let on_or_off = |is_on| if is_on { "on" } else { "off" };
        let mut conf = format!(
            "listen_addresses = '127.0.0.1'\n\
             unix_socket_directories = ''\n\
             max_connections = {}\n\
             fsync = {}\n\
             shared_buffers = '64MB'\n\
             log_min_messages = 'warning'\n",
            self.connections_max,
            on_or_off(self.fsync),
        );
        for (name, value) in &self.settings {
            let value = value.replace('\'', "''");
            let _ = writeln!(conf, "{name} = '{value}'");
        }
        conf
    }
}
