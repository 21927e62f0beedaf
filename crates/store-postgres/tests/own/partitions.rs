//! Partitions: made ahead, filled by the time inside the ids, and dropped whole where nothing in
//! them is owed or promised.

use tidings_domain::time::UtcMillis;

use crate::stage::{DAY_MS, Stage, day, keep_days};

const ROWS: &str = "SELECT tableoid::regclass, count(*) FROM events GROUP BY 1 ORDER BY 1";

#[tokio::test]
async fn today_and_a_week_are_made_ahead() {
    let stage = Stage::new().await;
    let first = [
        "20231114", "20231115", "20231116", "20231117", "20231118", "20231119", "20231120",
        "20231121",
    ];
    for table in ["events", "attempts"] {
        assert_eq!(stage.partitions(table), first, "{table}");
    }
    assert!(!stage.tidy_once(day(2), keep_days(30)).await);
    for table in ["events", "attempts"] {
        let made = stage.partitions(table);
        assert_eq!(made[..8], first, "{table}");
        assert_eq!(made[8..], ["20231122", "20231123"], "{table}");
    }
}

#[tokio::test]
async fn a_day_whose_rows_came_too_early_stays_in_the_default_partition() {
    let stage = Stage::new().await;
    stage.publish(day(9), 3, None).await;
    stage.tidy(day(2), keep_days(30)).await;
    stage.publish(day(10), 2, None).await;
    assert!(!stage.tidy_once(day(8), keep_days(30)).await);
    let made = stage.partitions("events");
    assert!(!made.contains(&"20231123".to_owned()), "{made:?}");
    assert_eq!(made.last().expect("there are some"), "20231129");
    assert_eq!(stage.harness.sql(ROWS), "events_default|5");
    // The attempts of these days are not there yet.
    assert!(
        stage
            .partitions("attempts")
            .contains(&"20231123".to_owned())
    );
}

#[tokio::test]
async fn a_day_goes_as_a_whole() {
    let stage = Stage::new().await;
    stage.subscribe(day(0)).await;
    stage.publish(day(0), 1500, None).await;
    stage.publish(day(1), 20, None).await;
    let all = stage.claim(day(1)).await;
    stage.succeed(&all, day(1)).await;
    let young = stage.publish(day(3), 2, None).await;
    assert_eq!(
        stage.harness.sql(ROWS),
        "events_20231114|1500\nevents_20231115|20\nevents_20231117|2"
    );
    let head = stage.store.head().await.expect("the head");
    // At noon of the 4th day, two days reach back to noon of the 2nd: only the first is over.
    assert!(
        stage.tidy_once(day(3), keep_days(2)).await,
        "one day a step"
    );
    assert_eq!(
        stage.harness.sql(ROWS),
        "events_20231115|20\nevents_20231117|2"
    );
    stage.tidy(day(5), keep_days(2)).await;
    assert_eq!(stage.log().await, young);
    assert_eq!(stage.partitions("events")[0], "20231117");
    assert_eq!(stage.partitions("attempts")[0], "20231117");
    assert_eq!(stage.harness.sql("SELECT count(*) FROM attempts"), "0");
    let left = "SELECT count(*) FROM pg_class WHERE relname ~ '20231114|20231115'";
    assert_eq!(stage.harness.sql(left), "0", "neither tables nor indexes");
    assert_eq!(stage.store.head().await, Ok(head));
}

#[tokio::test]
async fn what_is_owed_keeps_its_day_but_not_the_rest_of_it() {
    let stage = Stage::new().await;
    stage.publish(day(0), 1500, None).await;
    stage.subscribe(day(0)).await;
    let owed = stage.publish(day(0), 1, None).await;
    let held = stage.claim(day(0)).await;
    stage.tidy(day(5), keep_days(2)).await;
    assert_eq!(stage.log().await, owed);
    assert_eq!(stage.partitions("events")[0], "20231114");
    assert_eq!(
        stage.partitions("attempts")[0],
        "20231117",
        "they are owed to nobody"
    );
    stage.succeed(&held, day(5)).await;
    stage.tidy(day(5), keep_days(2)).await;
    assert_eq!(stage.log().await, []);
    assert_eq!(stage.partitions("events")[0], "20231117");
}

