//! `tidings-bench`: the two ends that a benchmark puts around a server, a load generator that
//! publishes and a sink that receives.
//!
//! Each is a process of its own with one thread, since they share the machine with the server they
//! measure. `cargo xtask bench` starts all three and makes a table of what they report. Nothing
//! here knows the server's code: both ends speak HTTP, as everybody else does.

mod clock;
mod latency;
mod load;
mod pace;
mod publication;
mod sink;
mod tally;
mod tls;
mod trouble;

use clap::Parser;

/// Load generator and sink for Tidings; `cargo xtask bench` runs both.
#[derive(Debug, Parser)]
#[command(name = "tidings-bench", version, max_term_width = 100, after_help = EXAMPLES)]
enum Cli {
    /// Publish events and report how long each took
    Load(load::LoadArgs),
    /// Receive deliveries, answer 204, and report how old each event was
    Sink(sink::SinkArgs),
}

const EXAMPLES: &str = "\
Examples:
  tidings-bench sink --listen 127.0.0.1:9000
  tidings-bench load --url http://127.0.0.1:8080 --concurrency 64 --seconds 20
  tidings-bench load --url http://127.0.0.1:8080 --rate 100 --seconds 20
  curl http://127.0.0.1:9000/stats
  curl -X POST http://127.0.0.1:9000/reset

The load generator takes its API key from TIDINGS_API_KEY and prints one JSON object.";

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    match cli {
        Cli::Load(args) => local.block_on(&runtime, load::run(args)),
        Cli::Sink(args) => local.block_on(&runtime, sink::run(args)),
    }
}
