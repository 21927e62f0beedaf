//! Prepares what the tests of the documented receivers need, under `target/test-tools`: a Python
//! with the library, the JavaScript receiver beside its own, the Rust receiver as a program.
//!
//! The tests themselves are `crates/server/tests/end_to_end/receivers.rs`; they run the receivers
//! against the real program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::step::{project_root, run, target_directory};

/// Installs the stock libraries. Afterwards a further call needs no network.
pub(crate) fn install_libraries() -> anyhow::Result<()> {
    let tools = tools_directory();
    let documents = project_root().join("docs/receivers");
    install_python(&tools.join("venv"), &documents)?;
    install_javascript(&tools.join("receivers"), &documents)
}

/// Puts the Rust receiver, which has been built, beside the others.
pub(crate) fn place_rust_receiver() -> anyhow::Result<()> {
    let program = target_directory().join("debug/receiver-example");
    copy(
        &program,
        &tools_directory().join("receivers/receiver-example"),
    )
}

/// Where the tests look; they know no other target directory than the project's own.
fn tools_directory() -> PathBuf {
    project_root().join("target/test-tools")
}

fn install_python(environment: &Path, documents: &Path) -> anyhow::Result<()> {
    let python = environment.join("bin/python");
    if !python.exists() {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(environment))?;
    }
    run(Command::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .arg("--requirement")
        .arg(documents.join("requirements.txt")))
}

/// Node.js looks for libraries beside the program, so the program is copied to where they are.
fn install_javascript(directory: &Path, documents: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for name in ["package.json", "receiver.mjs"] {
        copy(&documents.join(name), &directory.join(name))?;
    }
    run(Command::new("npm")
        .args([
            "install",
            "--prefer-offline",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(directory))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = fs::copy(from, to);
    copied.with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}
