//! `cargo xtask test`: every test there is.

use anyhow::bail;

use crate::{
    browser,
    counts::run_counted,
    integrations,
    machine_clock::Stopwatch,
    receivers,
    step::{cargo, run as run_step},
    tools,
};

pub(crate) const ABOUT: &str = "\
Run every test: Rust, documentation, the receivers that it shows, the integrations, the portal in a browser.

First it looks for what the tests need beside Rust: PostgreSQL's programs, from which the tests start private servers of their own; faketime, for a clock that is wrong; Python and Node.js, for the receivers of docs/receivers.md; Chromium and curl, for the admin portal. On Debian it installs them with apt-get (as root, or with sudo); elsewhere it says what to install. It puts the receivers' stock libraries, from PyPI and npm, under target/test-tools, and so those of integrations/ and Schemathesis; what drives the browser goes into browser-tests. Then it runs cargo test for the whole workspace, and after it what `cargo xtask browser` and `cargo xtask integrations` run. The last line tells how it went.

With CI set it asks nothing. Once it has run, cargo test works by itself, also for one crate: cargo test --package tidings-domain.";

/// Runs them all.
pub(crate) fn run() -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    tools::ensure()?;
    receivers::install_libraries()?;
    browser::install_libraries()?;
    integrations::install()?;
    // Programs and tests in one go: apart, each would be built with other features of the same
    // libraries, and so everything twice.
    run_step(&mut cargo([
        "build",
        "--workspace",
        "--bins",
        "--tests",
        "--locked",
    ]))?;
    receivers::place_rust_receiver()?;
    let mut cargo_test = cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    let (mut counts, cargo_succeeded) = run_counted(&mut cargo_test)?;
    let in_browser = browser::run_all()?;
    counts.add(in_browser);
    let from_outside = integrations::run_all()?;
    counts.add(from_outside);
    let succeeded = cargo_succeeded && in_browser.failed == 0 && from_outside.failed == 0;
    let verdict = if succeeded { "ok" } else { "FAILED" };
    println!(
        "test result: {verdict}. {} passed; {} failed; {} ignored; all of it finished in {}",
        counts.passed,
        counts.failed,
        counts.ignored,
        stopwatch.told(),
    );
    if !succeeded {
        bail!("tests failed; look for `failures:` and `failing tests:` above");
    }
    Ok(())
}
