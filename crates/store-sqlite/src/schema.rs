//! The schema and its versions: which migrations there are, and how a file gets to the newest.
//!
//! A database says what it is in its header: [`APPLICATION_ID`] makes it one of ours, and
//! `user_version` is the number of its last migration. Locks and errors about the file are
//! [`crate::open`]'s.

use rusqlite::{Connection, TransactionBehavior};

use crate::catalog;

/// `tdng`, in the header of every database of ours.
pub(crate) const APPLICATION_ID: i32 = 0x7464_6e67;

/// Every migration in order; its number is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_endpoint_health.sql"),
    include_str!("migrations/0003_portal.sql"),
    include_str!("migrations/0004_catalog.sql"),
    include_str!("migrations/0005_filed_attempts.sql"),
];

/// The migration that makes the catalog, which does not begin empty.
const CATALOG: u32 = 4;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A database of ours at this schema; 0 for an empty file.
    Schema(u32),
    /// A database of somebody else.
    Foreign,
}

/// The schema that this program writes.
pub(crate) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

/// Looks at the header.
pub(crate) fn look(conn: &Connection) -> rusqlite::Result<Found> {
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let objects: u32 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if application == APPLICATION_ID {
        Found::Schema(version)
    } else if application == 0 && version == 0 && objects == 0 {
        Found::Schema(0)
    } else {
        Found::Foreign
    })
}

/// Applies what is missing, each migration in a transaction of its own. Several programs may do
/// this at once: whoever comes second finds it done.
pub(crate) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    for (number, sql) in (1_u32..).zip(MIGRATIONS) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: u32 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version < number {
            tx.execute_batch(sql)?;
            if number == CATALOG {
                catalog::ship(&tx)?;
            }
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", number)?;
        }
        tx.commit()?;
    }
    Ok(())
}
