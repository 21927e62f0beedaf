//! `cargo xtask bench engine`: what an attempt costs by itself: judging the target, signing, the
//! POST over TLS connections that stay open, reading the answer. No store, no dispatcher.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::{
    ends::{SECRET, Sink},
    machine,
    report::median,
    yardstick,
};
use crate::step::{announce, output_of};

pub(crate) const ABOUT: &str = "\
What an attempt costs by itself, over TLS connections that stay open, 64 at a time: judging the target, signing 1 KiB, the POST, the answer. No store and no dispatcher.";

/// How much, how often.
#[derive(Args, Clone, Debug)]
pub(crate) struct EngineArgs {
    /// How often it is measured
    #[arg(long, value_name = "N", default_value = "5")]
    runs: usize,

    /// Attempts of each run
    #[arg(long, value_name = "N", default_value = "200000")]
    attempts: u64,
}

/// Measures and prints what it cost.
pub(super) fn run(
    args: &EngineArgs,
    guard: &Path,
    ends: &PathBuf,
    directory: &Path,
) -> anyhow::Result<()> {
    let machine = machine::describe(directory)?;
    let yardstick = yardstick::measure(ends)?;
    let folder = directory.join("engine");
    fs::create_dir_all(&folder)?;
    let certificate = folder.join("root.pem");
    let mut medians = Vec::new();
    for tls in [true, false] {
        let sink = if tls {
            Sink::start_with_tls(ends, &certificate)?
        } else {
            Sink::start(ends)?
        };
        let scheme = if tls { "https" } else { "http" };
        let mut runs = Vec::new();
        for number in 1..=args.runs.max(1) {
            announce(&format!("{scheme}: run {number}"));
            let mut command = Command::new(guard);
            command
                .args(["post", &args.attempts.to_string()])
                .args(["--url", &format!("{scheme}://{}/", sink.address)])
                .args(["--secret", SECRET]);
            if tls {
                command.arg("--root").arg(&certificate);
            }
            let report: Value = serde_json::from_str(&output_of(&mut command)?)?;
            let us = report["cpuUsPerAttempt"].as_f64().context("no figure")?;
            eprintln!("  {us:.1} µs");
            runs.push(us);
        }
        medians.push((scheme, median(runs)));
    }
    println!(
        "{machine}. Medians of {} runs of {} attempts each, 64 at a time; yardstick {:.1} µs of \
         the sink's CPU.\n",
        args.runs.max(1),
        args.attempts,
        yardstick.sink_cpu_us
    );
    println!("| over | CPU per attempt |\n|---|---|");
    for (scheme, us) in medians {
        println!("| {scheme}, connections stay open | {us:.1} µs |");
    }
    Ok(())
}
