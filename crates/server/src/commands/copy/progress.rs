//! The progress of a copy: a bar for a person at a terminal, a line now and then for a log.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tidings_store::copy::{CopyOutcome, CopyTable, PerTable, Progress};
use tokio::time::Instant;

/// How often a log is told.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// What does not fit into the terminal's width is left out at the end.
const TEMPLATE: &str = "{bar:20} {percent:>3} %  {wide_msg}";

/// Who is told, and how.
pub(super) enum Display {
    /// Somebody at a terminal.
    Bar(ProgressBar, Pace),
    /// A file or a pipe.
    Lines(Pace, Instant),
}

/// What this run has done so far.
pub(super) struct Pace {
    began: Instant,
    rows_before: u64,
    bytes_before: u64,
}

impl Display {
    pub(super) fn new() -> Self {
        let pace = Pace::from(0, 0);
        if !std::io::stderr().is_terminal() {
            return Self::Lines(pace, Instant::now());
        }
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("█▌░"));
        }
        Self::Bar(bar, pace)
    }

    /// Where this run begins.
    pub(super) fn begin(&mut self, outcome: &CopyOutcome) {
        let (rows, bytes) = sums(&outcome.progress);
        match self {
            Self::Bar(bar, pace) => {
                *pace = Pace::from(rows, bytes);
                bar.set_length(outcome.survey.rows());
                bar.set_position(rows);
            }
            Self::Lines(pace, _) => *pace = Pace::from(rows, bytes),
        }
    }

    /// A table got further.
    pub(super) fn advance(&mut self, outcome: &CopyOutcome, table: CopyTable) {
        match self {
            Self::Bar(bar, pace) => {
                bar.set_message(pace.tell(outcome, table));
                bar.set_position(sums(&outcome.progress).0);
            }
            Self::Lines(pace, told) if told.elapsed() >= LINE_EVERY => {
                eprintln!("{}", pace.tell(outcome, table));
                *told = Instant::now();
            }
            Self::Lines(..) => {}
        }
    }

    /// Everything is there.
    pub(super) fn count(&self) {
        const COUNTING: &str = "counting both sides";
        match self {
            Self::Bar(bar, _) => bar.set_message(COUNTING),
            Self::Lines(..) => eprintln!("{COUNTING}"),
        }
    }

    /// Leaves nothing half drawn behind.
    pub(super) fn end(self) {
        if let Self::Bar(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}

impl Pace {
    fn from(rows_before: u64, bytes_before: u64) -> Self {
        Self {
            began: Instant::now(),
            rows_before,
            bytes_before,
        }
    }

    /// As in `30 s left, events: 120,000 of 1,000,000 rows, 85.1 MiB, 24,000 rows/s, 17.0 MiB/s`.
    fn tell(&self, outcome: &CopyOutcome, table: CopyTable) -> String {
        let (rows, all_bytes) = sums(&outcome.progress);
        let all = outcome.survey.rows();
        let seconds = self.began.elapsed().as_secs_f64();
        format!(
            "{} left, {}: {} of {} rows, {}, {} rows/s, {}/s",
            duration(self.left(rows, all)),
            table.as_str(),
            count(rows),
            count(all),
            bytes(all_bytes),
            count(per_second(rows - self.rows_before, seconds)),
            bytes(per_second(all_bytes - self.bytes_before, seconds)),
        )
    }

    /// Seconds until all rows are there, at the rate of this run.
    fn left(&self, rows: u64, all: u64) -> f64 {
        let rate = per_second(rows - self.rows_before, self.began.elapsed().as_secs_f64());
        approximate(all.saturating_sub(rows)) / approximate(rate.max(1))
    }
}

fn sums(progress: &PerTable<Progress>) -> (u64, u64) {
    CopyTable::ALL.iter().fold((0, 0), |(rows, bytes), &table| {
        let one = progress[table];
        (rows + one.rows, bytes + one.bytes)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people, never negative"
)]
fn per_second(amount: u64, seconds: f64) -> u64 {
    (approximate(amount) / seconds.max(0.001)) as u64
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn approximate(number: u64) -> f64 {
    number as f64
}

/// As in `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As in `1.5 MiB`.
pub(super) fn bytes(number: u64) -> String {
    let mut amount = approximate(number);
    for unit in ["B", "KiB", "MiB"] {
        if amount < 1024.0 {
            let digits = usize::from(unit != "B");
            return format!("{amount:.digits$} {unit}");
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} GiB")
}

/// As in `2 h 5 min`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a duration for people, never negative"
)]
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1023, 1536, 5 << 20, 3 << 40].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "5.0 MiB", "3072.0 GiB"]
        );
        assert_eq!(
            [0.4, 59.4, 61.0, 7500.0].map(duration),
            ["0 s", "59 s", "1 min 1 s", "2 h 5 min"]
        );
    }

    #[test]
    fn a_rate_is_of_this_run_alone() {
        let mut pace = Pace::from(1000, 0);
        pace.began = Instant::now() - Duration::from_secs(10);
        let left = pace.left(2000, 4000);
        assert!((19.0..=21.0).contains(&left), "{left}");
    }
}
