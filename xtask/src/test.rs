//! `cargo xtask test`: every test there is.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, bail};

use crate::{
    machine_clock::Stopwatch,
    receivers,
    step::{announce, cargo, command_line, run as run_step},
    tools,
};

pub(crate) const ABOUT: &str = "\
Run every test: Rust, documentation, and the receivers that the documentation shows.

First it looks for what the tests need beside Rust: PostgreSQL's programs, from which the tests start private servers of their own; faketime, for a clock that is wrong; Python and Node.js, for the receivers of docs/receivers.md. On Debian it installs them with apt-get (as root, or with sudo); elsewhere it says what to install. It puts the receivers' stock libraries, from PyPI and npm, under target/test-tools. Then it runs cargo test for the whole workspace. The last line tells how it went.

With CI set it asks nothing. Once it has run, cargo test works by itself, also for one crate: cargo test --package tidings-domain.";

/// How many tests passed and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs them all.
pub(crate) fn run() -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    tools::ensure()?;
    receivers::install_libraries()?;
    // Programs and tests in one go: apart, each would be built with other features of the same
    // libraries, and so everything twice.
    run_step(&mut cargo([
        "build",
        "--workspace",
        "--bins",
        "--tests",
        "--locked",
    ]))?;
    receivers::place_rust_receiver()?;
    let (counts, succeeded) = run_cargo_test()?;
    let verdict = if succeeded { "ok" } else { "FAILED" };
    println!(
        "test result: {verdict}. {} passed; {} failed; {} ignored; all of it finished in {}",
        counts.passed,
        counts.failed,
        counts.ignored,
        stopwatch.told(),
    );
    if !succeeded {
        bail!("tests failed; look for `failures:` above");
    }
    Ok(())
}

/// Runs cargo's tests, seen, and counts them.
fn run_cargo_test() -> anyhow::Result<(Counts, bool)> {
    let mut command = cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    announce(&command_line(&command));
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("a pipe was asked for")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.add(&line);
    }
    Ok((counts, child.wait()?.success()))
}

impl Counts {
    /// Adds what a closing line of one test program tells; other lines add nothing.
    fn add(&mut self, line: &str) {
        let Some((_, figures)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for figure in figures.split(';') {
            let Some((number, what)) = figure.trim().split_once(' ') else {
                continue;
            };
            let number: u64 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up() {
        let mut counts = Counts::default();
        counts.add("test verdict::a ... ok");
        counts.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        counts.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.01s");
        let expected = Counts {
            passed: 15,
            failed: 2,
            ignored: 1,
        };
        assert_eq!(counts, expected);
    }
}
