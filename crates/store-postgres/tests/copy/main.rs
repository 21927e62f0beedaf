//! Copying a SQLite file into PostgreSQL: a plan that moves halfway must notice nothing, and a
//! copy that is interrupted goes on; what must not be copied is refused.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod catalog;
mod columns;
mod ends;
mod moving;
mod refusals;
