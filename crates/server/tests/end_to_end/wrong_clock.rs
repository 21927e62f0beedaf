//! A server on a machine whose clock is wrong by minutes, beside one whose clock is right: it goes
//! by PostgreSQL's clock as all do, so nobody takes anybody's work for abandoned, retries come when
//! they are due, and events are as old as they are.
//!
//! The clock is bent by libfaketime, for that server alone; its timers go on as they should.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_domain::time::UtcMillis;
use tidings_test_cluster::Cluster;
use tokio::{process::Command, time::Instant};

use crate::{
    home::Home,
    program::{Server, run, text},
    receiver::{Received, Receiver},
    scratch::until,
};

/// Shorter than the clock is wrong, by far.
const LEASE_MS: i64 = 2000;
/// The delay of the one retry.
const RETRY: Duration = Duration::from_secs(3);
/// How much later a retry may come: 10 % jitter, and a busy machine.
const LATE_MAX: Duration = Duration::from_millis(2300);
/// How far two servers' clocks may differ.
const APART_MAX: Duration = Duration::from_millis(700);

/// A server whose machine's clock is wrong by `offset`, such as `+5m`.
async fn start_with_clock(home: &Home, offset: &str, args: &[&str]) -> Server {
    let mut command = home.serve(args);
    // The wrapper would stay between this test and the server; only its settings are wanted.
    for variable in ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES"] {
        let mut ask = Command::new("faketime");
        ask.args(["-m", "-f", offset, "printenv", variable]);
        let library = text(&run(ask, b"").await.stdout);
        if !library.trim().is_empty() {
            command.env(variable, library.trim());
        }
    }
    command
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    Server::of(command).await
}

/// Checks that the machine's clock is wrong indeed: the log is stamped with it.
fn assert_wrong(server: &Server, right: &Server, minutes: i64) {
    let stamp_ms = |server: &Server| {
        let log = server.log();
        let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
        let line: Value = serde_json::from_str(ready).unwrap();
        epoch_ms(line["timestamp"].as_str().unwrap())
    };
    let apart_ms = stamp_ms(server) - stamp_ms(right);
    let wrong_ms = minutes * 60_000;
    assert!(
        (apart_ms - wrong_ms).abs() < 60_000,
        "wrong by {apart_ms} ms"
    );
}

fn epoch_ms(text: &str) -> i64 {
    UtcMillis::parse(text).unwrap().as_millis()
}

/// Publishes and gives when the server says that it was created.
async fn created_ms(server: &Server) -> i64 {
    let answer = server.publish(&json!({})).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    epoch_ms(answer.json["createdUtc"].as_str().unwrap())
}

/// The leases that stand: who, and until when.
fn leases(home: &Home) -> Vec<(String, i64)> {
    let rows = Cluster::shared().sql(
        home.database_name(),
        "SELECT id, until_ms FROM leases ORDER BY id",
    );
    rows.lines()
        .map(|row| {
            let (id, until) = row.split_once('|').unwrap();
            (id.to_owned(), until.parse().unwrap())
        })
        .collect()
}

/// Waits until both servers have renewed their leases for longer than a lease lasts; nobody may
/// have lost one meanwhile.
async fn let_leases_be_renewed(home: &Home) {
    let before = until("both leases", async || {
        Some(leases(home)).filter(|leases| leases.len() == 2)
    })
    .await;
    let newest = before.iter().map(|(_, until)| *until).max().unwrap();
    until("renewed leases", async || {
        let now = leases(home);
        let is_later = |(_, until): &(String, i64)| *until > newest + 2 * LEASE_MS;
        let ids = |leases: &[(String, i64)]| -> Vec<String> {
            leases.iter().map(|(id, _)| id.clone()).collect()
        };
        assert_eq!(ids(&now), ids(&before), "a lease was taken over");
        now.iter().all(is_later).then_some(())
    })
    .await;
}

fn sent_s(attempt: &Received) -> i64 {
    attempt.header("webhook-timestamp").parse().unwrap()
}

async fn goes_by_the_clock_of_the_database(offset: &str, minutes: i64) {
    let home = Home::postgres();
    let receiver = Receiver::holding(|number| if number < 2 { 500 } else { 200 }).await;
    let lease = format!("--node-lease={LEASE_MS}ms");
    let schedule = format!("--retry-schedule={}s", RETRY.as_secs());
    let args = [&lease, &schedule, "--attempt-timeout=1m"];
    let right = home.start(&args).await;
    let wrong = start_with_clock(&home, offset, &args).await;
    assert_wrong(&wrong, &right, minutes);
    right.subscribe(receiver.url()).await;

    let created = [
        created_ms(&right).await,
        created_ms(&wrong).await,
        created_ms(&right).await,
        created_ms(&wrong).await,
    ];
    for pair in created.windows(2) {
        let apart = pair[1] - pair[0];
        let earliest = -i64::try_from(APART_MAX.as_millis()).unwrap();
        assert!((earliest..5000).contains(&apart), "{created:?}");
    }
    receiver.wait_for(4).await;
    // Both servers have attempts in flight, and leases that the other one sees.
    let_leases_be_renewed(&home).await;
    let firsts = receiver.received();
    assert_eq!(firsts.len(), 4, "nobody made an attempt of another's");
    let answered = Instant::now();
    receiver.let_go();

    let attempts = receiver.wait_for(6).await;
    for retry in &attempts[4..] {
        assert_eq!(retry.header("x-webhook-attempt"), "2");
        let delay = retry.at.duration_since(answered);
        assert!(
            delay + APART_MAX > RETRY && delay < RETRY + LATE_MAX,
            "a retry came after {delay:?}"
        );
    }
    let sent: Vec<_> = attempts.iter().map(sent_s).collect();
    let spread = sent.iter().max().unwrap() - sent.iter().min().unwrap();
    assert!(spread < 60, "signed at {sent:?}");
    until("the end of what is owed", async || {
        let shown = right.text("/metrics").await;
        shown.contains("tidings_queue_deliveries 0").then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 6);
    right.stop().await;
    wrong.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_fast_harms_nobody() {
    goes_by_the_clock_of_the_database("+5m", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_slow_harms_nobody() {
    goes_by_the_clock_of_the_database("-5m", -5).await;
}
