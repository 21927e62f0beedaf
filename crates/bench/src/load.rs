//! The load generator: publishes events over connections that stay open, and times each.
//!
//! One task per connection, one request at a time on each. When requests are due is [`Pace`]'s
//! affair, what they say is [`Template`]'s.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION},
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpStream, task::spawn_local};

use crate::{
    clock::now_us,
    latency::{Latencies, LatencySummary},
    pace::Pace,
    publication::Template,
};

/// Where events are published.
const EVENTS_PATH: &str = "/api/v1/events";
/// How long a connection rests after a refusal, so that an overloaded server is not hammered.
const REST_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// What to publish, where, and how fast.
#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// The server's address, plain HTTP; once for each node, which share the connections
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Vec<Uri>,

    /// The API key
    #[arg(
        long,
        env = "TIDINGS_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    key: String,

    /// The company that events are published for
    #[arg(long, value_name = "ID", default_value = "bench")]
    company: String,

    /// How many companies events are published for, in turns; more than one have a number after
    /// the name: bench-0, bench-1, …
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    companies: u32,

    /// The type of the events
    #[arg(long, value_name = "TYPE", default_value = "bench.happened")]
    event_type: String,

    /// The size of each payload, in bytes
    #[arg(long, value_name = "BYTES", default_value = "1024")]
    payload_bytes: usize,

    /// Connections, and so requests under way at a time
    #[arg(long, value_name = "N", default_value = "64")]
    concurrency: usize,

    /// Requests per second, evenly spaced; without it each connection sends without a pause
    #[arg(long, value_name = "N")]
    rate: Option<u32>,

    /// How long to publish, in seconds
    #[arg(long, value_name = "N", default_value = "20")]
    seconds: u64,

    /// Stop earlier, once so many events have been sent
    #[arg(long, value_name = "N")]
    events: Option<u64>,

    /// Write the id of every accepted event into this file, one a line; and go on while the server
    /// is away
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

/// What came of it; times in microseconds since 1970, latencies in microseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadReport {
    started_us: u64,
    ended_us: u64,
    /// Requests answered with 2xx.
    accepted: u64,
    /// Requests answered with another status, by status.
    refused: BTreeMap<u16, u64>,
    /// Requests without an answer.
    failed: u64,
    /// From the request being due to its answer being complete, of accepted requests.
    publish_us: LatencySummary,
}

/// What the connections share.
#[derive(Debug)]
struct Load {
    /// One for each company.
    templates: Vec<Template>,
    /// Whose turn it is.
    turn: Cell<usize>,
    pace: Pace,
    /// How many may still be sent.
    left: Cell<u64>,
    ledger: Option<RefCell<BufWriter<File>>>,
    figures: RefCell<Figures>,
}

#[derive(Debug, Default)]
struct Figures {
    accepted: u64,
    refused: BTreeMap<u16, u64>,
    failed: u64,
    latencies: Latencies,
}

/// The server, in the form in which each request needs it.
#[derive(Debug)]
struct Server {
    authority: String,
    host: HeaderValue,
    key: HeaderValue,
}

type Connection = SendRequest<Full<Bytes>>;

