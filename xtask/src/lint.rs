//! `cargo xtask lint`: everything that a program can check without running ours.

use std::process::{Command, Stdio};

use anyhow::bail;

use crate::{
    machine_clock::Stopwatch,
    step::{announce, cargo, run as run_step},
    tidy,
};

pub(crate) const ABOUT: &str = "\
Check what a program can check: format, clippy, documentation, licences, house rules.

Every check runs, also after one has failed, and the end tells which did. To mend the format: cargo fmt --all. The house rules are in STYLE.md, their checks in xtask/src/tidy.rs. Licences and sources need cargo-deny; without it they are left out, and it is said how to install it. Advisories need the network and are not looked at: cargo deny check advisories.";

/// Runs every check and fails where one did.
pub(crate) fn run() -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    let checks: [fn() -> anyhow::Result<()>; 5] = [
        check_tidy,
        check_format,
        check_clippy,
        check_docs,
        check_deny,
    ];
    let failures: Vec<_> = checks.iter().filter_map(|check| check().err()).collect();
    for failure in &failures {
        eprintln!("✗ {failure:#}");
    }
    if !failures.is_empty() {
        bail!("{} of {} checks failed", failures.len(), checks.len());
    }
    eprintln!(
        "lint: all {} checks passed in {}",
        checks.len(),
        stopwatch.told()
    );
    Ok(())
}

fn check_tidy() -> anyhow::Result<()> {
    announce("tidy (house rules)");
    tidy::check()
}

fn check_format() -> anyhow::Result<()> {
    run_step(&mut cargo(["fmt", "--all", "--check"]))
}

fn check_clippy() -> anyhow::Result<()> {
    run_step(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

fn check_docs() -> anyhow::Result<()> {
    run_step(
        cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn check_deny() -> anyhow::Result<()> {
    if !is_installed(&mut cargo(["deny", "--version"])) {
        announce("cargo deny: left out, since it is not installed");
        eprintln!("  to install it: cargo install --locked cargo-deny");
        return Ok(());
    }
    // Cargo reads the manifests of every platform's crates, also of those that are not built here.
    run_step(&mut cargo(["fetch", "--locked"]))?;
    run_step(&mut cargo([
        "deny",
        "--offline",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn is_installed(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
