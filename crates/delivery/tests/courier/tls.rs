//! Whom the courier trusts, and what a handshake that fails is called.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::PrivatePkcs8KeyDer,
    version::{TLS12, TLS13},
};
use tidings_delivery::{Courier, CourierOptions, trust_roots};
use tidings_domain::{
    address::AddressRules,
    attempt::{
        AttemptError::{Timeout, Tls},
        AttemptOutcome::Succeeded,
    },
    target::Environment,
};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::{
    names::ScriptedNames,
    receiver::{OK, Receiver, SHORT, Visit, deliver, development, failed},
};

const NAME: &str = "hooks.example.com";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        issuer: Issuer::new(params, key),
        pem,
    }
});

/// A server's side, with what varies between the tests.
struct Server {
    names: &'static [&'static str],
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: &'static [&'static [u8]],
    is_expired: bool,
    is_self_signed: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            names: &[NAME],
            versions: vec![&TLS13, &TLS12],
            alpn: &[b"h2", b"http/1.1"],
            is_expired: false,
            is_self_signed: false,
        }
    }
}

/// What the receiver saw of a handshake.
#[derive(Debug)]
struct Handshake {
    kind: HandshakeKind,
    name: Option<String>,
    alpn: Option<Vec<u8>>,
}

impl Server {
    fn config(&self) -> Arc<ServerConfig> {
        let names: Vec<String> = self.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if self.is_expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = if self.is_self_signed {
            params.self_signed(&key)
        } else {
            params.signed_by(&key, &AUTHORITY.issuer)
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.unwrap().der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// Answers every request with `answer`, and reports the handshakes that succeeded.
    async fn start(self, answer: &'static str) -> (Receiver, mpsc::UnboundedReceiver<Handshake>) {
        let acceptor = TlsAcceptor::from(self.config());
        let (report, handshakes) = mpsc::unbounded_channel();
        let receiver = Receiver::with(move |_, visit| {
            let (acceptor, report) = (acceptor.clone(), report.clone());
            async move {
                let Ok(stream) = acceptor.accept(visit.stream).await else {
                    return;
                };
                let (_, session) = stream.get_ref();
                let _ = report.send(Handshake {
                    kind: session.handshake_kind().unwrap(),
                    name: session.server_name().map(str::to_owned),
                    alpn: session.alpn_protocol().map(<[u8]>::to_vec),
                });
                let log = visit.log;
                Visit { stream, log }.answer_all(answer).await;
            }
        })
        .await;
        (receiver, handshakes)
    }
}

/// A file of this test alone.
fn file(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("courier-{name}.pem"));
    std::fs::write(&path, content).unwrap();
    path
}

fn trusting(roots: RootCertStore) -> Courier {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    Courier::new(CourierOptions {
        rules: AddressRules::new(Environment::Production, allow, Vec::new()),
        resolver: ScriptedNames::resolving(NAME, &["127.0.0.1"]),
        roots,
        ..development()
    })
}

fn trusting_authority(test: &str) -> Courier {
    let path = file(test, &AUTHORITY.pem);
    trusting(trust_roots(Some(&path)).unwrap())
}

fn url(receiver: &Receiver) -> String {
    format!("https://{NAME}:{}/", receiver.address.port())
}

#[tokio::test]
async fn an_extra_root_is_trusted_with_tls_1_2_and_1_3() {
    for version in [&TLS12, &TLS13] {
        let server = Server {
            versions: vec![version],
            ..Server::default()
        };
        let (receiver, mut handshakes) = server.start(OK).await;
        let courier = trusting_authority("both-versions");
        for _ in 0..2 {
            let report = deliver(&courier, &url(&receiver)).await;
            assert_eq!(report.outcome, Succeeded, "{version:?}");
            assert_eq!(report.response.body, "ok");
        }
        let handshake = handshakes.recv().await.unwrap();
        assert_eq!(handshake.name.as_deref(), Some(NAME));
        assert_eq!(handshake.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn sessions_are_resumed_on_new_connections() {
    let (receiver, mut handshakes) = Server::default().start(CLOSING).await;
    let courier = trusting_authority("resumed");
    for expected in [
        HandshakeKind::Full,
        HandshakeKind::Resumed,
        HandshakeKind::Resumed,
    ] {
        assert_eq!(deliver(&courier, &url(&receiver)).await.outcome, Succeeded);
        assert_eq!(handshakes.recv().await.unwrap().kind, expected);
    }
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn certificates_that_do_not_verify_are_tls_errors() {
    for (what, server) in [
        (
            "wrong name",
            Server {
                names: &["other.example.com"],
                ..Server::default()
            },
        ),
        (
            "expired",
            Server {
                is_expired: true,
                ..Server::default()
            },
        ),
        (
            "self-signed",
            Server {
                is_self_signed: true,
                ..Server::default()
            },
        ),
        (
            "no http/1.1",
            Server {
                alpn: &[b"h2"],
                ..Server::default()
            },
        ),
    ] {
        let (receiver, _) = server.start(OK).await;
        let courier = trusting_authority("refused");
        let report = deliver(&courier, &url(&receiver)).await;
        assert_eq!(report.outcome, failed(Tls), "{what}");
        assert_eq!(
            report.request.signatures, None,
            "{what}: nothing was signed or sent"
        );
    }
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let (receiver, _) = Server::default().start(OK).await;
    let courier = trusting(trust_roots(None).unwrap());
    assert_eq!(
        deliver(&courier, &url(&receiver)).await.outcome,
        failed(Tls)
    );
}

#[tokio::test]
async fn a_certificate_for_an_address_is_verified_as_such() {
    let server = Server {
        names: &["127.0.0.1"],
        ..Server::default()
    };
    let (receiver, mut handshakes) = server.start(OK).await;
    let courier = trusting_authority("address");
    let report = deliver(&courier, &format!("https://{}/", receiver.address)).await;
    assert_eq!(report.outcome, Succeeded);
    assert_eq!(handshakes.recv().await.unwrap().name, None);
}

#[tokio::test]
async fn a_port_without_tls_is_a_tls_error() {
    let plain = Receiver::with(|_, mut visit| async move {
        visit
            .write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            .await;
        visit.closed().await;
    })
    .await;
    let closing = Receiver::with(|_, visit| async move { drop(visit) }).await;
    for receiver in [plain, closing] {
        let courier = trusting_authority("plain");
        assert_eq!(
            deliver(&courier, &url(&receiver)).await.outcome,
            failed(Tls)
        );
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_times_out() {
    let receiver = Receiver::with(|_, mut visit| async move { visit.closed().await }).await;
    let courier = Courier::new(CourierOptions {
        attempt_timeout: SHORT,
        ..development()
    });
    let report = deliver(&courier, &format!("https://{}/", receiver.address)).await;
    assert_eq!(report.outcome, failed(Timeout));
}

/// Common servers end a connection without the farewell that TLS has for it.
#[tokio::test]
async fn a_session_that_ends_without_farewell_ends_the_body() {
    let acceptor = TlsAcceptor::from(Server::default().config());
    let receiver = Receiver::with(move |_, visit| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(visit.stream).await.unwrap();
            let mut visit = Visit {
                stream,
                log: visit.log,
            };
            visit.request().await;
            visit.write("HTTP/1.1 200 OK\r\n\r\nwhole").await;
            // Dropping the stream sends no close_notify.
        }
    })
    .await;
    let report = deliver(&trusting_authority("farewell"), &url(&receiver)).await;
    assert_eq!(
        (report.outcome, &*report.response.body),
        (Succeeded, "whole")
    );
}

#[test]
fn a_file_of_roots_must_be_there_and_have_some() {
    let error = |path: &Path| trust_roots(Some(path)).unwrap_err().to_string();
    let missing = Path::new("/nonexistent/roots.pem");
    assert!(error(missing).starts_with("cannot read certificates from /nonexistent"));
    let empty = file("empty", "no certificate here\n");
    assert!(error(&empty).starts_with("there is no PEM certificate in "));
    let garbled = AUTHORITY.pem.replace("MII", "AAA");
    assert!(error(&file("garbled", &garbled)).starts_with("a certificate in "));
}
