//! Leases: who works on what, and what happens when somebody is lost.
//!
//! A lease is lost in two steps. First it is marked, in one transaction with the version of the
//! leases in the head of the log: from then on nobody can append, claim or renew under it. Then
//! what it held is freed, and its row goes away. So whoever marks it holds up publishing for a
//! moment only, however much there is to free, and whoever dies between the steps leaves a mark
//! that others find.

use std::sync::atomic::Ordering;

use deadpool_postgres::{GenericClient, Object, Pool};
use tidings_domain::time::UtcMillis;
use tidings_store::{LeaseId, Renewal};

use crate::{
    database::{self, Database},
    failure::Failure,
    memory::Memory,
};

/// Marks leases as lost: one, or all whose time ran out but one. Leases that are being claimed
/// under or renewed right now are left for later.
///
/// The rows are locked before the head, as nobody takes the two the other way round.
fn lose(which: &str, skip: &str) -> String {
    format!(
        "WITH found AS (
             SELECT id FROM leases WHERE {which} AND NOT lost ORDER BY id FOR UPDATE {skip}
         ), marked AS (
             UPDATE leases l SET lost = true FROM found WHERE l.id = found.id RETURNING l.id
         ), head AS (
             UPDATE log_heads SET lease_version = lease_version + 1
             WHERE shard = 0 AND EXISTS (SELECT 1 FROM marked)
         )
         SELECT id FROM marked"
    )
}

/// A new lease. Others learn that they have company.
pub(crate) async fn acquire(
    pool: &Pool,
    memory: &Memory,
    now: UtcMillis,
    until: UtcMillis,
) -> Result<LeaseId, Failure> {
    let client = database::borrow(pool).await?;
    let db = Database::new(&client, &memory.metrics);
    let version = memory.book_version.load(Ordering::Acquire);
    let row = db
        .first(
            "WITH taken AS (
                 INSERT INTO leases (taken_ms, until_ms, seen_version) VALUES ($1, $2, $3)
                 RETURNING id
             )
             SELECT id, pg_notify('tidings_book', '')::text FROM taken",
            &[&now.as_millis(), &until.as_millis(), &version],
        )
        .await?
        .ok_or_else(|| Failure::Broken("a new lease got no number".to_owned()))?;
    let lease = LeaseId(row.get(0));
    memory.own_leases.lock().insert(lease);
    // Whoever refreshed memory meanwhile did not know of this row.
    let known = memory.book_version.load(Ordering::Acquire);
    if known != version {
        report_seen(&db, memory, known).await?;
    }
    Ok(lease)
}

/// Prolongs a lease that nobody has taken over, over a connection of whichever pool has one.
pub(crate) async fn renew(
    pools: [&Pool; 2],
    memory: &Memory,
    lease: LeaseId,
    until: UtcMillis,
) -> Result<Renewal, Failure> {
    let [one, other] = pools;
    let client = database::borrow_of_either(one, other).await?;
    let renewed = Database::new(&client, &memory.metrics)
        .execute(
            "UPDATE leases SET until_ms = $2 WHERE id = $1 AND NOT lost",
            &[&lease.0, &until.as_millis()],
        )
        .await?;
    if renewed == 0 {
        memory.own_leases.lock().remove(&lease);
        return Ok(Renewal::Lost);
    }
    Ok(Renewal::Held)
}

/// Ends a lease: what it held is free.
pub(crate) async fn end(pool: &Pool, memory: &Memory, lease: LeaseId) -> Result<(), Failure> {
    let mut client = database::borrow(pool).await?;
    Database::new(&client, &memory.metrics)
        .query(&lose("id = $1", ""), &[&lease.0])
        .await?;
    memory.own_leases.lock().remove(&lease);
    free(&mut client, memory, "id = $1", "", &[&lease.0]).await
}

/// Frees what is held by leases that were lost, those among them whose time ran out by now, all
/// but the asking one.
pub(crate) async fn take_over(
    client: &mut Object,
    memory: &Memory,
    asking: LeaseId,
    now: UtcMillis,
) -> Result<(), Failure> {
    let lapsed = Database::new(&*client, &memory.metrics)
        .query(
            &lose("until_ms <= $1 AND id <> $2", "SKIP LOCKED"),
            &[&now.as_millis(), &asking.0],
        )
        .await?;
    for row in lapsed {
        let lease: i64 = row.get(0);
        tracing::warn!(lease, "a lease ran out; its deliveries are free again");
    }
    // Those that another node is about to free are its own.
    free(client, memory, "lost", "SKIP LOCKED", &[]).await
}

/// Frees what lost leases held. Every transaction under them is over or will be refused, since
/// they were marked in a transaction before.
async fn free(
    client: &mut Object,
    memory: &Memory,
    which: &str,
    skip: &str,
    params: database::Params<'_>,
) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    // There is no index of holders, and this is rare: it reads the whole queue.
    transaction
        .batch_execute("SET LOCAL statement_timeout = '5min'; SET LOCAL enable_seqscan = on")
        .await?;
    let db = Database::new(&transaction, &memory.metrics);
    let sql = format!(
        "WITH gone AS (
             SELECT id FROM leases WHERE lost AND {which} ORDER BY id FOR UPDATE {skip}
         ), freed AS (
             UPDATE queue SET holder = 0 WHERE holder = ANY (ARRAY (SELECT id FROM gone))
             RETURNING 1
         ), ended AS (
             DELETE FROM leases WHERE id = ANY (ARRAY (SELECT id FROM gone))
         )
         SELECT count(*) FROM freed"
    );
    let row = db.first(&sql, params).await?;
    let freed: i64 = row.map_or(0, |row| row.get(0));
    // Whoever waits for these leases, or for company, looks anew.
    let notice = if freed > 0 {
        "SELECT pg_notify('tidings_book', ''), pg_notify('tidings_work', '')"
    } else {
        "SELECT pg_notify('tidings_book', '')"
    };
    db.query(notice, &[]).await?;
    transaction.commit().await?;
    if freed > 0 {
        memory.wake();
    }
    Ok(())
}

/// Writes into the rows of this node's leases which version of the book it has in memory, so that
/// a revocation can tell that it holds here.
pub(crate) async fn report_seen<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    version: i64,
) -> Result<(), Failure> {
    let own = memory.own_leases();
    if own.is_empty() {
        return Ok(());
    }
    db.execute(
        "UPDATE leases SET seen_version = $1 WHERE id = ANY ($2) AND seen_version < $1",
        &[&version, &own],
    )
    .await
    .map(drop)
}
