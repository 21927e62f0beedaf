//! Servers on one PostgreSQL are all equal: what is said to one holds at every other one as soon as
//! it was answered.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    fleet::Fleet,
    home::Home,
    http_client::{Call, HttpClient},
    program::COMPANY,
    receiver::Receiver,
    scratch::until,
};

const SERVERS: usize = 3;
/// How soon somebody who waits at one server hears of an event that came to another.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_made_at_one_is_matched_at_the_others_at_once() {
    const ROUNDS: usize = 30;
    let receiver = Receiver::accepting().await;
    let fleet = Fleet::start(Home::postgres(), SERVERS, &[]).await;
    let mut published = Vec::new();
    for round in 0..ROUNDS {
        let event_type = format!("round.number{round}");
        let wish = json!({
            "companyId": COMPANY, "url": receiver.url(), "eventTypes": [event_type],
        });
        let made = fleet.server(round % SERVERS);
        let answer = made.post("/api/v1/webhooks/subscriptions", &wish).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        let event = json!({"companyId": COMPANY, "type": event_type, "payload": {}});
        let elsewhere = fleet.server((round + 1) % SERVERS);
        let answer = elsewhere.post("/api/v1/events", &event).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        published.push(answer.json["id"].as_str().unwrap().to_owned());
    }
    until("every delivery", async || {
        let arrived = receiver.first_arrivals();
        published
            .iter()
            .all(|id| arrived.contains_key(id))
            .then_some(())
    })
    .await;
    for server in fleet.servers() {
        assert_eq!(server.poll_all().await, published);
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_hears_of_what_is_published_elsewhere() {
    let fleet = Fleet::start(Home::postgres(), 2, &[]).await;
    let client = fleet.server(0).client();
    let poll = tokio::spawn(async move {
        let path = format!("/api/v1/events?companyId={COMPANY}&wait=30&cursor=now");
        client.send(Call::get(&path)).await
    });
    until("the long poll", async || {
        let shown = fleet.server(0).text("/metrics").await;
        shown.contains("tidings_api_long_polls 1").then_some(())
    })
    .await;
    let answer = fleet.server(1).publish(&json!({"n": 1})).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let published = Instant::now();
    let page = poll.await.unwrap().unwrap();
    assert!(published.elapsed() < HEARD_WITHIN);
    let page: Value = serde_json::from_slice(page.body()).unwrap();
    assert_eq!(page[0]["id"], answer.json["id"], "{page}");
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_holds_at_every_server_until_it_is_revoked_at_any() {
    let fleet = Fleet::start(Home::postgres(), SERVERS, &[]).await;
    for round in 0..SERVERS {
        let wish = json!({"name": "shop", "companyId": COMPANY, "scopes": ["events:read"]});
        let made = fleet.server(round).post("/api/v1/api-keys", &wish).await;
        assert_eq!(made.status, 201, "{}", made.json);
        let key = made.json["key"].as_str().unwrap().to_owned();
        let status_everywhere = async || {
            let mut statuses = Vec::new();
            for server in fleet.servers() {
                let client = HttpClient::new(&server.url(), Some(&key)).unwrap();
                let answer = client.send(Call::get("/api/v1/me")).await.unwrap();
                statuses.push(answer.status().as_u16());
            }
            statuses
        };
        assert_eq!(status_everywhere().await, [200; SERVERS]);
        let path = format!("/api/v1/api-keys/{}", made.json["id"].as_str().unwrap());
        let other = fleet.server((round + 1) % SERVERS);
        assert_eq!(other.delete(&path).await.status, 204);
        assert_eq!(status_everywhere().await, [401; SERVERS]);
    }
    fleet.end().await;
}
