//! A customer's endpoint that remembers what it got and answers as it is told.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};

use crate::scratch::until;

/// One attempt as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When it came.
    pub(crate) at: Instant,
    /// What it is or was answered with.
    pub(crate) status: u16,
}

/// A running receiver; ends when dropped.
pub(crate) struct Receiver {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    /// Whether answers are given.
    gate: watch::Sender<bool>,
    answer: Box<dyn Fn(usize) -> u16 + Send + Sync>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Receiver {
    /// Accepts everything at once.
    pub(crate) async fn accepting() -> Self {
        Self::answering(|_| 200).await
    }

    /// Answers the n-th attempt (from 0) with a status.
    pub(crate) async fn answering(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let receiver = Self::holding(answer).await;
        receiver.let_go();
        receiver
    }

    /// Holds every answer back until [`Receiver::let_go`].
    pub(crate) async fn holding(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            gate: watch::Sender::new(false),
            answer: Box::new(answer),
        });
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { url, shared, task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Gives every answer that was held back, and all to come.
    pub(crate) fn let_go(&self) {
        self.shared.gate.send_replace(true);
    }

    /// Holds answers back from now on, until [`Receiver::let_go`].
    pub(crate) fn hold(&self) {
        self.shared.gate.send_replace(false);
    }

    /// Everything that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How often each `webhook-id` came.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for received in self.shared.received.lock().unwrap().iter() {
            *counts
                .entry(received.header("webhook-id").to_owned())
                .or_default() += 1;
        }
        counts
    }

    /// The `webhook-id` of everything that was accepted.
    pub(crate) fn accepted(&self) -> HashSet<String> {
        let received = self.shared.received.lock().unwrap();
        let accepted = received.iter().filter(|one| one.status < 300);
        accepted
            .map(|one| one.header("webhook-id").to_owned())
            .collect()
    }

    /// When each `webhook-id` came first.
    pub(crate) fn first_arrivals(&self) -> HashMap<String, Instant> {
        let mut arrivals = HashMap::new();
        for received in self.shared.received.lock().unwrap().iter() {
            let id = received.header("webhook-id").to_owned();
            arrivals.entry(id).or_insert(received.at);
        }
        arrivals
    }

    /// Waits until `count` attempts came, and gives them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        until(&format!("attempt {count}"), async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let status = {
        let mut received = shared.received.lock().unwrap();
        let status = (shared.answer)(received.len());
        received.push(Received {
            headers,
            body,
            at: Instant::now(),
            status,
        });
        status
    };
    let mut gate = shared.gate.subscribe();
    gate.wait_for(|is_open| *is_open).await.unwrap();
    StatusCode::from_u16(status).unwrap()
}
