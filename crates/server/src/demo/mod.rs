//! `tidings demo`: the whole product on one screen, in a few seconds, with nothing left behind.
//!
//! The server is the real one, as `serve` runs it, on an embedded database in a temporary
//! directory and real sockets. [`receiver`] plays a customer's endpoint that fails at first and
//! checks every signature with the stock library; [`story`] calls the HTTP API as a customer would
//! and tells what happens; [`screen`] makes it readable.

mod receiver;
mod screen;
mod story;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use tidings_domain::{api_key::ApiKeyToken, id::ApiKeyId};

use crate::{
    clock::{SystemClock, SystemRandom},
    config::ServeConfig,
    lifecycle::StopSignals,
    node::{Node, Surroundings},
    terminal::{Paint, colours_on},
};
use receiver::Receiver;
use screen::Screen;
use story::Story;

pub(crate) const ABOUT: &str = "\
See everything on one screen.

Starts the server on an embedded database in a temporary directory, and a receiver that fails twice \
before it accepts. Then it makes an API key and two subscriptions, publishes events, shows whom each \
was matched to, every attempt as it arrives with both signatures checked, the delivery log, what a \
polling reader sees, and a link into the portal. It ends by itself after a few seconds and leaves nothing behind.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  tidings demo           watch it, a few seconds
  tidings demo --keep    and then open the portal and try the API; Ctrl-C ends it

Exit code 0: everything happened as shown; 1: something did not.";

/// The demo's delays before each retry. Long enough to be seen, short enough to wait for.
const RETRY_SCHEDULE: &str = "400ms,800ms,1600ms";

/// How to run the demo.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DemoArgs {
    /// Stay up afterwards, for the portal and the API to be tried
    #[arg(long)]
    keep: bool,
}

/// Runs the demo from beginning to end.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let performed = perform(args, StopSignals::listen()?).await;
    performed.context("the demo did not go as it should")?;
    Ok(ExitCode::SUCCESS)
}

async fn perform(args: DemoArgs, mut signals: StopSignals) -> anyhow::Result<()> {
    let out = std::io::stdout();
    let screen = Screen::new(Paint::new(out.is_terminal() && colours_on(&out)));
    let random = Arc::new(SystemRandom::new());
    let surroundings = Surroundings {
        clock: Arc::new(SystemClock),
        random: Arc::<SystemRandom>::clone(&random),
    };
    // Two demos at a time must not meet, and an id is unique.
    let name = ApiKeyId::new(surroundings.clock.now(), random.as_ref());
    let directory = TemporaryDirectory::make(&format!("tidings-demo-{name}"))?;
    let bootstrap = ApiKeyToken::generate(random.as_ref());
    let database = format!("sqlite:{}", directory.0.join("tidings.db").display());
    let config = ServeConfig::from_flags(&[
        "--listen=127.0.0.1:0",
        "--environment=development",
        &format!("--retry-schedule={RETRY_SCHEDULE}"),
        &format!("--database={database}"),
        &format!("--bootstrap-key={}", bootstrap.expose()),
    ])
    .context("the demo's own settings were refused")?;
    let node = Node::start(&config, surroundings).await?;
    let (receiver, arrivals) = Receiver::start().await?;
    let mut story = Story::new(screen, &node, &receiver, arrivals, &bootstrap)?;
    let told = tokio::select! {
        told = async {
            story.tell().await?;
            if args.keep {
                story.stay().await;
            }
            anyhow::Ok(())
        } => told,
        _ = signals.next() => Ok(()),
    };
    signals.end_at_next();
    receiver.stop().await;
    node.stop().await?;
    told
}

/// A directory that is gone with its owner.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn make(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)
            .with_context(|| format!("cannot make the directory {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What cannot be removed lies where the system clears up by itself.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
