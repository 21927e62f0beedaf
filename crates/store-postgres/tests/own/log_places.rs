//! Where a moment lies in the event log, which is in partitions by id.

use tidings_domain::time::UtcMillis;
use tidings_store::Position;

use crate::stage::{Stage, day, keep_days};

async fn before(stage: &Stage, time: UtcMillis) -> Position {
    let position = stage.store.position_before(time).await;
    position.expect("the store works")
}

#[tokio::test]
async fn moments_are_found_over_days_and_beyond_what_is_gone() {
    const A_DAY: i64 = 300;
    let stage = Stage::new().await;
    assert_eq!(before(&stage, day(9)).await, 0);
    for number in 0..6 {
        let events = usize::try_from(A_DAY).expect("a small number");
        stage.publish(day(number), events, None).await;
    }
    for number in 0..6 {
        assert_eq!(before(&stage, day(number)).await, number * A_DAY);
        let after = day(number).plus_millis(1);
        assert_eq!(before(&stage, after).await, (number + 1) * A_DAY);
    }
    while stage
        .store
        .tidy(day(5), keep_days(2))
        .await
        .expect("the store works")
    {}
    // What is gone has no last one before it any more.
    assert_eq!(before(&stage, day(1)).await, 0);
    assert_eq!(before(&stage, day(4)).await, 4 * A_DAY);
    assert_eq!(before(&stage, day(30)).await, 6 * A_DAY);
}

#[tokio::test]
async fn what_was_stored_late_counts_from_when_it_was() {
    let stage = Stage::new().await;
    let (received, stored) = (day(0), day(0).plus_millis(5000));
    stage.publish(day(0).plus_millis(-10), 3, None).await;
    // Received first, and stored after the next ones.
    let late: Vec<_> = (0..5000)
        .map(|_| stage.event(received, "a.b", "{}"))
        .collect();
    stage.publish(received.plus_millis(1), 2, None).await;
    stage.append(late, None, stored).await;
    assert_eq!(before(&stage, received).await, 3);
    assert_eq!(before(&stage, received.plus_millis(2)).await, 5);
    assert_eq!(before(&stage, stored).await, 5, "thousands lie between");
    assert_eq!(before(&stage, stored.plus_millis(1)).await, 5005);
}

#[tokio::test]
async fn in_a_crowd_a_moment_is_found_early_and_skips_nothing() {
    const CROWD: usize = 10_500;
    let stage = Stage::new().await;
    let (begun, moment) = (day(0), day(0).plus_millis(90_000));
    stage.publish(begun, 4, None).await;
    stage.publish(moment.plus_millis(-5), CROWD, None).await;
    // Stored behind others of a later time.
    stage.publish(moment, 1, None).await;
    stage.publish(moment.plus_millis(-1), CROWD, None).await;
    assert_eq!(before(&stage, moment).await, 4, "a minute early");
}
