//! The benchmark's clock: the only place of this crate that asks the machine for the time.
//!
//! A delivery's age is the sink's clock minus the load generator's, so both read the same one, the
//! machine's real-time clock; they must run on one machine.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, as the machine counts them.
pub(crate) fn now_us() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement of real time, compared between two processes"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_micros()).ok())
        .expect("the machine's clock stands between 1970 and the year 500,000")
}
