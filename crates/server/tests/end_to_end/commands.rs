//! The commands beside the server.

use serde_json::json;

use crate::{
    home::{Home, on_both},
    http_client::{Call, HttpClient},
    program::{BOOTSTRAP_KEY, Server, run, text, tidings},
    scratch::Scratch,
};

on_both!(a_key_made_beside_a_running_server_works_at_once);

async fn a_key_made_beside_a_running_server_works_at_once(home: Home) {
    let server = home.start(&[]).await;
    let mut command = home.command(&["keys", "create", "--name=shop", "--company=acme"]);
    command.args(["--scopes=events:read,events:write", "--expires=1h"]);
    let output = run(command, b"").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let key = text(&output.stdout);
    assert_eq!(key.lines().count(), 1, "the key alone: {key}");
    assert!(!text(&output.stderr).contains(key.trim()));

    let client = HttpClient::new(&server.url(), Some(key.trim())).unwrap();
    let me = client.send(Call::get("/api/v1/me")).await.unwrap();
    let me: serde_json::Value = serde_json::from_slice(me.body()).unwrap();
    assert_eq!(me["name"], "shop");
    assert_eq!(me["companyId"], "acme");
    assert_eq!(me["scopes"], json!(["events:read", "events:write"]));
    let log = server.stop().await;
    assert!(!log.contains(key.trim()));
}

on_both!(a_key_can_be_made_before_the_first_start);

async fn a_key_can_be_made_before_the_first_start(home: Home) {
    let output = run(home.command(&["keys", "create"]), b"").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let key = text(&output.stdout);
    let server = home.start(&[]).await;
    let client = HttpClient::new(&server.url(), Some(key.trim())).unwrap();
    assert_eq!(
        client.send(Call::get("/api/v1/me")).await.unwrap().status(),
        200
    );
    server.stop().await;
}

on_both!(migrate_says_what_it_did);

async fn migrate_says_what_it_did(home: Home) {
    for expected in ["schema", "already"] {
        let output = run(home.command(&["migrate"]), b"").await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains(expected),
            "{}",
            text(&output.stdout)
        );
    }
    home.start(&[]).await.stop().await;
}

#[tokio::test]
async fn publish_says_what_is_wrong() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    let publish = async |args: &[&str], key: Option<&str>| {
        let mut command = tidings(scratch.path());
        command
            .args(["publish", "--server", &server.url(), "--type"])
            .args(args);
        if let Some(key) = key {
            command.env("TIDINGS_API_KEY", key);
        }
        let output = run(command, b"").await;
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let error = publish(&["a.b"], None).await;
    assert!(error.contains("TIDINGS_API_KEY"), "{error}");
    let error = publish(&["not a type", "--company=acme"], Some(BOOTSTRAP_KEY)).await;
    assert!(error.contains("422") && error.contains("type"), "{error}");
    let wrong = BOOTSTRAP_KEY.replace("AAEC", "BBEC");
    let error = publish(&["a.b"], Some(&wrong)).await;
    assert!(error.contains("401") && !error.contains(&wrong), "{error}");
    let error = publish(&["a.b", "[1]"], Some(BOOTSTRAP_KEY)).await;
    assert!(error.contains("JSON object"), "{error}");
    let url = server.url();
    server.stop().await;
    let mut command = tidings(scratch.path());
    command.args([
        "publish",
        "--type=a.b",
        "--server",
        &url,
        "--api-key",
        BOOTSTRAP_KEY,
    ]);
    let error = text(&run(command, b"").await.stderr);
    assert!(error.contains("is the server running?"), "{error}");
}

#[tokio::test]
async fn verify_names_the_part_that_is_wrong() {
    let scratch = Scratch::new();
    let verify = async |args: &[&str]| {
        let mut command = tidings(scratch.path());
        command.arg("verify").args(args);
        command.env("TIDINGS_SIGNING_SECRET", "twenty-four characters!!");
        let output = run(command, b"{}").await;
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    // Computed with OpenSSL: printf %s '{}' | openssl dgst -sha256 -hmac 'twenty-four characters!!'
    let hub = "sha256=b0f9eebee521af5dd7e3473f28add1f714a78403c4a4366a66102c10e8deed2a";
    assert_eq!(verify(&["--hub-signature", hub]).await.0, Some(0));
    let (code, shown) = verify(&["--hub-signature", "sha256=b0f9"]).await;
    assert!(
        code == Some(1) && shown.contains("64 hexadecimal digits"),
        "{shown}"
    );
    let (code, shown) = verify(&["--hub-signature", hub, r#"{"a":1}"#]).await;
    assert!(
        code == Some(1) && shown.contains("does not match"),
        "{shown}"
    );
    let standard = [
        "--id=evt_1",
        "--timestamp=1700000000",
        "--signature=v1,AAAA",
    ];
    let (code, shown) = verify(&standard).await;
    assert!(
        code == Some(1) && shown.contains("at most 5m") && shown.contains("malformed"),
        "{shown}"
    );
    let (code, _) = verify(&[]).await;
    assert_eq!(code, Some(2), "a signature is needed");
}

#[tokio::test]
async fn help_teaches_and_tells_no_secrets() {
    let scratch = Scratch::new();
    for args in [
        &["--help"][..],
        &["serve", "--help"],
        &["demo", "--help"],
        &["keys", "create", "--help"],
        &["users", "create", "--help"],
        &["users", "--help"],
        &["publish", "--help"],
        &["verify", "--help"],
        &["migrate", "--help"],
        &["copy", "--help"],
    ] {
        let mut command = tidings(scratch.path());
        command.args(args);
        for name in [
            "BOOTSTRAP_KEY",
            "ENCRYPTION_KEY",
            "API_KEY",
            "SIGNING_SECRET",
            "DATABASE",
            "COPY_TO",
        ] {
            command.env(format!("TIDINGS_{name}"), "hunter2");
        }
        let output = run(command, b"").await;
        let shown = text(&output.stdout);
        assert!(
            output.status.success() && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(
            shown.contains("tidings ") && shown.contains("xample") || args.len() == 1,
            "{shown}"
        );
    }
}
