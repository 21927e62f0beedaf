//! Copying away: the database as a [`CopySource`], read in the order of its numbers.
//!
//! It is opened as a server would open it, with the server's lock, and kept from changing by a
//! transaction that nobody else can write beside: neither a server nor a command on the keys.

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, OptionalExtension, Row};
use tidings_domain::random::Random;
use tidings_store::{
    EncryptionKey, Sealer, StoreError,
    copy::{Batch, BatchLimit, CopySource, CopyTable, Floors, Place, Rows, Survey, Tally},
};

use crate::{
    copy_rows,
    failure::Failure,
    load::{ATTEMPT_FLOOR, POSITION_FLOOR, read_highest},
    open::{self, OpenError, ServerLock},
    portal_copy_rows,
};

/// A database file that nobody else changes as long as this lives.
#[derive(Debug)]
pub struct SqliteSource {
    conn: Connection,
    identity: Vec<u8>,
    _lock: ServerLock,
}

impl SqliteSource {
    /// Opens a file that is there, brings it to the newest schema, and checks that `key` is its
    /// own. Blocks while it does so.
    pub fn open(
        path: &Path,
        key: &EncryptionKey,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::Missing {
                path: path.to_owned(),
            });
        }
        let lock = open::lock(path)?;
        let conn = open::open_and_migrate(path)?.conn;
        let identity = open::check_key(path, &conn, &Sealer::new(key, random))?;
        conn.execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| open::open_error(path, &error))?;
        Ok(Self {
            conn,
            identity,
            _lock: lock,
        })
    }

    fn look(&self) -> Result<Survey, Failure> {
        let tally = tally(&self.conn)?;
        let highest_lease = last_given_out(&self.conn, "leases")?;
        let position = read_highest(
            &self.conn,
            "SELECT max(position) FROM events",
            POSITION_FLOOR,
        )?;
        let attempt = read_highest(&self.conn, "SELECT max(seq) FROM attempts", ATTEMPT_FLOOR)?;
        let floors = Floors {
            position,
            attempt,
            subscription: last_given_out(&self.conn, "subscriptions")?,
            key: tally.highest[CopyTable::Keys],
            promise: tally.highest[CopyTable::Promises],
            lease: highest_lease,
        };
        Ok(Survey {
            identity: self.identity.clone(),
            state: state(&self.conn, &tally, &floors)?,
            tally,
            floors,
        })
    }
}

impl CopySource for SqliteSource {
    fn survey(&mut self) -> Result<Survey, StoreError> {
        Ok(self.look()?)
    }

    fn read(
        &mut self,
        table: CopyTable,
        after: Place,
        limit: BatchLimit,
    ) -> Result<Batch, StoreError> {
        let conn = &self.conn;
        let pull = Pull {
            conn,
            sql: copy_rows::select(table),
            after,
            limit,
        };
        let batch = match table {
            CopyTable::Keys => pull.rows(copy_rows::key, Rows::Keys),
            CopyTable::Subscriptions => pull.rows(copy_rows::subscription, Rows::Subscriptions),
            CopyTable::History => pull.rows(copy_rows::history, Rows::History),
            CopyTable::Events => pull.rows(copy_rows::event, Rows::Events),
            CopyTable::Promises => pull.rows(copy_rows::promise, Rows::Promises),
            CopyTable::Queue => pull.rows(copy_rows::queue, Rows::Queue),
            CopyTable::Attempts => pull.rows(copy_rows::attempt, Rows::Attempts),
            CopyTable::Users => pull.rows(portal_copy_rows::user, Rows::Users),
            CopyTable::Links => pull.rows(portal_copy_rows::link, Rows::Links),
            CopyTable::Sessions => pull.rows(portal_copy_rows::session, Rows::Sessions),
            CopyTable::Audit => pull.rows(portal_copy_rows::audit, Rows::Audit),
            CopyTable::Figures => pull.rows_after(portal_copy_rows::figure, Rows::Figures),
            CopyTable::EventTypes => pull.rows(portal_copy_rows::event_type, Rows::EventTypes),
        };
        Ok(batch?)
    }
}

/// A row, where the next one begins, and about how many bytes it has.
pub(crate) struct Pulled<R> {
    pub(crate) row: R,
    pub(crate) place: Place,
    pub(crate) bytes: usize,
}

/// One read of a table.
struct Pull<'c> {
    conn: &'c Connection,
    sql: &'static str,
    after: Place,
    limit: BatchLimit,
}

impl Pull<'_> {
    fn rows<R>(
        &self,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<Pulled<R>>,
        wrap: impl FnOnce(Vec<R>) -> Rows,
    ) -> Result<Batch, Failure> {
        self.rows_after(|row, _| read(row), wrap)
    }

    /// The same where a row's place depends on that of the row before.
    fn rows_after<R>(
        &self,
        read: impl Fn(&Row<'_>, Place) -> rusqlite::Result<Pulled<R>>,
        wrap: impl FnOnce(Vec<R>) -> Rows,
    ) -> Result<Batch, Failure> {
        let mut statement = self.conn.prepare_cached(self.sql)?;
        let places = &self.after.0[..statement.parameter_count()];
        let mut found = statement.query(rusqlite::params_from_iter(places))?;
        let (mut rows, mut bytes, mut end) = (Vec::new(), 0, self.after);
        while rows.len() < self.limit.rows && bytes < self.limit.bytes {
            let Some(row) = found.next()? else { break };
            let pulled = read(row, end)?;
            rows.push(pulled.row);
            end = pulled.place;
            bytes += pulled.bytes as u64;
        }
        Ok(Batch {
            rows: wrap(rows),
            end,
            bytes,
        })
    }
}

fn tally(conn: &Connection) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for table in CopyTable::ALL {
        let sql = format!(
            "SELECT (SELECT count(*) FROM {0}), (SELECT coalesce(max({1}), 0) FROM {0})",
            copy_rows::source(table),
            copy_rows::number(table),
        );
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (rows, highest): (i64, i64) = conn.query_row(&sql, [], read)?;
        tally.rows[table] = rows.unsigned_abs();
        tally.highest[table] = highest;
    }
    Ok(tally)
}

/// The highest number that `AUTOINCREMENT` gave out.
fn last_given_out(conn: &Connection, table: &str) -> Result<i64, Failure> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
    let last = conn.query_row(sql, [table], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

/// Whatever a server does counts up one of these, the number of leases first of all; and so does a
/// command on the keys.
fn state(conn: &Connection, tally: &Tally, floors: &Floors) -> Result<String, Failure> {
    let sums: String = conn.query_row(
        "SELECT format('versions %d, keys %d, waiting %d/%d',
             (SELECT total(version) FROM subscriptions),
             (SELECT total(coalesce(last_used_ms, 0) + coalesce(revoked_ms, 0)) FROM api_keys),
             (SELECT total(attempts) FROM queue),
             (SELECT total(due_ms % 1000000007) FROM queue))",
        [],
        |row| row.get(0),
    )?;
    let tables: Vec<_> = CopyTable::ALL
        .iter()
        .map(|&table| {
            let (rows, highest) = (tally.rows[table], tally.highest[table]);
            format!("{} {rows}/{highest}", table.as_str())
        })
        .collect();
    let Floors {
        position,
        attempt,
        subscription,
        lease,
        ..
    } = floors;
    let tables = tables.join(", ");
    Ok(format!(
        "{tables}, {sums}, leases {lease}, given out {position}/{attempt}/{subscription}"
    ))
}
