//! `cargo xtask bench streams`: what readers cost that stream events while none happens.
//!
//! So many connections follow as many companies' events. Memory, CPU time and statements are told
//! for a while of silence; then one event goes to one of them, which shows that they are alive.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use super::{
    ends::as_f64,
    ground::{DatabaseKind, Ground},
    machine,
    process::{memory_kib, usage_of_all},
};
use crate::{machine_clock::rest, server_process::ServerProcess, step::announce};

pub(crate) const ABOUT: &str = "\
What readers cost that stream events while none happens: memory, CPU time and statements of the server with 10,000 open streams.";

/// How many, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamsArgs {
    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// How many streams
    #[arg(long, value_name = "N", default_value = "10000")]
    streams: usize,

    /// How long to watch, in seconds
    #[arg(long, value_name = "N", default_value = "30")]
    seconds: u64,
}

/// Measures and prints what it cost.
pub(super) fn run(args: &StreamsArgs, server: &Path, directory: &Path) -> anyhow::Result<()> {
    let needed = u64::try_from(args.streams)? + 100;
    let allowed = rlimit::increase_nofile_limit(needed).context("the limit of open files")?;
    ensure!(
        allowed >= needed,
        "{needed} open files are needed, {allowed} are allowed"
    );
    println!("{}.\n", machine::describe(directory)?);
    let ground = Ground::prepare(args.database, &directory.join("data"));
    let storage = ground.fresh()?;
    let server = ServerProcess::start(&storage, server, &directory.join("streams-node"), &[])?;
    let before_kib = memory_kib(server.id())?;
    announce(&format!("opening {} streams", args.streams));
    let mut streams = Vec::with_capacity(args.streams);
    for number in 0..args.streams {
        streams.push(open(&server, &company(number))?);
    }
    announce(&format!("watching for {} s", args.seconds));
    let before = usage_of_all(std::slice::from_ref(&server))?;
    rest(Duration::from_secs(args.seconds));
    let after = usage_of_all(std::slice::from_ref(&server))?;
    let after_kib = memory_kib(server.id())?;
    let event = json!({"type": "bench.happened", "payload": {}, "companyId": company(0)});
    server.call("POST", "/api/v1/events", &event, 201)?;
    await_text(&mut streams[0], "event: bench.happened")?;
    println!(
        "{} idle streams: {} MiB of memory ({} MiB before them, {:.1} KiB each); in {} s {:.1} % of a \
         core, {} statements.",
        args.streams,
        after_kib / 1024,
        before_kib / 1024,
        as_f64(after_kib.saturating_sub(before_kib)) / as_f64(needed - 100),
        args.seconds,
        as_f64(after.cpu_us - before.cpu_us) / as_f64(args.seconds * 10_000),
        after.statements - before.statements,
    );
    drop(streams);
    server.stop()
}

fn company(number: usize) -> String {
    format!("reader-{number}")
}

fn open(server: &ServerProcess, company: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET /api/v1/events/stream?cursor=now&companyId={company} HTTP/1.1\r\nHost: bench\r\n\
         X-Api-Key: {}\r\n\r\n",
        server.key()
    )?;
    await_text(&mut stream, "retry: ")?;
    Ok(stream)
}

fn await_text(stream: &mut TcpStream, text: &str) -> anyhow::Result<()> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(text) {
        let count = stream.read(&mut chunk).context("a stream is silent")?;
        ensure!(
            count > 0,
            "a stream ended: {}",
            String::from_utf8_lossy(&read)
        );
        read.extend_from_slice(&chunk[..count]);
    }
    Ok(())
}
