//! Trouble below: a disk that is full, a file that may not grow, a database that somebody else
//! locks. The server says 503, stays alive, and goes on by itself when the trouble is over.
//!
//! The disk is a small one in memory, in a mount namespace of the server's own; that needs Linux
//! and the right to make user namespaces, and fails where it is not given.

use std::path::PathBuf;

use serde_json::json;
use tokio::process::Command;

use crate::{
    program::{BOOTSTRAP_KEY, Server, clean, run, text},
    receiver::Receiver,
    scratch::{Scratch, until},
};

/// A server whose database is on a disk of 4 MiB.
async fn on_a_small_disk(scratch: &Scratch) -> Server {
    let disk = scratch.file("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=4m tidings {disk} && exec {binary} serve --listen=127.0.0.1:0 \
         --environment=development --database=sqlite:{disk}/tidings.db --node-lease=1s",
        disk = disk.display(),
        binary = env!("CARGO_BIN_EXE_tidings"),
    );
    let mut command = clean(Command::new("unshare"), scratch.path());
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .env("TIDINGS_BOOTSTRAP_KEY", BOOTSTRAP_KEY);
    Server::of(command).await
}

/// The disk as the server sees it, reached from outside.
fn disk_of(server: &Server, scratch: &Scratch) -> PathBuf {
    let inside = scratch.file("disk");
    PathBuf::from(format!("/proc/{}/root{}", server.pid(), inside.display()))
}

/// Publishes until the server refuses with 503; gives the ids of what it stored.
async fn publish_until_refused(server: &Server) -> Vec<String> {
    let filler = "x".repeat(30_000);
    let mut stored = Vec::new();
    loop {
        let answer = server.publish(&json!({"filler": filler})).await;
        if answer.status != 201 {
            assert_eq!(answer.status, 503, "{}", answer.json);
            assert!(answer.headers.contains_key("retry-after"));
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            return stored;
        }
        stored.push(answer.json["id"].as_str().unwrap().to_owned());
        assert!(stored.len() < 1000, "the disk never gets full");
    }
}

async fn recovers(server: &Server, receiver: &Receiver, mut stored: Vec<String>) {
    let answer = until("the recovery", async || {
        let answer = server.publish(&json!({"after": true})).await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    stored.push(answer.json["id"].as_str().unwrap().to_owned());
    until("readiness", async || {
        (server.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(
        server.poll_all().await,
        stored,
        "what was stored is there, and nothing else"
    );
    until("the deliveries", async || {
        let counts = receiver.counts();
        stored
            .iter()
            .all(|id| counts.contains_key(id))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_503_until_there_is_room_again() {
    let scratch = Scratch::new();
    let receiver = Receiver::accepting().await;
    let server = on_a_small_disk(&scratch).await;
    server.subscribe(receiver.url()).await;
    let ballast = disk_of(&server, &scratch).join("ballast");
    std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let stored = publish_until_refused(&server).await;
    assert!(!stored.is_empty());
    assert_eq!(server.get("/healthz").await.status, 200);
    until("the alarm", async || {
        (server.get("/readyz").await.status == 503).then_some(())
    })
    .await;
    std::fs::remove_file(&ballast).unwrap();
    recovers(&server, &receiver, stored).await;
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_may_not_grow_is_503_until_it_may() {
    let scratch = Scratch::new();
    let receiver = Receiver::accepting().await;
    let server = Server::start(scratch.path(), &["--node-lease=1s"]).await;
    server.subscribe(receiver.url()).await;
    let first = server.publish(&json!({})).await;
    assert_eq!(first.status, 201, "{}", first.json);
    let pid = server.pid().to_string();
    let limit = async |bytes: &str| {
        let limit = format!("--fsize={bytes}:unlimited");
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status()
            .await;
        assert!(status.unwrap().success());
    };
    limit("4096").await;
    assert_eq!(publish_until_refused(&server).await, [""; 0]);
    limit("unlimited").await;
    let first = first.json["id"].as_str().unwrap().to_owned();
    recovers(&server, &receiver, vec![first]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_database_that_another_program_locks_is_503_until_it_lets_go() {
    let scratch = Scratch::new();
    let receiver = Receiver::accepting().await;
    let server = Server::start(scratch.path(), &["--node-lease=1s"]).await;
    server.subscribe(receiver.url()).await;
    let other = rusqlite::Connection::open(scratch.file("tidings.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(publish_until_refused(&server).await, [""; 0]);
    assert_eq!(server.get("/healthz").await.status, 200);
    other.execute_batch("ROLLBACK").unwrap();
    recovers(&server, &receiver, Vec::new()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_read_only_disk_is_refused_at_the_start() {
    let scratch = Scratch::new();
    Server::start(scratch.path(), &[]).await.stop().await;
    let script = format!(
        "mount -t tmpfs tidings disk && cp tidings.db tidings.db.key disk && \
         mount -o remount,ro disk && \
         exec {} serve --listen=127.0.0.1:0 --database=sqlite:disk/tidings.db",
        env!("CARGO_BIN_EXE_tidings"),
    );
    std::fs::create_dir(scratch.file("disk")).unwrap();
    let mut command = clean(Command::new("unshare"), scratch.path());
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let output = run(command, b"").await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
}
