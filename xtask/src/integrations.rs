//! What speaks to the API from outside, against a running server: the integrations for Zapier, n8n
//! and Make, run by their own harnesses, `AsyncAPI`'s parser, and Schemathesis, which asks whatever the `OpenAPI` document
//! allows and forbids.
//!
//! Everything is installed under `target/test-tools`, so the sources stay as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::{
    counts::{Counts, run_counted},
    server_process::{ServerProcess, Storage},
    step::{announce, command_line, project_root, run as run_step, target_directory},
};

pub(crate) const ABOUT: &str = "\
Test what speaks to the API from outside, against a running server on the embedded database.

The integrations of integrations/ are installed with the exact versions that they name and run by their own harnesses: Zapier's createAppTester and its schema, the types of n8n, Make's definition against the OpenAPI document, the AsyncAPI document by its own parser. Then Schemathesis asks the server what the OpenAPI document allows and forbids, and fails on a server error or an answer that is not documented.";

/// What Schemathesis must not find.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance";
/// The exact version, from `PyPI`.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// How long Schemathesis may ask, in seconds.
const SCHEMATHESIS_SECONDS: &str = "45";
/// The same questions in every run.
const SEED: &str = "1";

/// Installs everything and runs all of it. The program has been built.
pub(crate) fn run() -> anyhow::Result<()> {
    install()?;
    let counts = run_all()?;
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if counts.failed > 0 {
        bail!("tests failed; look for `failing tests:` and `FAILURES` above");
    }
    Ok(())
}

/// Installs what is needed from npm and `PyPI`. Afterwards a further call needs no network.
pub(crate) fn install() -> anyhow::Result<()> {
    for source in ["integrations/zapier", "integrations/n8n", "api-tests"] {
        place(source)?;
        install_from_npm(&place_of(source))?;
    }
    let compile = place_of("integrations/n8n").join("node_modules/.bin/tsc");
    run_step(Command::new(compile).current_dir(place_of("integrations/n8n")))?;
    let environment = schemathesis_directory();
    let installed = environment.join("installed");
    if fs::read_to_string(&installed).is_ok_and(|version| version == SCHEMATHESIS) {
        return Ok(());
    }
    run_step(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment),
    )?;
    run_step(
        Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", SCHEMATHESIS]),
    )?;
    Ok(fs::write(installed, SCHEMATHESIS)?)
}

/// Runs all of it. The program has been built, the libraries installed.
pub(crate) fn run_all() -> anyhow::Result<Counts> {
    let directory = target_directory().join("integrations");
    fs::create_dir_all(&directory)?;
    let storage = Storage::Sqlite(directory.join("data/tidings.db"));
    let program = target_directory().join("debug/tidings");
    let data = directory.join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::create_dir_all(&data)?;
    let server = ServerProcess::start(&storage, &program, &directory.join("node"), &[])?;
    let mut counts = Counts::default();
    for (name, folder) in [
        ("zapier", place_of("integrations/zapier")),
        ("n8n", place_of("integrations/n8n")),
        ("make", project_root().join("integrations/make")),
        ("documents", place_of("api-tests")),
    ] {
        counts.add(run_with_node(&server, name, &folder)?);
    }
    counts.add(run_schemathesis(&server, &directory)?);
    server.stop()?;
    Ok(counts)
}

/// The tests of a folder, with an admin key of a company of their own.
fn run_with_node(server: &ServerProcess, name: &str, folder: &Path) -> anyhow::Result<Counts> {
    let wish = json!({"name": name, "companyId": name, "scopes": ["admin"]});
    let key = server.call("POST", "/api/v1/api-keys", &wish, 201)?;
    let key = key["key"].as_str().context("no key")?;
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=spec"])
        .args(tests_of(folder)?)
        .env("TIDINGS_URL", format!("http://{}", server.address()))
        .env("TIDINGS_API_KEY", key)
        .current_dir(folder);
    let (mut counts, succeeded) = run_counted(&mut command)?;
    if counts.is_empty() {
        bail!("no test ran for {name}");
    }
    if !succeeded && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

fn tests_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder.join("test"))? {
        files.push(file?.path());
    }
    files.sort();
    Ok(files)
}

/// One test: it found nothing. A stream never ends, so that one operation is left out.
fn run_schemathesis(server: &ServerProcess, directory: &Path) -> anyhow::Result<Counts> {
    let mut command = Command::new(schemathesis_directory().join("bin/st"));
    command
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", server.address()))
        .args(["--header", &format!("X-Api-Key: {}", server.key())])
        .args(["--checks", CHECKS])
        .args(["--exclude-path", "/api/v1/events/stream"])
        .args(["--seed", SEED, "--max-time", SCHEMATHESIS_SECONDS])
        .args(["--continue-on-failure", "--no-color"])
        .current_dir(directory);
    announce(&command_line(&command).replace(server.key(), "…"));
    let succeeded = command.status().context("cannot start Schemathesis")?;
    Ok(Counts {
        passed: u64::from(succeeded.success()),
        failed: u64::from(!succeeded.success()),
        ignored: 0,
    })
}

/// Copies sources to where their libraries are.
fn place(source: &str) -> anyhow::Result<()> {
    let (from, to) = (project_root().join(source), place_of(source));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&to)? {
        let entry = entry?.path();
        // What was copied before may have gone since; what was installed stays.
        if entry.ends_with("node_modules") || entry.ends_with("package-lock.json") {
            continue;
        }
        if entry.is_dir() {
            fs::remove_dir_all(entry)?;
        } else {
            fs::remove_file(entry)?;
        }
    }
    copy_folder(&from, &to)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?;
        if name == "node_modules" || name == "dist" {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))
                .with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}

/// Scripts of packages are left out: none is needed, and one builds a native library for long.
fn install_from_npm(folder: &Path) -> anyhow::Result<()> {
    let manifest = fs::read(folder.join("package.json"))?;
    let installed = folder.join("node_modules/installed-package.json");
    if fs::read(&installed).is_ok_and(|installed| installed == manifest) {
        return Ok(());
    }
    run_step(
        Command::new("npm")
            .args(["install", "--ignore-scripts", "--prefer-offline"])
            .args(["--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder),
    )?;
    Ok(fs::write(installed, manifest)?)
}

fn place_of(source: &str) -> PathBuf {
    target_directory().join("test-tools").join(source)
}

fn schemathesis_directory() -> PathBuf {
    target_directory().join("test-tools/schemathesis")
}
