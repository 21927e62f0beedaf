//! Doubt: what to do about a transaction whose connection broke before its end was known.
//!
//! It may have been committed, or may be committed yet. Its publishers are told that the store is
//! unavailable, and ask again; nothing is lost by that. But rows that were born leased to this
//! node and never handed over would wait for ever. So before the next transaction, the process of
//! PostgreSQL that worked for the broken connection is made to end, and then those rows are freed.

use deadpool_postgres::GenericClient;
use tidings_store::LeaseId;
use uuid::Uuid;

use crate::{database::Database, failure::Failure};

/// How long the old process may take to end, in milliseconds.
const END_WAIT_MS: i64 = 5000;

/// A process of PostgreSQL that works for one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    pub(crate) process: i32,
    /// A time at which it was there, in microseconds by the database's clock. A process that
    /// began later is another one under the same number.
    seen_us: i64,
}

/// Events that may have been appended, with deliveries leased to this node that it does not have.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) backend: Backend,
    pub(crate) lease: LeaseId,
    pub(crate) events: Vec<Uuid>,
}

impl Backend {
    /// The one that works for this connection.
    pub(crate) async fn of<C: GenericClient>(db: &Database<'_, C>) -> Result<Self, Failure> {
        let row = db
            .first(
                "SELECT pg_backend_pid(), (extract(epoch FROM clock_timestamp()) * 1e6)::bigint",
                &[],
            )
            .await?
            .ok_or_else(|| Failure::Broken("a connection has no process".to_owned()))?;
        Ok(Self {
            process: row.get(0),
            seen_us: row.get(1),
        })
    }

    /// Makes it end, and waits until it has. Whatever it was doing is decided from then on.
    async fn end<C: GenericClient>(self, db: &Database<'_, C>) -> Result<(), Failure> {
        // After a failover the number may be anybody's; ours has our name, which every connection
        // is set up with.
        let others = "FROM pg_stat_activity
             WHERE pid = $1 AND application_name = 'tidings'
                 AND backend_start <= to_timestamp($2::bigint / 1e6)";
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&self.process, &self.seen_us];
        let end = format!("SELECT pg_terminate_backend(pid, {END_WAIT_MS}) {others}");
        db.query(&end, &params).await?;
        match db.first(&format!("SELECT 1 {others}"), &params).await? {
            None => Ok(()),
            Some(_) => Err(Failure::Unavailable(
                "a transaction that was cut off is still under way".to_owned(),
            )),
        }
    }
}

impl Doubt {
    /// Frees what may be leased without being in anybody's hands; returns how many rows.
    pub(crate) async fn resolve<C: GenericClient>(
        &self,
        db: &Database<'_, C>,
    ) -> Result<u64, Failure> {
        self.backend.end(db).await?;
        db.execute(
            "UPDATE queue q SET holder = 0
             FROM unnest($1::uuid[]) AS d (id) JOIN events e ON e.id = d.id
             WHERE q.position = e.position AND q.holder = $2 AND q.attempts = 0",
            &[&self.events, &self.lease.0],
        )
        .await
    }
}
