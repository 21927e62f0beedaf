//! One bounded look at a log, in one statement: rows in order of an index, as far as a page, a
//! number of rows or a number of bytes goes.
//!
//! Everything in it streams: the statement stops reading at the first wanted row beyond a full
//! page, which shows that the page is not the last one. What was looked at and is not wanted is
//! not sent, but for the last such row, which says where to go on.

use tidings_store::Position;
use tokio_postgres::Row;

use crate::failure::Failure;

/// Rows that one look goes through.
pub(crate) const LOOK_MAX: usize = 20_000;
/// A page takes no further row beyond so many bytes.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// The columns before the caller's own.
pub(crate) const LEADING: usize = 3;

/// What to look at. Every part is SQL.
pub(crate) struct Look<'l> {
    /// The column that gives the order.
    pub(crate) order_by: &'l str,
    pub(crate) descending: bool,
    /// The columns of wanted rows.
    pub(crate) columns: &'l str,
    /// Which rows to look at: a table and a condition, for which an index gives the order.
    pub(crate) from: &'l str,
    /// Which of them are wanted.
    pub(crate) wanted: &'l str,
    /// How many bytes one is.
    pub(crate) bytes: &'l str,
    /// The parameter that says how many may be wanted.
    pub(crate) limit: &'l str,
}

/// What a look found.
pub(crate) struct Found<T> {
    pub(crate) wanted: Vec<T>,
    /// How far it looked; none where there was nothing.
    pub(crate) looked_at: Option<Position>,
    /// Whether something wanted follows, or may follow beyond [`LOOK_MAX`].
    pub(crate) has_more: bool,
}

impl Look<'_> {
    /// The statement.
    pub(crate) fn sql(&self) -> String {
        let Self {
            order_by,
            columns,
            from,
            wanted,
            bytes,
            limit,
            ..
        } = self;
        let direction = if self.descending { "DESC" } else { "ASC" };
        let one_more = LOOK_MAX + 1;
        format!(
            "SELECT {order_by}, wanted, is_last, {columns} FROM (
                 SELECT *, row_number() OVER in_order AS nth,
                     lead({order_by}) OVER in_order IS NULL AS is_last,
                     sum(CASE WHEN wanted THEN bytes ELSE 0 END) OVER (in_order
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                 FROM (
                     SELECT {order_by}, {columns}, {wanted} AS wanted, {bytes} AS bytes
                     FROM {from} ORDER BY {order_by} {direction} LIMIT {one_more}) looked_at
                 WINDOW in_order AS (ORDER BY {order_by} {direction})) counted
             WHERE nth <= {LOOK_MAX}
                 AND (bytes_before IS NULL OR bytes_before <= {PAGE_BYTES_MAX})
                 AND (wanted OR is_last OR nth = {LOOK_MAX})
             LIMIT {limit}::bigint + 1"
        )
    }
}

/// Reads what the statement gave for at most so many wanted rows; `read` gets a row and the place
/// of its first own column.
pub(crate) fn read<T>(
    rows: &[Row],
    wanted_max: usize,
    read: impl Fn(&Row, usize) -> Result<T, Failure>,
) -> Result<Found<T>, Failure> {
    let mut found = Found {
        wanted: Vec::with_capacity(rows.len()),
        looked_at: None,
        has_more: false,
    };
    for row in rows {
        let is_wanted = row.get(1);
        if is_wanted && found.wanted.len() == wanted_max {
            found.has_more = true;
            break;
        }
        found.looked_at = Some(row.get(0));
        found.has_more = !row.get::<_, bool>(2);
        if is_wanted {
            found.wanted.push(read(row, LEADING)?);
        }
    }
    Ok(found)
}

/// A number of rows as `LIMIT` takes it.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
