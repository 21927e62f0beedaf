//! `cargo xtask bench growth`: what a delivery costs as subscriptions, companies and stored events
//! become many.
//!
//! Each point has a server with a database of its own, which is filled first. Then 64 publishers
//! publish as fast as they can, each event is wanted by one subscription, and CPU per delivery is
//! measured as everywhere. The points take turns, and each is compared with the first one of the
//! same turn: filling takes minutes, and a virtual machine drifts meanwhile.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use super::{
    ends::{LoadPlan, Sink, as_f64},
    ground::{DatabaseKind, Ground},
    growth_plot::{self, Curve},
    machine,
    process::usage_of_all,
    report::median,
    yardstick,
};
use crate::{
    machine_clock::{Stopwatch, rest},
    server_process::ServerProcess,
    step::announce,
};

pub(crate) const ABOUT: &str = "\
What a delivery costs as everything grows: 10 to 100,000 subscriptions, 1 and 1,000 companies, 10,000 to 10,000,000 stored events.

Each point has an embedded database of its own that is filled first; then the points are measured in turns. Prints a table, and writes the curves as a picture. Filling 10,000,000 events takes some minutes and 13 GB of disk.";

/// Whose events; with many companies a number follows.
const COMPANY: &str = "bench";
/// The type that the load publishes, and that one subscription of each company wants.
const WANTED: &str = "bench.happened";
/// Requests under way while a database is filled.
const FILLERS: u64 = 8;
/// Events of one batch while a database is filled.
const BATCH_EVENTS: u64 = 500;

/// How far to go, how often, for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct GrowthArgs {
    /// How often each point is measured
    #[arg(long, value_name = "N", default_value = "5")]
    runs: usize,

    /// How long each measurement publishes, in seconds
    #[arg(long, value_name = "N", default_value = "3")]
    seconds: u64,

    /// The most stored events
    #[arg(long, value_name = "N", default_value = "10000000")]
    events: u64,

    /// Where the picture goes
    #[arg(long, value_name = "FILE", default_value = "docs/images/growth.svg")]
    picture: PathBuf,
}

/// What is in the database before the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    subscriptions: u64,
    companies: u64,
    events: u64,
}

/// A point with its server, and what was measured.
struct Stage {
    point: Point,
    server: ServerProcess,
    /// Microseconds of CPU per delivery, of each turn.
    runs_us: Vec<f64>,
}

/// The points that make a line of the picture.
struct Line {
    name: &'static str,
    points: Vec<Point>,
    count: fn(Point) -> u64,
}

/// Measures, prints the table and writes the picture.
pub(super) fn run(
    args: &GrowthArgs,
    server: &Path,
    ends: &PathBuf,
    directory: &Path,
) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    let machine = machine::describe(directory)?;
    let lines = lines(args.events);
    let sink = Sink::start(ends)?;
    let mut stages: Vec<Stage> = Vec::new();
    for &point in lines.iter().flat_map(|line| &line.points) {
        if stages.iter().all(|stage| stage.point != point) {
            let directory = directory.join(format!("growth-{}", stages.len()));
            stages.push(Stage::fill(point, server, &sink, &directory)?);
        }
    }
    let mut yardsticks = Vec::new();
    // The first turn opens connections and warms caches, and does not count.
    for turn in 0..=args.runs.max(1) {
        announce(&format!("turn {turn} of {}", args.runs.max(1)));
        yardsticks.push(yardstick::measure(ends)?.sink_cpu_us);
        for stage in &mut stages {
            let cpu_us = stage.measure(args.seconds, ends, &sink)?;
            eprintln!("  {cpu_us:.1} µs with {}", stage.point);
            if turn > 0 {
                stage.runs_us.push(cpu_us);
            }
        }
    }
    println!(
        "{machine}. Medians of {} turns of {} s each; yardstick: {:.1} µs of the sink's CPU per \
         request without a server.\n",
        args.runs.max(1),
        args.seconds,
        median(yardsticks),
    );
    print_table(&stages);
    if let Some(folder) = args.picture.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&args.picture, growth_plot::draw(&curves(&lines, &stages)))
        .with_context(|| format!("cannot write {}", args.picture.display()))?;
    for stage in stages {
        stage.server.stop()?;
    }
    eprintln!("measured in {}", stopwatch.told());
    Ok(())
}

/// What grows, up to so many stored events.
fn lines(events_max: u64) -> [Line; 3] {
    let base = Point {
        subscriptions: 10,
        companies: 1,
        events: 10_000,
    };
    let of_one = [10, 1_000, 100_000].map(|subscriptions| Point {
        subscriptions,
        ..base
    });
    let of_many = [1_000, 100_000].map(|subscriptions| Point {
        subscriptions,
        companies: 1_000,
        ..base
    });
    let stored = [10_000, 1_000_000, 10_000_000].map(|events| Point {
        events: events_max.min(events),
        ..base
    });
    [
        Line {
            name: "subscriptions of one company",
            points: of_one.to_vec(),
            count: |point| point.subscriptions,
        },
        Line {
            name: "subscriptions of 1,000 companies",
            points: of_many.to_vec(),
            count: |point| point.subscriptions,
        },
        Line {
            name: "stored events",
            points: stored.to_vec(),
            count: |point| point.events,
        },
    ]
}

/// What each stage cost against the first one of the same turn; the median.
fn against(first: &Stage, stage: &Stage) -> f64 {
    let turns = stage.runs_us.iter().zip(&first.runs_us);
    median(turns.map(|(us, first_us)| us / first_us).collect())
}

