//! Publish, deliver, verify: the whole way, with the program's own commands.

use serde_json::json;

use crate::{
    home::{Home, on_both},
    program::{BOOTSTRAP_KEY, COMPANY, run, text},
    receiver::Receiver,
    scratch::until,
};

on_both!(what_is_published_arrives_signed_and_verifies);

async fn what_is_published_arrives_signed_and_verifies(home: Home) {
    let receiver = Receiver::accepting().await;
    let server = home.start(&[]).await;
    let (subscription, secret) = server.subscribe(receiver.url()).await;

    let mut publish = home.command(&[]);
    publish
        .args([
            "publish",
            "--type",
            "invoice.paid",
            "--company",
            COMPANY,
            "-",
        ])
        .args(["--server", &server.url()])
        .env("TIDINGS_API_KEY", BOOTSTRAP_KEY);
    let output = run(publish, br#"{"amount": 99.00}"#).await;
    let envelope = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        envelope.contains(r#""payload":{"amount": 99.00}"#),
        "{envelope}"
    );

    let attempt = receiver.wait_for(1).await.remove(0);
    assert_eq!(attempt.body, envelope.trim_end(), "the very bytes");
    assert_eq!(attempt.header("x-webhook-subscription"), subscription);
    assert_eq!(attempt.header("x-webhook-attempt"), "1");

    let verify = |hub: String, body: Vec<u8>| {
        let mut verify = home.command(&[]);
        verify
            .args(["verify", "-", "--id", attempt.header("webhook-id")])
            .args(["--timestamp", attempt.header("webhook-timestamp")])
            .args(["--signature", attempt.header("webhook-signature")])
            .args(["--hub-signature", &hub])
            .env("TIDINGS_SIGNING_SECRET", &secret);
        async move { run(verify, &body).await }
    };
    let hub = attempt.header("x-hub-signature-256").to_owned();
    let right = verify(hub.clone(), attempt.body.to_vec()).await;
    assert!(right.status.success(), "{}", text(&right.stdout));
    assert!(!text(&right.stdout).contains("WRONG"));
    let changed = verify(hub, [&attempt.body[..], b"\n"].concat()).await;
    assert_eq!(changed.status.code(), Some(1));
    assert!(
        text(&changed.stdout).contains("newline"),
        "{}",
        text(&changed.stdout)
    );

    let log = server.stop().await;
    assert!(
        !log.contains(&secret) && !log.contains(BOOTSTRAP_KEY),
        "no secrets in {log}"
    );
}

on_both!(a_failing_receiver_gets_it_again_and_the_log_says_so);

async fn a_failing_receiver_gets_it_again_and_the_log_says_so(home: Home) {
    let receiver = Receiver::answering(|number| if number < 2 { 500 } else { 204 }).await;
    let server = home.start(&["--retry-schedule=50ms,50ms,50ms"]).await;
    let (subscription, _) = server.subscribe(receiver.url()).await;
    let answer = server.publish(&json!({"n": 1})).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let attempts = receiver.wait_for(3).await;
    for (number, attempt) in (1..).zip(&attempts) {
        assert_eq!(attempt.header("x-webhook-attempt"), number.to_string());
        assert_eq!(
            attempt.header("webhook-id"),
            answer.json["id"].as_str().unwrap()
        );
        assert_eq!(attempt.body, attempts[0].body);
    }
    let path = format!("/api/v1/webhooks/subscriptions/{subscription}/attempts");
    let outcomes = until("the log's third line", async || {
        let log = server.get(&path).await.json;
        let outcomes: Vec<_> = log
            .as_array()?
            .iter()
            .map(|line| line["outcome"].clone())
            .collect();
        (outcomes.len() == 3).then_some(outcomes)
    })
    .await;
    assert_eq!(outcomes, ["succeeded", "failed", "failed"], "newest first");
    server.stop().await;
}

on_both!(metrics_and_health_have_their_places);

async fn metrics_and_health_have_their_places(home: Home) {
    let server = home.start(&["--metrics-listen=127.0.0.1:0"]).await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 404, "it moved");
    server.publish(&json!({})).await;
    let address = server
        .log()
        .lines()
        .find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["metrics_listen"].as_str().map(str::to_owned)
        })
        .unwrap();
    let client = crate::http_client::HttpClient::new(&format!("http://{address}"), None).unwrap();
    let call = crate::http_client::Call::get("/metrics");
    let shown = text(client.send(call).await.unwrap().body());
    for line in [
        "tidings_store_events_appended_total 1",
        "tidings_queue_deliveries 0",
        "tidings_store_up 1",
        "tidings_queue_oldest_age_seconds 0",
    ] {
        assert!(shown.contains(line), "{line} is missing in:\n{shown}");
    }
    assert!(!shown.contains(COMPANY), "no company in labels");
    // Its answers are those of the API in form.
    let nothing = client.send(crate::http_client::Call::get("/x")).await;
    let nothing = nothing.unwrap();
    assert_eq!(nothing.status(), 404);
    let problem: serde_json::Value = serde_json::from_slice(nothing.body()).unwrap();
    assert_eq!(problem["code"], "not_found");
    assert_eq!(
        nothing.headers()["x-request-id"],
        problem["requestId"].as_str().unwrap()
    );
    server.stop().await;
}
