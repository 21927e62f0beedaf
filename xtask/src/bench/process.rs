//! What the system knows of a running process (Linux's `/proc`), and what the server tells of
//! itself at `/metrics`.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::server_process::ServerProcess;

/// Microseconds of one tick in `/proc/PID/stat`: Linux tells 100 a second on every architecture.
const TICK_US: u64 = 10_000;

/// What servers have used up and done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU time of all threads, user and system, in microseconds, to 10 ms.
    pub(super) cpu_us: u64,
    /// Transactions that were made durable.
    pub(super) commits: f64,
    /// Events that were stored.
    pub(super) events: f64,
    /// SQL statements that were executed, those that begin and commit included.
    pub(super) statements: f64,
    /// The most memory that it ever held, in KiB.
    pub(super) memory_peak_kib: u64,
}

/// What all of `servers` have used up and done so far; of memory, what one held at the most.
pub(super) fn usage_of_all(servers: &[ServerProcess]) -> anyhow::Result<Usage> {
    let mut all = Usage::default();
    for server in servers {
        let usage = usage(server)?;
        all.cpu_us += usage.cpu_us;
        all.commits += usage.commits;
        all.events += usage.events;
        all.statements += usage.statements;
        all.memory_peak_kib = all.memory_peak_kib.max(usage.memory_peak_kib);
    }
    Ok(all)
}

/// What `server` has used up and done so far.
fn usage(server: &ServerProcess) -> anyhow::Result<Usage> {
    let metrics = server.request("GET", "/metrics", "")?;
    ensure!(
        metrics.status == 200,
        "/metrics answered {}",
        metrics.status
    );
    let metric = |name: &str| {
        counter(&metrics.body, name).with_context(|| format!("/metrics has no {name}"))
    };
    Ok(Usage {
        cpu_us: cpu_us(server.id())?,
        commits: metric("tidings_store_commits_total")?,
        events: metric("tidings_store_events_appended_total")?,
        statements: metric("tidings_store_statements_total")?,
        memory_peak_kib: memory_peak_kib(&read(server.id(), "status")?).context("no VmHWM")?,
    })
}

/// CPU time that all threads of a process have used so far, in microseconds, to 10 ms.
pub(super) fn cpu_us(process: u32) -> anyhow::Result<u64> {
    cpu_us_of(&read(process, "stat")?).context("the form of /proc/PID/stat")
}

fn read(process: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{process}/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path} (Linux is needed)"))
}

/// User and system time of a line of `/proc/PID/stat` (proc(5): fields 14 and 15).
fn cpu_us_of(stat: &str) -> Option<u64> {
    // The second field, the name in parentheses, may contain anything; the rest has no spaces.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

/// The memory that a process holds now, in KiB.
pub(crate) fn memory_kib(process: u32) -> anyhow::Result<u64> {
    memory_line(&read(process, "status")?, "VmRSS:").context("no VmRSS")
}

fn memory_peak_kib(status: &str) -> Option<u64> {
    memory_line(status, "VmHWM:")
}

fn memory_line(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The value of a counter without labels in the text format of Prometheus.
fn counter(metrics: &str, name: &str) -> Option<f64> {
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(cpu_us_of(stat), Some(3_000_000));
        assert_eq!(cpu_us_of("nonsense"), None);
    }

    #[test]
    fn the_peak_of_memory_is_found() {
        let status = "Name:\ttidings\nVmPeak:\t  900 kB\nVmHWM:\t  20480 kB\n";
        assert_eq!(memory_peak_kib(status), Some(20480));
    }

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let metrics = "# HELP a_total A.\na_total_b 9\na_total 12\n";
        assert_eq!(counter(metrics, "a_total"), Some(12.0));
        assert_eq!(counter(metrics, "b_total"), None);
    }
}
