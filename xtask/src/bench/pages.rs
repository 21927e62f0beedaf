//! `cargo xtask bench pages`: how long the portal's pages take with a great many attempts in the log.
//!
//! Events are published and delivered until so many attempts are logged, spread over some webhooks
//! of one company, some of which fail. Then each page is asked for again and again, by somebody of
//! the company: the time from the request to the whole answer, and
//! its size.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use super::{
    ends::{LoadPlan, SECRET, Sink},
    ground::{DatabaseKind, Ground},
    machine,
};
use crate::{
    http,
    machine_clock::{Stopwatch, wait_until},
    server_process::ServerProcess,
    step::announce,
};

pub(crate) const ABOUT: &str = "\
How long the portal's pages take, and how large they are, with a million attempts in the log. The goals are 100 ms and 100 kB for each.";

/// Whose pages.
const COMPANY: &str = "bench";
/// How many webhooks, each of which gets every event.
const WEBHOOKS: u64 = 10;
/// How often each page is asked for.
const TIMES: usize = 15;
/// How long the deliveries may take to drain.
const DRAIN_AT_MOST: std::time::Duration = std::time::Duration::from_mins(20);

/// How much is in the log.
#[derive(Args, Clone, Debug)]
pub(crate) struct PagesArgs {
    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "sqlite")]
    database: DatabaseKind,

    /// How many attempts
    #[arg(long, value_name = "N", default_value = "1000000")]
    attempts: u64,
}

/// Measures and prints the table.
pub(super) fn run(
    args: &PagesArgs,
    server: &Path,
    ends: &PathBuf,
    directory: &Path,
) -> anyhow::Result<()> {
    println!("{}.\n", machine::describe(directory)?);
    let ground = Ground::prepare(args.database, &directory.join("data"));
    let sink = Sink::start(ends)?;
    let storage = ground.fresh()?;
    let server = ServerProcess::start(&storage, server, &directory.join("pages-node"), &[])?;
    let mut webhook = String::new();
    for number in 0..WEBHOOKS {
        let url = format!("http://{}/{number}", sink.address);
        let made = server.subscribe(COMPANY, &url, &["*"], Some(SECRET))?;
        made["id"]
            .as_str()
            .context("no id")?
            .clone_into(&mut webhook);
    }
    announce(&format!("{} attempts", args.attempts));
    let events = (args.attempts / WEBHOOKS).max(1);
    let plan = LoadPlan {
        targets: &[server.address()],
        key: server.key(),
        company: COMPANY,
        seconds: 3600,
        args: &["--concurrency", "64", "--events", &events.to_string()],
    };
    let load = plan.run(ends)?;
    let all = wait_until(DRAIN_AT_MOST, || {
        let distinct = sink.report()?.distinct;
        Ok((distinct >= load.accepted * WEBHOOKS).then_some(()))
    })?;
    ensure!(all.is_some(), "not everything was delivered");
    let newest = server.request(
        "GET",
        "/api/v1/events?order=desc&limit=1&companyId=bench",
        "",
    )?;
    let newest: serde_json::Value = serde_json::from_str(&newest.body)?;
    let event = newest[0]["id"].as_str().context("no event")?.to_owned();
    let cookie = enter(&server)?;
    println!("| page | median | slowest of {TIMES} | size |\n|---|---|---|---|");
    for (name, path) in [
        ("overview, 1 hour", "?range=1h".to_owned()),
        ("overview, 7 days", "?range=7d".to_owned()),
        ("webhooks", "/webhooks".to_owned()),
        ("one webhook", format!("/webhooks/{webhook}")),
        ("delivery log", "/log".to_owned()),
        (
            "log, failed only (there is none)",
            "/log?outcome=failed".to_owned(),
        ),
        (
            "log, status 418 (there is none)",
            "/log?status=418".to_owned(),
        ),
        ("log, one webhook", format!("/log?webhook={webhook}")),
        ("log, one event", format!("/log?event={event}")),
        (
            "log, until a time",
            "/log?until=2999-01-01T00:00".to_owned(),
        ),
        ("events", "/events".to_owned()),
        ("one event and its trace", format!("/events/{event}")),
        ("API keys", "/keys".to_owned()),
        ("audit log", "/audit".to_owned()),
        ("event types", "/types".to_owned()),
    ] {
        let path = format!("/portal/c/{COMPANY}{path}");
        println!("| {name} | {} |", ask(&server, &path, &cookie)?);
    }
    server.stop()
}

/// Comes by a link, as a company's admin does; gives the cookie.
fn enter(server: &ServerProcess) -> anyhow::Result<String> {
    let wish = json!({"companyId": COMPANY, "role": "admin", "expiresInMinutes": 60});
    let link = server.call("POST", "/api/v1/portal/sessions", &wish, 201)?;
    let link = link["url"].as_str().context("no link")?;
    let (_, path) = link
        .split_once("/portal/")
        .context("no link into the portal")?;
    let path = format!("/portal/{path}");
    let answer = http::request(server.address(), "GET", &path, &[], "")?;
    let cookie = answer.header("set-cookie").context("no cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// Asks for a page again and again; the cells of its row.
fn ask(server: &ServerProcess, path: &str, cookie: &str) -> anyhow::Result<String> {
    let mut times = Vec::with_capacity(TIMES);
    let mut bytes = 0;
    for _ in 0..TIMES {
        let stopwatch = Stopwatch::start();
        let answer = http::request(server.address(), "GET", path, &[("Cookie", cookie)], "")?;
        times.push(stopwatch.elapsed());
        ensure!(answer.status == 200, "{path} answered {}", answer.status);
        bytes = answer.body.len();
    }
    times.sort();
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    Ok(format!(
        "{:.1} ms | {:.1} ms | {} kB",
        ms(times[TIMES / 2]),
        ms(times[TIMES - 1]),
        bytes.div_ceil(1000),
    ))
}
