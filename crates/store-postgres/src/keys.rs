//! API keys: changed as the book is, looked up in memory.

use std::time::Duration;

use deadpool_postgres::Pool;
use tidings_domain::{
    actor::Actor, api_key::KeyHash, company::CompanyId, id::ApiKeyId, time::UtcMillis,
};
use tidings_store::{NewApiKey, StoreMetrics, audit_log as lines};
use tokio::time::Instant;
use tracing::warn;

use crate::{
    audit_log,
    book_change::BookChange,
    database::{self, Database},
    failure::Failure,
    key_rows,
};

/// How long a revocation waits for the other nodes, in milliseconds. They look once a second by
/// themselves.
const SEEN_WAIT_MS_MAX: u64 = 2000;
/// How often it looks whether they know, in milliseconds.
const SEEN_LOOK_EVERY_MS: u64 = 20;

/// Which key to revoke, and when that is.
pub(crate) struct Revocation<'r> {
    pub(crate) company: Option<&'r CompanyId>,
    pub(crate) id: ApiKeyId,
    pub(crate) now: UtcMillis,
    pub(crate) by: &'r Actor,
}

/// A key that was revoked, and the version of the book in which it is.
pub(crate) struct Revoked {
    pub(crate) hash: KeyHash,
    pub(crate) version: i64,
}

/// Stores a key.
pub(crate) async fn create(
    pool: &Pool,
    metrics: &StoreMetrics,
    new: &NewApiKey,
    by: &Actor,
) -> Result<(), Failure> {
    let mut client = database::borrow(pool).await?;
    let change = BookChange::begin(&mut client, metrics).await?;
    key_rows::insert(&change.db(), new, change.version).await?;
    audit_log::write(&change.db(), &lines::key_created(&new.key, by)).await?;
    change.commit().await
}

/// Revokes a key; none where there is none such. The row stays, so that one can see that there
/// was such a key.
pub(crate) async fn revoke(
    pool: &Pool,
    metrics: &StoreMetrics,
    revocation: &Revocation<'_>,
) -> Result<Option<Revoked>, Failure> {
    let mut client = database::borrow(pool).await?;
    let change = BookChange::begin(&mut client, metrics).await?;
    let row = change
        .db()
        .first(
            &format!(
                "UPDATE api_keys SET revoked_ms = $1, book_version = $2
                 WHERE id = $3 AND revoked_ms IS NULL AND ($4::text IS NULL OR company_id = $4)
                 RETURNING {}",
                key_rows::COLUMNS
            ),
            &[
                &revocation.now.as_millis(),
                &change.version,
                &key_rows::uuid_of(revocation.id),
                &revocation.company.map(CompanyId::as_str),
            ],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let (hash, key) = key_rows::read(&row)?;
    let line = lines::key_revoked(&key, revocation.now, revocation.by);
    audit_log::write(&change.db(), &line).await?;
    let version = change.version;
    change.commit().await?;
    Ok(Some(Revoked { hash, version }))
}

/// Waits until every node whose lease stands knows a version of the book; this one does, by its
/// `own` leases. A node that does not answer in time is cut off from the database, and warned of.
pub(crate) async fn seen_by_all(
    pool: &Pool,
    metrics: &StoreMetrics,
    version: i64,
    own: &[i64],
    now: UtcMillis,
) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_millis(SEEN_WAIT_MS_MAX);
    loop {
        let client = database::borrow(pool).await?;
        let unaware = Database::new(&client, metrics)
            .first(
                "SELECT id FROM leases WHERE until_ms > $1 AND seen_version < $2 AND id <> ALL ($3)
                 LIMIT 1",
                &[&now.as_millis(), &version, &own],
            )
            .await?;
        drop(client);
        let Some(lease) = unaware else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let lease: i64 = lease.get(0);
            warn!(
                lease,
                "a node may accept a revoked API key for another moment"
            );
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(SEEN_LOOK_EVERY_MS)).await;
    }
}
