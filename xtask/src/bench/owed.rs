//! `cargo xtask bench owed`: a dead endpoint that is owed a great many events.
//!
//! One endpoint takes every delivery and never answers. Events are published in parts; after each,
//! the rate of publishing and the server's memory are told. Then the server is stopped and killed,
//! and the time until it is ready again is measured.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    ends::{LoadPlan, Sink},
    ground::{DatabaseKind, Ground},
    machine,
    process::usage_of_all,
};
use crate::{machine_clock::Stopwatch, server_process::ServerProcess, step::announce};

pub(crate) const ABOUT: &str = "\
What a dead endpoint costs that is owed a million events: memory, the rate of publishing from the first part to the last, and how long a restart takes.";

/// Whose events.
const COMPANY: &str = "bench";

/// How many.
#[derive(Args, Clone, Debug)]
pub(crate) struct OwedArgs {
    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// How many events to owe
    #[arg(long, value_name = "N", default_value = "1000000")]
    events: u64,

    /// In how many parts
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u64).range(1..=100))]
    parts: u64,
}

/// Measures and prints what it cost.
pub(super) fn run(
    args: &OwedArgs,
    server: &Path,
    ends: &PathBuf,
    directory: &Path,
) -> anyhow::Result<()> {
    println!("{}.\n", machine::describe(directory)?);
    let ground = Ground::prepare(args.database, &directory.join("data"));
    let sink = Sink::start_hanging(ends)?;
    let storage = ground.fresh()?;
    let mut server = ServerProcess::start(&storage, server, &directory.join("owed-node"), &[])?;
    let url = format!("http://{}/", sink.address);
    server.subscribe(COMPANY, &url, &["*"], None)?;
    println!("| owed | published/s | publish p50 / p99 | memory at the most |");
    println!("|---|---|---|---|");
    let events = (args.events / args.parts).max(1).to_string();
    let mut owed = 0;
    for part in 1..=args.parts {
        announce(&format!("part {part} of {}", args.parts));
        let plan = LoadPlan {
            targets: &[server.address()],
            key: server.key(),
            company: COMPANY,
            seconds: 3600,
            args: &["--concurrency", "64", "--events", &events],
        };
        let load = plan.run(ends)?;
        owed += load.accepted;
        let usage = usage_of_all(std::slice::from_ref(&server))?;
        println!(
            "| {owed} | {:.0} | {:.1} / {:.1} ms | {} MiB |",
            load.accepted_per_second(),
            super::ends::as_f64(load.publish_p50_us) / 1000.0,
            super::ends::as_f64(load.publish_p99_us) / 1000.0,
            usage.memory_peak_kib / 1024,
        );
    }
    server.kill()?;
    let stopwatch = Stopwatch::start();
    server.start_again()?;
    println!(
        "\nReady {:.2} s after it was started again, killed before.",
        stopwatch.elapsed().as_secs_f64()
    );
    server.stop_for_a_while()?;
    let stopwatch = Stopwatch::start();
    server.start_again()?;
    println!(
        "Ready {:.2} s after it was started again, stopped before.",
        stopwatch.elapsed().as_secs_f64()
    );
    server.stop()
}
