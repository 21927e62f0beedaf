//! The commands: what can be asked of the program, and the help that teaches it.
//!
//! Each command is a module with its arguments and its `run`; the server itself is [`serve`], and
//! `demo` has a module of its own as it is a small program by itself.

mod copy;
mod keys;
mod listen;
mod migrate;
mod publish;
mod serve;
mod users;
mod verify;

use std::{future::Future, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::{
    config::ServeConfig,
    demo::{self, DemoArgs},
};

/// A self-hosted event store that delivers webhooks: publish an event once, and every subscriber
/// receives it, signed, at least once; whoever prefers to poll reads the same log.
///
/// Start with `tidings demo`: it shows everything on one screen, and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(
    name = "tidings",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = FIRST_STEPS
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  tidings demo                        see it work, in a few seconds
  tidings serve                       run the server on tidings.db, at 127.0.0.1:8080
  tidings keys create --name me       make an API key, also while the server runs
  tidings users create --email me@example.com   let yourself into the portal
  tidings publish --company acme --type invoice.paid '{\"amount\": 99.00}'
  tidings listen --company acme --forward-to http://localhost:3000/hook

Every command explains itself with examples: tidings COMMAND --help";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[command(long_about = serve::ABOUT, after_long_help = serve::EXAMPLES)]
    Serve(Box<ServeConfig>),
    /// See everything on one screen: events, signatures, retries, the log
    #[command(long_about = demo::ABOUT, after_long_help = demo::EXAMPLES)]
    Demo(DemoArgs),
    /// Make API keys, directly on the database
    #[command(subcommand, after_help = keys::EXAMPLES)]
    Keys(keys::KeysCommand),
    /// Make, list and remove those who may sign in to the portal, directly on the database
    #[command(subcommand, after_help = users::EXAMPLES)]
    Users(users::UsersCommand),
    /// Publish an event to a running server
    #[command(after_help = publish::EXAMPLES)]
    Publish(publish::PublishArgs),
    /// Bring a company's events to a program on this machine, without a public URL
    #[command(long_about = listen::ABOUT, after_long_help = listen::EXAMPLES)]
    Listen(listen::ListenArgs),
    /// Check the signature of a received webhook, and say what is wrong with it
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Bring the database to this program's schema, and stop
    #[command(long_about = migrate::ABOUT, after_help = migrate::EXAMPLES)]
    Migrate(migrate::MigrateArgs),
    /// Copy everything from the embedded database into PostgreSQL
    #[command(long_about = copy::ABOUT, after_help = copy::EXAMPLES)]
    Copy(copy::CopyArgs),
}

impl Command {
    /// Does it; the exit code where it is not the error's.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(config) => block_on(serve::run(*config)),
            Self::Demo(args) => block_on(demo::run(args)),
            Self::Keys(keys::KeysCommand::Create(args)) => block_on(keys::create(args)),
            Self::Users(command) => block_on(users::run(command)),
            Self::Publish(args) => block_on(publish::run(args)),
            Self::Listen(args) => block_on(listen::run(args)),
            Self::Verify(args) => verify::run(&args),
            Self::Migrate(args) => block_on(migrate::run(&args)),
            Self::Copy(args) => block_on(copy::run(args)),
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads that do the work")?;
    let ended = runtime.block_on(work);
    // Whatever still runs (a name that never resolves, for one) must not hold the exit up.
    runtime.shutdown_background();
    ended
}
