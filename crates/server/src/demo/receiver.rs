//! A customer's endpoint: fails twice, then accepts, and checks every signature it gets.
//!
//! `webhook-signature` is checked with the stock library of Standard Webhooks, the hub signature
//! with a plain HMAC: nothing here is shared with the code that signed.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::hmac;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

use crate::listener::{Listener, StopTokens};

/// What the first attempts at each path are answered, in order; later ones with 200.
const FAILURES: [StatusCode; 2] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];
/// The path that fails at first; all others accept at once.
pub(super) const FLAKY_PATH: &str = "/invoices";
/// Arrivals that nobody looked at yet; the demo makes far fewer.
const ARRIVALS_MAX: usize = 1024;

/// A running receiver.
pub(super) struct Receiver {
    base: String,
    shared: Arc<Shared>,
    stop: StopTokens,
    tasks: TaskTracker,
}

/// One attempt, as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// When.
    pub(super) at: Instant,
    /// At which path.
    pub(super) path: String,
    /// `webhook-id`.
    pub(super) event_id: String,
    /// `X-Webhook-Event`.
    pub(super) event_type: String,
    /// `X-Webhook-Attempt`.
    pub(super) attempt: String,
    /// What it was answered.
    pub(super) answered: StatusCode,
    /// Whether the stock library accepted `webhook-signature`.
    pub(super) standard_is_right: bool,
    /// Whether `X-Hub-Signature-256` is right.
    pub(super) hub_is_right: bool,
}

struct Shared {
    /// The signing secret of each path.
    secrets: Mutex<HashMap<String, String>>,
    /// How many came to the flaky path.
    failed: Mutex<usize>,
    arrivals: mpsc::Sender<Arrival>,
}

impl Receiver {
    /// Starts on a free port of this machine.
    pub(super) async fn start() -> anyhow::Result<(Self, mpsc::Receiver<Arrival>)> {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), "the demo's receiver").await?;
        let base = format!("http://{}", listener.address());
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let shared = Arc::new(Shared {
            secrets: Mutex::default(),
            failed: Mutex::default(),
            arrivals: sender,
        });
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        let (stop, tasks) = (StopTokens::default(), TaskTracker::new());
        tasks.spawn(listener.serve(router, stop.clone()));
        tasks.close();
        let receiver = Self {
            base,
            shared,
            stop,
            tasks,
        };
        Ok((receiver, arrivals))
    }

    /// The receiver's address without a path.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Tells a path its signing secret.
    pub(super) fn trust(&self, path: &str, secret: &str) {
        let mut secrets = lock(&self.shared.secrets);
        secrets.insert(path.to_owned(), secret.to_owned());
    }

    /// Ends.
    pub(super) async fn stop(self) {
        self.stop.soft.cancel();
        self.stop.hard.cancel();
        self.tasks.wait().await;
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let path = uri.path().to_owned();
    let secret = lock(&shared.secrets)
        .get(&path)
        .cloned()
        .unwrap_or_default();
    let answered = if path == FLAKY_PATH {
        next_answer(&mut lock(&shared.failed))
    } else {
        StatusCode::OK
    };
    let field = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let arrival = Arrival {
        at: Instant::now(),
        event_id: field("webhook-id"),
        event_type: field("x-webhook-event"),
        attempt: field("x-webhook-attempt"),
        answered,
        standard_is_right: standard_is_right(&secret, &headers, &body),
        hub_is_right: hub_is_right(&secret, &field("x-hub-signature-256"), &body),
        path,
    };
    // Nobody looks any more when the demo ends.
    let _ = shared.arrivals.try_send(arrival);
    let says = if answered == StatusCode::OK {
        "thank you"
    } else {
        "not now"
    };
    (answered, says)
}

fn next_answer(failed: &mut usize) -> StatusCode {
    let answer = FAILURES.get(*failed).copied();
    *failed += usize::from(answer.is_some());
    answer.unwrap_or(StatusCode::OK)
}

fn standard_is_right(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    standardwebhooks::Webhook::new(secret)
        .is_ok_and(|webhook| webhook.verify(body, headers).is_ok())
}

fn hub_is_right(secret: &str, header: &str, body: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let expected = hmac::sign(&key, body);
    let mut right = "sha256=".to_owned();
    for byte in expected.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(right, "{byte:02x}");
    }
    header == right
}

/// A panic elsewhere leaves these maps as good as they were.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_twice_and_then_accepts() {
        let mut failed = 0;
        let answers: Vec<u16> = (0..4).map(|_| next_answer(&mut failed).as_u16()).collect();
        assert_eq!(answers, [500, 503, 200, 200]);
    }
}
