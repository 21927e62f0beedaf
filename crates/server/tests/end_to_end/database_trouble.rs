//! Trouble with PostgreSQL: it stops, it becomes read-only, its connections run out, somebody else
//! holds a lock. Servers say 503, stay alive, and go on by themselves when the trouble is over.

use std::time::Duration;

use serde_json::json;
use tidings_test_cluster::{Cluster, Options};
use tokio::time::Instant;

use crate::{
    fleet::Fleet,
    home::Home,
    http_client::Call,
    program::{Answer, COMPANY, Server},
    receiver::Receiver,
    scratch::until,
};

const PUBLISHERS: usize = 4;
/// Acknowledged before the trouble, and again after it.
const EVENTS: usize = 100;
/// How long PostgreSQL is away.
const AWAY: Duration = Duration::from_secs(10);
/// Longer than leases, so that they end while PostgreSQL is away.
const ARGS: [&str; 2] = [
    "--node-lease=2s",
    "--retry-schedule=50ms,100ms,200ms,400ms,1s,2s,4s",
];

/// Waits until each server says whether it is ready, and checks that it lives.
async fn all_say(fleet: &Fleet, status: u16) {
    for server in fleet.servers() {
        until(&format!("readiness {status}"), async || {
            let answer = server.get("/readyz").await;
            (answer.status == status).then_some(())
        })
        .await;
        assert_eq!(server.get("/healthz").await.status, 200);
    }
}

fn is_come_again(answer: &Answer) -> bool {
    answer.status == 503 && answer.headers.contains_key("retry-after")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_stops_is_503_until_it_is_back() {
    let cluster = Cluster::start(&Options::default());
    let receiver = Receiver::answering(|number| if number % 5 == 4 { 500 } else { 200 }).await;
    let fleet = Fleet::start(Home::in_cluster(&cluster), 2, &ARGS).await;
    fleet.server(0).subscribe(receiver.url()).await;
    let load = fleet.load(PUBLISHERS);
    load.more_promises(EVENTS).await;

    cluster.stop_immediate();
    let stopped = Instant::now();
    all_say(&fleet, 503).await;
    for server in fleet.servers() {
        let answer = server.publish(&json!({})).await;
        assert!(is_come_again(&answer), "{}: {}", answer.status, answer.json);
        let poll = format!("/api/v1/events?companyId={COMPANY}");
        let answer = server.get(&poll).await;
        assert!(is_come_again(&answer), "{}: {}", answer.status, answer.json);
    }
    until("the end of the outage", async || {
        (stopped.elapsed() >= AWAY).then_some(())
    })
    .await;
    load.more_refusals(PUBLISHERS).await;
    cluster.start_again();

    load.more_promises(EVENTS).await;
    all_say(&fleet, 200).await;
    let account = load.end().await;
    fleet.keeps_its_promises(&account, &receiver).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_read_only_is_503_until_it_is_not() {
    let cluster = Cluster::start(&Options::default());
    let receiver = Receiver::accepting().await;
    let fleet = Fleet::start(Home::in_cluster(&cluster), 2, &ARGS).await;
    fleet.server(0).subscribe(receiver.url()).await;
    let load = fleet.load(PUBLISHERS);
    load.more_promises(EVENTS).await;
    let make_read_only = |word| {
        let alter = format!("ALTER SYSTEM SET default_transaction_read_only = {word}");
        cluster.sql("postgres", &alter);
        cluster.sql("postgres", "SELECT pg_reload_conf()");
    };

    make_read_only("on");
    all_say(&fleet, 503).await;
    load.more_refusals(EVENTS).await;
    let before = fleet.server(0).poll_all().await;
    assert!(!before.is_empty(), "what is there can be read");
    make_read_only("off");

    load.more_promises(EVENTS).await;
    all_say(&fleet, 200).await;
    let account = load.end().await;
    fleet.keeps_its_promises(&account, &receiver).await;
    fleet.end().await;
}

/// Asks for many things at the same time; gives the answers.
async fn ask_at_once(server: &Server, path: &str, count: usize) -> Vec<u16> {
    let asking: Vec<_> = (0..count)
        .map(|_| {
            let (client, path) = (server.client(), path.to_owned());
            tokio::spawn(async move {
                let answer = client.send(Call::get(&path)).await.unwrap();
                let status = answer.status().as_u16();
                let comes_again = answer.headers().contains_key("retry-after");
                assert_eq!(status == 503, comes_again, "{answer:?}");
                status
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for asked in asking {
        statuses.push(asked.await.unwrap());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_run_out_are_503_until_one_is_free() {
    const POLLS: usize = 40;
    let home = Home::postgres();
    // Two of them are lent to who reads.
    let server = home.start(&["--database-connections=5"]).await;
    let receiver = Receiver::accepting().await;
    let (subscription, _) = server.subscribe(receiver.url()).await;
    server.publish(&json!({})).await;
    receiver.wait_for(1).await;
    let poll = format!("/api/v1/events?companyId={COMPANY}");
    let statuses = ask_at_once(&server, &poll, POLLS).await;
    assert_eq!(statuses, [200; POLLS], "few suffice for many, in turn");

    // Whoever reads the delivery log holds its connection until the lock is gone.
    let mut blocker = Cluster::shared().session(home.database_name());
    blocker.run("BEGIN; LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE");
    let log = format!("/api/v1/webhooks/subscriptions/{subscription}/attempts");
    let readers = {
        let (client, log) = (server.client(), log.clone());
        tokio::spawn(async move {
            tokio::join!(client.send(Call::get(&log)), client.send(Call::get(&log)))
        })
    };
    until("readers that wait for the lock", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                       AND relation = 'attempts'::regclass";
        let waiting = Cluster::shared().sql(home.database_name(), waiting);
        (waiting == "2").then_some(())
    })
    .await;
    let statuses = ask_at_once(&server, &poll, POLLS).await;
    assert_eq!(statuses, [503; POLLS]);
    assert_eq!(server.get("/healthz").await.status, 200);
    drop(blocker);

    let (one, other) = readers.await.unwrap();
    for answer in [one.unwrap(), other.unwrap()] {
        assert!([200, 503].contains(&answer.status().as_u16()), "{answer:?}");
    }
    let statuses = ask_at_once(&server, &poll, POLLS).await;
    assert_eq!(statuses, [200; POLLS]);
    assert_eq!(server.get(&log).await.status, 200);
    server.publish(&json!({})).await;
    receiver.wait_for(2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_holds_for_long_is_503_until_it_lets_go() {
    let receiver = Receiver::accepting().await;
    let fleet = Fleet::start(Home::postgres(), 2, &ARGS).await;
    fleet.server(0).subscribe(receiver.url()).await;
    let load = fleet.load(PUBLISHERS);
    load.more_promises(EVENTS).await;
    let mut blocker = Cluster::shared().session(fleet.home().database_name());
    blocker.run("BEGIN; LOCK TABLE log_heads IN ACCESS EXCLUSIVE MODE");
    load.more_refusals(2 * PUBLISHERS).await;
    all_say(&fleet, 503).await;
    drop(blocker);

    load.more_promises(EVENTS).await;
    all_say(&fleet, 200).await;
    let account = load.end().await;
    fleet.keeps_its_promises(&account, &receiver).await;
    fleet.end().await;
}
