//! When the next request is due: at once (closed loop) or at its time (open loop).
//!
//! In the closed loop as many requests are under way as there are connections; it finds the most
//! that a server can do. In the open loop requests are due at fixed times, whatever the server
//! does, and their latency counts from when they were *due*: a server that stalls for a second is
//! charged with everything that would have been sent in it, not with one slow request.

use std::{thread, time::Duration};

use tokio::sync::{Mutex, mpsc};

use crate::clock::now_us;

/// The source of the times at which requests are due.
#[derive(Debug)]
pub(crate) enum Pace {
    /// The next one is due as soon as a connection is free, until this time.
    Closed {
        /// Microseconds since 1970.
        until_us: u64,
    },
    /// The next one is due at a time that was fixed beforehand.
    Open(Mutex<mpsc::UnboundedReceiver<u64>>),
}

impl Pace {
    /// Requests follow each other without a pause, for `span`.
    pub(crate) fn closed(span: Duration) -> Self {
        Self::Closed {
            until_us: now_us() + as_us(span),
        }
    }

    /// `per_second` requests a second, evenly spaced, for `span`.
    pub(crate) fn open(per_second: u32, span: Duration) -> Self {
        let (due, receiver) = mpsc::unbounded_channel();
        // tokio's timers tick in milliseconds, which is as long as what is measured; a thread that
        // parks wakes within some 60 µs.
        thread::spawn(move || tell_when_due(per_second, span, &due));
        Self::Open(Mutex::new(receiver))
    }

    /// Waits until a request is due and returns when that was, in microseconds since 1970; `None`
    /// at the end.
    pub(crate) async fn next_due_us(&self) -> Option<u64> {
        match self {
            Self::Closed { until_us } => Some(now_us()).filter(|now| now < until_us),
            Self::Open(due) => due.lock().await.recv().await,
        }
    }
}

fn tell_when_due(per_second: u32, span: Duration, due: &mpsc::UnboundedSender<u64>) {
    let start_us = now_us();
    for offset_us in offsets_us(per_second, span) {
        let due_us = start_us + offset_us;
        while let Some(left_us) = due_us.checked_sub(now_us()).filter(|left| *left > 0) {
            thread::park_timeout(Duration::from_micros(left_us));
        }
        if due.send(due_us).is_err() {
            return;
        }
    }
}

/// How long after the start each request is due, in microseconds.
fn offsets_us(per_second: u32, span: Duration) -> impl Iterator<Item = u64> {
    let per_second = u64::from(per_second.max(1));
    (0..)
        .map(move |number: u64| number * 1_000_000 / per_second)
        .take_while(move |offset| *offset < as_us(span))
}

fn as_us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("nobody measures for longer than 500,000 years")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_is_evenly_spaced_and_ends() {
        let offsets: Vec<_> = offsets_us(4, Duration::from_secs(1)).collect();
        assert_eq!(offsets, [0, 250_000, 500_000, 750_000]);
        assert_eq!(offsets_us(300, Duration::from_secs(2)).count(), 600);
    }

    #[tokio::test]
    async fn a_request_is_told_with_the_time_it_was_due() {
        let before = now_us();
        let pace = Pace::open(1000, Duration::from_millis(3));
        let mut due = Vec::new();
        while let Some(time) = pace.next_due_us().await {
            due.push(time);
        }
        assert_eq!(due.len(), 3);
        assert!(due[0] >= before);
        assert_eq!((due[1] - due[0], due[2] - due[1]), (1000, 1000));
        assert!(now_us() >= due[2], "never told before it is due");
    }

    #[tokio::test]
    async fn a_closed_loop_ends_with_its_time() {
        assert!(
            Pace::closed(Duration::from_mins(1))
                .next_due_us()
                .await
                .is_some()
        );
        assert_eq!(Pace::closed(Duration::ZERO).next_due_us().await, None);
    }
}
