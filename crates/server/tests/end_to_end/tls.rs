//! TLS on all sides: deliveries to a receiver with a certificate of a private authority, `publish`
//! to a server behind a proxy that ends TLS, and PostgreSQL with a certificate of a private
//! authority.

use std::{
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown},
    path::Path,
    sync::Arc,
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
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

use tidings_test_cluster::{Cluster, Options};

use crate::{
    home::Home,
    program::{BOOTSTRAP_KEY, COMPANY, Server, run, text, tidings},
    receiver::Receiver,
    scratch::Scratch,
    startup::refused,
};

/// Ends TLS in front of a plain address. Its certificate is for `localhost`.
struct TlsFront {
    port: u16,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// Writes the authority's certificate to `ca_file`.
    async fn before(plain: SocketAddr, ca_file: &Path) -> Self {
        let (own, key) = certificate_for("localhost", ca_file);
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

/// A certificate and its key, of a new authority whose own is written to `ca_file`.
fn certificate_for(host: &str, ca_file: &Path) -> (Certificate, KeyPair) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
    let authority = authority.unwrap();
    std::fs::write(ca_file, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([host.to_owned()]).unwrap();
    (own.signed_by(&key, &authority).unwrap(), key)
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

/// Writes a file that the cluster's server may read, and nobody else.
fn write_for(cluster: &Cluster, name: &str, content: &str) {
    let directory = cluster.directory();
    let owner = std::fs::metadata(&directory).unwrap();
    let path = directory.join("data").join(name);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_of_a_private_authority_is_trusted_when_told() {
    let cluster = Cluster::start(&Options::default());
    let home = Home::in_cluster(&cluster);
    let url = cluster.url(home.database_name());
    let insisting = format!("--database={url}?sslmode=require");
    let said = refused(home.serve(&[&insisting])).await;
    assert!(said.contains("TLS"), "{said}");

    let ca_file = home.path().join("ca.pem");
    let (certificate, key) = certificate_for("127.0.0.1", &ca_file);
    write_for(&cluster, "server.crt", &certificate.pem());
    write_for(&cluster, "server.key", &key.serialize_pem());
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    let said = refused(home.serve(&[&insisting])).await;
    assert!(said.contains("certificate"), "{said}");

    let trusting = format!("--database-root-ca={}", ca_file.display());
    let migrate = run(home.command(&["migrate", &insisting, &trusting]), b"").await;
    assert!(migrate.status.success(), "{}", text(&migrate.stderr));
    let server = home.start(&[&insisting, &trusting]).await;
    assert_eq!(server.publish(&json!({})).await.status, 201);
    let encrypted = "SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
                     WHERE application_name = 'tidings'";
    assert_eq!(cluster.sql(home.database_name(), encrypted), "t");
    server.stop().await;
}
