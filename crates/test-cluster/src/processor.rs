//! How much processor time a tree of processes has used, from `/proc`.

use std::{collections::HashMap, fs, process::Command};

/// What one process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    parent: u32,
    /// Its own time, and that of its children which ended and were waited for.
    ticks: u64,
}

/// How often it is tried to look at a tree from which nobody goes meanwhile.
const LOOKS_MAX: usize = 100;

/// Microseconds, user and system, that `root` and all below it have used, with those that ended.
pub(crate) fn used_us(root: u32) -> u64 {
    let mut tree = tree(root);
    for _ in 0..LOOKS_MAX {
        // Who ended between the look at its parent and the look at itself was not counted.
        let later = self::tree(root);
        if tree.keys().all(|pid| later.contains_key(pid)) {
            break;
        }
        tree = later;
    }
    let ticks: u64 = tree.values().map(|usage| usage.ticks).sum();
    ticks * 1_000_000 / ticks_per_second()
}

/// `root` and all below it.
fn tree(root: u32) -> HashMap<u32, Usage> {
    let all = processes();
    let belongs = |mut pid: u32| {
        while pid != root {
            match all.get(&pid) {
                Some(usage) if usage.parent != pid => pid = usage.parent,
                _ => return false,
            }
        }
        true
    };
    let below = all.iter().filter(|(pid, _)| belongs(**pid));
    below.map(|(pid, usage)| (*pid, *usage)).collect()
}

fn processes() -> HashMap<u32, Usage> {
    let entries = fs::read_dir("/proc").expect("processor time is read from /proc, on Linux");
    let usages = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // Who ended meanwhile is counted by its parent.
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((pid, usage(&stat)?))
    });
    usages.collect()
}

/// Reads a line of `/proc/PID/stat`. The second field, the program's name, may hold anything.
fn usage(stat: &str) -> Option<Usage> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>());
    Some(Usage {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks.sum::<Result<_, _>>().ok()?,
    })
}

fn ticks_per_second() -> u64 {
    let output = Command::new("getconf").arg("CLK_TCK").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let number = String::from_utf8_lossy(&text).trim().parse();
    // What Linux has everywhere.
    number.unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_program_is_called() {
        let stat = "42 (a (b) c) S 7 42 42 0 -1 4194304 10 20 0 0 100 20 3 4 20 0 1 0 5 6 7\n";
        let expected = Usage {
            parent: 7,
            ticks: 127,
        };
        assert_eq!(usage(stat), Some(expected));
        assert_eq!(usage("42 (ended"), None);
    }
}
