//! `cargo xtask bench noisy`: what one company's trouble costs another.
//!
//! Company B publishes 50 events a second to a fast endpoint, and the time from publishing to
//! arrival is measured three times: alone; beside company A, whose 100 endpoints hang and are owed
//! a backlog; and beside company A publishing as fast as it can to a fast endpoint.

use std::{
    path::PathBuf,
    process::{Child, Stdio},
};

use anyhow::{Context as _, ensure};
use clap::Args;

use super::{
    ends::{Arrived, LoadPlan, SECRET, Sink, as_f64},
    ground::{DatabaseKind, Ground},
    machine,
    report::median,
};
use crate::{
    machine_clock::{Stopwatch, rest},
    server_process::{ServerProcess, Storage},
    step::announce,
};

pub(crate) const ABOUT: &str = "\
What one company's trouble costs another: two companies on one server.

B publishes 50 events a second to a fast endpoint. Its time from publishing to arrival is measured alone, beside A with 100 endpoints that hang and a backlog, and beside A publishing as fast as it can to a fast endpoint. Each in a fresh database, A and B at the same time on the same server.";

/// Who makes the noise, and who is measured.
const NOISY: &str = "noisy";
const QUIET: &str = "quiet";
/// The dead endpoints, each of which wants every event of its company.
const HANGING_ENDPOINTS: usize = 100;
/// So that attempts are under way, timed out and retried when the measurement begins.
const TROUBLE_LASTS: std::time::Duration = std::time::Duration::from_secs(15);

/// What to measure, how often, for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct NoisyArgs {
    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// How often each situation is measured, in turns, with a fresh database each time
    #[arg(long, value_name = "N", default_value = "3")]
    runs: usize,

    /// How long each measurement lasts, in seconds
    #[arg(long, value_name = "N", default_value = "40")]
    seconds: u64,

    /// How many events the dead endpoints are owed, each by all 100 of them
    #[arg(long, value_name = "N", default_value = "100000")]
    backlog: u64,
}

/// What A does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noise {
    None,
    HangingEndpoints,
    FullSpeed,
}

impl Noise {
    const ALL: [Self; 3] = [Self::None, Self::HangingEndpoints, Self::FullSpeed];

    fn describe(self) -> &'static str {
        match self {
            Self::None => "B alone",
            Self::HangingEndpoints => "A has 100 endpoints that hang",
            Self::FullSpeed => "A publishes at full speed",
        }
    }
}

/// A line of the table, of each run.
struct Row {
    noise: Noise,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    /// Its 99th percentile against that of B alone in the same run.
    ratios: Vec<f64>,
}

impl Row {
    fn new(noise: Noise) -> Self {
        Self {
            noise,
            p50_ms: Vec::new(),
            p99_ms: Vec::new(),
            ratios: Vec::new(),
        }
    }
}

/// A program that runs until this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to kill or to wait for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a measurement needs.
struct Stage {
    server: PathBuf,
    ends: PathBuf,
    directory: PathBuf,
    ground: Ground,
    args: NoisyArgs,
}

/// Measures and prints the table.
pub(super) fn run(
    args: NoisyArgs,
    server: PathBuf,
    ends: PathBuf,
    directory: PathBuf,
) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    let machine = machine::describe(&directory)?;
    let stage = Stage {
        server,
        ends,
        ground: Ground::prepare(args.database, &directory.join("data")),
        directory,
        args,
    };
    let mut rows: Vec<Row> = Noise::ALL.map(Row::new).into();
    for number in 1..=stage.args.runs.max(1) {
        // In turns: a machine that drifts then drifts for all of them.
        let mut alone_ms = None;
        for row in &mut rows {
            announce(&format!("run {number}: {}", row.noise.describe()));
            let arrived = stage.measure(row.noise)?;
            let (p50_ms, p99_ms) = (ms(arrived.age_p50_us), ms(arrived.age_p99_us));
            eprintln!("  publish to arrival p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms");
            row.p50_ms.push(p50_ms);
            row.p99_ms.push(p99_ms);
            row.ratios.push(p99_ms / *alone_ms.get_or_insert(p99_ms));
        }
    }
    let (runs, seconds) = (stage.args.runs.max(1), stage.args.seconds);
    println!(
        "{machine}. B publishes 50 events/s; medians of {runs} runs of {seconds} s each; \
         the ratio is that of the same run; backlog of {} events owed to 100 endpoints each.\n",
        stage.args.backlog
    );
    println!("| situation | B's publish to arrival p50 | p99 | p99 against B alone |");
    println!("|---|---|---|---|");
    for row in rows {
        let (p50, p99) = (median(row.p50_ms), median(row.p99_ms));
        let (name, ratio) = (row.noise.describe(), median(row.ratios));
        println!("| {name} | {p50:.1} ms | {p99:.1} ms | {ratio:.2} |");
    }
    eprintln!("measured in {}", stopwatch.told());
    Ok(())
}

