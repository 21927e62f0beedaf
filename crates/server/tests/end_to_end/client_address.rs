//! From where a change came, as the audit log has it: also through proxies, and never by a lie.

use axum::http::{HeaderName, HeaderValue};
use serde_json::json;

use crate::{
    http_client::Call,
    program::{COMPANY, Server},
    scratch::Scratch,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Makes a key through proxies that say this, and gives the address in the audit log's last line.
async fn noted(args: &[&str], forwarded: &[&'static str]) -> String {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), args).await;
    let body = json!({"name": "test", "scopes": ["events:read"], "companyId": COMPANY});
    let mut call = Call::post("/api/v1/api-keys", body.to_string());
    let fields = forwarded.iter();
    call.headers = fields
        .map(|value| (FORWARDED_FOR, HeaderValue::from_static(value)))
        .collect();
    let answer = server.client().send(call).await.unwrap();
    assert_eq!(answer.status(), 201);
    server.stop().await;
    let database = rusqlite::Connection::open(scratch.file("tidings.db")).unwrap();
    let line = "SELECT address FROM audit_log WHERE action = 'key.created' ORDER BY seq DESC";
    database.query_row(line, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn nobody_is_believed_who_was_not_named() {
    assert_eq!(noted(&[], &[]).await, "127.0.0.1");
    assert_eq!(noted(&[], &["198.51.100.7"]).await, "127.0.0.1");
    let elsewhere = ["--trusted-proxy=10.0.0.0/8"];
    assert_eq!(noted(&elsewhere, &["198.51.100.7"]).await, "127.0.0.1");
}

#[tokio::test]
async fn a_named_proxy_is_believed_about_its_own_entry_alone() {
    let proxies = ["--trusted-proxy=127.0.0.0/8,10.0.0.0/8"];
    let lies = ["203.0.113.9, 127.0.0.1", "198.51.100.7, 10.0.0.2"];
    assert_eq!(noted(&proxies, &lies).await, "198.51.100.7");
    assert_eq!(
        noted(&proxies, &["198.51.100.7, garbage"]).await,
        "127.0.0.1"
    );
    assert_eq!(noted(&proxies, &[]).await, "127.0.0.1");
}
