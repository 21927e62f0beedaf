//! TLS for the sink: a certificate of its own making, for this machine and this run.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer, version::TLS13};
use tokio_rustls::TlsAcceptor;

/// Makes a root and a certificate for 127.0.0.1, and writes the root, in PEM, to `file`.
pub(crate) fn acceptor(file: &Path) -> anyhow::Result<TlsAcceptor> {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate()?;
    let pem = root.self_signed(&root_key)?.pem();
    fs::write(file, pem).with_context(|| format!("cannot write {}", file.display()))?;
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
