//! Statements over many rows: one execution inserts up to 64 of them.
//!
//! Rows are cut into chunks of a few fixed sizes, so that a handful of prepared statements serves
//! every number of rows.
//!
//! SQLite undoes a statement that fails half-way by a journal of that statement, for which it
//! copies every page that the statement touches. Whoever rolls the whole transaction back then has
//! no use for it, and `INSERT OR ROLLBACK` says so; but a statement over many rows that names their
//! INTEGER PRIMARY KEY keeps it all the same. Hence [`Series`].

use rusqlite::{Statement, ToSql, types::ToSqlOutput, types::ValueRef};

use crate::{database::Database, failure::Failure};

/// Rows per statement, the largest first.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// One statement in every size.
pub(crate) struct Bulk {
    texts: [String; SIZES.len()],
}

/// Inserts rows that are numbered in a row and beyond all that the table has: the first one by its
/// number, those behind it by letting SQLite count on.
pub(crate) struct Series {
    first: Bulk,
    rest: Bulk,
}

/// Binds the values of a statement one after the other.
pub(crate) struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    bound: usize,
}

impl Bulk {
    /// `head`, then a list of rows with so many columns each, then `tail`.
    pub(crate) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let texts = SIZES.map(|rows| format!("{head} {} {tail}", vec![&*row; rows].join(",")));
        Self { texts }
    }

    /// Executes the statement for all rows, as few times as possible.
    pub(crate) fn execute<R>(
        &self,
        db: &Database,
        rows: &[R],
        bind: impl Fn(&mut Binder<'_, '_>, &R) -> rusqlite::Result<()>,
    ) -> Result<(), Failure> {
        let mut rest = rows;
        while !rest.is_empty() {
            let (chunk, beyond) = rest.split_at(chunk_len(rest.len()));
            self.execute_chunk(db, chunk, &bind)?;
            rest = beyond;
        }
        Ok(())
    }

    /// Executes the statement once for one chunk, whose length comes from [`chunk_len`].
    fn execute_chunk<R>(
        &self,
        db: &Database,
        chunk: &[R],
        bind: impl Fn(&mut Binder<'_, '_>, &R) -> rusqlite::Result<()>,
    ) -> Result<(), Failure> {
        let size = SIZES.iter().position(|&size| size == chunk.len());
        let text = &self.texts[size.expect("chunks have the length that chunk_len gave")];
        let mut statement = db.statement(text)?;
        let mut binder = Binder {
            statement: &mut statement,
            bound: 0,
        };
        for row in chunk {
            bind(&mut binder, row)?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

/// How many of so many rows go into the next chunk.
fn chunk_len(rows: usize) -> usize {
    let fits = SIZES.iter().copied().find(|&size| size <= rows);
    fits.expect("the smallest chunk is one row, and callers have one")
}

impl Series {
    /// Into `table`, whose INTEGER PRIMARY KEY is `number`, with these further columns.
    pub(crate) fn new(table: &str, number: &str, columns: &[&str]) -> Self {
        let names = columns.join(", ");
        let head = format!("INSERT OR ROLLBACK INTO {table}");
        Self {
            first: Bulk::new(
                &format!("{head} ({number}, {names}) VALUES"),
                columns.len() + 1,
                "",
            ),
            rest: Bulk::new(&format!("{head} ({names}) VALUES"), columns.len(), ""),
        }
    }

    /// Inserts all rows, the first with `number`; `bind` binds the further columns.
    pub(crate) fn execute<R>(
        &self,
        db: &Database,
        number: i64,
        rows: &[R],
        bind: impl Fn(&mut Binder<'_, '_>, &R) -> rusqlite::Result<()>,
    ) -> Result<(), Failure> {
        let Some((first, rest)) = rows.split_first() else {
            return Ok(());
        };
        self.first
            .execute(db, std::slice::from_ref(first), |binder, row| {
                binder.bind(number)?;
                bind(binder, row)
            })?;
        self.rest.execute(db, rest, bind)
    }
}

impl Binder<'_, '_> {
    /// Binds the next value.
    pub(crate) fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }

    /// Binds bytes that are known to be UTF-8 as text.
    pub(crate) fn bind_text(&mut self, text: &[u8]) -> rusqlite::Result<()> {
        self.bind(ToSqlOutput::Borrowed(ValueRef::Text(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_number_of_rows() {
        for rows in 1..500 {
            let mut rest = rows;
            let mut statements = 0;
            while rest > 0 {
                rest -= chunk_len(rest);
                statements += 1;
            }
            assert!(statements <= rows / SIZES[0] + 6, "{rows}");
        }
    }
}
