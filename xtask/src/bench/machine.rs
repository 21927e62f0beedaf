//! The machine that was measured on: figures without it say nothing.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::Command,
    thread,
};

use anyhow::Context as _;

use crate::{machine_clock::Stopwatch, step::output_of};

/// How often the disk is asked to sync.
const SYNCS: usize = 200;
/// What is written before each, like one small commit.
const BLOCK: [u8; 4096] = [0x55; 4096];

/// One line: processor, cores, kernel, disk, compiler, date. `directory` is on the disk in
/// question.
pub(super) fn describe(directory: &Path) -> anyhow::Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = thread::available_parallelism().context("how many cores there are")?;
    let kernel = output_of(Command::new("uname").args(["-sr"]))?;
    let compiler = output_of(Command::new("rustc").arg("--version"))?;
    let date = output_of(Command::new("date").args(["--utc", "+%F"]))?;
    Ok(format!(
        "{}, {cores} cores, {kernel}, one 4 KiB write with fdatasync {:.0} µs (median), {}, {date}",
        processor_name(&processor),
        median_sync_us(directory)?,
        compiler.split(" (").next().unwrap_or_default(),
    ))
}

fn processor_name(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim())
}

/// The time that making a small append durable takes: the ceiling of everything that commits.
fn median_sync_us(directory: &Path) -> anyhow::Result<f64> {
    let path = directory.join("sync-probe");
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let stopwatch = Stopwatch::start();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times.push(stopwatch.elapsed());
    }
    fs::remove_file(path)?;
    times.sort();
    Ok(times[SYNCS / 2].as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor_name(text), "AMD EPYC");
        assert_eq!(processor_name(""), "unknown processor");
    }
}
