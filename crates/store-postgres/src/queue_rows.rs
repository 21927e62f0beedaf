//! Rows of the queue: who holds one.

/// The holder of a row that nobody works on.
pub(crate) const FREE: i64 = 0;
/// The holder of a dead row that is kept for the trace alone.
pub(crate) const KEPT: i64 = -1;
