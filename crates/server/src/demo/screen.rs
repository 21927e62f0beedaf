//! How the demo looks: headings, aligned rows, one line for each attempt. It prints what it is
//! given and knows nothing of the story.

use std::{fmt::Display, time::Duration};

use super::receiver::Arrival;
use crate::terminal::Paint;

/// Where the text of a row begins.
const LABEL_CHARS: usize = 12;
/// The width of a status with its reason, as in `503 Service Unavailable`.
const STATUS_CHARS: usize = 26;

/// The screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    paint: Paint,
}

impl Screen {
    /// A screen that paints as `paint` does.
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint }
    }

    /// What paints words within a line.
    pub(super) fn paint(self) -> Paint {
        self.paint
    }

    /// The first line.
    pub(super) fn title(self, text: &str) {
        println!("\n{}\n", self.paint.bold(text));
    }

    /// Begins a step.
    pub(super) fn step(self, number: usize, text: &str) {
        println!("\n{}  {}", self.paint.cyan(number), self.paint.bold(text));
    }

    /// A labelled line.
    pub(super) fn row(self, label: &str, text: impl Display) {
        println!("   {:<LABEL_CHARS$} {text}", self.paint.dim(label));
    }

    /// A line in the column of the rows' texts, quieter than they are.
    pub(super) fn note(self, text: &str) {
        println!("   {:<LABEL_CHARS$} {}", "", self.paint.dim(text));
    }

    /// A line to be copied.
    pub(super) fn command(self, text: &str) {
        println!("   {}", self.paint.cyan(text));
    }

    /// One attempt as it arrived, `since` after its event was published.
    pub(super) fn attempt(self, arrival: &Arrival, since: Duration) {
        let status = format!(
            "{} {}",
            arrival.answered.as_u16(),
            arrival.answered.canonical_reason().unwrap_or_default()
        );
        let status = if arrival.answered.is_success() {
            self.paint.green(status)
        } else {
            self.paint.red(status)
        };
        println!(
            "   {:<LABEL_CHARS$} attempt {}  {status:<STATUS_CHARS$} {}  {}",
            self.paint.dim(format!("+{:.2} s", since.as_secs_f64())),
            arrival.attempt,
            self.check("webhook-signature", arrival.standard_is_right),
            self.check("X-Hub-Signature-256", arrival.hub_is_right),
        );
    }

    /// The last line.
    pub(super) fn conclusion(self, text: &str) {
        println!("\n{} {}\n", self.paint.green("✓"), self.paint.bold(text));
    }

    fn check(self, what: &str, is_right: bool) -> String {
        if is_right {
            format!("{} {what}", self.paint.green("✓"))
        } else {
            format!("{} {what}", self.paint.red("✗"))
        }
    }
}
