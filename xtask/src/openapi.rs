//! `cargo xtask openapi`: writes the API's document anew.

use crate::step::{cargo, run as run_step};

pub(crate) const ABOUT: &str = "\
Write crates/api/openapi.json anew from the code.

The API's document is made from the handlers' own types. The file is its snapshot: a test of crates/api compares the two, so that a change of the API is seen in review. This runs that test with UPDATE_OPENAPI=1, which writes the file instead. Look at the difference before you commit it.";

/// Runs the snapshot's test in the mode in which it writes.
pub(crate) fn run() -> anyhow::Result<()> {
    let test = ["test", "--locked", "--package", "tidings-api", "openapi"];
    run_step(cargo(test).env("UPDATE_OPENAPI", "1"))?;
    run_step(std::process::Command::new("git").args([
        "diff",
        "--stat",
        "--",
        "crates/api/openapi.json",
    ]))
}
