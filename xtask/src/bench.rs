//! `cargo xtask bench`: the real program under load, measured from outside.
//!
//! Servers, the load generator and the sink are processes of their own that share the machine.
//! [`run_once`] measures one run of a [`scenario::Situation`], [`ground`] is the database below the
//! servers, [`process`] reads what the system knows of a server, [`machine`] describes the machine,
//! [`report`] makes the table.

mod ends;
mod engine;
mod ground;
mod growth;
mod growth_plot;
mod guard;
mod idle;
mod machine;
mod noisy;
mod owed;
mod pages;
mod process;
mod report;
mod run_once;
mod scenario;
mod streams;
mod yardstick;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};

use crate::{
    machine_clock::Stopwatch,
    step::{announce, built, cargo, run as run_step, target_directory},
};
pub(crate) use ends::{LoadPlan, Sink};
pub(crate) use ground::{DatabaseKind, Ground};
use guard::GuardMode;
pub(crate) use process::memory_kib;
use report::Row;
use run_once::Bench;
use scenario::{Scenario, Situation};

pub(crate) const ABOUT: &str = "\
Measure the real program and print a table for docs/benchmarks.md.

It builds the program with optimisations and starts it as in production: an embedded database on disk in target/bench, or a private PostgreSQL started for it, fsync for every commit, metrics, signatures, the delivery log; only that plain HTTP to this machine is allowed. A load generator publishes, a sink receives; both are processes of their own on the same machine. Every run has a fresh database and a warm-up that does not count; the table has the median of each figure over the runs.

Progress goes to standard error, the table to standard output. Compare figures within one run of this command: between two, a virtual machine drifts by a quarter.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                                the table of docs/benchmarks.md, some 5 minutes
  cargo xtask bench --quick                        one short run of each scenario
  cargo xtask bench --scenario one --runs 5        one scenario, more often
  cargo xtask bench --database postgres            on PostgreSQL, with 1, 2 and 3 nodes
  cargo xtask bench --database postgres --scenario one --nodes 2
  cargo xtask bench --guard                        instructions of small things, against the record
  cargo xtask bench noisy                          what one company's trouble costs another
  cargo xtask bench growth                         with many subscriptions, companies, events
  cargo xtask bench owed                           a million deliveries owed to a dead endpoint
  cargo xtask bench idle                           a server that has nothing to do
  cargo xtask bench pages                          the portal with a million attempts
  cargo xtask bench streams                        10,000 streams without an event
  cargo xtask bench engine                         attempts alone, over TLS";

/// What to measure, how often, for how long.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    special: Option<Special>,

    /// Which scenarios; all of them unless given
    #[arg(long, value_enum, value_name = "NAME")]
    scenario: Vec<Scenario>,

    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// How many nodes share the PostgreSQL; without it 1 for every scenario, and 2 and 3 for the
    /// first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: Option<u8>,

    /// How often each scenario is run, with a fresh database each time
    #[arg(long, value_name = "N", default_value = "3")]
    runs: usize,

    /// How long each run publishes, in seconds
    #[arg(long, value_name = "N", default_value = "20")]
    seconds: u64,

    /// One run of 5 seconds: to see that it works, not to quote
    #[arg(long, conflicts_with_all = ["runs", "seconds"])]
    quick: bool,

    /// Count instructions of small things instead, and fail where one costs 5 % more than recorded;
    /// with `record` they are written down anew
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        default_missing_value = "check",
        require_equals = true
    )]
    guard: Option<GuardMode>,

    /// Do not build; measure target/release as it is
    #[arg(long, global = true)]
    no_build: bool,
}

