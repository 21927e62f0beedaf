//! Looking for what waits: which subscriptions have deliveries for a claim and since when, which
//! leases are lost, and whether the asking one stands. One statement that writes nothing.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use tidings_domain::time::UtcMillis;
use tidings_store::{LeaseId, Seq};

use crate::{columns, database::Database, failure::Failure, memory::Memory};

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Whether the asking lease stands.
    pub(crate) stands: bool,
    /// Whether others are lost, or their time ran out.
    pub(crate) others_lost: bool,
    /// When the earliest delivery of each subscription is due, in milliseconds: of those that
    /// exist, in their current epoch.
    pub(crate) due: BTreeMap<Seq, i64>,
}

/// Looks. The partial index is looked at once for each subscription that waits, not for each of
/// its rows.
pub(crate) async fn look<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    asking: LeaseId,
    now: UtcMillis,
) -> Result<Waiting, Failure> {
    const ASKING: i32 = 0;
    const LOST: i32 = 1;
    let rows = db
        .query(
            "WITH RECURSIVE waiting AS (
                 (SELECT subscription, epoch, due_ms FROM queue WHERE holder = 0
                  ORDER BY subscription, epoch, due_ms LIMIT 1)
                 UNION ALL
                 SELECT next.* FROM waiting w CROSS JOIN LATERAL (
                     SELECT q.subscription, q.epoch, q.due_ms FROM queue q
                     WHERE q.holder = 0 AND (q.subscription, q.epoch) > (w.subscription, w.epoch)
                     ORDER BY q.subscription, q.epoch, q.due_ms LIMIT 1) AS next
             )
             SELECT 0, id, 0, 0::bigint FROM leases WHERE id = $1 AND NOT lost
             UNION ALL
             SELECT 1, id, 0, 0 FROM leases WHERE lost OR (until_ms <= $2 AND id <> $1)
             UNION ALL
             SELECT 2, subscription, epoch, due_ms FROM waiting",
            &[&asking.0, &now.as_millis()],
        )
        .await?;
    let book = memory.book.read();
    let mut found = Waiting::default();
    for row in rows {
        match row.get::<_, i32>(0) {
            ASKING => found.stands = true,
            LOST => found.others_lost = true,
            _ => {
                let subscription: Seq = row.get(1);
                let current = book.by_seq(subscription).map(|entry| entry.endpoint.epoch);
                if current == Some(columns::number(&row, 2)?) {
                    found.due.insert(subscription, row.get(3));
                }
            }
        }
    }
    Ok(found)
}
