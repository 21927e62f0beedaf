//! Starting: what is wrong is said, with what to do, and where settings come from.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::{
    program::{BOOTSTRAP_KEY, Server, run, serve, text, tidings},
    scratch::Scratch,
};

/// Runs a command that must end with exit code 1, and gives what it said.
pub(crate) async fn refused(command: Command) -> String {
    let output = run(command, b"").await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: "), "{said}");
    said
}

async fn made_database() -> Scratch {
    let scratch = Scratch::new();
    Server::start(scratch.path(), &[]).await.stop().await;
    assert!(scratch.file("tidings.db").exists() && scratch.file("tidings.db.key").exists());
    scratch
}

#[tokio::test]
async fn the_key_of_another_database_is_refused() {
    let scratch = made_database().await;
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let mut command = serve(scratch.path(), &[]);
    command.env("TIDINGS_ENCRYPTION_KEY", key);
    let said = refused(command).await;
    assert!(
        said.contains("another encryption key") && !said.contains(key),
        "{said}"
    );

    let mut command = serve(scratch.path(), &[]);
    command.env("TIDINGS_ENCRYPTION_KEY", "hunter2");
    let said = refused(command).await;
    assert!(
        said.contains("openssl rand") && !said.contains("hunter2"),
        "{said}"
    );
}

#[tokio::test]
async fn a_lost_or_broken_key_file_is_refused_and_never_replaced() {
    let scratch = made_database().await;
    let file = scratch.file("tidings.db.key");
    let key = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let said = refused(serve(scratch.path(), &[])).await;
    assert!(
        said.contains("tidings.db.key") && said.contains("backup"),
        "{said}"
    );
    assert!(!file.exists());
    // A directory is unreadable as a file, for every user.
    std::fs::create_dir(&file).unwrap();
    let said = refused(serve(scratch.path(), &[])).await;
    assert!(said.contains("cannot read the encryption key"), "{said}");
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, key).unwrap();
    Server::start(scratch.path(), &[]).await.stop().await;
}

#[tokio::test]
async fn a_database_serves_one_server_at_a_time() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    let said = refused(serve(scratch.path(), &[])).await;
    assert!(said.contains("in use by another server"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_newer_schema_and_foreign_files_are_refused() {
    let scratch = made_database().await;
    let path = scratch.file("tidings.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .pragma_update(None, "user_version", 999_999)
        .unwrap();
    drop(database);
    let said = refused(serve(scratch.path(), &[])).await;
    assert!(said.contains("999999") && said.contains("newer"), "{said}");

    std::fs::write(&path, "just a text that is long enough to be looked at").unwrap();
    let said = refused(serve(scratch.path(), &[])).await;
    assert!(said.contains("not a Tidings database"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let scratch = Scratch::new();
    let said = refused(serve(
        scratch.path(),
        &["--database=sqlite:missing/tidings.db"],
    ))
    .await;
    assert!(said.contains("missing/tidings.db"), "{said}");
    for wrong in [
        "mysql://user:hunter2@host/db",
        "postgres://user:hunter2/x@db/y",
    ] {
        let said = refused(serve(scratch.path(), &[&format!("--database={wrong}")])).await;
        assert!(
            said.contains("--database") && !said.contains("hunter2"),
            "{said}"
        );
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let mut command = tidings(scratch.path());
    command.args(["serve", &listen]);
    let said = refused(command).await;
    assert!(
        said.contains("cannot listen") && said.contains("--listen"),
        "{said}"
    );
    let mut command = tidings(scratch.path());
    command
        .arg("serve")
        .env("TIDINGS_BOOTSTRAP_KEY", "tdg_hunter2");
    let said = refused(command).await;
    assert!(
        said.contains("TIDINGS_BOOTSTRAP_KEY") && !said.contains("hunter2"),
        "{said}"
    );
}

/// The database that a started server says it uses.
async fn database_of(command: Command) -> String {
    let log = Server::of(command).await.stop().await;
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| line["database"].as_str().map(str::to_owned))
        .unwrap()
}

fn plain_serve(directory: &Path) -> Command {
    let mut command = tidings(directory);
    command.arg("serve").env("TIDINGS_LISTEN", "127.0.0.1:0");
    command
}

#[tokio::test]
async fn flags_win_over_environment_over_file_over_defaults() {
    let scratch = Scratch::new();
    assert_eq!(database_of(plain_serve(scratch.path())).await, "tidings.db");
    std::fs::write(
        scratch.file("tidings.toml"),
        "database = \"sqlite:file.db\"",
    )
    .unwrap();
    assert_eq!(database_of(plain_serve(scratch.path())).await, "file.db");
    let mut command = plain_serve(scratch.path());
    command.env("TIDINGS_DATABASE", "sqlite:environment.db");
    assert_eq!(database_of(command).await, "environment.db");
    let mut command = plain_serve(scratch.path());
    command.env("TIDINGS_DATABASE", "sqlite:environment.db");
    command.arg("--database=sqlite:flag.db");
    assert_eq!(database_of(command).await, "flag.db");

    std::fs::write(scratch.file("other.toml"), "database = \"sqlite:other.db\"").unwrap();
    let mut command = plain_serve(scratch.path());
    command.arg("--config=other.toml");
    assert_eq!(database_of(command).await, "other.db");
    let mut command = plain_serve(scratch.path());
    command.env("TIDINGS_CONFIG", "other.toml");
    assert_eq!(database_of(command).await, "other.db");
}

#[tokio::test]
async fn a_wrong_file_is_refused_by_name() {
    let scratch = Scratch::new();
    let said = refused({
        let mut command = plain_serve(scratch.path());
        command.arg("--config=nowhere.toml");
        command
    })
    .await;
    assert!(said.contains("nowhere.toml"), "{said}");
    for (content, expected) in [
        ("databse = \"sqlite:x.db\"", "did you mean \"database\""),
        (
            "attempt-timeout = \"soon\"",
            "tidings.toml: attempt-timeout cannot be \"soon\"",
        ),
        ("listen = ", "not valid TOML"),
    ] {
        std::fs::write(scratch.file("tidings.toml"), content).unwrap();
        let said = refused(plain_serve(scratch.path())).await;
        assert!(said.contains(expected), "{said}");
        let said = refused({
            let mut command = tidings(scratch.path());
            command.args(["keys", "create"]);
            command
        });
        if content.starts_with("attempt") {
            // A setting of others is no business of this command, wrong or not.
            drop(said);
        } else {
            assert!(said.await.contains(expected));
        }
    }
}

#[tokio::test]
async fn secrets_are_in_no_log() {
    let scratch = Scratch::new();
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let mut command = serve(scratch.path(), &["--log-level=trace", "--log-format=json"]);
    command.env("TIDINGS_ENCRYPTION_KEY", key);
    let server = Server::of(command).await;
    let receiver = crate::receiver::Receiver::accepting().await;
    let (_, secret) = server.subscribe(receiver.url()).await;
    server.publish(&serde_json::json!({})).await;
    receiver.wait_for(1).await;
    let log = server.stop().await;
    for secret in [key, secret.as_str(), BOOTSTRAP_KEY] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    assert!(
        !scratch.file("tidings.db.key").exists(),
        "a given key needs no file"
    );
}
