//! The schema and its versions: which migrations there are, and how a database gets to the newest.
//!
//! A database of ours says so in its table `settings`: the number of its last migration. Where the
//! connection goes and what its failures mean is [`crate::open`]'s.

use deadpool_postgres::{GenericClient, Object};
use tokio_postgres::error::SqlState;

use crate::{catalog, failure::Failure};

/// The setting that holds the number of the last migration, in decimal digits.
const VERSION: &str = "schema_version";
/// Programs that migrate take this lock, so that one does it and the others find it done: `tdng`.
const LOCK: i64 = 0x7464_6e67;

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

/// What a database turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A database of ours at this schema; 0 for an empty one.
    Schema(u32),
    /// A database of somebody else.
    Foreign,
}

/// The schema that this program writes.
pub(crate) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

/// Looks what is there, in the schema that the connection's search path begins with.
pub(crate) async fn look<C: GenericClient>(client: &C) -> Result<Found, Failure> {
    // What an extension brought along is not somebody else's.
    let row = client
        .query_one(
            "SELECT count(*) > 0, coalesce(bool_or(c.relname = 'settings'), false)
             FROM pg_class c
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                 AND NOT EXISTS (SELECT FROM pg_depend d
                     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                         AND d.deptype = 'e')",
            &[],
        )
        .await?;
    let (any, settings): (bool, bool) = (row.get(0), row.get(1));
    if !any {
        return Ok(Found::Schema(0));
    }
    if !settings {
        return Ok(Found::Foreign);
    }
    let version = client
        .query_opt("SELECT value FROM settings WHERE name = $1", &[&VERSION])
        .await;
    let version = match version {
        Ok(row) => row,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => None,
        Err(error) => return Err(error.into()),
    };
    let version = version
        .and_then(|row| row.try_get::<_, Vec<u8>>(0).ok())
        .and_then(|digits| String::from_utf8(digits).ok()?.parse().ok());
    Ok(version.map_or(Found::Foreign, Found::Schema))
}

/// Applies what is missing, all of it in one transaction. Several programs may do this at once:
/// whoever comes second finds it done.
pub(crate) async fn migrate(client: &mut Object) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "SET LOCAL lock_timeout = 0;
             SET LOCAL statement_timeout = 0;
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    let Found::Schema(found) = look(&transaction).await? else {
        // It changed hands meanwhile; whoever asked looks again.
        return Ok(());
    };
    for (number, sql) in (1_u32..).zip(MIGRATIONS) {
        if found < number {
            transaction.batch_execute(sql).await?;
            if number == CATALOG {
                catalog::ship(&transaction).await?;
            }
        }
    }
    if found < newest() {
        transaction
            .execute(
                "INSERT INTO settings (name, value) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
                &[&VERSION, &newest().to_string().as_bytes()],
            )
            .await?;
    }
    Ok(transaction.commit().await?)
}
