//! Connecting: TCP to a vetted address, TLS where the target wants it, and HTTP/1.1 on top.
//!
//! This module dials what the guard let through and nothing else: no name is resolved here, and no
//! proxy of the environment is asked. What is sent over a connection is for
//! [`crate::exchange`]; keeping it for later, for [`crate::pool`].

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{RootCertStore, pki_types::ServerName};
use tidings_domain::{attempt::AttemptError, target::TargetUrl};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    failure::Failure,
    tls,
    wire::{Meter, Wire},
};

/// The most bytes of a response's head, and of the trailers of a chunked body.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most header fields of a response. A head of 64 KiB could have more, but only of fields that
/// are nearly empty.
const RESPONSE_FIELDS_MAX: usize = 1024;
/// The most addresses of one target that are tried in an attempt.
const ADDRESSES_DIALLED_MAX: usize = 8;

/// Makes connections.
pub(crate) struct Connector {
    tls: TlsConnector,
    http: http1::Builder,
}

/// An open HTTP/1.1 connection; dropping it closes it.
pub(crate) struct Connection {
    /// Takes one request at a time.
    pub(crate) sender: SendRequest<Full<Bytes>>,
    /// Counts what comes in.
    pub(crate) meter: Arc<Meter>,
    /// To what: see [`origin`].
    pub(crate) origin: Arc<str>,
    /// The address that was dialled.
    pub(crate) peer: IpAddr,
}

/// What connections to a target have in common: scheme, host and port.
pub(crate) fn origin(target: &TargetUrl) -> &str {
    let url = target.as_str();
    url.strip_suffix(target.origin_form()).unwrap_or(url)
}

impl Connector {
    pub(crate) fn new(roots: RootCertStore) -> Self {
        let mut http = http1::Builder::new();
        http.max_header_size(RESPONSE_HEAD_BYTES_MAX)
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .max_headers(RESPONSE_FIELDS_MAX);
        Self {
            tls: TlsConnector::from(tls::client_config(roots)),
            http,
        }
    }

    /// Connects to the first of `addresses` that accepts. The caller enforces the deadline; here it
    /// is shared out between the addresses, so that a dead one leaves time for the next.
    pub(crate) async fn connect(
        &self,
        target: &TargetUrl,
        addresses: &[IpAddr],
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let (stream, peer) = dial(addresses, target.port(), deadline).await?;
        let wire = if target.is_https() {
            Wire::tls(self.shake_hands(target, stream).await?)
        } else {
            Wire::plain(stream)
        };
        let meter = wire.meter();
        let (sender, connection) = self
            .http
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| Failure::new(AttemptError::Connect, error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told by hyper what went wrong; what is left are
            // connections that broke while nobody used them.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "an idle connection ended");
            }
        });
        Ok(Connection {
            sender,
            meter,
            origin: origin(target).into(),
            peer,
        })
    }

    async fn shake_hands(
        &self,
        target: &TargetUrl,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = server_name(target)?;
        self.tls
            .connect(name, stream)
            .await
            .map_err(|error| Failure::new(AttemptError::Tls, error))
    }
}

/// The name that the certificate must have. It is sent as SNI, where a trailing dot is left out
/// (RFC 6066, section 3), unless it is an address.
fn server_name(target: &TargetUrl) -> Result<ServerName<'static>, Failure> {
    if let Some(address) = target.literal_address() {
        return Ok(ServerName::from(address.to_canonical()));
    }
    let name = target.host_name().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(name.to_owned()).map_err(|error| Failure::new(AttemptError::Tls, error))
}

async fn dial(
    addresses: &[IpAddr],
    port: u16,
    deadline: Instant,
) -> Result<(TcpStream, IpAddr), Failure> {
    let mut failure = Failure::from(AttemptError::Connect);
    let dialled = addresses.len().min(ADDRESSES_DIALLED_MAX);
    for (left, &peer) in (1..=dialled).rev().zip(addresses) {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(1);
        let connecting = TcpStream::connect(SocketAddr::new(peer.to_canonical(), port));
        match timeout_at(now + share, connecting).await {
            Ok(Ok(stream)) => {
                // A request is written at once and whole; waiting to fill packets only delays it.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY cannot be set");
                }
                return Ok((stream, peer));
            }
            Ok(Err(error)) => failure = Failure::new(AttemptError::Connect, error),
            Err(elapsed) => failure = Failure::new(AttemptError::Timeout, elapsed),
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::target::Environment;

    fn target(text: &str) -> TargetUrl {
        TargetUrl::parse(text, Environment::Development).unwrap()
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://example.com", "https://example.com"),
            ("https://example.com:443/a?b", "https://example.com"),
            ("https://EXAMPLE.com:8443/a", "https://example.com:8443"),
            ("http://example.com//", "http://example.com"),
            ("http://[::1]:80/?x=/", "http://[::1]"),
        ] {
            assert_eq!(origin(&target(url)), expected);
        }
    }

    #[test]
    fn the_certificate_must_name_what_the_url_names() {
        for (url, expected) in [
            ("https://example.com./x", "example.com"),
            ("https://bücher.example", "xn--bcher-kva.example"),
            ("https://[::1]", "::1"),
            ("https://[::ffff:192.0.2.1]", "192.0.2.1"),
        ] {
            assert_eq!(server_name(&target(url)).unwrap().to_str(), expected);
        }
    }
}
