//! `cargo xtask soak`: hours in minutes. Load, receivers in trouble and nodes that are killed, and
//! in the end a look into the ledger: is everything that was acknowledged there exactly once, and
//! was everything that is there delivered?

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::Value;

use crate::{
    bench::{DatabaseKind, Ground, LoadPlan, Sink, memory_kib},
    http,
    machine_clock::{Stopwatch, rest, wait_until},
    server_process::{ServerProcess, Storage},
    step::{announce, built, cargo, run as run_step, target_directory},
};

pub(crate) const ABOUT: &str = "\
Load with receivers in trouble and nodes that are killed, for minutes or hours, and a look into the ledger at the end.

A load generator publishes at a fixed rate and notes every id that was acknowledged. A receiver refuses one delivery in ten and leaves one in a thousand without an answer. Every half minute a node is killed (SIGKILL) and started again. At the end the log is polled from the start: every acknowledged event must be there exactly once, and every event that is there must have been taken by the receiver. Memory and file sizes are told every minute.";

const COMPANY: &str = "soak";
/// With PostgreSQL; the embedded database belongs to one.
const NODES: usize = 3;
/// Retries that come soon, so that what fails is delivered before the end.
const SETTINGS: [&str; 3] = [
    "--retry-schedule=500ms,1s,2s,5s,10s,20s,30s,30s,30s,30s",
    "--node-lease=5s",
    "--attempt-timeout=5s",
];
const KILL_EVERY: Duration = Duration::from_secs(30);
const AWAY_FOR: Duration = Duration::from_secs(2);
const DRAIN_AT_MOST: Duration = Duration::from_mins(5);
const PAGE: usize = 1000;

/// How long, how fast, on what.
#[derive(Args, Debug)]
pub(crate) struct SoakArgs {
    /// How long, in minutes
    #[arg(long, value_name = "N", default_value = "20")]
    minutes: u64,

    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// Events a second
    #[arg(long, value_name = "N", default_value = "300")]
    rate: u32,

    /// Do not build; use target/release as it is
    #[arg(long)]
    no_build: bool,
}

/// What is looked at every minute.
struct Sample {
    minute: u64,
    /// The most that a node holds now, in MiB.
    memory_mib: u64,
    /// Bytes of the database for each event in it.
    bytes: u64,
}

struct Soak {
    ends: PathBuf,
    directory: PathBuf,
    ground: Ground,
    storage: Storage,
    servers: Vec<ServerProcess>,
    kills: usize,
}

/// Runs it and prints what came of it.
pub(crate) fn run(args: &SoakArgs) -> anyhow::Result<()> {
    if !args.no_build {
        let packages = ["--package", "tidings", "--package", "tidings-bench"];
        run_step(&mut cargo(
            ["build", "--release", "--locked"]
                .into_iter()
                .chain(packages),
        ))?;
    }
    let directory = target_directory().join("soak");
    fs::create_dir_all(&directory)?;
    let ground = Ground::prepare(args.database, &directory.join("data"));
    let storage = ground.fresh()?;
    let mut soak = Soak {
        ends: built("tidings-bench"),
        servers: start(&storage, args.database, &directory)?,
        ground,
        storage,
        directory,
        kills: 0,
    };
    let sink = Sink::start_in_trouble(&soak.ends)?;
    let url = format!("http://{}/", sink.address);
    soak.servers[0].subscribe(COMPANY, &url, &["*"], None)?;
    let ledger = soak.directory.join("acknowledged");
    let mut load = soak.load(args, &ledger)?;
    let samples = soak.endure(args.minutes)?;
    ensure!(load.wait()?.success(), "the load generator failed");
    announce("the load is over; waiting until everything is delivered");
    soak.look_into_the_ledger(&sink, &ledger)?;
    tell(&samples);
    let bytes = {
        let Soak {
            servers,
            ground,
            storage,
            ..
        } = soak;
        for server in servers {
            server.stop()?;
        }
        ground.bytes(&storage)?
    };
    println!("database at the end: {} MiB", bytes >> 20);
    Ok(())
}

fn start(
    storage: &Storage,
    database: DatabaseKind,
    directory: &Path,
) -> anyhow::Result<Vec<ServerProcess>> {
    let program = built("tidings");
    let at = |number: usize| directory.join(format!("node-{number}"));
    let mut servers = vec![ServerProcess::start(storage, &program, &at(1), &SETTINGS)?];
    if database == DatabaseKind::Postgres {
        for number in 2..=NODES {
            let node = ServerProcess::start_beside(
                &servers[0],
                storage,
                &program,
                &at(number),
                &SETTINGS,
            )?;
            servers.push(node);
        }
    }
    Ok(servers)
}

