//! SIGKILL for one of three servers, again and again under load: whatever it held is taken over by
//! the others, and nothing that was acknowledged is lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::{fleet::Fleet, home::Home, receiver::Receiver, scratch::until};

const SERVERS: usize = 3;
const KILLS: usize = 6;
const PUBLISHERS: usize = 6;
/// Acknowledged before each kill.
const EVENTS_PER_LIFE: usize = 100;
/// How long a dead server's work stays untouched.
const LEASE: Duration = Duration::from_secs(2);
/// How long it may take from then on until the last of that was delivered, with some retries, on a
/// machine that has much else to do.
const A_LITTLE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_held_is_taken_over_within_the_lease() {
    // One in five fails, so that retries are cut off as well.
    let receiver = Receiver::answering(|number| if number % 5 == 4 { 500 } else { 200 }).await;
    let lease = format!("--node-lease={}ms", LEASE.as_millis());
    let schedule = "--retry-schedule=50ms,100ms,200ms,400ms,1s,2s,4s";
    let mut fleet = Fleet::start(Home::postgres(), SERVERS, &[&lease, schedule]).await;
    fleet.server(0).subscribe(receiver.url()).await;
    let load = fleet.load(PUBLISHERS);
    for kill in 0..KILLS {
        // Attempts hang, so that each server has some in flight and more that wait behind them.
        receiver.hold();
        load.more_promises(EVENTS_PER_LIFE).await;
        fleet.kill(kill % SERVERS).await;
        let (killed, account) = (Instant::now(), load.account());
        receiver.let_go();
        until("the takeover", async || {
            let accepted = receiver.accepted();
            account.ids().all(|id| accepted.contains(id)).then_some(())
        })
        .await;
        let taken = killed.elapsed();
        assert!(taken < LEASE + A_LITTLE, "it took {taken:?}");
        assert!(taken > LEASE / 4, "nobody waited for its lease: {taken:?}");
        fleet.start_again(kill % SERVERS).await;
    }
    let account = load.end().await;
    assert!(account.promised.len() >= KILLS * EVENTS_PER_LIFE);
    assert_eq!(account.refused, 0, "the others go on as if nothing was");
    fleet.keeps_its_promises(&account, &receiver).await;
    fleet.end().await;
}
