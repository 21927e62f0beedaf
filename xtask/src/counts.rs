//! How many tests passed, failed and were left out, read off what test programs print.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::step::{announce, command_line};

/// How many tests passed and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// Runs a program that runs tests, seen, and counts them; also says whether it succeeded.
pub(crate) fn run_counted(command: &mut Command) -> anyhow::Result<(Counts, bool)> {
    let line = command_line(command);
    announce(&line);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    let output = child.stdout.take().context("a pipe was asked for")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.add_line(&line);
    }
    Ok((counts, child.wait()?.success()))
}

impl Counts {
    /// Adds what other tests came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// Whether there was any test.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Adds what a closing line tells, cargo's or that of Node.js; other lines add nothing.
    fn add_line(&mut self, line: &str) {
        if let Some(figure) = line.strip_prefix("ℹ ") {
            self.add_figure_of_node(figure);
        } else if let Some((_, figures)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        {
            for figure in figures.split(';') {
                self.add_figure_of_cargo(figure.trim());
            }
        }
    }

    /// Adds `12 passed` and the like.
    fn add_figure_of_cargo(&mut self, figure: &str) {
        let Some((number, what)) = figure.split_once(' ') else {
            return;
        };
        let number: u64 = number.parse().unwrap_or(0);
        match what {
            "passed" => self.passed += number,
            "failed" => self.failed += number,
            "ignored" => self.ignored += number,
            _ => {}
        }
    }

    /// Adds `pass 12` and the like, from a line of its own.
    fn add_figure_of_node(&mut self, figure: &str) {
        let Some((what, number)) = figure.split_once(' ') else {
            return;
        };
        let number: u64 = number.trim().parse().unwrap_or(0);
        match what {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.ignored += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        for line in lines {
            counts.add_line(line);
        }
        counts
    }

    #[test]
    fn closing_lines_of_cargo_are_added_up() {
        let counts = counted(&[
            "test verdict::a ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.01s",
        ]);
        let expected = Counts {
            passed: 15,
            failed: 2,
            ignored: 1,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn closing_lines_of_node_are_added_up() {
        let counts = counted(&[
            "✔ a link is good once (412.1ms)",
            "ℹ tests 9",
            "ℹ suites 2",
            "ℹ pass 5",
            "ℹ fail 1",
            "ℹ cancelled 1",
            "ℹ skipped 1",
            "ℹ todo 1",
            "ℹ duration_ms 1048.9",
        ]);
        let expected = Counts {
            passed: 5,
            failed: 2,
            ignored: 2,
        };
        assert_eq!(counts, expected);
        assert!(!counts.is_empty() && Counts::default().is_empty());
    }
}
