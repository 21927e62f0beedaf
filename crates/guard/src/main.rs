//! `tidings-guard`: does one small thing so many times, and nothing else.
//!
//! `cargo xtask bench --guard` runs it under callgrind with two counts; the difference of the
//! instructions, divided by the difference of the counts, is what the thing costs, with all its
//! threads and without the start. Time is a hand-turned clock and chance is seeded, so two runs do
//! the same. `post` alone is for `cargo xtask bench engine`, which measures time: it speaks to a real
//! receiver.

mod delivering;
mod ground;
mod posting;
mod pure;

use clap::{Parser, ValueEnum};

/// Does one small thing so many times.
#[derive(Debug, Parser)]
#[command(name = "tidings-guard")]
struct Cli {
    /// What to do
    workload: Workload,
    /// How often
    count: usize,
    #[command(flatten)]
    receiver: posting::Receiver,
}

/// What is counted.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Workload {
    /// Find who wants an event among 1000 subscriptions
    Match,
    /// Sign a body of 1 KiB, both ways
    Sign,
    /// Append an event of 1 KiB that one subscription wants, in groups of 64
    Publish,
    /// The same, and settle what is owed
    Settle,
    /// The same through the dispatcher, with a receiver that takes everything at once
    Dispatch,
    /// Sign an event of 1 KiB and post it to a receiver, 64 at a time; tells the CPU time of each
    Post,
}

fn main() -> anyhow::Result<()> {
    let Cli {
        workload,
        count,
        receiver,
    } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match workload {
        Workload::Match => pure::match_events(count),
        Workload::Sign => {
            pure::sign(count);
            Ok(())
        }
        Workload::Publish => runtime.block_on(delivering::publish(count)),
        Workload::Settle => runtime.block_on(delivering::settle(count)),
        Workload::Dispatch => runtime.block_on(delivering::dispatch(count)),
        Workload::Post => runtime.block_on(posting::post(count, receiver)),
    }
}
