//! `cargo xtask`: what a person does often in this project, one command each.
//!
//! Every command is a module of its name. They run programs and print a line before each
//! ([`step`]), so that what a command does can be read off the screen and done by hand. Nothing
//! here knows the server's code: it is built, started and spoken to as anybody would.

mod bench;
mod browser;
mod counts;
mod http;
mod integrations;
mod lint;
mod machine_clock;
mod openapi;
mod receivers;
mod server_process;
mod soak;
mod step;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100, after_help = EXAMPLES)]
enum Xtask {
    /// Run every test: Rust, documentation, the receivers that it shows, the portal in a browser
    #[command(long_about = test::ABOUT)]
    Test,
    /// Test the admin portal in a real browser, or take its pictures for the documentation
    #[command(long_about = browser::ABOUT, after_help = browser::EXAMPLES)]
    Browser(browser::BrowserArgs),
    /// Test the integrations and the API from outside, against a running server
    #[command(long_about = integrations::ABOUT)]
    Integrations,
    /// Check what a program can check: format, clippy, documentation, licences, house rules
    #[command(long_about = lint::ABOUT)]
    Lint,
    /// Measure the real program and print a table for docs/benchmarks.md
    #[command(long_about = bench::ABOUT, after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Load, trouble and killed nodes for minutes, and a look into the ledger
    #[command(long_about = soak::ABOUT)]
    Soak(soak::SoakArgs),
    /// Write crates/api/openapi.json anew from the code
    #[command(long_about = openapi::ABOUT)]
    Openapi,
}

const EXAMPLES: &str = "\
A change is ready when both of these pass, as .ci/run has it:
  cargo xtask lint
  cargo xtask test

Every command explains itself: cargo xtask COMMAND --help";

fn main() -> ExitCode {
    let done = match Xtask::parse() {
        Xtask::Test => test::run(),
        Xtask::Browser(args) => browser::run(&args),
        Xtask::Integrations => integrations::run(),
        Xtask::Lint => lint::run(),
        Xtask::Bench(args) => bench::run(&args),
        Xtask::Soak(args) => soak::run(&args),
        Xtask::Openapi => openapi::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With the causes, but without a backtrace: what failed is another program.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
