//! One run: a server with a fresh database and a sink, a warm-up, the load, and the wait until
//! everything that was accepted has been delivered.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    process::{Usage, cpu_us, database_bytes, usage},
    scenario::Scenario,
};
use crate::{
    http,
    machine_clock::{rest, wait_until},
    server_process::ServerProcess,
    step::output_of,
};

/// Whose events, as the load generator has it by default.
const COMPANY: &str = "bench";
/// The secret of every subscription, so that the sink can check signatures: 32 zero bytes.
const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// How long the warm-up publishes, in seconds.
const WARM_UP_SECONDS: u64 = 3;
/// How long deliveries may still arrive after the load has ended.
const DRAIN_AT_MOST: Duration = Duration::from_mins(2);
/// After the last delivery has arrived, it is logged with the next commit.
const LAST_COMMIT: Duration = Duration::from_millis(300);

/// The programs, and where and how long they run.
#[derive(Debug)]
pub(super) struct Bench {
    /// The server.
    pub(super) server: PathBuf,
    /// The load generator and the sink.
    pub(super) ends: PathBuf,
    /// Where databases and logs go.
    pub(super) directory: PathBuf,
    /// How long the load lasts, in seconds.
    pub(super) seconds: u64,
}

/// What one run showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    /// Events answered 201, per second of load.
    pub(super) accepted_per_second: f64,
    /// Deliveries that arrived, per second from the start of the load to the last arrival.
    pub(super) delivered_per_second: f64,
    /// From a publication being due to its answer, in milliseconds.
    pub(super) publish_p50_ms: f64,
    pub(super) publish_p99_ms: f64,
    /// From a publication being due to its arrival at the sink, in milliseconds.
    pub(super) arrival_p50_ms: f64,
    pub(super) arrival_p99_ms: f64,
    /// CPU time of the server per delivery, in microseconds, everything included.
    pub(super) cpu_us_per_delivery: f64,
    /// Bytes of the database per event, after the server has stopped.
    pub(super) bytes_per_event: f64,
    /// Events per commit, and so per fsync; the commits that settle deliveries are counted, too.
    pub(super) events_per_fsync: f64,
    /// The most memory that the server held, in MiB.
    pub(super) memory_peak_mib: f64,
    /// Publications that were not answered 201.
    pub(super) refused: f64,
}

/// What the load generator and the sink do without a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Requests per second.
    pub(super) per_second: f64,
    /// CPU time of the sink per request, in microseconds.
    pub(super) sink_cpu_us: f64,
}

impl Bench {
    /// Measures one run.
    pub(super) fn run(&self, scenario: Scenario) -> anyhow::Result<Figures> {
        let sink = Sink::start(&self.ends)?;
        let server = ServerProcess::start(&self.server, &self.directory.join("server"))?;
        for number in 0..scenario.subscriptions() {
            let url = format!("http://{}/{number}", sink.address);
            server.subscribe(COMPANY, &url, &["*"], Some(SECRET))?;
        }
        let target = server.address();
        let warm_up = self.load(target, server.key(), scenario, WARM_UP_SECONDS)?;
        sink.await_deliveries(warm_up.accepted * scenario.subscriptions())?;
        sink.reset()?;
        let before = usage(&server)?;
        let load = self.load(target, server.key(), scenario, self.seconds)?;
        let expected = load.accepted * scenario.subscriptions();
        let arrived = sink.await_deliveries(expected)?;
        let after = usage(&server)?;
        let database = server.stop()?;
        let bytes = database_bytes(&database)?;
        // The databases of all runs together would fill a small disk.
        fs::remove_file(database)?;
        ensure!(arrived.verified > 0, "no signature was checked");
        ensure!(
            arrived.forged == 0,
            "{} signatures are wrong",
            arrived.forged
        );
        Ok(figures(&load, &arrived, (before, after), bytes))
    }

    /// What the two ends do where the sink answers publications itself. That is a yardstick of the
    /// machine, and must be far above what is measured, or the ends are measured instead.
    pub(super) fn measure_ends(&self) -> anyhow::Result<Ends> {
        let sink = Sink::start(&self.ends)?;
        self.load(sink.address, "none", Scenario::One, WARM_UP_SECONDS)?;
        let before = cpu_us(sink.child.id())?;
        let load = self.load(sink.address, "none", Scenario::One, WARM_UP_SECONDS)?;
        let used = cpu_us(sink.child.id())? - before;
        Ok(Ends {
            per_second: load.accepted_per_second(),
            sink_cpu_us: as_f64(used) / as_f64(load.accepted),
        })
    }

