//! TLS: whom to trust, and the one client configuration that every connection shares.
//!
//! The system's certificates are read once, at start (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
//! honoured), and the operator's own are added to them. There is no way to switch verification
//! off.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject as _},
    },
    version::{TLS12, TLS13},
};

/// Receivers whose TLS sessions are remembered for resumption, each with a few tickets.
const RESUMABLE_RECEIVERS_MAX: usize = 1024;
/// The only protocol that is spoken, as ALPN (RFC 7301) names it.
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// The operator's file of certificates is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ExtraRootError {
    /// It cannot be read, or is no PEM.
    #[error("cannot read certificates from {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// It has no certificate in it.
    #[error("there is no PEM certificate in {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in it cannot be trusted as a root.
    #[error("a certificate in {} cannot be a root", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
}

/// The system's trusted certificates, and those of the PEM file `extra_root_ca`. What is wrong with
/// the system's store is logged and left out; what is wrong with the file is an error, since
/// somebody counts on it.
pub fn trust_roots(extra_root_ca: Option<&Path>) -> Result<RootCertStore, ExtraRootError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a part of the system's certificate store cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = extra_root_ca {
        add_extra_roots(&mut roots, path)?;
    }
    if roots.is_empty() {
        tracing::warn!("there are no trusted certificates: every https delivery will fail");
    }
    Ok(roots)
}

fn add_extra_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), ExtraRootError> {
    let unreadable = |source| ExtraRootError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(ExtraRootError::Empty {
            path: path.to_owned(),
        });
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|source| ExtraRootError::Unusable {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// The configuration of every TLS connection: 1.2 and 1.3, verified against `roots`, with sessions
/// resumed, since a resumed handshake costs half of a full one.
pub(crate) fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has cipher suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    config.resumption = Resumption::in_memory_sessions(RESUMABLE_RECEIVERS_MAX);
    Arc::new(config)
}
