//! Redelivery and replay on several nodes at once: no round is made twice, none is lost.

use std::{collections::HashSet, sync::Arc};

use futures_util::future::join_all;
use tidings_domain::time::UtcMillis;
use tidings_store::{Delivery, Redelivered, ReplayScope, ReplayWindow, Replayed, Store};

use crate::stage::{Stage, day};

const WORKS: &str = "the store works";

/// The stage's own store, and another node on the same database.
async fn two_nodes(stage: &Stage) -> [Arc<dyn Store>; 2] {
    [
        Arc::clone(&stage.store),
        stage.harness.open_at(day(0)).await,
    ]
}

fn assert_distinct(deliveries: &[Delivery]) {
    let keys: HashSet<_> = deliveries.iter().map(|delivery| delivery.key).collect();
    assert_eq!(keys.len(), deliveries.len(), "none is claimed twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_not_doubled_by_many() {
    let stage = Stage::new().await;
    let nodes = two_nodes(&stage).await;
    let to = stage.subscribe(day(0)).await;
    let event = stage.publish(day(0), 1, None).await[0];
    let first = stage.claim(day(0)).await;
    stage.succeed(&first, day(0)).await;
    let all = (0..16).map(|number| {
        let node = &nodes[number % 2];
        node.redeliver(None, event, to, day(0))
    });
    for redelivered in join_all(all).await {
        assert_eq!(redelivered, Ok(Redelivered::Queued));
    }
    assert_eq!(nodes[1].backlog().await.expect(WORKS).owed, 1);
    let again = stage.claim(day(0)).await;
    assert_eq!((again.len(), again[0].key.round), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_stay_distinct_amid_claims() {
    const TIMES: usize = 30;
    let stage = Stage::new().await;
    let nodes = two_nodes(&stage).await;
    let to = stage.subscribe(day(0)).await;
    let event = stage.publish(day(0), 1, None).await[0];
    let mut claimed = Vec::new();
    for _ in 0..TIMES {
        let redeliver = |node: usize| nodes[node].redeliver(None, event, to, day(0));
        let (one, other, mine, more) = tokio::join!(
            redeliver(0),
            redeliver(1),
            stage.claim(day(0)),
            stage.claim(day(0)),
        );
        assert_eq!(
            [one, other],
            [Ok(Redelivered::Queued), Ok(Redelivered::Queued)]
        );
        let late = stage.claim(day(0)).await;
        let found = [mine, more, late].into_iter().flatten();
        let before = claimed.len();
        claimed.extend(found);
        assert!(claimed.len() > before, "what was queued is there to claim");
    }
    assert_distinct(&claimed);
    assert_eq!(
        nodes[0].backlog().await.expect(WORKS).owed,
        claimed.len() as u64
    );
    stage.succeed(&claimed, day(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replays_at_once_bring_everything_once() {
    const EVENTS: usize = 1300;
    let stage = Stage::new().await;
    let nodes = two_nodes(&stage).await;
    stage.publish(day(0), EVENTS, None).await;
    let to = stage.subscribe(day(0)).await;
    let window = ReplayWindow {
        since: UtcMillis::from_millis(0),
        until: None,
        scope: ReplayScope::Failed,
    };
    let replay = |node: usize| nodes[node].replay(None, to, window, day(0), None);
    let (one, other, early) = tokio::join!(replay(0), replay(1), stage.claim(day(0)));
    let queued = [one, other].map(|replayed| match replayed {
        Ok(Replayed::Queued(queued)) => queued,
        refused => panic!("it is replayed, but: {refused:?}"),
    });
    assert_eq!(queued.iter().sum::<u64>(), EVENTS as u64);
    let mut claimed = early;
    claimed.extend(stage.claim(day(0)).await);
    assert_distinct(&claimed);
    assert_eq!(claimed.len(), EVENTS);
}
