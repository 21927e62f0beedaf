//! One server after the other is stopped politely and started again, under load: publishers who go
//! to the next one notice next to nothing, and so do receivers.

use std::time::Duration;

use crate::{fleet::Fleet, home::Home, receiver::Receiver};

const SERVERS: usize = 3;
const PUBLISHERS: usize = 6;
/// Acknowledged before each stop.
const EVENTS_PER_LIFE: usize = 100;
/// The longest that publishers and receivers may wait for anything.
const PAUSE_MAX: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_pauses_nobody() {
    let receiver = Receiver::accepting().await;
    let mut fleet = Fleet::start(Home::postgres(), SERVERS, &[]).await;
    fleet.server(0).subscribe(receiver.url()).await;
    let load = fleet.load(PUBLISHERS);
    for place in 0..SERVERS {
        load.more_promises(EVENTS_PER_LIFE).await;
        fleet.stop(place).await;
        load.more_promises(EVENTS_PER_LIFE).await;
        fleet.start_again(place).await;
    }
    load.more_promises(EVENTS_PER_LIFE).await;
    let account = load.end().await;
    fleet.keeps_its_promises(&account, &receiver).await;

    let pause = account.longest_pause;
    assert!(pause < PAUSE_MAX, "a publisher waited for {pause:?}");
    let arrivals = receiver.first_arrivals();
    let waits = account
        .promised
        .iter()
        .map(|(id, promised)| arrivals[id].saturating_duration_since(*promised));
    let longest = waits.max().unwrap();
    assert!(longest < PAUSE_MAX, "a delivery waited for {longest:?}");
    fleet.end().await;
}
