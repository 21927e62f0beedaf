//! Figures: what happened in a stretch of time, in numbers that can be added up.

use crate::time::UtcMillis;

/// The upper bounds, inclusive and in milliseconds, of the classes into which the durations of
/// attempts are counted. The last class has none.
pub const ELAPSED_BOUNDS_MS: [u32; 13] = [
    2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];
/// How many classes there are.
pub const ELAPSED_CLASSES: usize = ELAPSED_BOUNDS_MS.len() + 1;

/// What happened in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events published.
    pub published: u64,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts by how long they took; see [`ELAPSED_BOUNDS_MS`].
    pub elapsed: [u64; ELAPSED_CLASSES],
}

/// The stretches into which time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// One minute, kept for some hours.
    Minute,
    /// Ten minutes, kept for some days.
    TenMinutes,
    /// An hour, kept for 32 days.
    Hour,
}

impl Resolution {
    /// All of them, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::TenMinutes, Self::Hour];

    /// The length of a stretch in milliseconds.
    #[must_use]
    pub fn length_ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::TenMinutes => 600_000,
            Self::Hour => 3_600_000,
        }
    }

    /// How long stretches are kept, in milliseconds.
    #[must_use]
    pub fn kept_ms(self) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        match self {
            Self::Minute => 6 * HOUR_MS,
            Self::TenMinutes => 3 * 24 * HOUR_MS,
            Self::Hour => 32 * 24 * HOUR_MS,
        }
    }

    /// The beginning of the stretch that a time lies in.
    #[must_use]
    pub fn start_of(self, time: UtcMillis) -> UtcMillis {
        let millis = time.as_millis();
        UtcMillis::from_millis(millis - millis.rem_euclid(self.length_ms()))
    }

    /// The number by which a store keeps it.
    #[must_use]
    pub fn number(self) -> i16 {
        match self {
            Self::Minute => 1,
            Self::TenMinutes => 2,
            Self::Hour => 3,
        }
    }
}

impl Figures {
    /// Counts one attempt.
    pub fn count_attempt(&mut self, succeeded: bool, elapsed_ms: u32) {
        if succeeded {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
        self.elapsed[class_of(elapsed_ms)] += 1;
    }

    /// Adds what happened in another stretch.
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        for (sum, more) in self.elapsed.iter_mut().zip(other.elapsed) {
            *sum += more;
        }
    }

    /// Attempts, whatever came of them.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// The duration in milliseconds that a share of the attempts (in per cent, up to 100) did not
    /// exceed, interpolated within its class; none where there were none. Beyond the last bound
    /// it is that bound.
    #[must_use]
    pub fn elapsed_percentile_ms(&self, per_cent: u8) -> Option<u32> {
        let total: u64 = self.elapsed.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = (total * u64::from(per_cent)).div_ceil(100).max(1);
        let mut below = 0;
        for (class, &count) in self.elapsed.iter().enumerate() {
            if below + count >= rank {
                let lower = class.checked_sub(1).map_or(0, |n| ELAPSED_BOUNDS_MS[n]);
                let upper = ELAPSED_BOUNDS_MS.get(class).copied().unwrap_or(lower);
                let part = u64::from(upper - lower) * (rank - below) / count.max(1);
                return u32::try_from(part).ok().map(|part| lower + part);
            }
            below += count;
        }
        ELAPSED_BOUNDS_MS.last().copied()
    }
}

fn class_of(elapsed_ms: u32) -> usize {
    ELAPSED_BOUNDS_MS.partition_point(|&bound| bound < elapsed_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_their_class() {
        assert_eq!(class_of(0), 0);
        assert_eq!(class_of(2), 0);
        assert_eq!(class_of(3), 1);
        assert_eq!(class_of(30_000), ELAPSED_CLASSES - 2);
        assert_eq!(class_of(30_001), ELAPSED_CLASSES - 1);
    }

    #[test]
    fn stretches_begin_where_they_should() {
        let time = UtcMillis::from_millis(3_600_000 + 754_321);
        let start = |resolution: Resolution| resolution.start_of(time).as_millis();
        assert_eq!(start(Resolution::Minute), 3_600_000 + 720_000);
        assert_eq!(start(Resolution::TenMinutes), 3_600_000 + 600_000);
        assert_eq!(start(Resolution::Hour), 3_600_000);
    }

    #[test]
    fn percentiles_lie_in_their_class() {
        let mut figures = Figures::default();
        assert_eq!(figures.elapsed_percentile_ms(50), None);
        for _ in 0..99 {
            figures.count_attempt(true, 7);
        }
        figures.count_attempt(false, 60_000);
        let p50 = figures.elapsed_percentile_ms(50).unwrap();
        assert!((6..=10).contains(&p50), "{p50}");
        assert_eq!(figures.elapsed_percentile_ms(100), Some(30_000));
    }
}
