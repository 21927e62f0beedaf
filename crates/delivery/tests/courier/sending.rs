//! What goes out: the contract's header fields, signatures that stock libraries verify, and the
//! event's own bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use tidings_delivery::USER_AGENT_VALUE;
use tidings_domain::{attempt::AttemptOutcome, time::UtcMillis};

use crate::receiver::{OK, Receiver, attempt_to, courier, deliver, deliver_once, event, secret};

#[tokio::test]
async fn the_request_is_that_of_the_contract() {
    let receiver = Receiver::answering(OK).await;
    let report = deliver_once(&receiver.url("/hooks/a%20b?x=1&y=|")).await;
    assert_eq!(report.outcome, AttemptOutcome::Succeeded);
    let request = receiver.next_request().await;
    assert_eq!(request.line, "POST /hooks/a%20b?x=1&y=| HTTP/1.1");
    assert_eq!(request.body, event().json()[..]);
    let signatures = report.request.signatures.clone().unwrap();
    let attempt = attempt_to("http://example.com");
    let expected = [
        ("host", receiver.address.to_string()),
        ("content-type", "application/json".into()),
        (
            "user-agent",
            format!("Tidings/{}", env!("CARGO_PKG_VERSION")),
        ),
        ("webhook-id", event().id().to_string()),
        ("webhook-timestamp", "1700000000".into()),
        ("webhook-signature", signatures.standard_header()),
        ("x-hub-signature-256", signatures.hub_header()),
        ("x-webhook-event", "payment.failed".into()),
        ("x-webhook-subscription", attempt.endpoint.id.to_string()),
        ("x-webhook-attempt", "1".into()),
        ("content-length", event().json().len().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    assert_eq!(request.headers, expected);
    assert_eq!(*report.request.url, *receiver.url("/hooks/a%20b?x=1&y=|"));
    assert_eq!(report.request.user_agent, USER_AGENT_VALUE);
}

#[tokio::test]
async fn the_reference_library_verifies_what_arrives() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the reference verifier asks the same clock"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let receiver = Receiver::answering(OK).await;
    let mut attempt = attempt_to(&receiver.url("/"));
    attempt.now = UtcMillis::from_millis(now.as_millis().try_into().unwrap());
    courier().attempt(attempt).await;
    let request = receiver.next_request().await;
    let mut headers = http::HeaderMap::new();
    for (name, value) in &request.headers {
        let name: http::HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    let webhook = standardwebhooks::Webhook::new(secret().expose()).unwrap();
    webhook.verify(&request.body, &headers).unwrap();
    let other = standardwebhooks::Webhook::from_bytes(vec![1; 32]).unwrap();
    assert!(other.verify(&request.body, &headers).is_err());
}

#[tokio::test]
async fn every_attempt_sends_the_same_body() {
    let receiver = Receiver::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    let courier = courier();
    for number in 1..=3 {
        let mut attempt = attempt_to(&receiver.url("/"));
        attempt.number = number;
        attempt.now = attempt.now.plus_millis(i64::from(number) * 1000);
        courier.attempt(attempt).await;
        let request = receiver.next_request().await;
        assert_eq!(request.body, event().json()[..]);
        assert_eq!(
            request.header("x-webhook-attempt"),
            Some(&*number.to_string())
        );
        assert_eq!(
            request.header("webhook-timestamp"),
            Some(&*(1_700_000_000 + number).to_string())
        );
    }
}

#[tokio::test]
async fn ipv6_receivers_are_reached_and_named() {
    let receiver = Receiver::at("[::1]:0", |_, mut visit| async move {
        visit.answer_all(OK).await;
    })
    .await;
    let report = deliver(&courier(), &receiver.url("/")).await;
    assert_eq!(report.outcome, AttemptOutcome::Succeeded);
    let request = receiver.next_request().await;
    assert_eq!(request.header("host"), Some(&*receiver.address.to_string()));
}
