//! The two ends around the servers, as processes: the load generator and the sink, and what they
//! report.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    http,
    machine_clock::{rest, wait_until},
    step::output_of,
};

/// The secret of every subscription, so that the sink can check signatures: 32 zero bytes.
pub(super) const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// How long deliveries may still arrive after the load has ended.
const DRAIN_AT_MOST: Duration = Duration::from_mins(2);
/// After the last delivery has arrived, it is logged with the next commit.
const LAST_COMMIT: Duration = Duration::from_millis(300);

/// What the load generator is told.
#[derive(Clone, Debug)]
pub(crate) struct LoadPlan<'a> {
    /// Where to, in turns.
    pub(crate) targets: &'a [SocketAddr],
    pub(crate) key: &'a str,
    pub(crate) company: &'a str,
    /// At most so long.
    pub(crate) seconds: u64,
    /// Concurrency, rate and so on.
    pub(crate) args: &'a [&'a str],
}

impl LoadPlan<'_> {
    /// The command that carries it out.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("TIDINGS_API_KEY", self.key)
            .args(["load", "--company", self.company, "--payload-bytes", "1024"])
            .args(
                self.targets
                    .iter()
                    .map(|target| format!("--url=http://{target}")),
            )
            .args(["--seconds", &self.seconds.to_string()])
            .args(self.args);
        command
    }

    /// Carries it out.
    pub(super) fn run(&self, program: &Path) -> anyhow::Result<Load> {
        Load::parse(&serde_json::from_str(&output_of(
            &mut self.command(program),
        )?)?)
        .context("the load generator's report")
    }
}

/// What the load generator reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) started_us: u64,
    pub(super) ended_us: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) publish_p50_us: u64,
    pub(super) publish_p99_us: u64,
}

/// What the sink reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) distinct: u64,
    pub(super) last_us: u64,
    pub(super) verified: u64,
    pub(super) forged: u64,
    pub(super) age_p50_us: u64,
    pub(super) age_p99_us: u64,
}

impl Load {
    pub(super) fn parse(report: &Value) -> anyhow::Result<Self> {
        let refused = report["refused"].as_object().context("no refused")?;
        let refused: u64 = refused.values().filter_map(Value::as_u64).sum();
        let load = Self {
            started_us: number(report, "/startedUs")?,
            ended_us: number(report, "/endedUs")?,
            accepted: number(report, "/accepted")?,
            refused: refused + number(report, "/failed")?,
            publish_p50_us: number(report, "/publishUs/p50")?,
            publish_p99_us: number(report, "/publishUs/p99")?,
        };
        ensure!(load.accepted > 0, "nothing was accepted: {report}");
        Ok(load)
    }

    pub(super) fn accepted_per_second(&self) -> f64 {
        per_second(self.accepted, self.started_us, self.ended_us)
    }
}

impl Arrived {
    pub(super) fn parse(report: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            distinct: number(report, "/distinct")?,
            last_us: number(report, "/lastUs")?,
            verified: number(report, "/verified")?,
            forged: number(report, "/forged")?,
            age_p50_us: number(report, "/ageUs/p50")?,
            age_p99_us: number(report, "/ageUs/p99")?,
        })
    }
}

/// The sink as a process, until it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(super) child: Child,
    pub(crate) address: SocketAddr,
}

impl Sink {
    /// One that answers at once and checks signatures.
    pub(super) fn start(program: &PathBuf) -> anyhow::Result<Self> {
        Self::start_with(program, &["--secret", SECRET])
    }

    /// One that is reached over TLS; the root of its certificate is written to `root`.
    pub(super) fn start_with_tls(program: &PathBuf, root: &Path) -> anyhow::Result<Self> {
        let root = root.to_str().context("a path in UTF-8")?;
        Self::start_with(program, &["--tls-root", root])
    }

    /// One that never answers.
    pub(super) fn start_hanging(program: &PathBuf) -> anyhow::Result<Self> {
        Self::start_with(program, &["--hang"])
    }

    /// One that refuses some, leaves a few without an answer, and remembers what it took.
    pub(crate) fn start_in_trouble(program: &PathBuf) -> anyhow::Result<Self> {
        Self::start_with(program, &["--trouble", "100"])
    }

    /// The events that one in trouble has taken.
    pub(crate) fn taken(&self) -> anyhow::Result<HashSet<String>> {
        let answer = http::request(self.address, "GET", "/ids", &[], "")?;
        ensure!(answer.status == 200, "/ids answered {}", answer.status);
        Ok(answer.body.lines().map(str::to_owned).collect())
    }

    fn start_with(program: &PathBuf, args: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .arg("sink")
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().split_once("://");
        let (_, address) = address.context("the sink tells its address")?;
        let address = address.parse()?;
        Ok(Self { child, address })
    }

    pub(super) fn reset(&self) -> anyhow::Result<()> {
        let answer = http::request(self.address, "POST", "/reset", &[], "")?;
        ensure!(answer.status == 204, "/reset answered {}", answer.status);
        Ok(())
    }

    pub(super) fn report(&self) -> anyhow::Result<Arrived> {
        let answer = http::request(self.address, "GET", "/stats", &[], "")?;
        Arrived::parse(&serde_json::from_str(&answer.body)?).context("the sink's report")
    }

    /// Waits until so many different deliveries have arrived and are logged.
    pub(super) fn await_deliveries(&self, expected: u64) -> anyhow::Result<Arrived> {
        let arrived = wait_until(DRAIN_AT_MOST, || {
            Ok(Some(self.report()?).filter(|arrived| arrived.distinct >= expected))
        })?;
        let Some(arrived) = arrived else {
            let distinct = self.report()?.distinct;
            anyhow::bail!("{distinct} deliveries arrived where {expected} were owed");
        };
        rest(LAST_COMMIT);
        Ok(arrived)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to kill or to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn per_second(count: u64, from_us: u64, to_us: u64) -> f64 {
    as_f64(count) * 1e6 / as_f64(to_us.saturating_sub(from_us).max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times of a run are far below 2^52"
)]
pub(super) fn as_f64(number: u64) -> f64 {
    number as f64
}

fn number(report: &Value, pointer: &str) -> anyhow::Result<u64> {
    let value = report.pointer(pointer).and_then(Value::as_u64);
    value.with_context(|| format!("no number at {pointer}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_load_without_an_accepted_event_is_an_error() {
        let report = json!({
            "startedUs": 1, "endedUs": 2, "accepted": 0, "failed": 0, "refused": {"401": 9},
            "publishUs": {"p50": 0, "p99": 0}
        });
        let error = Load::parse(&report).unwrap_err().to_string();
        assert!(error.contains("401"), "{error}");
    }
}
