//! Settings reach what they set.

use serde_json::json;

use crate::{
    home::{Home, on_both},
    program::{COMPANY, Server, serve},
    receiver::Receiver,
    scratch::{Scratch, until},
};

#[tokio::test]
async fn production_is_strict_and_ranges_can_be_blocked() {
    let scratch = Scratch::new();
    let refusal = async |args: &[&str], url: &str| {
        let server = Server::start(scratch.path(), args).await;
        let wish = json!({"companyId": COMPANY, "url": url, "eventTypes": ["*"]});
        let answer = server.post("/api/v1/webhooks/subscriptions", &wish).await;
        server.stop().await;
        assert_eq!(answer.status, 422, "{}", answer.json);
        answer.json.to_string()
    };
    let said = refusal(&["--environment=production"], "http://127.0.0.1:9/").await;
    assert!(said.contains("https"), "{said}");
    let said = refusal(&["--block-address=127.0.0.0/8,::1"], "http://127.0.0.1:9/").await;
    assert!(said.contains("blocked"), "{said}");
    let said = refusal(&["--environment=production"], "https://10.1.2.3/").await;
    assert!(said.contains("not a public address"), "{said}");
    let allowed = ["--environment=production", "--allow-address=10.0.0.0/8"];
    let server = Server::start(scratch.path(), &allowed).await;
    server.subscribe("https://10.1.2.3/").await;
    server.stop().await;
}

#[tokio::test]
async fn limits_are_the_configured_ones() {
    let scratch = Scratch::new();
    let args = ["--max-event-bytes=2000", "--rate-limit=read=2,publish=100"];
    let server = Server::start(scratch.path(), &args).await;
    let filler = "x".repeat(2000);
    assert_eq!(server.publish(&json!({"filler": filler})).await.status, 413);
    assert_eq!(server.publish(&json!({"filler": "x"})).await.status, 201);
    let statuses = [
        server.get("/api/v1/me").await.status,
        server.get("/api/v1/me").await.status,
        server.get("/api/v1/me").await.status,
    ];
    assert_eq!(statuses, [200, 200, 429]);
    server.stop().await;
}

/// PostgreSQL drops what is old a day at a time; its own tests turn the days.
#[tokio::test]
async fn retention_drops_what_is_old() {
    let home = Home::sqlite();
    let server = home.start(&[]).await;
    server.publish(&json!({})).await;
    assert_eq!(server.poll_all().await.len(), 1);
    server.stop().await;
    let server = home.start(&["--event-retention=1ms"]).await;
    until("the end of an old event", async || {
        server.poll_all().await.is_empty().then_some(())
    })
    .await;
    server.stop().await;
}

on_both!(no_retries_means_one_attempt);

async fn no_retries_means_one_attempt(home: Home) {
    let receiver = Receiver::answering(|_| 500).await;
    let server = home.start(&["--retry-schedule=none"]).await;
    server.subscribe(receiver.url()).await;
    let event = server.publish(&json!({})).await.json;
    let path = format!(
        "/api/v1/events/{}/deliveries",
        event["id"].as_str().unwrap()
    );
    let trace = until("the verdict", async || {
        let trace = server.get(&path).await.json;
        (trace["deliveries"][0]["state"] == "failed").then_some(trace)
    })
    .await;
    assert_eq!(trace["deliveries"][0]["attempts"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_misspelt_variable_is_told() {
    let scratch = Scratch::new();
    let mut command = serve(scratch.path(), &[]);
    command.env("TIDINGS_LISTN", "hunter2");
    let log = Server::of(command).await.stop().await;
    assert!(
        log.contains("TIDINGS_LISTN") && !log.contains("hunter2"),
        "{log}"
    );
}
