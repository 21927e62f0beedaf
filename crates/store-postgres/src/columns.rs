//! Values out of a row's columns, where the column's type is not the value's own.
//!
//! Columns are named by their place; a column of another type than the schema says is a mistake of
//! the statement and panics.

use tidings_domain::time::UtcMillis;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::failure::Failure;

/// A number that is kept in a signed column and never negative.
pub(crate) fn number(row: &Row, column: usize) -> Result<u32, Failure> {
    let number: i32 = row.get(column);
    u32::try_from(number).map_err(|_| Failure::unreadable("number"))
}

/// The 16 bytes of an id.
pub(crate) fn id(row: &Row, column: usize) -> [u8; 16] {
    row.get::<_, Uuid>(column).into_bytes()
}

/// A time.
pub(crate) fn time(row: &Row, column: usize) -> UtcMillis {
    UtcMillis::from_millis(row.get(column))
}

/// A time, where there is one.
pub(crate) fn time_or_none(row: &Row, column: usize) -> Option<UtcMillis> {
    let millis: Option<i64> = row.get(column);
    millis.map(UtcMillis::from_millis)
}

/// A text that is kept as bytes.
pub(crate) fn text(row: &Row, column: usize) -> Result<&str, Failure> {
    as_text(row.get(column))
}

/// A text that is kept as bytes, where there is one.
pub(crate) fn text_or_none(row: &Row, column: usize) -> Result<Option<&str>, Failure> {
    let bytes: Option<&[u8]> = row.get(column);
    bytes.map(as_text).transpose()
}

fn as_text(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::unreadable("text"))
}
