//! A connection that listens and dies without a word: readers are woken once it is made anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidings_store::EventLog as _;
use tidings_test_cluster::Cluster;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    time::timeout,
};

use crate::nodes::{Node, WORKS, acme, database, until};

/// More looks than those for which a new connection counts as deaf.
const LOOKS_UNTIL_TOLD: u64 = 6;

/// A way to the cluster on which the connection that listens can go dead.
struct Way {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Whether what the server says to who listens gets lost.
    is_deaf: AtomicBool,
    /// Ends the connections of who listens.
    cut: Notify,
}

impl Way {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    fn go_deaf(&self) {
        self.state.is_deaf.store(true, Ordering::SeqCst);
    }

    fn cut_off(&self) {
        self.state.is_deaf.store(false, Ordering::SeqCst);
        self.state.cut.notify_waiters();
    }
}

/// Carries one connection until either side ends it, or it is cut.
async fn carry(client: TcpStream, state: Arc<State>) {
    let server = TcpStream::connect(("127.0.0.1", Cluster::shared().port()));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.await.expect("the cluster listens").into_split();
    let listens = AtomicBool::new(false);
    tokio::select! {
        () = up(from_client, to_server, &listens) => {}
        () = down(from_server, to_client, &listens, &state) => {}
        () = async {
            loop {
                state.cut.notified().await;
                if listens.load(Ordering::SeqCst) {
                    return;
                }
            }
        } => {}
    }
}

async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, listens: &AtomicBool) {
    const LISTEN: &[u8] = b"LISTEN tidings_book";
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = &buffer[..length];
        if said.windows(LISTEN.len()).any(|part| part == LISTEN) {
            listens.store(true, Ordering::SeqCst);
        }
        if to.write_all(said).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    listens: &AtomicBool,
    state: &State,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if listens.load(Ordering::SeqCst) && state.is_deaf.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits until a node has looked by itself so many times.
async fn looks(node: &Node, count: u64) {
    // An idle node's statements are its looks.
    let enough = node.metrics.statements.get() + count;
    until("it has looked", async || {
        node.metrics.statements.get() >= enough
    })
    .await;
}

#[tokio::test]
async fn what_nobody_told_of_is_read_once_there_is_an_ear_again() {
    let database = database();
    let way = Way::open().await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/{}",
        way.port,
        database.name()
    );
    let (one, other) = (Node::open(database.url()).await, Node::open(&url).await);
    one.attach().await;
    other.attach().await;
    looks(&other, LOOKS_UNTIL_TOLD).await;
    way.go_deaf();
    one.store.append(one.publication(1)).await.expect(WORKS);
    // It sees that the log has grown, and relies on having been told.
    looks(&other, 2).await;
    let signal = other.store.arrivals().of(&acme());
    let mut arrived = std::pin::pin!(signal.notified());
    arrived.as_mut().enable();
    way.cut_off();
    timeout(Duration::from_secs(10), arrived)
        .await
        .expect("its readers are woken");
    assert_eq!(other.log().await.len(), 1);
}