    fn load(
        &self,
        target: SocketAddr,
        key: &str,
        scenario: Scenario,
        seconds: u64,
    ) -> anyhow::Result<Load> {
        let mut command = Command::new(&self.ends);
        command
            .env("TIDINGS_API_KEY", key)
            .args(["load", "--company", COMPANY, "--payload-bytes", "1024"])
            .args(["--url", &format!("http://{target}")])
            .args(["--seconds", &seconds.to_string()])
            .args(scenario.load_args());
        Load::parse(&serde_json::from_str(&output_of(&mut command)?)?)
            .context("the load generator's report")
    }
}

/// What the load generator reports.
#[derive(Clone, Copy, Debug)]
struct Load {
    started_us: u64,
    ended_us: u64,
    accepted: u64,
    refused: u64,
    publish_p50_us: u64,
    publish_p99_us: u64,
}

/// What the sink reports.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    distinct: u64,
    last_us: u64,
    verified: u64,
    forged: u64,
    age_p50_us: u64,
    age_p99_us: u64,
}

impl Load {
    fn parse(report: &Value) -> anyhow::Result<Self> {
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

    fn accepted_per_second(&self) -> f64 {
        per_second(self.accepted, self.started_us, self.ended_us)
    }
}

impl Arrived {
    fn parse(report: &Value) -> anyhow::Result<Self> {
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
struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Sink {
    fn start(program: &PathBuf) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["sink", "--secret", SECRET])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().strip_prefix("http://");
        let address = address.context("the sink tells its address")?.parse()?;
        Ok(Self { child, address })
    }

    fn reset(&self) -> anyhow::Result<()> {
        let answer = http::request(self.address, "POST", "/reset", &[], "")?;
        ensure!(answer.status == 204, "/reset answered {}", answer.status);
        Ok(())
    }

    fn report(&self) -> anyhow::Result<Arrived> {
        let answer = http::request(self.address, "GET", "/stats", &[], "")?;
        Arrived::parse(&serde_json::from_str(&answer.body)?).context("the sink's report")
    }

    /// Waits until so many different deliveries have arrived and are logged.
    fn await_deliveries(&self, expected: u64) -> anyhow::Result<Arrived> {
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

fn figures(load: &Load, arrived: &Arrived, usage: (Usage, Usage), bytes: u64) -> Figures {
    let (before, after) = usage;
    let ms = |us: u64| as_f64(us) / 1000.0;
    Figures {
        accepted_per_second: load.accepted_per_second(),
        delivered_per_second: per_second(arrived.distinct, load.started_us, arrived.last_us),
        publish_p50_ms: ms(load.publish_p50_us),
        publish_p99_ms: ms(load.publish_p99_us),
        arrival_p50_ms: ms(arrived.age_p50_us),
        arrival_p99_ms: ms(arrived.age_p99_us),
        cpu_us_per_delivery: as_f64(after.cpu_us - before.cpu_us) / as_f64(arrived.distinct),
        bytes_per_event: as_f64(bytes) / after.events,
        events_per_fsync: (after.events - before.events) / (after.commits - before.commits),
        memory_peak_mib: as_f64(after.memory_peak_kib) / 1024.0,
        refused: as_f64(load.refused),
    }
}

fn per_second(count: u64, from_us: u64, to_us: u64) -> f64 {
    as_f64(count) * 1e6 / as_f64(to_us.saturating_sub(from_us).max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times of a run are far below 2^52"
)]
fn as_f64(number: u64) -> f64 {
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
    fn figures_follow_from_what_the_two_ends_report() {
        let load = json!({
            "startedUs": 1_000_000, "endedUs": 3_000_000, "accepted": 1000, "failed": 1,
            "refused": {"503": 2}, "publishUs": {"p50": 1500, "p99": 9000}
        });
        let arrived = json!({
            "deliveries": 1001, "distinct": 1000, "lastUs": 5_000_000, "verified": 16, "forged": 0,
            "ageUs": {"p50": 2500, "p99": 20_000}
        });
        let before = Usage {
            cpu_us: 100_000,
            commits: 10.0,
            events: 500.0,
            memory_peak_kib: 1024,
        };
        let after = Usage {
            cpu_us: 150_000,
            commits: 60.0,
            events: 1500.0,
            memory_peak_kib: 20_480,
        };
        let load = Load::parse(&load).unwrap();
        let arrived = Arrived::parse(&arrived).unwrap();
        let expected = Figures {
            accepted_per_second: 500.0,
            delivered_per_second: 250.0,
            publish_p50_ms: 1.5,
            publish_p99_ms: 9.0,
            arrival_p50_ms: 2.5,
            arrival_p99_ms: 20.0,
            cpu_us_per_delivery: 50.0,
            bytes_per_event: 2000.0,
            events_per_fsync: 20.0,
            memory_peak_mib: 20.0,
            refused: 3.0,
        };
        assert_eq!(
            figures(&load, &arrived, (before, after), 3_000_000),
            expected
        );
    }

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
