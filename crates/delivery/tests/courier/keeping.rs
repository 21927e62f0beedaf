//! Which connections are kept, used again, given up, and bounded.

use std::{sync::Arc, time::Duration};

use tidings_delivery::{Courier, CourierOptions, PoolLimits};
use tidings_domain::attempt::{
    AttemptError::{Connect, Timeout},
    AttemptOutcome::Succeeded,
};
use tokio::sync::{Barrier, mpsc};

use crate::receiver::{
    OK, Receiver, SHORT, attempt_to, courier, deliver, development, failed, patiently,
};

#[tokio::test]
async fn a_connection_serves_one_attempt_after_the_other() {
    let receiver = Receiver::answering(OK).await;
    let courier = courier();
    for path in ["/", "/other?path", "/"] {
        let report = deliver(&courier, &receiver.url(path)).await;
        assert_eq!(report.outcome, Succeeded);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_failed_status_does_not_cost_the_connection() {
    let receiver = Receiver::answering("HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nno!").await;
    let courier = courier();
    for _ in 0..3 {
        deliver(&courier, &receiver.url("/")).await;
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_receiver_ends_is_not_used_again() {
    let receiver =
        Receiver::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let courier = courier();
    for _ in 0..3 {
        assert_eq!(
            deliver(&courier, &receiver.url("/")).await.outcome,
            Succeeded
        );
    }
    assert_eq!(receiver.connections(), 3);
}

/// The receiver answers once and closes when the second request is there: the courier could not
/// know, and the second attempt must not fail of it.
#[tokio::test]
async fn a_stale_connection_costs_no_attempt() {
    for reset in [false, true] {
        let receiver = Receiver::with(move |_, mut visit| async move {
            visit.request().await;
            visit.write(OK).await;
            visit.request().await;
            if reset {
                visit.stream.set_zero_linger().unwrap();
            }
        })
        .await;
        let courier = courier();
        for connections in 1..=3 {
            let report = deliver(&courier, &receiver.url("/")).await;
            assert_eq!(report.outcome, Succeeded);
            assert_eq!(receiver.connections(), connections);
        }
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let receiver = Receiver::answering_once(OK).await;
    let courier = courier();
    for connections in 1..=5 {
        let report = deliver(&courier, &receiver.url("/")).await;
        assert_eq!(report.outcome, Succeeded);
        assert_eq!(receiver.connections(), connections);
    }
}

#[tokio::test]
async fn a_request_is_sent_anew_once_and_no_more() {
    let receiver = Receiver::with(|number, mut visit| async move {
        visit.request().await;
        if number == 0 {
            visit.write(OK).await;
            visit.request().await;
        }
    })
    .await;
    let courier = courier();
    assert_eq!(
        deliver(&courier, &receiver.url("/")).await.outcome,
        Succeeded
    );
    assert_eq!(
        deliver(&courier, &receiver.url("/")).await.outcome,
        failed(Connect)
    );
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_broke_off_is_not_asked_for_anew() {
    let receiver = Receiver::with(|_, mut visit| async move {
        visit.request().await;
        visit.write(OK).await;
        visit.request().await;
        visit.write("HTTP/1.1 2").await;
    })
    .await;
    let courier = courier();
    assert_eq!(
        deliver(&courier, &receiver.url("/")).await.outcome,
        Succeeded
    );
    assert_eq!(
        deliver(&courier, &receiver.url("/")).await.outcome,
        failed(Connect)
    );
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_timed_out_is_not_used_again() {
    let receiver = Receiver::with(|number, mut visit| async move {
        visit.request().await;
        if number > 0 {
            visit.write(OK).await;
        }
        visit.closed().await;
    })
    .await;
    let courier = Courier::new(CourierOptions {
        attempt_timeout: SHORT,
        ..development()
    });
    assert_eq!(
        deliver(&courier, &receiver.url("/")).await.outcome,
        failed(Timeout)
    );
    assert_eq!(
        deliver(&courier, &receiver.url("/")).await.outcome,
        Succeeded
    );
    assert_eq!(receiver.connections(), 2);
}

/// Answers when `together` attempts are under way, and tells when a connection is closed.
async fn crowded(together: usize) -> (Receiver, mpsc::UnboundedReceiver<usize>) {
    let barrier = Arc::new(Barrier::new(together));
    let (closed, closings) = mpsc::unbounded_channel();
    let receiver = Receiver::with(move |number, mut visit| {
        let (barrier, closed) = (Arc::clone(&barrier), closed.clone());
        async move {
            visit.request().await;
            barrier.wait().await;
            visit.write(OK).await;
            visit.answer_all(OK).await;
            // A test that is over does not listen any more.
            let _ = closed.send(number);
        }
    })
    .await;
    (receiver, closings)
}

async fn deliver_together(courier: &Courier, receiver: &Receiver, together: usize) {
    let attempts = (0..together).map(|_| courier.attempt(attempt_to(&receiver.url("/"))));
    for report in patiently(futures_util::future::join_all(attempts)).await {
        assert_eq!(report.outcome, Succeeded);
    }
}

fn courier_with(pool: PoolLimits) -> Courier {
    Courier::new(CourierOptions {
        pool,
        ..development()
    })
}

#[tokio::test]
async fn idle_connections_to_one_origin_are_bounded() {
    let courier = courier_with(PoolLimits {
        idle_per_origin_max: 2,
        ..PoolLimits::default()
    });
    let (receiver, mut closings) = crowded(5).await;
    deliver_together(&courier, &receiver, 5).await;
    for _ in 0..3 {
        patiently(closings.recv()).await.unwrap();
    }
    for _ in 0..3 {
        deliver(&courier, &receiver.url("/")).await;
    }
    assert_eq!(receiver.connections(), 5, "the two that were kept serve on");
    assert!(closings.try_recv().is_err());
}

#[tokio::test]
async fn idle_connections_are_bounded_in_all_and_the_oldest_goes_first() {
    let courier = courier_with(PoolLimits {
        idle_max: 2,
        ..PoolLimits::default()
    });
    let (first, mut first_closings) = crowded(1).await;
    let (second, mut second_closings) = crowded(2).await;
    deliver_together(&courier, &first, 1).await;
    deliver_together(&courier, &second, 2).await;
    patiently(first_closings.recv()).await.unwrap();
    assert!(second_closings.try_recv().is_err());
    deliver(&courier, &first.url("/")).await;
    patiently(second_closings.recv()).await.unwrap();
    assert_eq!((first.connections(), second.connections()), (2, 2));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time_without_any_traffic() {
    let courier = courier_with(PoolLimits {
        idle_timeout: Duration::from_millis(20),
        ..PoolLimits::default()
    });
    let (receiver, mut closings) = crowded(3).await;
    deliver_together(&courier, &receiver, 3).await;
    for _ in 0..3 {
        patiently(closings.recv()).await.unwrap();
    }
    let (receiver, mut closings) = crowded(1).await;
    deliver_together(&courier, &receiver, 1).await;
    patiently(closings.recv()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_may_be() {
    let courier = courier_with(PoolLimits {
        idle_per_origin_max: 0,
        ..PoolLimits::default()
    });
    let (receiver, mut closings) = crowded(1).await;
    deliver_together(&courier, &receiver, 1).await;
    patiently(closings.recv()).await.unwrap();
}
