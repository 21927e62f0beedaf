//! What the process's environment does and does not change. Each test runs itself in a child
//! process, since the environment of this one belongs to all tests.

use std::{env, path::Path, process::Command};

use rcgen::{CertificateParams, KeyPair};
use tidings_delivery::trust_roots;
use tidings_domain::attempt::AttemptOutcome::Succeeded;

use crate::receiver::{OK, Receiver, deliver_once};

const IS_CHILD: &str = "TIDINGS_TEST_IS_CHILD";

/// Runs the test of that name in a child process with `variables`; says whether this is the child.
fn is_child(test: &str, variables: &[(&str, &str)]) -> bool {
    if env::var_os(IS_CHILD).is_some() {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(IS_CHILD, "yes")
        .env_remove("SSL_CERT_DIR")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    false
}

#[tokio::test]
async fn proxies_are_ignored() {
    // Nothing listens on port 1: whoever asked the proxy would fail.
    let proxies = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ]
    .map(|name| (name, "http://127.0.0.1:1"));
    if is_child("environment::proxies_are_ignored", &proxies) {
        let receiver = Receiver::answering(OK).await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.outcome, Succeeded);
    }
}

#[test]
fn ssl_cert_file_is_the_systems_store() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("courier-system.pem");
    let test = "environment::ssl_cert_file_is_the_systems_store";
    if env::var_os(IS_CHILD).is_none() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        std::fs::write(&path, certificate.pem()).unwrap();
    }
    if is_child(test, &[("SSL_CERT_FILE", path.to_str().unwrap())]) {
        assert_eq!(trust_roots(None).unwrap().len(), 1);
        assert_eq!(trust_roots(Some(&path)).unwrap().len(), 2);
    }
}
