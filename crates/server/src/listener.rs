//! Accepts connections and serves a router on them: HTTP/1.1 with keep-alive, bounded in number,
//! in the time that a request's head may take, and in the time for which a client may take nothing
//! of an answer.
//!
//! It knows nothing of what is served; with each request it leaves the client's address. Two tokens
//! end it: the soft one stops accepting and lets requests in flight finish, the hard one cuts them
//! off.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use hyper::{
    HeaderMap, Request,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::Service as _,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tidings_domain::{actor::ClientAddress, forwarding::client_behind};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{patience::Patience, site::Site};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Connections at a time; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 20_480;
/// How long a request's head may take, and a connection stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a client may take nothing of an answer that is being written.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest head of a request, in bytes. A cursor may take most of it.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The pause after an accept that failed for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    trusted: Arc<[IpNet]>,
}

/// Who is at the other end of a connection.
struct Peer {
    address: IpAddr,
    trusted: Arc<[IpNet]>,
}

/// When to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopTokens {
    /// Begin nothing new, finish what was begun.
    pub(crate) soft: CancellationToken,
    /// Finish nothing any more.
    pub(crate) hard: CancellationToken,
}

impl Listener {
    /// Takes the address. `flag` is the setting that names it.
    pub(crate) async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<Self> {
        let socket = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; give another address or port with {flag}")
        })?;
        let address = socket
            .local_addr()
            .context("the socket does not tell its address")?;
        Ok(Self {
            socket,
            address,
            trusted: Arc::default(),
        })
    }

    /// Believes proxies in these ranges about where a request came from.
    pub(crate) fn trusting(mut self, proxies: Vec<IpNet>) -> Self {
        self.trusted = proxies.into();
        self
    }

    /// The address, with the port that was really taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `site` until the soft token; returns when the last connection has ended.
    pub(crate) async fn serve(self, site: impl Into<Site>, stop: StopTokens) {
        let site = site.into();
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let connections = TaskTracker::new();
        loop {
            // The semaphore is never closed, so acquiring cannot fail; the pattern says so.
            let accepted = tokio::select! {
                () = stop.soft.cancelled() => break,
                accepted = async {
                    let permit = Arc::clone(&permits).acquire_owned().await;
                    (permit, self.socket.accept().await)
                } => accepted,
            };
            match accepted {
                (Ok(permit), Ok((stream, from))) => {
                    let peer = Peer {
                        address: from.ip(),
                        trusted: Arc::clone(&self.trusted),
                    };
                    let (site, stop) = (site.clone(), stop.clone());
                    connections.spawn(async move {
                        serve_connection(stream, peer, site, stop).await;
                        drop(permit);
                    });
                }
                (_, Err(error)) if is_of_the_connection(&error) => {}
                (_, Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), Ok(_)) => break,
            }
        }
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}

impl Peer {
    /// Where a request came from.
    fn client(&self, headers: &HeaderMap) -> ClientAddress {
        let forwarded = headers.get_all(X_FORWARDED_FOR).iter();
        client_behind(
            self.address,
            forwarded.map(HeaderValue::as_bytes),
            &self.trusted,
        )
    }
}

async fn serve_connection(stream: TcpStream, peer: Peer, site: Site, stop: StopTokens) {
    // Answers are small and complete; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let begun = Arc::new(AtomicBool::new(false));
    let service = {
        let begun = Arc::clone(&begun);
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            let client = peer.client(request.headers());
            request.extensions_mut().insert(client);
            let answer = site.router_for(request.uri().path()).call(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patience::new(stream, WRITE_TIMEOUT)), service);
    tokio::pin!(connection);
    // How a connection ends is its client's affair; what mattered was logged with its request.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.soft.cancelled() => {}
    }
    // hyper would wait for the first request of a connection that has sent none yet.
    if begun.load(Ordering::Relaxed) {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            () = stop.hard.cancelled() => {}
        }
    }
}

/// Whether accepting failed for a reason that concerns the one connection alone.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::{Router, routing::get};
    use tokio::time::{Instant, timeout};

    use super::*;

    /// More than the buffers of both ends of a connection take.
    const ANSWER_BYTES: usize = 64 << 20;

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--listen");
        let listener = listener.await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.address()).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        let stop = StopTokens::default();
        let asked = CancellationToken::new();
        let answer = {
            let asked = asked.clone();
            move || async move {
                asked.cancel();
                vec![7; ANSWER_BYTES]
            }
        };
        let router = Router::new().route("/", get(answer));
        let serving = tokio::spawn(listener.serve(router, stop.clone()));
        asked.cancelled().await;
        tokio::time::pause();
        let was_asked = Instant::now();
        stop.soft.cancel();
        // Only the connection keeps it; nobody hangs up and nobody cuts it off.
        let ended = timeout(10 * WRITE_TIMEOUT, serving).await;
        ended.expect("it should be given up").unwrap();
        assert!(was_asked.elapsed() >= WRITE_TIMEOUT);
        drop(client);
    }
}
