//! A small HTTP client for the program's own commands: one request, one connection, one answer.
//!
//! It talks to Tidings' API on behalf of `publish` and the demo; how `listen` reads an answer without
//! an end is in `http_stream`. It is not what delivers webhooks: it guards no addresses and keeps no
//! connections.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tidings_delivery::trust_roots;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};
use url::Url;

/// How long a request may take in all. A long poll may last 30 s by itself.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Talks to one server, always with the same key.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    base: Url,
    api_key: Option<HeaderValue>,
}

/// A request beside its address: what varies.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: Method,
    /// Path and query, from the slash on.
    pub(crate) path: &'a str,
    /// A JSON body; none for none.
    pub(crate) json: Option<Bytes>,
    /// Further header fields.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Call<'a> {
    /// A GET.
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            json: None,
            headers: Vec::new(),
        }
    }

    /// A POST of a JSON text.
    pub(crate) fn post(path: &'a str, json: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            path,
            json: Some(json.into()),
            headers: Vec::new(),
        }
    }
}

impl HttpClient {
    /// A client of the server at `base`, an `http` or `https` URL.
    pub(crate) fn new(base: &str, api_key: Option<&str>) -> anyhow::Result<Self> {
        let url = Url::parse(base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .with_context(|| format!("{base} is no address like http://127.0.0.1:8080"))?;
        let api_key = api_key
            .map(|key| {
                let mut value = HeaderValue::from_str(key)
                    .ok()
                    .context("the API key has characters that no key has")?;
                value.set_sensitive(true);
                anyhow::Ok(value)
            })
            .transpose()?;
        Ok(Self { base: url, api_key })
    }

    /// Sends one request and reads the whole answer, whatever its status.
    pub(crate) async fn send(&self, call: Call<'_>) -> anyhow::Result<Response<Bytes>> {
        let server = self.server();
        match tokio::time::timeout(TIMEOUT, self.exchange(call)).await {
            Ok(answer) => answer.with_context(|| format!("no answer from {server}")),
            Err(_) => bail!("no answer from {server} within {} s", TIMEOUT.as_secs()),
        }
    }

    /// The server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    async fn exchange(&self, call: Call<'_>) -> anyhow::Result<Response<Bytes>> {
        let request = self.request(call)?;
        match self.connect().await? {
            Stream::Plain(stream) => round_trip(stream, request).await,
            Stream::Tls(stream) => round_trip(*stream, request).await,
        }
    }

    /// Connects, over TLS where the address says so.
    pub(crate) async fn connect(&self) -> anyhow::Result<Stream> {
        // `new` let in only URLs with a host, and of schemes with a default port.
        let host = self.base.host_str().expect("a URL with a host");
        let port = self.base.port_or_known_default().expect("http or https");
        let address = (host.trim_matches(['[', ']']), port);
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {host}:{port}; is the server running?"))?;
        if self.base.scheme() == "https" {
            let name = rustls::pki_types::ServerName::try_from(address.0.to_owned())
                .context("the host's name cannot be in a certificate")?;
            let stream = tls_connector()?
                .connect(name, stream)
                .await
                .context("cannot set up TLS")?;
            Ok(Stream::Tls(Box::new(stream)))
        } else {
            Ok(Stream::Plain(stream))
        }
    }

    /// The request as it is sent.
    pub(crate) fn request(&self, call: Call<'_>) -> anyhow::Result<Request<Full<Bytes>>> {
        let prefix = self.base.path().trim_end_matches('/');
        let authority = &self.base[url::Position::BeforeHost..url::Position::AfterPort];
        let mut builder = Request::builder()
            .method(call.method)
            .uri(format!("{prefix}{}", call.path))
            .header(HOST, authority);
        if let Some(key) = &self.api_key {
            builder = builder.header("x-api-key", key);
        }
        if call.json.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in call.headers {
            builder = builder.header(name, value);
        }
        builder
            .body(Full::new(call.json.unwrap_or_default()))
            .context("not a valid request")
    }
}

/// A connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

async fn round_trip<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Bytes>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("the connection was not accepted")?;
    let exchange = async move {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        anyhow::Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(exchange);
    // The connection is driven by hand, so that it ends with the exchange.
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended.context("the connection broke")?;
            exchange.await
        }
    }
}

/// TLS against the system's trust store, or the one that `SSL_CERT_FILE` names.
fn tls_connector() -> anyhow::Result<TlsConnector> {
    let roots = trust_roots(None)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
