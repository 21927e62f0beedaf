//! Starting on PostgreSQL: what is wrong is said, with what to do and without the password.

use serde_json::{Value, json};
use tidings_test_cluster::{Cluster, Options};

use crate::{
    home::{ENCRYPTION_KEY, Home},
    program::{Server, serve, tidings},
    receiver::Receiver,
    scratch::Scratch,
    startup::refused,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_encryption_key_must_be_given() {
    let home = Home::postgres();
    let url = Cluster::shared().url(home.database_name());
    let mut command = serve(home.path(), &[]);
    command.env("TIDINGS_DATABASE", &url);
    let said = refused(command).await;
    assert!(
        said.contains("TIDINGS_ENCRYPTION_KEY") && said.contains("openssl rand -base64 32"),
        "{said}"
    );
    assert!(
        std::fs::read_dir(home.path()).unwrap().next().is_none(),
        "no key was made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_another_installation_is_refused() {
    let home = Home::postgres();
    home.start(&[]).await.stop().await;
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let mut command = home.serve(&[]);
    command.env("TIDINGS_ENCRYPTION_KEY", key);
    let said = refused(command).await;
    assert!(
        said.contains("another encryption key") && !said.contains(key),
        "{said}"
    );
    home.start(&[]).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_postgresql_is_named_without_its_password() {
    let scratch = Scratch::new();
    // Nobody listens there: it was just given back.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("postgres://me:hunter2@127.0.0.1:{port}/tidings");
    for args in [&["serve"][..], &["migrate"], &["keys", "create"]] {
        let mut command = tidings(scratch.path());
        command
            .args(args)
            .env("TIDINGS_LISTEN", "127.0.0.1:0")
            .env("TIDINGS_DATABASE", &url)
            .env("TIDINGS_ENCRYPTION_KEY", ENCRYPTION_KEY);
        let said = refused(command).await;
        assert!(
            said.contains(&port.to_string()) && !said.contains("hunter2"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named() {
    let home = Home::postgres();
    let mut command = home.serve(&[]);
    command.env("TIDINGS_DATABASE", Cluster::shared().url("nowhere"));
    let said = refused(command).await;
    assert!(said.contains("nowhere"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_something_else_is_refused() {
    let home = Home::postgres();
    Cluster::shared().sql(
        home.database_name(),
        "CREATE TABLE settings (theme text); CREATE TABLE events (title text)",
    );
    let said = refused(home.serve(&[])).await;
    assert!(said.contains("not Tidings'"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let home = Home::postgres();
    home.start(&[]).await.stop().await;
    Cluster::shared().sql(
        home.database_name(),
        "UPDATE settings SET value = '999999' WHERE name = 'schema_version'",
    );
    for command in [home.serve(&[]), home.command(&["migrate"])] {
        let said = refused(command).await;
        assert!(said.contains("999999") && said.contains("newer"), "{said}");
    }
}

/// Somebody without any privileges but those of the database's owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_the_environment_lets_the_owner_in() {
    const PASSWORD: &str = "p@ss/w:ö?";
    let cluster = Cluster::start(&Options::default());
    let home = Home::in_cluster(&cluster);
    let name = home.database_name();
    let rules = cluster.directory().join("data/pg_hba.conf");
    for sql in [
        &format!("CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'"),
        &format!("ALTER DATABASE {name} OWNER TO owner"),
        &format!(
            "COPY (VALUES ('host all owner 127.0.0.1/32 scram-sha-256'),
                          ('host all all 127.0.0.1/32 trust')) TO '{}'",
            rules.display()
        ),
        "SELECT pg_reload_conf()",
    ] {
        cluster.sql("postgres", sql);
    }
    let url = format!("postgres://owner@127.0.0.1:{}/{name}", cluster.port());
    let serve = |password: &str| {
        let mut command = home.serve(&[]);
        command
            .env("TIDINGS_DATABASE", &url)
            .env("PGPASSWORD", password);
        command
    };
    let said = refused(serve("hunter2")).await;
    assert!(
        said.contains("password authentication failed") && !said.contains("hunter2"),
        "{said}"
    );
    let receiver = Receiver::accepting().await;
    let server = Server::of(serve(PASSWORD)).await;
    server.subscribe(receiver.url()).await;
    server.publish(&json!({})).await;
    receiver.wait_for(1).await;
    let log = server.stop().await;
    assert!(!log.contains(PASSWORD));
    let user = "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename = 'settings'";
    assert_eq!(cluster.sql(name, user), "owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_keys_are_in_no_log() {
    let home = Home::postgres();
    let name = home.database_name();
    let port = Cluster::shared().port();
    let mut command = home.serve(&["--log-level=trace", "--log-format=json"]);
    // The server trusts whoever connects, so that any password is right.
    command.env(
        "TIDINGS_DATABASE",
        format!("postgres://postgres:hunter2@127.0.0.1:{port}/{name}"),
    );
    let server = Server::of(command).await;
    server.publish(&json!({})).await;
    let log = server.stop().await;
    for secret in ["hunter2", ENCRYPTION_KEY] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let ready = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["message"] == "ready")
        .unwrap();
    let shown = format!("postgres://postgres@127.0.0.1:{port}/{name}");
    assert_eq!(ready["database"], shown.as_str());
}
