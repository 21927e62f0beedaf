//! `cargo xtask bench --guard`: what small things cost in instructions, against what they cost when
//! that was written down.
//!
//! Callgrind counts instructions, which are the same on a busy machine and a quiet one. Each
//! workload is run with two counts, and the difference is divided by that of the counts: what the
//! start costs falls out, and the work of all threads is in.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::step::{announce, built, cargo, output_of, project_root, run as run_step};

/// By so many per cent a count may grow.
const GROWTH_PERCENT_MAX: u64 = 5;
/// The workloads, with the counts of the two runs.
const WORKLOADS: [(&str, u64, u64); 5] = [
    ("match", 1000, 11_000),
    ("sign", 200, 2200),
    ("publish", 640, 3840),
    ("settle", 640, 3840),
    ("dispatch", 640, 3840),
];
/// Where the counts are written down.
const RECORD: &str = "crates/guard/counts.json";

type Counts = BTreeMap<String, u64>;

/// What to do with the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GuardMode {
    /// Compare them with the record
    Check,
    /// Write them down
    Record,
}

/// Counts and compares, or writes the counts down anew.
pub(super) fn run(mode: GuardMode, directory: &Path) -> anyhow::Result<()> {
    if output_of(Command::new("valgrind").arg("--version")).is_err() {
        bail!("the guard needs valgrind (Debian: apt-get install valgrind)");
    }
    run_step(&mut cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "tidings-guard",
    ]))?;
    let mut counts = Counts::new();
    for (workload, few, many) in WORKLOADS {
        announce(&format!("counting: {workload}"));
        let start = instructions(workload, few, directory)?;
        let end = instructions(workload, many, directory)?;
        let each = end.saturating_sub(start) / (many - few);
        eprintln!("  {each} instructions each");
        counts.insert(workload.to_owned(), each);
    }
    let path = project_root().join(RECORD);
    if mode == GuardMode::Record {
        let text = serde_json::to_string_pretty(&counts)?;
        fs::write(&path, text + "\n")?;
        println!("written to {RECORD}");
        return Ok(());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {RECORD}"))?;
    compare(&serde_json::from_str(&text)?, &counts)
}

/// Prints a table, and fails where something costs too much more.
fn compare(recorded: &Counts, counts: &Counts) -> anyhow::Result<()> {
    let mut grown = Vec::new();
    println!("| workload | instructions then | now | change |\n|---|---|---|---|");
    for (workload, &now) in counts {
        let then = recorded.get(workload).copied();
        let then =
            then.with_context(|| format!("{RECORD} has no {workload}; use --guard=record"))?;
        let percent = change_percent(then, now);
        println!("| {workload} | {then} | {now} | {percent:+.1} % |");
        if now * 100 > then * (100 + GROWTH_PERCENT_MAX) {
            grown.push(workload.as_str());
        }
    }
    if !grown.is_empty() {
        bail!(
            "more than {GROWTH_PERCENT_MAX} % dearer: {}. Mend it, or write the new counts down \
             with: cargo xtask bench --guard=record",
            grown.join(", ")
        );
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "instructions of one small thing are far below 2^52"
)]
fn change_percent(then: u64, now: u64) -> f64 {
    (now as f64 / then.max(1) as f64 - 1.0) * 100.0
}

/// How many instructions one run takes.
fn instructions(workload: &str, count: u64, directory: &Path) -> anyhow::Result<u64> {
    let out = directory.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(built("tidings-guard"))
        .args([workload, &count.to_string()]);
    output_of(&mut command)?;
    let text = fs::read_to_string(&out)?;
    fs::remove_file(out)?;
    total(&text).context("callgrind's total")
}

/// The line that sums up a file of callgrind's.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("events: Ir\nfn=a\n1 2\ntotals: 4711\n"), Some(4711));
        assert_eq!(total("nothing"), None);
    }

    #[test]
    fn what_grows_too_much_is_told() {
        let counts = |match_: u64, sign: u64| {
            Counts::from([("match".to_owned(), match_), ("sign".to_owned(), sign)])
        };
        assert!(compare(&counts(1000, 1000), &counts(1050, 900)).is_ok());
        let error = compare(&counts(1000, 1000), &counts(1051, 900)).unwrap_err();
        assert!(error.to_string().contains("match"), "{error}");
        assert!(compare(&Counts::new(), &counts(1, 1)).is_err());
    }
}
