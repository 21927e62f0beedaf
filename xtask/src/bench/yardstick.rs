//! The yardstick: what the load generator and the sink do without a server. It tells how fast the
//! machine is, and must be far above what is measured, or the ends are measured instead.

use std::path::PathBuf;

use super::{
    ends::{LoadPlan, Sink, as_f64},
    process::cpu_us,
};

/// How long it is measured, and before that warmed up, in seconds.
const SECONDS: u64 = 3;

/// What the load generator and the sink do without a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Yardstick {
    /// Requests per second.
    pub(super) per_second: f64,
    /// CPU time of the sink per request, in microseconds.
    pub(super) sink_cpu_us: f64,
}

/// Has the sink answer publications itself.
pub(super) fn measure(ends: &PathBuf) -> anyhow::Result<Yardstick> {
    let sink = Sink::start(ends)?;
    let plan = LoadPlan {
        targets: &[sink.address],
        key: "none",
        company: "bench",
        seconds: SECONDS,
        args: &["--concurrency", "64"],
    };
    plan.run(ends)?;
    let before = cpu_us(sink.child.id())?;
    let load = plan.run(ends)?;
    let used = cpu_us(sink.child.id())? - before;
    Ok(Yardstick {
        per_second: load.accepted_per_second(),
        sink_cpu_us: as_f64(used) / as_f64(load.accepted),
    })
}
