//! What charts say.

use tidings_domain::figures::{Figures, Resolution};

use super::numbers::NumberTexts;

#[derive(Debug)]
pub(crate) struct ChartTexts {
    pub(crate) succeeded: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) time: &'static str,
    pub(crate) p95: &'static str,
    pub(crate) numbers: &'static str,
    pub(crate) at_most: &'static str,
    pub(crate) nothing: &'static str,
    minute: &'static str,
    ten_minutes: &'static str,
    hour: &'static str,
    attempts: &'static str,
    of_them_succeeded: &'static str,
}

pub(super) const ENGLISH: ChartTexts = ChartTexts {
    succeeded: "Succeeded",
    failed: "Failed",
    time: "From",
    p95: "95 % within",
    numbers: "The numbers as a table",
    at_most: "at most",
    nothing: "Nothing was sent in this time.",
    minute: "a minute",
    ten_minutes: "in ten minutes",
    hour: "an hour",
    attempts: "attempts",
    of_them_succeeded: "succeeded",
};

impl ChartTexts {
    /// How often, for a stretch: "at most 12 a minute".
    pub(crate) fn stretch(&self, resolution: Resolution) -> &'static str {
        match resolution {
            Resolution::Minute => self.minute,
            Resolution::TenMinutes => self.ten_minutes,
            Resolution::Hour => self.hour,
        }
    }

    /// What a drawing shows, in a sentence.
    pub(crate) fn essence(&self, numbers: &NumberTexts, sum: &Figures) -> String {
        if sum.attempts() == 0 {
            return self.nothing.to_owned();
        }
        format!(
            "{} {}, {} {}",
            numbers.count(sum.attempts()),
            self.attempts,
            numbers.success(sum),
            self.of_them_succeeded
        )
    }
}
