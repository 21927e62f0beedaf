//! The program `tidings`: reads the command line, runs a command, says what went wrong.

mod clock;
mod commands;
mod config;
mod database;
mod demo;
mod encryption_key;
mod health;
mod http_client;
mod http_stream;
mod lifecycle;
mod listener;
mod metrics;
mod node;
mod outbound;
mod patience;
mod setup_link;
mod site;
mod terminal;
mod upkeep;

use std::process::ExitCode;

use config::ConfigError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match config::parse(&args) {
        Ok(cli) => cli,
        Err(ConfigError::CommandLine(shown)) => shown.exit(),
        Err(error) => return fail(&error.into()),
    };
    cli.command.run().unwrap_or_else(|error| fail(&error))
}

/// Tells an error with its causes, the outermost first.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}
