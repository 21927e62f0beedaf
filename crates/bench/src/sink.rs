//! The sink: a receiver that answers 204 at once, on whatever path, and counts.
//!
//! `GET /stats` tells what has arrived, `POST /reset` forgets it; both have no cost while nobody
//! asks. What is counted is [`Tally`]'s affair. A hanging one takes every delivery and never
//! answers.

use std::{cell::RefCell, convert::Infallible, net::SocketAddr, path::PathBuf, rc::Rc};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE,
    header::HeaderValue, http::request::Parts, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::spawn_local,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    clock::now_us,
    publication::sent_us,
    tally::Tally,
    tls,
    trouble::{Mood, Trouble},
};

/// Where to listen and what to check.
#[derive(Args, Debug)]
pub(crate) struct SinkArgs {
    /// The address to listen on; port 0 takes a free one, which the first line printed tells
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// The signing secret; with it, signatures are checked as receivers check them
    #[arg(
        long,
        env = "WEBHOOK_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    secret: Option<String>,

    /// Check the signature of every Nth delivery: each check costs some 3 µs
    #[arg(long, value_name = "N", default_value = "64", requires = "secret")]
    verify_every: u64,

    /// Read every delivery and never answer it: a dead endpoint of the worst kind
    #[arg(long)]
    hang: bool,

    /// Of 1000 deliveries, answer so many with 500, and leave one without an answer; GET /ids lists the events that were taken, one a line
    #[arg(long, value_name = "N", default_value = "0")]
    trouble: u32,

    /// Speak TLS 1.3, with a certificate for 127.0.0.1 whose root is written to this file
    #[arg(long, value_name = "FILE")]
    tls_root: Option<PathBuf>,
}

struct Sink {
    tally: RefCell<Tally>,
    webhook: Option<Webhook>,
    verify_every: u64,
    hang: bool,
    trouble: RefCell<Trouble>,
}

/// Receives until SIGTERM or SIGINT, then prints what arrived.
pub(crate) async fn run(args: SinkArgs) -> anyhow::Result<()> {
    let webhook = args.secret.as_deref().map(Webhook::new).transpose();
    let sink = Rc::new(Sink {
        tally: RefCell::default(),
        webhook: webhook.context("--secret is no signing secret (whsec_ and base64)")?,
        verify_every: args.verify_every.max(1),
        hang: args.hang,
        trouble: RefCell::new(Trouble::new(args.trouble)),
    });
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let tls = args.tls_root.as_deref().map(tls::acceptor).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("{scheme}://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("cannot accept connections")?;
                stream.set_nodelay(true)?;
                let sink = Rc::clone(&sink);
                match tls.clone() {
                    Some(tls) => drop(spawn_local(serve_tls(sink, tls, stream))),
                    None => drop(spawn_local(serve(sink, stream))),
                }
            }
            _ = terminate.recv() => break,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        }
    }
    println!("{}", sink.report()?);
    Ok(())
}

async fn serve_tls(sink: Rc<Sink>, tls: TlsAcceptor, stream: TcpStream) {
    // A handshake that fails is the sender's affair: it has delivered nothing.
    if let Ok(stream) = tls.accept(stream).await {
        serve(sink, stream).await;
    }
}

async fn serve(sink: Rc<Sink>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
    let service = service_fn(move |request| {
        let sink = Rc::clone(&sink);
        async move { Ok::<_, Infallible>(sink.answer(request).await) }
    });
    // A sender that goes away in mid-request has delivered nothing, so there is nothing to count.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Sink {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/stats") => match self.report() {
                Ok(report) => json(report),
                Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
            },
            (&Method::GET, "/ids") => {
                let ids = self.trouble.borrow().taken();
                Response::new(Full::new(Bytes::from(ids)))
            }
            (&Method::POST, "/reset") => {
                self.tally.take();
                status(StatusCode::NO_CONTENT)
            }
            (&Method::POST, _) => self.receive(request).await,
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn receive(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        let now_us = now_us();
        // Without an id (when the load generator talks to the sink directly) its time tells
        // events apart well enough.
        let id = head.headers.get("webhook-id").map(HeaderValue::as_bytes);
        let Some(sent_us) = sent_us(&body) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let time = sent_us.to_be_bytes();
        self.count(&head, id.unwrap_or(&time), &body, (sent_us, now_us));
        let what = id.map_or(Mood::Takes, |id| self.trouble.borrow_mut().meets(id));
        if what == Mood::Refuses {
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        }
        if self.hang || what == Mood::Hangs {
            // Until the sender gives up and closes the connection.
            std::future::pending::<()>().await;
        }
        status(StatusCode::NO_CONTENT)
    }

    /// Counts a delivery, and checks its signature where it is its turn.
    fn count(&self, head: &Parts, id: &[u8], body: &Bytes, (sent_us, now_us): (u64, u64)) {
        let mut tally = self.tally.borrow_mut();
        let number = tally.arrived(head.uri.path(), id, sent_us, now_us);
        if let Some(webhook) = &self.webhook
            && number % self.verify_every == 1 % self.verify_every
        {
            tally.checked(webhook.verify(body, &head.headers).is_ok());
        }
    }

    fn report(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.tally.borrow().report())?)
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

fn json(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
