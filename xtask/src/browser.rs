//! `cargo xtask browser`: the admin portal in a real browser.
//!
//! What is tested stands in browser-tests, which starts the program, a receiver and Chromium. Here
//! is what they need before: the libraries from npm, the program, and databases that are empty.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tidings_test_cluster::Cluster;

use crate::{
    counts::{Counts, run_counted},
    machine_clock::Stopwatch,
    step::{cargo, project_root, run as run_step, target_directory},
    tools,
};

pub(crate) const ABOUT: &str = "\
Test the admin portal in a real browser: Chromium, driven by playwright-core.

It starts the real program, a receiver that answers as it is told, and a browser without a window, and does what people do: sign in, make a webhook, look into the delivery log, and so on. Whatever the browser complains about fails the run: a breach of the content security policy, an error of a script, an answer that nobody expected; and so does whatever axe-core finds on a page, light or dark. It is all run twice, on the embedded database and on a private PostgreSQL.

The tests are in browser-tests. What failed leaves a picture and the page in target/browser-tests.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask browser                               all of it, some minutes
  cargo xtask browser --database sqlite --only link tests whose name has `link` in it
  cargo xtask browser --screenshots                 take the pictures of docs/images anew";

/// How many empty databases a run is given: one for the server that most tests share, the others
/// for tests that start one of their own.
const DATABASES: usize = 8;

/// What to run, and on what.
#[derive(Args, Debug)]
pub(crate) struct BrowserArgs {
    /// Which database
    #[arg(long, value_enum, value_name = "NAME", default_value = "both")]
    database: Databases,

    /// Only tests whose name fits this regular expression
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,

    /// Take the pictures of docs/images anew instead, on the embedded database
    #[arg(long, conflicts_with_all = ["database", "only"])]
    screenshots: bool,
}

/// Which databases the tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Databases {
    /// The embedded one
    Sqlite,
    /// A private PostgreSQL on this machine, started for the tests
    Postgres,
    /// One after the other
    Both,
}

/// The database of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

/// One run of one file of browser-tests.
#[derive(Debug)]
struct Run<'a> {
    file: &'static str,
    database: Database,
    only: Option<&'a str>,
}

/// Prepares everything and runs what was asked for.
pub(crate) fn run(args: &BrowserArgs) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    tools::ensure()?;
    if args.screenshots {
        tools::ensure_for_pictures()?;
    }
    install_libraries()?;
    run_step(&mut cargo([
        "build",
        "--package",
        "tidings",
        "--bins",
        "--locked",
    ]))?;
    let mut total = Counts::default();
    for run in args.runs() {
        total.add(run.run()?);
    }
    println!(
        "{} passed, {} failed; all of it finished in {}",
        total.passed,
        total.failed,
        stopwatch.told()
    );
    if total.failed > 0 {
        bail!("tests failed in the browser; pictures of them are in target/browser-tests");
    }
    Ok(())
}

/// Runs all tests on both databases. The program has been built, the libraries installed.
pub(crate) fn run_all() -> anyhow::Result<Counts> {
    let mut total = Counts::default();
    for run in Run::tests(Databases::Both, None) {
        total.add(run.run()?);
    }
    Ok(total)
}

/// Installs what browser-tests needs from npm, as its lock file has it. Afterwards a further call
/// needs no network.
pub(crate) fn install_libraries() -> anyhow::Result<()> {
    let directory = tests_directory();
    let lock = fs::read(directory.join("package-lock.json"))?;
    // A copy of the lock file beside the libraries says which of them are there.
    let installed = directory.join("node_modules/installed-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run_step(
        Command::new("npm")
            .args([
                "ci",
                "--prefer-offline",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ])
            .current_dir(&directory),
    )?;
    Ok(fs::write(installed, lock)?)
}

fn tests_directory() -> PathBuf {
    project_root().join("browser-tests")
}

impl BrowserArgs {
    fn runs(&self) -> Vec<Run<'_>> {
        if self.screenshots {
            return vec![Run {
                file: "pictures.mjs",
                database: Database::Sqlite,
                only: None,
            }];
        }
        Run::tests(self.database, self.only.as_deref())
    }
}

impl<'a> Run<'a> {
    fn tests(databases: Databases, only: Option<&'a str>) -> Vec<Self> {
        let run = |database| Self {
            file: "portal.test.mjs",
            database,
            only,
        };
        match databases {
            Databases::Sqlite => vec![run(Database::Sqlite)],
            Databases::Postgres => vec![run(Database::Postgres)],
            Databases::Both => vec![run(Database::Sqlite), run(Database::Postgres)],
        }
    }

    /// Runs it and counts; an error where nothing was tested, or the run itself broke.
    fn run(&self) -> anyhow::Result<Counts> {
        let name = self.database.name();
        let directory = target_directory().join("browser-tests").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let plan = json!({
            "program": target_directory().join("debug/tidings"),
            "browser": tools::chromium()?,
            "database": name,
            "databases": self.database.fresh(&directory),
            "directory": directory,
            "images": project_root().join("docs/images"),
        });
        let mut node = Command::new("node");
        node.args(["--test", "--test-reporter=spec"]);
        if let Some(only) = self.only {
            node.arg(format!("--test-name-pattern={only}"));
        }
        node.arg(self.file)
            .current_dir(tests_directory())
            .env("BROWSER_TESTS", plan.to_string());
        let (counts, succeeded) =
            run_counted(&mut node).with_context(|| format!("testing on {name}"))?;
        if counts.is_empty() {
            bail!("nothing was tested on {name}");
        }
        if !succeeded && counts.failed == 0 {
            bail!("the tests on {name} broke off");
        }
        Ok(counts)
    }
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Databases that are empty, as `--database` of the program is told them.
    fn fresh(self, directory: &Path) -> Vec<String> {
        let databases = 1..=DATABASES;
        match self {
            Self::Sqlite => databases
                .map(|number| {
                    let file = directory.join(format!("tidings-{number}.db"));
                    format!("sqlite:{}", file.display())
                })
                .collect(),
            Self::Postgres => databases
                .map(|_| Cluster::shared().database().url().to_owned())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_is_run_is_there() {
        for run in Run::tests(Databases::Both, None) {
            assert!(tests_directory().join(run.file).exists(), "{run:?}");
        }
        assert!(tests_directory().join("pictures.mjs").exists());
    }

    #[test]
    fn a_database_is_given_once() {
        let mut fresh = Database::Sqlite.fresh(Path::new("/somewhere"));
        assert_eq!(fresh.len(), DATABASES);
        fresh.dedup();
        assert_eq!(fresh.len(), DATABASES);
    }
}