/// The curves in microseconds: what the first one cost, times what the others cost against it.
fn curves(lines: &[Line], stages: &[Stage]) -> Vec<Curve> {
    let Some(first) = stages.first() else {
        return Vec::new();
    };
    let unit_us = median(first.runs_us.clone());
    let curve = |line: &Line| Curve {
        name: line.name,
        points: stages
            .iter()
            .filter(|stage| line.points.contains(&stage.point))
            .map(|stage| ((line.count)(stage.point), unit_us * against(first, stage)))
            .collect(),
    };
    lines.iter().map(curve).collect()
}

fn print_table(stages: &[Stage]) {
    println!(
        "| subscriptions | companies | stored events before | CPU per delivery | against the first \
         |"
    );
    println!("|---|---|---|---|---|");
    for stage in stages {
        println!(
            "| {} | {} | {} | {:.0} µs | {:.2} |",
            stage.point.subscriptions,
            stage.point.companies,
            stage.point.events,
            median(stage.runs_us.clone()),
            against(&stages[0], stage),
        );
    }
}

impl Point {
    fn company(self, number: u64) -> String {
        match self.companies {
            1 => COMPANY.to_owned(),
            many => format!("{COMPANY}-{}", number % many),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} subscriptions, {} companies, {} events",
            self.subscriptions, self.companies, self.events
        )
    }
}

impl Stage {
    fn fill(point: Point, server: &Path, sink: &Sink, directory: &Path) -> anyhow::Result<Self> {
        announce(&format!("filling {point}"));
        let storage = Ground::prepare(DatabaseKind::Sqlite, &directory.join("data")).fresh()?;
        let server = ServerProcess::start(&storage, server, &directory.join("node"), &[])?;
        store_events(&server, point)?;
        subscribe(&server, sink, point)?;
        Ok(Self {
            point,
            server,
            runs_us: Vec::new(),
        })
    }

    fn measure(&self, seconds: u64, ends: &Path, sink: &Sink) -> anyhow::Result<f64> {
        let companies = self.point.companies.to_string();
        let plan = LoadPlan {
            targets: &[self.server.address()],
            key: self.server.key(),
            company: COMPANY,
            seconds,
            args: &["--concurrency", "64", "--companies", &companies],
        };
        sink.reset()?;
        let before = usage_of_all(std::slice::from_ref(&self.server))?;
        let load = plan.run(ends)?;
        sink.await_deliveries(load.accepted)?;
        let after = usage_of_all(std::slice::from_ref(&self.server))?;
        Ok(as_f64(after.cpu_us - before.cpu_us) / as_f64(load.accepted))
    }
}

/// Subscriptions in turns over the companies; the first of each company wants what the load
/// publishes, the others something else each.
fn subscribe(server: &ServerProcess, sink: &Sink, point: Point) -> anyhow::Result<()> {
    in_parallel(point.subscriptions, |number| {
        let url = format!("http://{}/{number}", sink.address);
        let other = format!("bench.other-{number}");
        let wanted = if number < point.companies {
            WANTED
        } else {
            &other
        };
        server.subscribe(&point.company(number), &url, &[wanted], None)?;
        Ok(())
    })
}

/// Events of 1 KiB that nobody wants, in turns over the companies.
fn store_events(server: &ServerProcess, point: Point) -> anyhow::Result<()> {
    let text = "x".repeat(1000);
    let event = json!({"type": "bench.stored", "payload": {"text": text}});
    in_parallel(point.events.div_ceil(BATCH_EVENTS), |number| {
        let left = point.events - number * BATCH_EVENTS;
        let count = usize::try_from(left.min(BATCH_EVENTS)).unwrap_or(0);
        let path = format!("/api/v1/events/batch?companyId={}", point.company(number));
        let batch = json!({"events": vec![&event; count]}).to_string();
        let answer = server.request("POST", &path, &batch)?;
        ensure!(
            answer.status == 201,
            "a batch was answered {}: {}",
            answer.status,
            answer.body
        );
        Ok(())
    })?;
    // The log is moved into the file while nobody waits for it.
    rest(std::time::Duration::from_secs(2));
    Ok(())
}

/// Does something for each number below `count`, several at a time.
fn in_parallel(count: u64, work: impl Fn(u64) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let next = AtomicU64::new(0);
    let one = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(());
            }
            work(number)?;
        }
    };
    thread::scope(|scope| {
        let fillers: Vec<_> = (0..FILLERS).map(|_| scope.spawn(one)).collect();
        for filler in fillers {
            match filler.join() {
                Ok(result) => result?,
                Err(_) => anyhow::bail!("a thread that fills the database broke"),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_turn_and_an_error_ends_it() {
        let sum = AtomicU64::new(0);
        let add = |number| {
            sum.fetch_add(number, Ordering::Relaxed);
            Ok(())
        };
        in_parallel(101, add).unwrap();
        assert_eq!(sum.into_inner(), 5050);
        let fails = |number| {
            ensure!(number < 7, "seven");
            Ok(())
        };
        assert!(in_parallel(100, fails).is_err());
    }

    #[test]
    fn companies_take_turns() {
        let point = Point {
            subscriptions: 4,
            companies: 2,
            events: 0,
        };
        assert_eq!(point.company(3), "bench-1");
        let one = Point {
            companies: 1,
            ..point
        };
        assert_eq!(one.company(3), "bench");
    }
}
