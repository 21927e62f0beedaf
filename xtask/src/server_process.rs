//! The real program as a process: a database, a key, `tidings serve`, and its end.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::{
    http::{self, Answer, free_address},
    machine_clock::wait_until,
    step::{command_line, output_of},
};

/// How long the program may take until it is ready.
const START_AT_MOST: Duration = Duration::from_secs(30);
/// How long it may take to stop: 15 s are promised.
const STOP_AT_MOST: Duration = Duration::from_secs(15);

/// The encryption key of all these servers: 32 zero bytes.
const ENCRYPTION_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    address: SocketAddr,
    key: String,
    start: Start,
}

/// How a server is started, and started again.
#[derive(Debug)]
struct Start {
    program: PathBuf,
    directory: PathBuf,
    args: Vec<String>,
}

/// Where servers store everything.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// A file of its own.
    Sqlite(PathBuf),
    /// A database that several may share.
    Postgres(String),
}

impl Storage {
    /// What `--database` is told.
    fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }
}

impl ServerProcess {
    /// Starts `tidings serve` for development, with `more_args` and everything else at its default,
    /// on a fresh database, which gets a key. `directory` is emptied first; the log goes to `server.log`
    /// there.
    pub(crate) fn start(
        storage: &Storage,
        program: &Path,
        directory: &Path,
        more_args: &[&str],
    ) -> anyhow::Result<Self> {
        ensure!(
            program.exists(),
            "{} is not built; run: cargo build",
            program.display()
        );
        make_empty(directory)?;
        let mut keys = tidings(program, directory);
        keys.args(["keys", "create", "--name", "xtask"])
            .args(["--database", &storage.url()]);
        let key = output_of(&mut keys)?;
        Self::serve(storage, program, directory, key, more_args)
    }

    /// Starts another node on the same database as `first`.
    pub(crate) fn start_beside(
        first: &Self,
        storage: &Storage,
        program: &Path,
        directory: &Path,
        more_args: &[&str],
    ) -> anyhow::Result<Self> {
        make_empty(directory)?;
        Self::serve(storage, program, directory, first.key.clone(), more_args)
    }

    fn serve(
        storage: &Storage,
        program: &Path,
        directory: &Path,
        key: String,
        more_args: &[&str],
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut args: Vec<String> = ["serve", "--environment", "development"]
            .map(str::to_owned)
            .to_vec();
        args.extend(["--database".to_owned(), storage.url()]);
        args.extend(["--listen".to_owned(), address.to_string()]);
        args.extend(more_args.iter().map(|&arg| arg.to_owned()));
        let start = Start {
            program: program.to_owned(),
            directory: directory.to_owned(),
            args,
        };
        let mut server = Self {
            child: start.spawn()?,
            address,
            key,
            start,
        };
        server.await_readiness()?;
        Ok(server)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again after it ended, at the same address.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = self.start.spawn()?;
        self.await_readiness()
    }

    fn await_readiness(&mut self) -> anyhow::Result<()> {
        let address = self.address;
        let child = &mut self.child;
        let log = self.start.directory.join("server.log");
        let ready = wait_until(START_AT_MOST, || {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended ({status}); its log is {}", log.display());
            }
            // Until it listens, connecting fails; that is what is being waited for.
            let answer = http::request(address, "GET", "/readyz", &[], "");
            Ok(answer.ok().filter(|answer| answer.status == 200))
        })?;
        ready.map(|_| ()).with_context(|| {
            let log = log.display();
            format!("the server is not ready in time; its log is {log}")
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A platform key that may do everything.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request with the key.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let key = [("X-Api-Key", self.key.as_str())];
        http::request(self.address, method, path, &key, body)
    }

    /// Sends a request with the key, expects this status, and returns the JSON of the answer.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        expected: u16,
    ) -> anyhow::Result<Value> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.request(method, path, &body)?;
        if answer.status != expected {
            bail!(
                "{method} {path} answered {}: {}",
                answer.status,
                answer.body
            );
        }
        serde_json::from_str(&answer.body).with_context(|| format!("the body of {method} {path}"))
    }

    /// Makes a subscription and returns it, with its secret.
    pub(crate) fn subscribe(
        &self,
        company: &str,
        url: &str,
        event_types: &[&str],
        secret: Option<&str>,
    ) -> anyhow::Result<Value> {
        let mut wish = json!({"companyId": company, "url": url, "eventTypes": event_types});
        if let Some(secret) = secret {
            wish["secret"] = secret.into();
        }
        self.call("POST", "/api/v1/webhooks/subscriptions", &wish, 201)
    }

    /// Stops it politely, and expects that it ends well and in time.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.stop_for_a_while()
    }

    /// The same; it can be started again.
    pub(crate) fn stop_for_a_while(&mut self) -> anyhow::Result<()> {
        output_of(Command::new("kill").args(["-TERM", &self.id().to_string()]))?;
        let status = wait_until(STOP_AT_MOST, || Ok(self.child.try_wait()?))?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the server did not end well: {status}"),
            None => bail!("the server did not end within {} s", STOP_AT_MOST.as_secs()),
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to kill or to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Start {
    /// The log is added to.
    fn spawn(&self) -> anyhow::Result<Child> {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options
                .create(true)
                .append(true)
                .open(self.directory.join(name))
        };
        let mut serve = tidings(&self.program, &self.directory);
        serve
            .args(&self.args)
            .stdout(open("server.out")?)
            .stderr(open("server.log")?);
        let line = command_line(&serve);
        serve
            .spawn()
            .with_context(|| format!("cannot start {line}"))
    }
}

fn make_empty(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    Ok(fs::create_dir_all(directory)?)
}

/// The program, in a directory without a configuration file and without settings from outside.
fn tidings(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    // With PostgreSQL, all nodes are given the same.
    command.env("TIDINGS_ENCRYPTION_KEY", ENCRYPTION_KEY);
    command
}
