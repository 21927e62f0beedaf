//! Reading: one look goes through a bounded number of rows and of bytes, and says where to go on.

use tidings_domain::{cursor::Order, event_type::EventTypePattern};
use tidings_store::{EventPage, EventQuery, Position};

use crate::stage::{Stage, acme, day};

async fn page(stage: &Stage, pattern: &str, order: Order, after: Option<Position>) -> EventPage {
    let query = EventQuery {
        company: acme(),
        types: vec![EventTypePattern::parse(pattern).expect("a pattern")],
        order,
        after,
        limit: 100,
    };
    stage
        .store
        .read_events(query)
        .await
        .expect("the store works")
}

#[tokio::test]
async fn a_look_among_many_others_ends_and_goes_on() {
    let stage = Stage::new().await;
    let first = stage.event(day(0), "rare.first", "{}");
    stage.append(vec![first.clone()], None, day(0)).await;
    for _ in 0..21 {
        stage.publish(day(0), 1000, None).await;
    }
    let last = stage.event(day(0), "rare.last", "{}");
    stage.append(vec![last.clone()], None, day(0)).await;

    let found = page(&stage, "rare.*", Order::Ascending, None).await;
    assert_eq!(found.events, std::slice::from_ref(&first));
    assert_eq!((found.next, found.has_more), (20_000, true));
    let found = page(&stage, "rare.*", Order::Ascending, Some(found.next)).await;
    assert_eq!(found.events, std::slice::from_ref(&last));
    assert_eq!((found.next, found.has_more), (21_002, false));

    let found = page(&stage, "rare.*", Order::Descending, None).await;
    assert_eq!(found.events, [last]);
    assert_eq!((found.next, found.has_more), (1003, true));
    let found = page(&stage, "rare.*", Order::Descending, Some(found.next)).await;
    assert_eq!(found.events, [first]);
    assert_eq!((found.next, found.has_more), (1, false));

    let found = page(&stage, "rare.none", Order::Ascending, None).await;
    assert_eq!(found.events, []);
    assert_eq!((found.next, found.has_more), (20_000, true));
}

#[tokio::test]
async fn a_page_of_large_events_is_cut() {
    const EVENTS: usize = 12;
    let stage = Stage::new().await;
    let payload = format!(r#"{{"fill":"{}"}}"#, "x".repeat(1 << 20));
    for _ in 0..EVENTS {
        let event = stage.event(day(0), "large", &payload);
        stage.append(vec![event], None, day(0)).await;
    }
    for order in [Order::Ascending, Order::Descending] {
        let first = page(&stage, "*", order, None).await;
        // The one that goes beyond eight megabytes is the last.
        assert_eq!((first.events.len(), first.has_more), (8, true));
        let rest = page(&stage, "large", order, Some(first.next)).await;
        assert_eq!((rest.events.len(), rest.has_more), (EVENTS - 8, false));
    }
}
