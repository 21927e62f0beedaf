//! `tidings demo` does what it promises, by itself.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    http_client::{Call, HttpClient},
    program::{run, text, tidings},
    scratch::{PATIENCE, Scratch},
};

#[tokio::test]
async fn the_demo_shows_everything_and_ends() {
    let scratch = Scratch::new();
    let mut command = tidings(scratch.path());
    command.arg("demo").env("TMPDIR", scratch.path());
    let output = run(command, b"").await;
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    for promise in [
        "500 Internal Server Error",
        "503 Service Unavailable",
        "attempt 3  200 OK",
        "✓ webhook-signature  ✓ X-Hub-Signature-256",
        "invoice.paid",
        "notMatched",
        "shortened for the demo",
        "succeeded",
        "Cursor",
        "/portal/enter/",
        "as an admin of acme, once",
        "2 events published, both delivered, 4 attempts, 8 signatures checked.",
    ] {
        assert!(shown.contains(promise), "{promise} is missing in:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe");
    assert!(!shown.contains('✗'), "{shown}");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 110),
        "{shown}"
    );
    let left = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 0, "it leaves nothing behind");
}

#[tokio::test]
async fn a_kept_demo_can_be_tried_until_a_signal() {
    let scratch = Scratch::new();
    let mut command = tidings(scratch.path());
    command
        .args(["demo", "--keep"])
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::piped());
    let mut demo = command.spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let try_it = async {
        let mut portal = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, token)) = line.split_once("/portal/enter/") {
                portal = format!("/portal/enter/{}", token.trim());
            }
            if let Some((_, rest)) = line.split_once("export TIDINGS_API_KEY=") {
                let (key, server) = rest.split_once(" TIDINGS_SERVER=").unwrap();
                return (key.to_owned(), server.to_owned(), portal);
            }
        }
        panic!("it does not say how to try it");
    };
    let (key, server, portal) = timeout(PATIENCE, try_it).await.unwrap();
    let client = HttpClient::new(&server, Some(&key)).unwrap();
    let entered = client.send(Call::get(&portal)).await.unwrap();
    assert_eq!(entered.status(), 303);
    assert_eq!(entered.headers()["location"], "/portal/c/acme");
    let event = r#"{"type":"invoice.paid","payload":{}}"#;
    let answer = client
        .send(Call::post("/api/v1/events", event))
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let arrives = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("attempt 1  200 OK") {
                return;
            }
        }
        panic!("what was published does not arrive");
    };
    timeout(PATIENCE, arrives).await.unwrap();
    let pid = demo.id().unwrap().to_string();
    let sent = Command::new("kill")
        .args(["-s", "INT", &pid])
        .status()
        .await;
    assert!(sent.unwrap().success());
    let status = timeout(PATIENCE, demo.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    let left = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 0, "it leaves nothing behind");
}
