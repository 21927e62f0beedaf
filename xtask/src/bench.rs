//! `cargo xtask bench`: the real program under load, measured from outside.
//!
//! Three processes share the machine: the server, the load generator and the sink. [`run_once`]
//! measures one run of a [`scenario::Scenario`], [`process`] reads what the system knows of the
//! server, [`machine`] describes the machine, [`report`] makes the table.

mod machine;
mod process;
mod report;
mod run_once;
mod scenario;

use std::path::PathBuf;

use clap::Args;

use crate::{
    machine_clock::Stopwatch,
    step::{announce, cargo, run as run_step, target_directory},
};
use report::Row;
use run_once::Bench;
use scenario::Scenario;

pub(crate) const ABOUT: &str = "\
Measure the real program and print a table for docs/benchmarks.md.

It builds the program with optimisations and starts it as in production: an embedded database on disk in target/bench, fsync for every commit, metrics, signatures, the delivery log; only that plain HTTP to this machine is allowed. A load generator publishes, a sink receives; both are processes of their own on the same machine. Every run has a fresh database and a warm-up that does not count; the table has the median of each figure over the runs.

Progress goes to standard error, the table to standard output. Compare figures within one run of this command: between two, a virtual machine drifts by a quarter.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                                the table of docs/benchmarks.md, some 5 minutes
  cargo xtask bench --quick                        one short run of each scenario
  cargo xtask bench --scenario one --runs 5        one scenario, more often";

/// What to measure, how often, for how long.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Which scenarios; all of them unless given
    #[arg(long, value_enum, value_name = "NAME")]
    scenario: Vec<Scenario>,

    /// How often each scenario is run, with a fresh database each time
    #[arg(long, value_name = "N", default_value = "3")]
    runs: usize,

    /// How long each run publishes, in seconds
    #[arg(long, value_name = "N", default_value = "20")]
    seconds: u64,

    /// One run of 5 seconds: to see that it works, not to quote
    #[arg(long, conflicts_with_all = ["runs", "seconds"])]
    quick: bool,

    /// Do not build; measure target/release as it is
    #[arg(long)]
    no_build: bool,
}

/// Measures and prints the table.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let (runs, seconds) = if args.quick {
        (1, 5)
    } else {
        (args.runs.max(1), args.seconds.max(1))
    };
    let scenarios = if args.scenario.is_empty() {
        Scenario::ALL.to_vec()
    } else {
        args.scenario.clone()
    };
    if !args.no_build {
        run_step(&mut cargo([
            "build",
            "--release",
            "--locked",
            "--package",
            "tidings",
            "--package",
            "tidings-bench",
        ]))?;
    }
    let stopwatch = Stopwatch::start();
    let directory = target_directory().join("bench");
    std::fs::create_dir_all(&directory)?;
    let bench = Bench {
        server: built("tidings"),
        ends: built("tidings-bench"),
        directory: directory.clone(),
        seconds,
    };
    let machine = machine::describe(&directory)?;
    announce("a yardstick: the load generator and the sink without a server");
    let ends = bench.measure_ends()?;
    let mut rows = Vec::new();
    for scenario in scenarios {
        let mut figures = Vec::with_capacity(runs);
        for number in 1..=runs {
            announce(&format!("{}: run {number} of {runs}", scenario.describe()));
            let measured = bench.run(scenario)?;
            eprintln!("  {}", report::tell(&measured));
            figures.push(measured);
        }
        rows.push(Row::of(scenario, &figures));
    }
    println!("{}", report::table(&machine, ends, (runs, seconds), &rows));
    eprintln!("measured in {}", stopwatch.told());
    Ok(())
}

fn built(program: &str) -> PathBuf {
    target_directory().join("release").join(program)
}
