//! `cargo xtask bench growth`: what a delivery costs as subscriptions, companies and stored events
//! become many.
//!
//! Each point has a fresh database that is filled first; then 64 publishers publish as fast as they
//! can, each event is wanted by one subscription, and CPU per delivery is measured as everywhere.
//! The yardstick is taken anew with each point, since filling takes minutes and a virtual machine
//! drifts meanwhile.

use std::{
    fs,
    path::PathBuf,
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

Each point has a fresh embedded database that is filled first. Prints a table, and writes the curves as a picture. Filling 10,000,000 events takes some minutes and 13 GB of disk.";

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
    #[arg(long, value_name = "N", default_value = "3")]
    runs: usize,

    /// How long each measurement publishes, in seconds
    #[arg(long, value_name = "N", default_value = "8")]
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

/// What was measured at a point.
#[derive(Clone, Copy, Debug)]
struct Measured {
    cpu_us: f64,
    yardstick_us: f64,
}

struct Stage {
    server: PathBuf,
    ends: PathBuf,
    directory: PathBuf,
    ground: Ground,
    args: GrowthArgs,
}

/// Measures, prints the table and writes the picture.
pub(super) fn run(
    args: GrowthArgs,
    server: PathBuf,
    ends: PathBuf,
    directory: PathBuf,
) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    let machine = machine::describe(&directory)?;
    let stage = Stage {
        server,
        ends,
        ground: Ground::prepare(DatabaseKind::Sqlite, &directory.join("data")),
        directory,
        args,
    };
    let base = Point {
        subscriptions: 10,
        companies: 1,
        events: 10_000,
    };
    let first = stage.measure(base)?;
    let subscriptions = [1_000, 100_000].map(|subscriptions| Point {
        subscriptions,
        ..base
    });
    let companies = [1_000, 100_000].map(|subscriptions| Point {
        subscriptions,
        companies: 1_000,
        ..base
    });
    let events = [1_000_000.min(stage.args.events), stage.args.events]
        .map(|events| Point { events, ..base });
    let mut measured = vec![(base, first)];
    let mut curves = Vec::new();
    for (name, points, begins_at_base) in [
        ("subscriptions of one company", subscriptions, true),
        ("subscriptions of 1,000 companies", companies, false),
        ("stored events", events, true),
    ] {
        let x = |point: Point| match name {
            "stored events" => point.events,
            _ => point.subscriptions,
        };
        let mut curve = Curve {
            name,
            points: Vec::new(),
        };
        if begins_at_base {
            curve.points.push((x(base), first.cpu_us));
        }
        for point in points {
            let figures = stage.measure(point)?;
            curve.points.push((x(point), figures.cpu_us));
            measured.push((point, figures));
        }
        curves.push(curve);
    }
    print_table(&machine, &stage.args, first, &measured);
    if let Some(folder) = stage.args.picture.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&stage.args.picture, growth_plot::draw(&curves))
        .with_context(|| format!("cannot write {}", stage.args.picture.display()))?;
    eprintln!("measured in {}", stopwatch.told());
    Ok(())
}

fn print_table(machine: &str, args: &GrowthArgs, first: Measured, rows: &[(Point, Measured)]) {
    println!(
        "{machine}. Medians of {} runs of {} s each; the yardstick is the sink's CPU per request \
         without a server.\n",
        args.runs.max(1),
        args.seconds
    );
    println!(
        "| subscriptions | companies | stored events before | CPU per delivery | against the first \
         | yardstick |"
    );
    println!("|---|---|---|---|---|---|");
    for (point, figures) in rows {
        println!(
            "| {} | {} | {} | {:.0} µs | {:.2} | {:.1} µs |",
            point.subscriptions,
            point.companies,
            point.events,
            figures.cpu_us,
            figures.cpu_us / first.cpu_us,
            figures.yardstick_us,
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

impl Stage {
    fn measure(&self, point: Point) -> anyhow::Result<Measured> {
        announce(&format!(
            "{} subscriptions, {} companies, {} events",
            point.subscriptions, point.companies, point.events
        ));
        let yardstick_us = yardstick::measure(&self.ends)?.sink_cpu_us;
        let sink = Sink::start(&self.ends)?;
        let storage = self.ground.fresh()?;
        let directory = self.directory.join("growth-node");
        let server = ServerProcess::start(&storage, &self.server, &directory, &[])?;
        store_events(&server, point)?;
        subscribe(&server, &sink, point)?;
        let companies = point.companies.to_string();
        let mut runs = Vec::new();
        // The first one opens connections and warms caches, and does not count.
        for number in 0..=self.args.runs.max(1) {
            sink.reset()?;
            let before = usage_of_all(std::slice::from_ref(&server))?;
            let plan = LoadPlan {
                targets: &[server.address()],
                key: server.key(),
                company: COMPANY,
                seconds: self.args.seconds,
                args: &["--concurrency", "64", "--companies", &companies],
            };
            let load = plan.run(&self.ends)?;
            sink.await_deliveries(load.accepted)?;
            let after = usage_of_all(std::slice::from_ref(&server))?;
            let cpu_us = as_f64(after.cpu_us - before.cpu_us) / as_f64(load.accepted);
            if number > 0 {
                eprintln!("  {cpu_us:.1} µs");
                runs.push(cpu_us);
            }
        }
        server.stop()?;
        Ok(Measured {
            cpu_us: median(runs),
            yardstick_us,
        })
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
