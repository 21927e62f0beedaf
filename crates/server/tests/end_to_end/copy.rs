//! The move from a file to PostgreSQL: killed in the middle, run again, and nobody notices. What
//! would do harm is refused.

use std::{path::Path, process::Stdio};

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tidings_test_cluster::{Cluster, Database};
use tokio::process::Command;

use crate::{
    home::ENCRYPTION_KEY,
    http_client::Call,
    program::{COMPANY, Server, run, serve, text, tidings},
    receiver::Receiver,
    scratch::{Scratch, until},
};

const EVENTS: usize = 30;
const PAGE: usize = 7;

/// A file in a directory, and where it shall go.
struct Move {
    scratch: Scratch,
    database: Database,
}

impl Move {
    fn new() -> Self {
        Self {
            scratch: Scratch::new(),
            database: Cluster::shared().database(),
        }
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    async fn start_on_file(&self) -> Server {
        let mut command = serve(self.path(), &["--node-lease=1s"]);
        command.env("TIDINGS_ENCRYPTION_KEY", ENCRYPTION_KEY);
        Server::of(command).await
    }

    fn serve_on_postgresql(&self) -> Command {
        let mut command = serve(self.path(), &["--node-lease=1s"]);
        command
            .env("TIDINGS_DATABASE", self.database.url())
            .env("TIDINGS_ENCRYPTION_KEY", ENCRYPTION_KEY);
        command
    }

    fn copy(&self) -> Command {
        let mut command = tidings(self.path());
        command
            .arg("copy")
            .env("TIDINGS_COPY_TO", self.database.url())
            .env("TIDINGS_ENCRYPTION_KEY", ENCRYPTION_KEY);
        command
    }

    /// What a copy says that does not come to its end.
    async fn refused(&self, command: Command) -> String {
        let output = run(command, b"").await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains(ENCRYPTION_KEY), "{said}");
        said
    }

    fn sql(&self, sql: &str) -> String {
        Cluster::shared().sql(self.database.name(), sql)
    }

    /// Starts a copy and kills it while the delivery log is on its way, the rest being there.
    async fn killed_copy(&self) {
        // A server that was started on the target and took nothing is no hindrance, though it has
        // left a link by which the first user of the portal is made.
        let looked = Server::of(self.serve_on_postgresql()).await;
        looked.stop().await;
        assert_eq!(self.sql("SELECT count(*) FROM links"), "1");
        let mut barrier = Cluster::shared().session(self.database.name());
        // Who looks is let through, who writes is not.
        barrier.run("BEGIN; LOCK TABLE attempts IN SHARE MODE");
        let mut copy = self.copy().stderr(Stdio::null()).spawn().unwrap();
        until("the copy of all but the log", async || {
            let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                           WHERE d.datname = current_database() AND NOT l.granted
                               AND l.locktype = 'relation'";
            (self.sql(waiting) == "1").then_some(())
        })
        .await;
        copy.kill().await.unwrap();
        drop(barrier);
        let events = self.sql("SELECT count(*) FROM events");
        assert_eq!(events, EVENTS.to_string());
        assert_eq!(self.sql("SELECT count(*) FROM attempts"), "0");
    }
}

/// A page of a list, as its items' ids, and the path of the next one.
async fn page(server: &Server, path: &str, cursor: Option<&str>) -> (Vec<String>, String) {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    let answer = server.get(&format!("{path}limit={PAGE}{cursor}")).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let items = answer.json.as_array().unwrap();
    let ids = items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned());
    let next = answer.headers["x-paging-cursor"].to_str().unwrap();
    (ids.collect(), next.to_owned())
}

/// Everything beyond a cursor.
async fn rest(server: &Server, path: &str, mut cursor: String) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let (ids, next) = page(server, path, Some(&cursor)).await;
        if ids.is_empty() {
            return found;
        }
        found.extend(ids);
        cursor = next;
    }
}

