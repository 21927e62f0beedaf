use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use standardwebhooks::Webhook;

#[derive(Clone)]
struct Receiver {
    webhook: Arc<Webhook>,
    seen: Arc<Mutex<HashSet<String>>>, // in production: a unique column in your database
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Some(id) = headers.get("webhook-id").and_then(|id| id.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    if receiver.seen.lock().unwrap().insert(id.to_owned()) {
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        println!("{} {}", event["type"].as_str().unwrap(), id);
    }
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() {
    let secret = std::env::var("WEBHOOK_SECRET").expect("WEBHOOK_SECRET is set");
    let port = std::env::var("PORT").expect("PORT is set");
    let receiver = Receiver {
        webhook: Arc::new(Webhook::new(&secret).expect("a whsec_ secret")),
        seen: Arc::default(),
    };
    let app = Router::new().route("/", post(receive)).with_state(receiver);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    axum::serve(listener, app).await.unwrap();
}
