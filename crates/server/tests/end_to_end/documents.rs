//! The documents for integrators: every command that they show is run, in its order, as a reader
//! would, against the program.

use std::{fmt::Write as _, path::Path};

use serde_json::json;

use crate::{
    program::{BOOTSTRAP_KEY, COMPANY, Server, clean, run, text},
    receiver::Receiver,
    scratch::Scratch,
};

/// What receivers.md shows beside its commands: a request, and programs.
const SHOWN_IN_RECEIVERS: [&str; 5] = ["http", "python", "javascript", "go", "rust"];

/// The commands of a document, one shell script. Blocks that set up who one is are left out: the
/// test does that.
fn script(document: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>&- || true' EXIT\n");
    let mut blocks = 0;
    let mut kind = None;
    for line in text.lines() {
        match (kind, line.strip_prefix("```")) {
            (None, Some(word)) => {
                kind = Some(word);
                blocks += u32::from(word == "sh");
            }
            (Some(_), Some("")) => kind = None,
            (Some("sh"), None) => writeln!(script, "{line}").unwrap(),
            (Some("sh setup") | None, None) => {}
            (Some(other), None)
                if document == "receivers.md" && SHOWN_IN_RECEIVERS.contains(&other) => {}
            (Some(other), _) => panic!("{document} has a block {other:?} that nobody runs"),
        }
    }
    assert!(blocks > 0, "{document} shows no command");
    script
}

/// Runs a document's commands with a key, and with the program on the path.
async fn follow(document: &str, server: &Server, key: &str) {
    follow_in(&Scratch::new(), document, server, key, &[]).await;
}

/// Runs a document's commands in a directory, with what its reader has set besides.
async fn follow_in(
    scratch: &Scratch,
    document: &str,
    server: &Server,
    key: &str,
    settings: &[(&str, &str)],
) {
    let program = Path::new(env!("CARGO_BIN_EXE_tidings"));
    let path = std::env::var("PATH").unwrap();
    let mut command = clean(tokio::process::Command::new("bash"), scratch.path());
    command
        .arg("-s")
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .env("TIDINGS_SERVER", server.url())
        .env("TIDINGS_API_KEY", key)
        .envs(settings.iter().copied());
    // What installs packages asks its usual place for them.
    for name in [
        "HOME",
        "PIP_INDEX_URL",
        "PIP_CONFIG_FILE",
        "PIP_TRUSTED_HOST",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let ended = run(command, script(document).as_bytes()).await;
    assert!(
        ended.status.success(),
        "{document}: {}\n{}\n{}",
        ended.status,
        text(&ended.stdout),
        text(&ended.stderr)
    );
}

async fn company_key(server: &Server) -> String {
    let wish = json!({"name": "docs", "companyId": COMPANY, "scopes": ["admin"]});
    let made = server.post("/api/v1/api-keys", &wish).await;
    made.json["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_documents_for_companies_can_be_followed() {
    let scratch = Scratch::new();
    // In development, where a name that does not resolve is accepted: example.com, here.
    let server = Server::start(scratch.path(), &[]).await;
    let key = company_key(&server).await;
    // Not side by side: the first two listen on the same port.
    for document in [
        "../README.md",
        "quick-start.md",
        "polling.md",
        "errors.md",
        "automation.md",
    ] {
        follow(document, &server, &key).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn the_document_for_platforms_can_be_followed() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    follow("migrating.md", &server, BOOTSTRAP_KEY).await;
    server.stop().await;
}

#[test]
fn the_receivers_shown_are_the_files_beside() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = std::fs::read_to_string(docs.join("receivers.md")).unwrap();
    for (word, file) in [
        ("python", "receiver.py"),
        ("javascript", "receiver.mjs"),
        ("rust", "rust/src/main.rs"),
    ] {
        let program = std::fs::read_to_string(docs.join("receivers").join(file)).unwrap();
        let block = format!("```{word}\n{program}```\n");
        assert!(text.contains(&block), "receivers.md shows another {file}");
    }
}

/// With a delivery that really came, as its reader has one.
#[tokio::test]
async fn the_document_for_receivers_can_be_followed() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    let key = company_key(&server).await;
    let receiver = Receiver::accepting().await;
    let (subscription, secret) = server.subscribe(receiver.url()).await;
    server.publish(&json!({"amount": 99})).await;
    let [came] = receiver.wait_for(1).await.try_into().unwrap();
    let directory = Scratch::new();
    std::fs::write(directory.path().join("request-body.json"), &came.body).unwrap();
    let settings = [
        ("TIDINGS_SIGNING_SECRET", secret.as_str()),
        ("WEBHOOK_ID", came.header("webhook-id")),
        ("WEBHOOK_TIMESTAMP", came.header("webhook-timestamp")),
        ("WEBHOOK_SIGNATURE", came.header("webhook-signature")),
        ("SUBSCRIPTION", &subscription),
    ];
    follow_in(&directory, "receivers.md", &server, &key, &settings).await;
    server.stop().await;
}