/// Publishes as `args` say and prints the report.
pub(crate) async fn run(args: LoadArgs) -> anyhow::Result<()> {
    let servers = args.url.iter().map(|url| Server::new(url, &args.key));
    let servers: Vec<_> = servers
        .map(|server| server.map(Rc::new))
        .collect::<Result<_, _>>()?;
    let mut connections = Vec::with_capacity(args.concurrency);
    for server in servers.iter().cycle().take(args.concurrency) {
        connections.push((Rc::clone(server), server.connect().await?));
    }
    let span = Duration::from_secs(args.seconds);
    let started_us = now_us();
    let load = Rc::new(Load {
        templates: templates(&args),
        turn: Cell::new(0),
        pace: args
            .rate
            .map_or_else(|| Pace::closed(span), |rate| Pace::open(rate, span)),
        left: Cell::new(args.events.unwrap_or(u64::MAX)),
        ledger: match &args.ledger {
            Some(path) => Some(RefCell::new(BufWriter::new(File::create(path)?))),
            None => None,
        },
        figures: RefCell::default(),
    });
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|(server, connection)| {
            spawn_local(publish_until_the_end(Rc::clone(&load), server, connection))
        })
        .collect();
    for task in tasks {
        task.await.context("a connection's task died")??;
    }
    if let Some(ledger) = &load.ledger {
        ledger.borrow_mut().flush()?;
    }
    let figures = load.figures.take();
    let report = LoadReport {
        started_us,
        ended_us: now_us(),
        accepted: figures.accepted,
        refused: figures.refused,
        failed: figures.failed,
        publish_us: figures.latencies.summary(),
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

async fn publish_until_the_end(
    load: Rc<Load>,
    server: Rc<Server>,
    connection: Connection,
) -> anyhow::Result<()> {
    let mut connection = connection;
    while let Some(due_us) = load.pace.next_due_us().await {
        let Some(left) = load.left.get().checked_sub(1) else {
            break;
        };
        load.left.set(left);
        let request = server.publication(load.next_body(due_us));
        match exchange(&mut connection, request).await {
            Ok((status, location)) if status.is_success() => {
                load.note(location.as_ref())?;
                let mut figures = load.figures.borrow_mut();
                figures.accepted += 1;
                figures.latencies.record(now_us().saturating_sub(due_us));
            }
            Ok((status, _)) => {
                *load
                    .figures
                    .borrow_mut()
                    .refused
                    .entry(status.as_u16())
                    .or_default() += 1;
                tokio::time::sleep(REST_AFTER_REFUSAL).await;
            }
            Err(_) => {
                load.figures.borrow_mut().failed += 1;
                match server.connect().await {
                    Ok(fresh) => connection = fresh,
                    // The next request fails at once, and so asks for another connection.
                    Err(_) if load.ledger.is_some() => tokio::time::sleep(REST_AFTER_REFUSAL).await,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

/// What is published for each company.
fn templates(args: &LoadArgs) -> Vec<Template> {
    let template = |company: &str| Template::new(&args.event_type, company, args.payload_bytes);
    match args.companies {
        1 => vec![template(&args.company)],
        many => (0..many)
            .map(|number| template(&format!("{}-{number}", args.company)))
            .collect(),
    }
}

impl Load {
    /// The next company's event.
    fn next_body(&self, due_us: u64) -> Bytes {
        let turn = self.turn.get();
        self.turn.set((turn + 1) % self.templates.len());
        self.templates[turn].body(due_us)
    }

    /// Notes an accepted event, whose id is the last part of where it is.
    fn note(&self, location: Option<&HeaderValue>) -> anyhow::Result<()> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let location = location.context("no Location")?.to_str()?;
        let id = location.rsplit('/').next().unwrap_or_default();
        Ok(writeln!(ledger.borrow_mut(), "{id}")?)
    }
}

/// Sends a request and reads the whole answer; gives its status, and where what it made is.
async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> hyper::Result<(StatusCode, Option<HeaderValue>)> {
    connection.ready().await?;
    let mut answer = connection.send_request(request).await?;
    while let Some(frame) = answer.body_mut().frame().await {
        frame?;
    }
    let location = answer.headers_mut().remove(LOCATION);
    Ok((answer.status(), location))
}

impl Server {
    fn new(url: &Uri, key: &str) -> anyhow::Result<Self> {
        ensure!(
            url.scheme_str() == Some("http"),
            "--url must begin with http://"
        );
        let authority = url.authority().context("--url has no host")?.as_str();
        ensure!(
            url.port().is_some(),
            "--url needs a port, as in http://127.0.0.1:8080"
        );
        Ok(Self {
            authority: authority.to_owned(),
            host: HeaderValue::from_str(authority)?,
            key: HeaderValue::from_str(key).context("the API key has characters no key has")?,
        })
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .with_context(|| format!("cannot connect to {}", self.authority))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // A connection that breaks fails the request that uses it, which is where it is counted.
        spawn_local(connection);
        Ok(sender)
    }

    fn publication(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(EVENTS_PATH);
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert("x-api-key", self.key.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_plain_address_with_a_port() {
        let server = |url: &'static str| Server::new(&Uri::from_static(url), "tdg_key");
        assert_eq!(
            server("http://127.0.0.1:8080").unwrap().authority,
            "127.0.0.1:8080"
        );
        assert!(server("https://127.0.0.1:8080").is_err());
        assert!(server("http://127.0.0.1").is_err());
        assert!(server("/").is_err());
    }

    #[test]
    fn a_publication_names_host_and_key() {
        let uri = Uri::from_static("http://127.0.0.1:8080");
        let request = Server::new(&uri, "tdg_key")
            .unwrap()
            .publication(Bytes::new());
        assert_eq!(request.uri().path(), "/api/v1/events");
        assert_eq!(request.headers()[HOST], "127.0.0.1:8080");
        assert_eq!(request.headers()["x-api-key"], "tdg_key");
    }
}