impl Soak {
    fn load(&self, args: &SoakArgs, ledger: &Path) -> anyhow::Result<Child> {
        let targets: Vec<_> = self.servers.iter().map(ServerProcess::address).collect();
        let rate = args.rate.to_string();
        let ledger = ledger.display().to_string();
        let plan = LoadPlan {
            targets: &targets,
            key: self.servers[0].key(),
            company: COMPANY,
            seconds: args.minutes * 60,
            args: &["--concurrency", "32", "--rate", &rate, "--ledger", &ledger],
        };
        plan.command(&self.ends)
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the load generator")
    }

    /// Kills nodes in turn until the time is over; looks at sizes every minute.
    fn endure(&mut self, minutes: u64) -> anyhow::Result<Vec<Sample>> {
        let stopwatch = Stopwatch::start();
        let mut samples = Vec::new();
        while stopwatch.elapsed() < Duration::from_secs(minutes * 60) {
            rest(KILL_EVERY.saturating_sub(AWAY_FOR));
            let number = self.kills % self.servers.len();
            self.servers[number].kill()?;
            self.kills += 1;
            rest(AWAY_FOR);
            self.servers[number].start_again()?;
            if self.kills.is_multiple_of(2) {
                let sample = self.sample(stopwatch.elapsed().as_secs() / 60)?;
                eprintln!(
                    "  minute {}: {} kills, a node holds {} MiB, the database {} MiB",
                    sample.minute,
                    self.kills,
                    sample.memory_mib,
                    sample.bytes >> 20
                );
                samples.push(sample);
            }
        }
        Ok(samples)
    }

    fn sample(&self, minute: u64) -> anyhow::Result<Sample> {
        let mut largest_kib = 0;
        for server in &self.servers {
            largest_kib = largest_kib.max(memory_kib(server.id())?);
        }
        Ok(Sample {
            minute,
            memory_mib: largest_kib >> 10,
            bytes: self.ground.bytes(&self.storage)?,
        })
    }

    fn look_into_the_ledger(&self, sink: &Sink, ledger: &Path) -> anyhow::Result<()> {
        let server = &self.servers[0];
        let polled = poll_all(server)?;
        let acknowledged = fs::read_to_string(ledger)?;
        let (mut known, mut lost) = (0_u64, 0_u64);
        for id in acknowledged.lines() {
            known += 1;
            lost += u64::from(!polled.contains_key(id));
        }
        let twice = polled.values().filter(|times| **times > 1).count();
        ensure!(known > 0, "nothing was acknowledged");
        ensure!(lost == 0, "{lost} acknowledged events are not in the log");
        ensure!(twice == 0, "{twice} events were polled more than once");
        let missing = wait_until(DRAIN_AT_MOST, || {
            rest(Duration::from_secs(1));
            let taken = sink.taken()?;
            let missing = polled.keys().filter(|id| !taken.contains(*id)).count();
            Ok((missing == 0).then_some(()))
        })?;
        ensure!(missing.is_some(), "some events were not delivered");
        println!(
            "{known} events were acknowledged, all of them are in the log exactly once, and all {} \
             of the log were delivered, through {} kills",
            polled.len(),
            self.kills
        );
        Ok(())
    }
}

/// Every event of the company with how often it was polled.
fn poll_all(server: &ServerProcess) -> anyhow::Result<HashMap<String, u32>> {
    let mut polled: HashMap<String, u32> = HashMap::new();
    let start = format!("/api/v1/events?companyId={COMPANY}&limit={PAGE}");
    let mut path = start.clone();
    loop {
        let key = [("X-Api-Key", server.key())];
        let answer = http::request(server.address(), "GET", &path, &key, "")?;
        ensure!(answer.status == 200, "{path}: {}", answer.body);
        let page: Value = serde_json::from_str(&answer.body)?;
        for event in page.as_array().context("a page is an array")? {
            let id = event["id"].as_str().context("an event has an id")?;
            *polled.entry(id.to_owned()).or_default() += 1;
        }
        if answer.header("x-paging-has-more") != Some("true") {
            return Ok(polled);
        }
        let cursor = answer.header("x-paging-cursor").context("no cursor")?;
        path = format!("{start}&cursor={cursor}");
    }
}

fn tell(samples: &[Sample]) {
    println!("\n| minute | memory of the largest node | database |");
    println!("|---|---|---|");
    for sample in samples {
        let Sample {
            minute,
            memory_mib,
            bytes,
        } = sample;
        println!("| {minute} | {memory_mib} MiB | {} MiB |", bytes >> 20);
    }
}