#[tokio::test]
async fn what_is_promised_keeps_its_day() {
    let stage = Stage::new().await;
    stage.publish(day(0), 3, None).await;
    let promised = stage.publish(day(0), 2, Some(day(6))).await;
    stage.tidy(day(5), keep_days(2)).await;
    let log = stage.log().await;
    assert_eq!(log[log.len() - 2..], promised);
    assert_eq!(stage.partitions("events")[0], "20231114");
    stage.tidy(day(6), keep_days(2)).await;
    assert_eq!(stage.log().await, []);
    assert_eq!(stage.partitions("events")[0], "20231118");
}

#[tokio::test]
async fn a_day_that_somebody_reads_goes_later() {
    let stage = Stage::new().await;
    stage.publish(day(0), 3, None).await;
    let name = stage.harness.database.name();
    let mut reader = tidings_test_cluster::Cluster::shared().session(name);
    reader.run("BEGIN; SELECT count(*) FROM events");
    assert!(
        !stage.tidy_once(day(5), keep_days(2)).await,
        "it does not insist"
    );
    assert_eq!(stage.partitions("events")[0], "20231114");
    let more = stage.publish(day(5), 1, None).await;
    reader.run("COMMIT");
    assert!(
        !stage.tidy_once(day(5), keep_days(2)).await,
        "nor does it soon"
    );
    let later = day(5).plus_millis(60_000);
    stage.tidy(later, keep_days(2)).await;
    assert_eq!(stage.log().await, more);
}

/// Redelivering and retention meet: whoever comes first, no delivery is without its event.
#[tokio::test]
async fn what_is_being_redelivered_stays() {
    let stage = Stage::new().await;
    let early: UtcMillis = day(0).plus_millis(-30 * DAY_MS);
    let in_default = stage.publish(early, 2, None).await;
    let in_partition = stage.publish(day(0), 2, None).await;
    stage.subscribe(day(0)).await;
    let name = stage.harness.database.name();
    let mut redelivering = tidings_test_cluster::Cluster::shared().session(name);
    redelivering.run(
        "BEGIN; SELECT FROM events WHERE position IN (1, 3) FOR KEY SHARE;
         INSERT INTO queue (position, subscription, round, event_id, company_id, due_ms, holder,
             epoch, attempts, owed_since_ms)
         SELECT position, 1, 1, id, company_id, 0, 0, 0, 0, 0 FROM events
         WHERE position IN (1, 3)",
    );
    stage.tidy(day(5), keep_days(2)).await;
    assert!(stage.log().await.contains(&in_default[0]));
    redelivering.run("COMMIT");
    let later = day(5).plus_millis(60_000);
    stage.tidy(later, keep_days(2)).await;
    assert_eq!(stage.log().await, [in_default[0], in_partition[0]]);
    let held = stage.claim(later).await;
    stage.succeed(&held, later).await;
    stage.tidy(later, keep_days(2)).await;
    assert_eq!(stage.log().await, []);
}

#[tokio::test]
async fn one_node_tidies_at_a_time() {
    let stage = Stage::new().await;
    let early: UtcMillis = day(0).plus_millis(-30 * DAY_MS);
    stage.publish(early, 2500, None).await;
    let name = stage.harness.database.name();
    let mut other = tidings_test_cluster::Cluster::shared().session(name);
    other.run("BEGIN; SELECT pg_advisory_xact_lock(hashtext('tidings tidy'))");
    assert!(!stage.tidy_once(day(0), keep_days(2)).await);
    assert_eq!(stage.log().await.len(), 2500);
    other.run("COMMIT");
    assert!(stage.tidy_once(day(0), keep_days(2)).await);
    assert_eq!(stage.log().await.len(), 1500);
    stage.tidy(day(0), keep_days(2)).await;
    assert_eq!(stage.log().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_tidy_at_once_do_not_stumble() {
    const TURNS: usize = 15;
    let stage = Stage::new().await;
    let other = stage.harness.open_at(day(0)).await;
    for number in 0..7 {
        stage.publish(day(number), 3, None).await;
    }
    let keep = keep_days(2);
    for turn in 0..TURNS {
        // A minute apart, so that whoever was in the way before is forgotten.
        let now = day(9).plus_millis(60_000 * i64::try_from(turn).expect("a few"));
        let (one, two) = tokio::join!(stage.store.tidy(now, keep), other.tidy(now, keep));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    }
    assert_eq!(stage.log().await, []);
    assert_eq!(stage.partitions("events")[0], "20231121");
    let left = "SELECT count(*) FROM pg_class WHERE relname ~ '202311(14|15|16|17|18|19|20)'";
    assert_eq!(stage.harness.sql(left), "0");
}