/// What is measured instead.
#[derive(Debug, Subcommand)]
enum Special {
    /// What one company's trouble costs another
    #[command(long_about = noisy::ABOUT)]
    Noisy(noisy::NoisyArgs),
    /// What a delivery costs as everything grows
    #[command(long_about = growth::ABOUT)]
    Growth(growth::GrowthArgs),
    /// What a dead endpoint costs that is owed a million events
    #[command(long_about = owed::ABOUT)]
    Owed(owed::OwedArgs),
    /// What a server costs that has nothing to do
    #[command(long_about = idle::ABOUT)]
    Idle(idle::IdleArgs),
    /// How long the portal's pages take with a million attempts in the log
    #[command(long_about = pages::ABOUT)]
    Pages(pages::PagesArgs),
    /// What readers cost that stream events while none happens
    #[command(long_about = streams::ABOUT)]
    Streams(streams::StreamsArgs),
    /// What an attempt costs by itself, over TLS
    #[command(long_about = engine::ABOUT)]
    Engine(engine::EngineArgs),
}

impl Special {
    fn run(&self, server: PathBuf, ends: PathBuf, directory: PathBuf) -> anyhow::Result<()> {
        match self {
            Self::Noisy(args) => noisy::run(args.clone(), server, ends, directory),
            Self::Growth(args) => growth::run(args, &server, &ends, &directory),
            Self::Owed(args) => owed::run(args, &server, &ends, &directory),
            Self::Pages(args) => pages::run(args, &server, &ends, &directory),
            Self::Streams(args) => streams::run(args, &server, &directory),
            Self::Idle(args) => idle::run(args, &server, &ends, &directory),
            Self::Engine(args) => engine::run(args, &built("tidings-guard"), &ends, &directory),
        }
    }
}

impl BenchArgs {
    /// What is measured, in the table's order.
    fn situations(&self) -> anyhow::Result<Vec<Situation>> {
        let embedded = self.database == DatabaseKind::Sqlite;
        let nodes = usize::from(self.nodes.unwrap_or(1));
        ensure!(
            nodes == 1 || !embedded,
            "the embedded database belongs to one node; --nodes needs --database postgres"
        );
        let all = self.scenario.is_empty();
        let scenarios = if all {
            &Scenario::ALL[..]
        } else {
            &self.scenario
        };
        let mut situations: Vec<_> = scenarios
            .iter()
            .map(|&scenario| Situation { scenario, nodes })
            .collect();
        if all && !embedded && self.nodes.is_none() {
            let more = [2, 3].map(|nodes| Situation {
                scenario: Scenario::One,
                nodes,
            });
            situations.extend(more);
        }
        Ok(situations)
    }
}

/// Measures and prints the table.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let (runs, seconds) = if args.quick {
        (1, 5)
    } else {
        (args.runs.max(1), args.seconds.max(1))
    };
    if let Some(mode) = args.guard {
        let directory = target_directory().join("bench");
        std::fs::create_dir_all(&directory)?;
        return guard::run(mode, &directory);
    }
    let situations = args.situations()?;
    if !args.no_build {
        run_step(&mut cargo([
            "build",
            "--release",
            "--locked",
            "--package",
            "tidings",
            "--package",
            "tidings-bench",
            "--package",
            "tidings-guard",
        ]))?;
    }
    let stopwatch = Stopwatch::start();
    let directory = target_directory().join("bench");
    std::fs::create_dir_all(&directory)?;
    if let Some(special) = &args.special {
        let (server, ends) = (built("tidings"), built("tidings-bench"));
        return special.run(server, ends, directory);
    }
    let bench = Bench {
        server: built("tidings"),
        ends: built("tidings-bench"),
        directory: directory.clone(),
        seconds,
        ground: Ground::prepare(args.database, &directory.join("data")),
    };
    let machine = machine::describe(&directory)?;
    announce("a yardstick: the load generator and the sink without a server");
    let ends = yardstick::measure(&bench.ends)?;
    let mut rows = Vec::new();
    for situation in situations {
        let mut figures = Vec::with_capacity(runs);
        for number in 1..=runs {
            announce(&format!("{}: run {number} of {runs}", situation.describe()));
            let measured = bench.run(situation)?;
            eprintln!("  {}", report::tell(&measured));
            figures.push(measured);
        }
        rows.push(Row::of(situation, &figures));
    }
    println!(
        "{}",
        report::table(&machine, args.database, ends, (runs, seconds), &rows)
    );
    eprintln!("measured in {}", stopwatch.told());
    Ok(())
}
