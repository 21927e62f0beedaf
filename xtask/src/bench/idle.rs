//! `cargo xtask bench idle`: what a server costs that has nothing to do.
//!
//! After some traffic has come to rest, CPU time and commits are counted over a while in which
//! nothing happens.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{
    ends::{LoadPlan, SECRET, Sink, as_f64},
    ground::{DatabaseKind, Ground},
    machine,
    process::usage_of_all,
};
use crate::{machine_clock::rest, server_process::ServerProcess, step::announce};

pub(crate) const ABOUT: &str = "\
What a server costs that has nothing to do: CPU time, commits and statements while nothing happens, after some traffic has come to rest.";

/// Whose events.
const COMPANY: &str = "bench";
/// So that what follows a delivery is done: figures are written after ten seconds, and after a minute
/// when a key was last used.
const COMES_TO_REST: Duration = Duration::from_secs(75);

/// For how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct IdleArgs {
    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// How long to watch, in seconds
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u64,
}

/// Measures and prints what it cost.
pub(super) fn run(
    args: &IdleArgs,
    server: &Path,
    ends: &PathBuf,
    directory: &Path,
) -> anyhow::Result<()> {
    println!("{}.\n", machine::describe(directory)?);
    let ground = Ground::prepare(args.database, &directory.join("data"));
    let sink = Sink::start(ends)?;
    let storage = ground.fresh()?;
    let server = ServerProcess::start(&storage, server, &directory.join("idle-node"), &[])?;
    let url = format!("http://{}/", sink.address);
    server.subscribe(COMPANY, &url, &["*"], Some(SECRET))?;
    let plan = LoadPlan {
        targets: &[server.address()],
        key: server.key(),
        company: COMPANY,
        seconds: 2,
        args: &["--concurrency", "8", "--rate", "100"],
    };
    let load = plan.run(ends)?;
    sink.await_deliveries(load.accepted)?;
    rest(COMES_TO_REST);
    announce(&format!("watching for {} s", args.seconds));
    let (before, ground_before) = (usage_of_all(std::slice::from_ref(&server))?, ground.usage());
    rest(Duration::from_secs(args.seconds));
    let (after, ground_after) = (usage_of_all(std::slice::from_ref(&server))?, ground.usage());
    let share = |us: u64| as_f64(us) / as_f64(args.seconds * 10_000);
    println!(
        "In {} s without work: {:.2} % of a core in the server, {:.2} % in PostgreSQL, {} commits, \
         {} statements.",
        args.seconds,
        share(after.cpu_us - before.cpu_us),
        share(ground_after.cpu_us - ground_before.cpu_us),
        after.commits - before.commits,
        after.statements - before.statements,
    );
    server.stop()
}