impl Stage {
    /// One measurement of B.
    fn measure(&self, noise: Noise) -> anyhow::Result<Arrived> {
        let quiet = Sink::start(&self.ends)?;
        let storage = self.ground.fresh()?;
        let server = ServerProcess::start(
            &storage,
            &self.server,
            &self.directory.join("noisy-node"),
            &[],
        )?;
        let url = format!("http://{}/", quiet.address);
        server.subscribe(QUIET, &url, &["*"], Some(SECRET))?;
        // Its connections are open, and its code is warm.
        self.publish_quietly(&server, 3)?;
        quiet.reset()?;
        let (_sink, load) = self.make_noise(noise, &server, &storage)?;
        let accepted = self.publish_quietly(&server, self.args.seconds)?;
        if let Some(mut load) = load {
            ensure!(load.0.try_wait()?.is_none(), "the noise ended too early");
        }
        quiet.await_deliveries(accepted)
    }

    /// 50 events a second; gives how many were accepted.
    fn publish_quietly(&self, server: &ServerProcess, seconds: u64) -> anyhow::Result<u64> {
        let plan = LoadPlan {
            targets: &[server.address()],
            key: server.key(),
            company: QUIET,
            seconds,
            args: &["--concurrency", "8", "--rate", "50"],
        };
        let load = plan.run(&self.ends)?;
        ensure!(
            load.refused == 0,
            "{} publications were refused",
            load.refused
        );
        Ok(load.accepted)
    }

    /// A's trouble; what goes on beside the measurement is given back.
    fn make_noise(
        &self,
        noise: Noise,
        server: &ServerProcess,
        storage: &Storage,
    ) -> anyhow::Result<(Option<Sink>, Option<Running>)> {
        let plan = LoadPlan {
            targets: &[server.address()],
            key: server.key(),
            company: NOISY,
            // Longer than anything here.
            seconds: 3600,
            args: &["--concurrency", "64"],
        };
        match noise {
            Noise::None => Ok((None, None)),
            Noise::HangingEndpoints => {
                let sink = Sink::start_hanging(&self.ends)?;
                for number in 0..HANGING_ENDPOINTS {
                    let url = format!("http://{}/{number}", sink.address);
                    server.subscribe(NOISY, &url, &["*"], None)?;
                }
                let events = self.args.backlog.to_string();
                let args = [plan.args, &["--events", &events]].concat();
                let backlog = LoadPlan {
                    args: &args,
                    ..plan
                }
                .run(&self.ends)?;
                eprintln!("  {} events are owed to each", backlog.accepted);
                // What is measured is life beside the backlog, and not how it came about.
                self.ground.come_to_rest(storage)?;
                rest(TROUBLE_LASTS);
                Ok((Some(sink), None))
            }
            Noise::FullSpeed => {
                let sink = Sink::start(&self.ends)?;
                let url = format!("http://{}/", sink.address);
                server.subscribe(NOISY, &url, &["*"], Some(SECRET))?;
                let load = plan
                    .command(&self.ends)
                    .stdout(Stdio::null())
                    .spawn()
                    .context("cannot start the load generator")?;
                rest(std::time::Duration::from_secs(3));
                Ok((Some(sink), Some(Running(load))))
            }
        }
    }
}

fn ms(us: u64) -> f64 {
    as_f64(us) / 1000.0
}
