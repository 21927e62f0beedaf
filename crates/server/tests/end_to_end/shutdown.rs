//! Signals: the first lets everything in flight finish, the second does not.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::{
    home::{Home, on_both},
    http_client::Call,
    program::COMPANY,
    receiver::Receiver,
    scratch::until,
};

/// The contract's word.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

on_both!(sigterm_lets_attempts_and_long_polls_finish);

async fn sigterm_lets_attempts_and_long_polls_finish(home: Home) {
    let receiver = Receiver::holding(|_| 200).await;
    let mut server = home.start(&[]).await;
    let (subscription, _) = server.subscribe(receiver.url()).await;
    server.publish(&json!({"n": 1})).await;
    receiver.wait_for(1).await;
    let client = server.client();
    let poll = tokio::spawn(async move {
        let path = format!("/api/v1/events?companyId={COMPANY}&wait=30&cursor=now");
        client.send(Call::get(&path)).await
    });
    until("the long poll", async || {
        let shown = server.text("/metrics").await;
        shown.contains("tidings_api_long_polls 1").then_some(())
    })
    .await;
    // A connection that never sends anything must hold nothing up.
    let silent = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();

    let began = Instant::now();
    server.signal("TERM").await;
    until("the announcement", async || {
        server.log().contains("stopping").then_some(())
    })
    .await;
    receiver.let_go();
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(began.elapsed() < STOPS_WITHIN);
    let poll = poll.await.unwrap().unwrap();
    assert_eq!(
        (poll.status().as_u16(), &poll.body()[..]),
        (200, &b"[]"[..])
    );
    drop(silent);

    let server = home.start(&[]).await;
    let path = format!("/api/v1/webhooks/subscriptions/{subscription}/attempts");
    let log = server.get(&path).await.json;
    assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
    assert_eq!(
        log[0]["outcome"], "succeeded",
        "it finished and was recorded"
    );
    assert_eq!(receiver.received().len(), 1, "and is not made again");
    server.stop().await;
}

on_both!(a_log_that_nobody_takes_harms_nothing);

async fn a_log_that_nobody_takes_harms_nothing(home: Home) {
    let receiver = Receiver::holding(|_| 200).await;
    let mut server = home.start(&["--catalog-enforce=warn"]).await;
    server.subscribe(receiver.url()).await;
    let wish = json!({"schema": {"required": ["id"]}});
    let saved = server.put("/api/v1/event-types/test.happened", &wish).await;
    assert_eq!(saved.status, 201, "{}", saved.json);
    server.go_deaf().await;
    // That its payload breaks the schema would be told in the log.
    let published = server.publish(&json!({"n": 1})).await;
    assert_eq!(published.status, 201, "{}", published.json);
    receiver.wait_for(1).await;
    server.signal("TERM").await;
    receiver.let_go();
    assert_eq!(server.ended().await.code(), Some(0));
}

on_both!(an_attempt_that_hangs_does_not_hold_the_end_up);

async fn an_attempt_that_hangs_does_not_hold_the_end_up(home: Home) {
    let receiver = Receiver::holding(|_| 200).await;
    let args = ["--attempt-timeout=10m", "--node-lease=1s"];
    let mut server = home.start(&args).await;
    server.subscribe(receiver.url()).await;
    server.publish(&json!({"n": 1})).await;
    receiver.wait_for(1).await;
    let began = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert!(began.elapsed() < STOPS_WITHIN);

    let server = home.start(&args).await;
    receiver.let_go();
    let attempts = receiver.wait_for(2).await;
    assert_eq!(
        attempts[1].header("x-webhook-attempt"),
        "1",
        "the cut-off one counts as none"
    );
    server.stop().await;
}

on_both!(a_second_signal_ends_at_once);

async fn a_second_signal_ends_at_once(home: Home) {
    let receiver = Receiver::holding(|_| 200).await;
    let mut server = home.start(&["--attempt-timeout=10m"]).await;
    server.subscribe(receiver.url()).await;
    server.publish(&json!({"n": 1})).await;
    receiver.wait_for(1).await;
    server.signal("TERM").await;
    until("the announcement", async || {
        server.log().contains("stopping").then_some(())
    })
    .await;
    let began = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(143));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it was not waited for"
    );
}
