//! One run: servers with a fresh database and a sink, a warm-up, the load, and the wait until
//! everything that was accepted has been delivered.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::ensure;

use super::{
    ends::{Arrived, Load, LoadPlan, SECRET, Sink, as_f64, per_second},
    ground::{Ground, GroundUsage},
    process::{Usage, usage_of_all},
    scenario::{Scenario, Situation},
};
use crate::server_process::{ServerProcess, Storage};

/// Whose events, as the load generator has it by default.
const COMPANY: &str = "bench";
/// How long the warm-up publishes, in seconds.
const WARM_UP_SECONDS: u64 = 3;

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
    /// What the servers store in.
    pub(super) ground: Ground,
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
    /// CPU time of the servers per delivery, in microseconds, everything included.
    pub(super) cpu_us_per_delivery: f64,
    /// CPU time of PostgreSQL per delivery, in microseconds; 0 with the embedded store.
    pub(super) postgres_cpu_us_per_delivery: f64,
    /// SQL statements per delivery.
    pub(super) statements_per_delivery: f64,
    /// Bytes of PostgreSQL's log of changes per delivery.
    pub(super) wal_bytes_per_delivery: f64,
    /// Bytes of the database per event, after the server has stopped.
    pub(super) bytes_per_event: f64,
    /// Events per commit, and so per fsync; the commits that settle deliveries are counted, too.
    pub(super) events_per_fsync: f64,
    /// The most memory that the server held, in MiB.
    pub(super) memory_peak_mib: f64,
    /// Publications that were not answered 201.
    pub(super) refused: f64,
}

impl Figures {
    /// CPU time per delivery, of the servers and PostgreSQL together.
    pub(super) fn cpu_us_together(&self) -> f64 {
        self.cpu_us_per_delivery + self.postgres_cpu_us_per_delivery
    }
}

impl Bench {
    /// Measures one run.
    pub(super) fn run(&self, situation: Situation) -> anyhow::Result<Figures> {
        let Situation { scenario, nodes } = situation;
        let sink = Sink::start(&self.ends)?;
        let storage = self.ground.fresh()?;
        let servers = self.start(&storage, nodes)?;
        for number in 0..scenario.subscriptions() {
            let url = format!("http://{}/{number}", sink.address);
            servers[0].subscribe(COMPANY, &url, &["*"], Some(SECRET))?;
        }
        let targets: Vec<_> = servers.iter().map(ServerProcess::address).collect();
        let key = servers[0].key();
        let warm_up = self.load(&targets, key, scenario, WARM_UP_SECONDS)?;
        sink.await_deliveries(warm_up.accepted * scenario.subscriptions())?;
        sink.reset()?;
        let before = (usage_of_all(&servers)?, self.ground.usage());
        let load = self.load(&targets, key, scenario, self.seconds)?;
        let expected = load.accepted * scenario.subscriptions();
        let arrived = sink.await_deliveries(expected)?;
        let after = (usage_of_all(&servers)?, self.ground.usage());
        for server in servers {
            server.stop()?;
        }
        let bytes = self.ground.bytes(&storage)?;
        ensure!(arrived.verified > 0, "no signature was checked");
        ensure!(
            arrived.forged == 0,
            "{} signatures are wrong",
            arrived.forged
        );
        Ok(figures(&load, &arrived, before, after, bytes))
    }

    /// So many nodes on the same database.
    fn start(&self, storage: &Storage, nodes: usize) -> anyhow::Result<Vec<ServerProcess>> {
        let directory = |number: usize| self.directory.join(format!("node-{number}"));
        let first = ServerProcess::start(storage, &self.server, &directory(1), &[])?;
        let mut servers = vec![first];
        for number in 2..=nodes {
            let first = &servers[0];
            let node =
                ServerProcess::start_beside(first, storage, &self.server, &directory(number), &[])?;
            servers.push(node);
        }
        Ok(servers)
    }

    fn load(
        &self,
        targets: &[SocketAddr],
        key: &str,
        scenario: Scenario,
        seconds: u64,
    ) -> anyhow::Result<Load> {
        let plan = LoadPlan {
            targets,
            key,
            company: COMPANY,
            seconds,
            args: scenario.load_args(),
        };
        plan.run(&self.ends)
    }
}

fn figures(
    load: &Load,
    arrived: &Arrived,
    before: (Usage, GroundUsage),
    after: (Usage, GroundUsage),
    bytes: u64,
) -> Figures {
    let (before, ground_before) = before;
    let (after, ground_after) = after;
    let per_delivery = |used: f64| used / as_f64(arrived.distinct);
    let ms = |us: u64| as_f64(us) / 1000.0;
    Figures {
        accepted_per_second: load.accepted_per_second(),
        delivered_per_second: per_second(arrived.distinct, load.started_us, arrived.last_us),
        publish_p50_ms: ms(load.publish_p50_us),
        publish_p99_ms: ms(load.publish_p99_us),
        arrival_p50_ms: ms(arrived.age_p50_us),
        arrival_p99_ms: ms(arrived.age_p99_us),
        cpu_us_per_delivery: per_delivery(as_f64(after.cpu_us - before.cpu_us)),
        postgres_cpu_us_per_delivery: per_delivery(as_f64(
            ground_after.cpu_us - ground_before.cpu_us,
        )),
        statements_per_delivery: per_delivery(after.statements - before.statements),
        wal_bytes_per_delivery: per_delivery(as_f64(
            ground_after.wal_bytes - ground_before.wal_bytes,
        )),
        bytes_per_event: as_f64(bytes) / after.events,
        events_per_fsync: (after.events - before.events) / (after.commits - before.commits),
        memory_peak_mib: as_f64(after.memory_peak_kib) / 1024.0,
        refused: as_f64(load.refused),
    }
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
            statements: 50.0,
            memory_peak_kib: 1024,
        };
        let after = Usage {
            cpu_us: 150_000,
            commits: 60.0,
            events: 1500.0,
            statements: 250.0,
            memory_peak_kib: 20_480,
        };
        let ground_before = GroundUsage {
            cpu_us: 1000,
            wal_bytes: 500_000,
        };
        let ground_after = GroundUsage {
            cpu_us: 31_000,
            wal_bytes: 2_500_000,
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
            postgres_cpu_us_per_delivery: 30.0,
            statements_per_delivery: 0.2,
            wal_bytes_per_delivery: 2000.0,
            bytes_per_event: 2000.0,
            events_per_fsync: 20.0,
            memory_peak_mib: 20.0,
            refused: 3.0,
        };
        assert_eq!(
            figures(
                &load,
                &arrived,
                (before, ground_before),
                (after, ground_after),
                3_000_000
            ),
            expected
        );
    }
}
