//! Sending a test.

use tidings_domain::attempt::{AttemptError, AttemptOutcome, ReceivedResponse};
use tidings_store::Catalog as _;

use super::{URL, path, with_webhook};
use crate::stage::{answered, failed};

#[tokio::test]
async fn the_answer_is_on_the_page_at_once() {
    let (stage, admin, id) = with_webhook(&["client.created"]).await;
    admin.get(&path(id, "")).await;
    let page = admin.post(&path(id, "/test"), &[]).await.is(200);
    for text in ["Succeeded", "200", "42 ms", URL, "client.created", ">ok<"] {
        assert!(page.has(text), "{text} in {}", page.text);
    }
    let sent = stage.outbound.sent.lock().pop().unwrap();
    assert_eq!(sent.event_type().as_str(), "client.created");
    let json: serde_json::Value = serde_json::from_slice(sent.json()).unwrap();
    assert_eq!(json["metadata"]["test"], true);
    assert_eq!(json["companyId"], "acme");
}

#[tokio::test]
async fn a_failure_is_explained_and_its_body_stays_text() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    admin.get(&path(id, "")).await;
    let body = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    *stage.outbound.outcome.lock() = Some(failed(401, body));
    let page = admin.post(&path(id, "/test"), &[]).await.is(200);
    assert!(page.has("The endpoint answered 401.") && page.has("secret"));
    assert!(
        !page.has("<script>alert") && !page.has("<img"),
        "{}",
        page.text
    );
    let evil = r#"{"</pre><script>alert(1)</script>": "<img src=x>"}"#;
    *stage.outbound.outcome.lock() = Some((AttemptOutcome::Succeeded, answered(200, evil)));
    let page = admin.post(&path(id, "/test"), &[]).await.is(200);
    assert!(
        !page.has("<script>alert") && !page.has("<img"),
        "{}",
        page.text
    );
    let nothing = (
        AttemptOutcome::Failed(AttemptError::Timeout),
        ReceivedResponse::default(),
    );
    *stage.outbound.outcome.lock() = Some(nothing);
    let page = admin.post(&path(id, "/test"), &[]).await.is(200);
    assert!(page.has("no answer") && page.has("no full answer") && !page.has("Response body"));
}

#[tokio::test]
async fn a_script_gets_the_result_alone() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    admin.get(&path(id, "")).await;
    let form = [
        ("event_type", "Client.Created"),
        ("payload", "{\"a\":99.00}"),
        ("part", "result"),
    ];
    let part = admin.post(&path(id, "/test"), &form).await.is(200);
    assert!(part.has("Succeeded") && !part.has("<html") && !part.has("<h1"));
    let sent = stage.outbound.sent.lock().pop().unwrap();
    assert_eq!(sent.event_type().as_str(), "client.created");
    assert_eq!(sent.payload(), b"{\"a\":99.00}");
}

#[tokio::test]
async fn mistakes_are_named_and_nothing_is_sent() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    admin.get(&path(id, "")).await;
    for (event_type, payload, wrong) in [
        ("a..b", "", "event_type-error"),
        ("", "[1]", "payload-error"),
        ("", "{\"a\":", "payload-error"),
        ("<b>", "<script>", "payload-error"),
    ] {
        let form = [("event_type", event_type), ("payload", payload)];
        let page = admin.post(&path(id, "/test"), &form).await.is(422);
        assert!(page.element(wrong).is_some(), "{event_type} {payload}");
        assert_eq!(page.field_value("event_type").as_deref(), Some(event_type));
        assert!(!page.has("<script>\n") && !page.has("<b>"));
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(101), "}".repeat(101));
    let page = admin
        .post(&path(id, "/test"), &[("payload", deep.as_str())])
        .await
        .is(422);
    assert!(page.element("payload-error").unwrap().contains("100 deep"));
    assert!(stage.outbound.sent.lock().is_empty());
}

#[tokio::test]
async fn without_a_payload_the_catalogs_sample_is_sent() {
    let (stage, admin, id) = with_webhook(&["payment.*"]).await;
    let listed = stage.store.event_types().await.unwrap();
    let payment = listed
        .iter()
        .find(|listed| listed.name.as_str() == "payment.failed")
        .unwrap();
    let page = admin.get(&path(id, "")).await.is(200);
    assert!(page.has("<option value=\"payment.failed\">") && !page.has("<option value=\"client."));
    let form = [("event_type", "payment.failed")];
    admin.post(&path(id, "/test"), &form).await.is(200);
    let sent = stage.outbound.sent.lock().pop().unwrap();
    assert_eq!(
        sent.payload(),
        payment.sample().unwrap().as_str().as_bytes()
    );
}
