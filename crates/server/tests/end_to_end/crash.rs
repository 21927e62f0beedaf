//! SIGKILL in mid-load, several times on the same database: nothing that was acknowledged is lost.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    home::{Home, on_both},
    http_client::{Call, HttpClient},
    program::COMPANY,
    receiver::Receiver,
    scratch::until,
};

const KILLS: usize = 4;
const PUBLISHERS: usize = 6;
/// Acknowledged in each life before the kill.
const EVENTS_PER_LIFE: usize = 150;

/// Publishes until it is told to stop, and notes what was answered 201.
async fn publish(
    client: HttpClient,
    acknowledged: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let event = json!({"companyId": COMPANY, "type": "load.made", "payload": {"a": 1}});
        let answer = client
            .send(Call::post("/api/v1/events", event.to_string()))
            .await;
        // A broken connection is what a crash looks like: nothing was promised.
        let Ok(answer) = answer else { continue };
        if answer.status() == 201 {
            let event: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            acknowledged
                .lock()
                .unwrap()
                .push(event["id"].as_str().unwrap().to_owned());
        }
    }
}

on_both!(nothing_acknowledged_is_lost_by_sigkill);

async fn nothing_acknowledged_is_lost_by_sigkill(home: Home) {
    // One in five fails, so that retries are cut off as well.
    let receiver = Receiver::answering(|number| if number % 5 == 4 { 500 } else { 200 }).await;
    let args = [
        "--node-lease=1s",
        "--retry-schedule=50ms,100ms,200ms,400ms,1s,2s,4s",
    ];
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut server = home.start(&args).await;
    server.subscribe(receiver.url()).await;
    for _ in 0..KILLS {
        let before = acknowledged.lock().unwrap().len();
        let stop = CancellationToken::new();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|_| {
                tokio::spawn(publish(
                    server.client(),
                    Arc::clone(&acknowledged),
                    stop.clone(),
                ))
            })
            .collect();
        until("enough load", async || {
            (acknowledged.lock().unwrap().len() >= before + EVENTS_PER_LIFE).then_some(())
        })
        .await;
        server.signal("KILL").await;
        server.ended().await;
        stop.cancel();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        server = home.start(&args).await;
    }

    let polled = server.poll_all().await;
    let distinct: HashSet<_> = polled.iter().cloned().collect();
    assert_eq!(
        distinct.len(),
        polled.len(),
        "the cursor gave an event twice"
    );
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= KILLS * EVENTS_PER_LIFE);
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !distinct.contains(*id))
        .collect();
    assert!(
        lost.is_empty(),
        "acknowledged, and not in the log: {lost:?}"
    );
    // What is in the log is owed, acknowledged or not.
    until("the last delivery", async || {
        let counts = receiver.counts();
        distinct
            .iter()
            .all(|id| counts.contains_key(id))
            .then_some(())
    })
    .await;
    server.stop().await;
}