/// Publishes under a key; gives the event's id.
async fn publish_once(server: &Server) -> Value {
    let event = json!({"companyId": COMPANY, "type": "test.once", "payload": {"b": 1.50}});
    let mut call = Call::post("/api/v1/events", event.to_string());
    let key = HeaderValue::from_static("\"only-once\"");
    let name = HeaderName::from_static("idempotency-key");
    call.headers.push((name, key));
    let answer = server.client().send(call).await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.body());
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_copy_goes_on_and_nobody_notices_the_move() {
    let it = Move::new();
    let (quick, slow) = (
        Receiver::accepting().await,
        Receiver::holding(|_| 200).await,
    );
    let mut server = it.start_on_file().await;
    let (quick_id, _) = server.subscribe(quick.url()).await;
    let (_, secret) = server.subscribe(slow.url()).await;
    let once = publish_once(&server).await;
    for n in 1..EVENTS {
        let answer = server.publish(&json!({"n": n, "text": "grün\u{0}"})).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
    }
    let log = format!("/api/v1/webhooks/subscriptions/{quick_id}/attempts?");
    until("the quick receiver's log", async || {
        let all = server.get(&format!("{log}limit=100")).await.json;
        (all.as_array().unwrap().len() == EVENTS).then_some(())
    })
    .await;
    slow.wait_for(1).await;
    let events = format!("/api/v1/events?companyId={COMPANY}&");
    let (first_events, events_cursor) = page(&server, &events, None).await;
    let (first_attempts, attempts_cursor) = page(&server, &log, None).await;
    let all_events = rest(&server, &events, events_cursor.clone()).await;
    let all_attempts = rest(&server, &log, attempts_cursor.clone()).await;
    let shown = server
        .get(&format!("/api/v1/events/{}", all_events[3]))
        .await
        .json;
    // What the slow receiver got is held, and nobody is there any more to let go of it.
    server.signal("KILL").await;
    server.ended().await;

    it.killed_copy().await;
    let said = it.refused(it.serve_on_postgresql()).await;
    assert!(
        said.contains("unfinished copy") && said.contains("tidings copy"),
        "{said}"
    );
    let output = run(it.copy(), b"").await;
    let (said, told) = (text(&output.stderr), text(&output.stdout));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Going on"), "{said}");
    assert!(told.contains("TIDINGS_DATABASE=postgres://"), "{told}");
    let output = run(it.copy(), b"").await;
    assert!(text(&output.stderr).contains("nothing is left to do"));
    assert!(output.status.success());

    let server = Server::of(it.serve_on_postgresql()).await;
    assert_eq!(rest(&server, &events, events_cursor).await, all_events);
    assert_eq!(rest(&server, &log, attempts_cursor).await, all_attempts);
    assert_eq!(page(&server, &events, None).await.0, first_events);
    assert_eq!(page(&server, &log, None).await.0, first_attempts);
    let path = format!("/api/v1/events/{}", all_events[3]);
    assert_eq!(server.get(&path).await.json, shown);
    assert_eq!(publish_once(&server).await, once, "a promise is kept");
    slow.let_go();
    until("everything at the slow receiver", async || {
        (slow.counts().len() == EVENTS).then_some(())
    })
    .await;
    let last = slow.received().pop().unwrap();
    let mut verify = tidings(it.path());
    verify
        .args(["verify", "-", "--id", last.header("webhook-id")])
        .args(["--timestamp", last.header("webhook-timestamp")])
        .args(["--signature", last.header("webhook-signature")])
        .env("TIDINGS_SIGNING_SECRET", secret);
    let output = run(verify, &last.body).await;
    assert!(output.status.success(), "{}", text(&output.stdout));
    let once_each = quick.counts().values().all(|times| *times == 1);
    assert!(once_each, "it was owed nothing any more");
    let answer = server.publish(&json!({"after": true})).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let mut expected = [first_events, all_events].concat();
    expected.push(answer.json["id"].as_str().unwrap().to_owned());
    assert_eq!(
        server.poll_all().await,
        expected,
        "it goes on behind the copy"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_do_harm_is_refused() {
    let it = Move::new();
    let said = it.refused(it.copy()).await;
    assert!(said.contains("no database tidings.db"), "{said}");

    let server = it.start_on_file().await;
    let said = it.refused(it.copy()).await;
    assert!(said.contains("in use by another server"), "{said}");
    server.publish(&json!({})).await;
    server.stop().await;

    let mut other_key = it.copy();
    other_key.env(
        "TIDINGS_ENCRYPTION_KEY",
        ENCRYPTION_KEY.replace("ICE", "JCE"),
    );
    let said = it.refused(other_key).await;
    assert!(said.contains("another encryption key"), "{said}");

    let mut nowhere = it.copy();
    nowhere.env(
        "TIDINGS_COPY_TO",
        "postgres://me:hunter2@127.0.0.1:1/nowhere",
    );
    let said = it.refused(nowhere).await;
    assert!(
        said.contains("127.0.0.1") && !said.contains("hunter2"),
        "{said}"
    );

    let target = Server::of(it.serve_on_postgresql()).await;
    let said = it.refused(it.copy()).await;
    assert!(said.contains("a server is using the target"), "{said}");
    target.publish(&json!({"kept": true})).await;
    target.stop().await;
    let said = it.refused(it.copy()).await;
    assert!(said.contains("not empty"), "{said}");
    let target = Server::of(it.serve_on_postgresql()).await;
    assert_eq!(target.poll_all().await.len(), 1, "it stays as it was");
    target.stop().await;
}
