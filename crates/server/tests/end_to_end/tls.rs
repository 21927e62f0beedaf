//! TLS on both sides: deliveries to a receiver with a certificate of a private authority, and
//! `publish` to a server behind a proxy that ends TLS.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use serde_json::json;

use crate::{
    program::{BOOTSTRAP_KEY, COMPANY, Server, run, text, tidings},
    receiver::Receiver,
    scratch::Scratch,
};

/// Ends TLS in front of a plain address. Its certificate is for `localhost`.
struct TlsFront {
    port: u16,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// Writes the authority's certificate to `ca_file`.
    async fn before(plain: SocketAddr, ca_file: &Path) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        std::fs::write(ca_file, authority.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![own.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut plain = TcpStream::connect(plain).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
        Self { port, task }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_receiver_of_a_private_authority_is_trusted_when_told() {
    let scratch = Scratch::new();
    let receiver = Receiver::accepting().await;
    let plain = receiver.url()["http://".len()..]
        .trim_end_matches("/hook")
        .parse()
        .unwrap();
    let ca_file = scratch.file("ca.pem");
    let front = TlsFront::before(plain, &ca_file).await;

    let server = Server::start(scratch.path(), &["--retry-schedule=none"]).await;
    let (subscription, _) = server.subscribe(&front.url()).await;
    let path = format!("/api/v1/webhooks/subscriptions/{subscription}/test");
    let distrusted = server.post(&path, &json!({})).await.json;
    assert_eq!(distrusted["error"], "tls", "{distrusted}");
    server.stop().await;

    let trusting = format!("--extra-root-ca={}", ca_file.display());
    let server = Server::start(scratch.path(), &[&trusting]).await;
    let trusted = server.post(&path, &json!({})).await.json;
    assert_eq!(trusted["success"], true, "{trusted}");
    server.publish(&json!({})).await;
    receiver.wait_for(2).await;
    server.stop().await;
}

#[tokio::test]
async fn publish_speaks_tls() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    let ca_file = scratch.file("ca.pem");
    let front = TlsFront::before(server.address(), &ca_file).await;
    let publish = async |trusting: bool| {
        let mut command = tidings(scratch.path());
        command.args(["publish", "--type=a.b", "--company", COMPANY]);
        command.env("TIDINGS_SERVER", front.url());
        command.env("TIDINGS_API_KEY", BOOTSTRAP_KEY);
        if trusting {
            command.env("SSL_CERT_FILE", &ca_file);
        }
        run(command, b"").await
    };
    let refused = publish(false).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("TLS"),
        "{}",
        text(&refused.stderr)
    );
    let accepted = publish(true).await;
    assert!(accepted.status.success(), "{}", text(&accepted.stderr));
    assert!(text(&accepted.stdout).contains(r#""type":"a.b""#));
    server.stop().await;
}
