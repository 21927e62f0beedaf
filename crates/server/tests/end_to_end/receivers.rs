//! The receivers of docs/receivers.md, run as they stand against the real program.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::{
    http_client::{Call, HttpClient},
    program::{Server, clean},
    scratch::{Scratch, until},
};

/// Where `cargo xtask test` puts the libraries, and the receivers that need them beside.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools")
}

#[tokio::test]
async fn the_python_receiver_takes_what_is_ours_and_nothing_else() {
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/receivers");
    let mut command = Command::new(tools().join("venv/bin/python"));
    command.arg(documents.join("receiver.py"));
    try_out(command).await;
}

#[tokio::test]
async fn the_javascript_receiver_takes_what_is_ours_and_nothing_else() {
    let mut command = Command::new("node");
    command.arg(tools().join("receivers/receiver.mjs"));
    try_out(command).await;
}

#[tokio::test]
async fn the_rust_receiver_takes_what_is_ours_and_nothing_else() {
    try_out(Command::new(tools().join("receivers/receiver-example"))).await;
}

async fn try_out(receiver: Command) {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    let address = free_address().await;
    let url = format!("http://{address}/");
    let (subscription, secret) = server.subscribe(&url).await;

    let mut receiver = clean(receiver, scratch.path());
    receiver
        .env("WEBHOOK_SECRET", &secret)
        .env("PORT", address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let started = receiver.spawn();
    let mut running = started.expect("it is there once `cargo xtask test` has prepared it");
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    until("the receiver's start", async || {
        TcpStream::connect(address).await.ok()
    })
    .await;

    let forged = json!({"id": "evt_forged", "type": "test.happened"}).to_string();
    let client = HttpClient::new(&url, None).unwrap();
    let answer = client.send(Call::post("/", forged)).await.unwrap();
    assert_eq!(answer.status(), 401, "it has no signature");

    server.publish(&json!({"n": 1})).await;
    let told = lines
        .next_line()
        .await
        .unwrap()
        .expect("it tells the event");
    assert!(told.starts_with("test.happened "), "{told}");
    let path = format!("/api/v1/webhooks/subscriptions/{subscription}/attempts");
    let attempt = until("the attempt's line in the log", async || {
        server.get(&path).await.json.get(0).cloned()
    })
    .await;
    assert_eq!(attempt["statusCode"], 204, "{attempt}");
    running.kill().await.unwrap();
    server.stop().await;
}

/// An address where nobody listens at the moment.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
