//! How numbers, shares and durations are shown.
//!
//! Values are taken as they are or by reference, since templates pass references.

use std::borrow::Borrow;

use tidings_domain::figures::Figures;

/// All of them, in per mille.
const ALL_PER_MILLE: u64 = 1000;

#[derive(Debug)]
pub(crate) struct NumberTexts {
    thousands: char,
    decimal: char,
    /// What stands where there is no number.
    pub(crate) nothing: &'static str,
    percent: &'static str,
    milliseconds: &'static str,
    seconds: &'static str,
    minutes: &'static str,
    hours: &'static str,
    days: &'static str,
}

pub(super) const ENGLISH: NumberTexts = NumberTexts {
    thousands: ',',
    decimal: '.',
    nothing: "–",
    percent: " %",
    milliseconds: " ms",
    seconds: " s",
    minutes: " min",
    hours: " h",
    days: " d",
};

impl NumberTexts {
    /// A count: `1,234,567`.
    pub(crate) fn count(&self, number: impl Borrow<u64>) -> String {
        let digits = number.borrow().to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(self.thousands);
            }
            text.push(digit);
        }
        text
    }

    /// The share of attempts that succeeded, rounded: `98.5 %`. But what is not all is never shown
    /// as all, and what is not nothing never as nothing.
    pub(crate) fn success(&self, figures: &Figures) -> String {
        let (succeeded, attempts) = (figures.succeeded, figures.attempts());
        if attempts == 0 {
            return self.nothing.to_owned();
        }
        if succeeded == attempts {
            return format!("100{}", self.percent);
        }
        let per_mille = rounded(succeeded.saturating_mul(ALL_PER_MILLE), attempts);
        let per_mille = per_mille.clamp(u64::from(succeeded > 0), ALL_PER_MILLE - 1);
        let (whole, tenth) = (per_mille / 10, per_mille % 10);
        format!("{whole}{}{tenth}{}", self.decimal, self.percent)
    }

    /// A number to the tenth, from tenths: `12.5`; whole from 100 on.
    pub(crate) fn tenths(&self, tenths: impl Borrow<u64>) -> String {
        let tenths = *tenths.borrow();
        if tenths >= 1000 || tenths.is_multiple_of(10) {
            self.count(tenths / 10)
        } else {
            format!("{}{}{}", tenths / 10, self.decimal, tenths % 10)
        }
    }

    /// How long something took, in milliseconds: `42 ms`, `1.2 s`.
    pub(crate) fn elapsed(&self, ms: impl Borrow<Option<u32>>) -> String {
        match ms.borrow().map(u64::from) {
            None => self.nothing.to_owned(),
            Some(ms) if ms < 1000 => format!("{ms}{}", self.milliseconds),
            Some(ms) => format!("{}{}", self.tenths(rounded(ms, 100)), self.seconds),
        }
    }

    /// How long ago something is or how long it lasts, in milliseconds, in its largest whole
    /// unit: `45 s`, `3 min`, `2 h`, `5 d`.
    pub(crate) fn age(&self, ms: impl Borrow<i64>) -> String {
        let seconds = ms.borrow().unsigned_abs() / 1000;
        let (number, unit) = match seconds {
            0..60 => (seconds, self.seconds),
            60..3600 => (seconds / 60, self.minutes),
            3600..172_800 => (seconds / 3600, self.hours),
            _ => (seconds / 86_400, self.days),
        };
        format!("{}{unit}", self.count(number))
    }
}

/// A quotient, rounded to the nearest whole number, halves up.
pub(crate) fn rounded(number: u64, by: u64) -> u64 {
    number.saturating_add(by / 2) / by
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(ENGLISH.count(number), text);
        }
    }

    #[test]
    fn shares_are_rounded_but_only_all_is_shown_as_all() {
        for (succeeded, failed, text) in [
            (1000, 0, "100 %"),
            (99_999, 1, "99.9 %"),
            (14, 3, "82.4 %"),
            (1, 2, "33.3 %"),
            (1, 99_999, "0.1 %"),
            (0, 1, "0.0 %"),
            (0, 0, "–"),
        ] {
            let figures = Figures {
                succeeded,
                failed,
                ..Figures::default()
            };
            assert_eq!(ENGLISH.success(&figures), text);
        }
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(ENGLISH.elapsed(Some(999)), "999 ms");
        assert_eq!(ENGLISH.elapsed(Some(1260)), "1.3 s");
        assert_eq!(ENGLISH.elapsed(Some(1240)), "1.2 s");
        assert_eq!(ENGLISH.elapsed(Some(30_000)), "30 s");
        assert_eq!(ENGLISH.tenths(1_234_567), "123,456");
        for (ms, text) in [
            (59_999, "59 s"),
            (60_000, "1 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
            (-5_000, "5 s"),
        ] {
            assert_eq!(ENGLISH.age(ms), text);
        }
    }
}
