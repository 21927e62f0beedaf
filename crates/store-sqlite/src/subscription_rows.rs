//! Rows of subscriptions and of their history: how they are written and read.

use rusqlite::Row;
use tidings_domain::{
    breaker::{BreakerState, EndpointHealth},
    company::CompanyId,
    id::SubscriptionId,
    subscription::{DisabledReason, ManagedBy, MaxPerSecond, Subscription},
    target::TargetUrl,
    time::UtcMillis,
};
use tidings_store::{Position, Sealed, StoredSubscription, types_from_json, types_to_json};

use crate::{
    database::Database,
    failure::Failure,
    memory::{Entry, Seq},
};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "seq, id, company_id, url, event_types, description, enabled, \
     disabled_reason, managed_by, created_ms, updated_ms, version, epoch, secret, \
     previous_secret, previous_until_ms, deleted_ms, max_per_second, breaker, open_until_ms, \
     failing_since_ms";

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<StoredSubscription, Failure> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(|_| unreadable());
    let previous_until: Option<i64> = row.get(15)?;
    let previous: Option<Sealed> = row.get(14)?;
    let reason: Option<String> = row.get(7)?;
    let rate: Option<i64> = row.get(17)?;
    let time = |column: usize| -> Result<Option<UtcMillis>, Failure> {
        let millis: Option<i64> = row.get(column)?;
        Ok(millis.map(UtcMillis::from_millis))
    };
    Ok(StoredSubscription {
        seq: row.get(0)?,
        subscription: Subscription {
            id: SubscriptionId::from_bytes(row.get(1)?),
            company: CompanyId::parse(text(2)?).map_err(|_| unreadable())?,
            url: TargetUrl::from_stored(text(3)?).map_err(|_| unreadable())?,
            event_types: types_from_json(text(4)?)?,
            description: row.get(5)?,
            enabled: row.get(6)?,
            disabled_reason: reason
                .map(|word| DisabledReason::parse(&word).ok_or_else(unreadable))
                .transpose()?,
            managed_by: ManagedBy::parse(text(8)?).ok_or_else(unreadable)?,
            max_per_second: rate
                .map(|rate| MaxPerSecond::new(rate).map_err(|_| unreadable()))
                .transpose()?,
            health: EndpointHealth {
                breaker: BreakerState::parse(text(18)?).ok_or_else(unreadable)?,
                open_until: time(19)?,
                failing_since: time(20)?,
            },
            created: UtcMillis::from_millis(row.get(9)?),
            updated: UtcMillis::from_millis(row.get(10)?),
            version: row.get(11)?,
        },
        epoch: row.get(12)?,
        secret: row.get(13)?,
        previous: previous.zip(previous_until.map(UtcMillis::from_millis)),
        deleted: row.get::<_, Option<i64>>(16)?.is_some(),
    })
}

/// The number of a subscription and whose it is, deleted ones included.
pub(crate) fn owner_of(
    db: &Database,
    id: SubscriptionId,
) -> Result<Option<(Seq, CompanyId)>, Failure> {
    db.first(
        "SELECT seq, company_id FROM subscriptions WHERE id = ?",
        [id.as_bytes()],
        |row| {
            let company = row.get_ref(1)?.as_str().map_err(|_| unreadable())?;
            let company = CompanyId::parse(company).map_err(|_| unreadable())?;
            Ok((row.get(0)?, company))
        },
    )
}

/// Notes what a subscription wants from the event after `after` on. Two changes with no event in
/// between leave one note: nobody can tell them apart.
pub(crate) fn write_history(db: &Database, after: Position, entry: &Entry) -> Result<(), Failure> {
    db.execute(
        "INSERT OR REPLACE INTO subscription_history
             (subscription, after_position, event_types, enabled, epoch)
         VALUES (?, ?, ?, ?, ?)",
        (
            entry.seq,
            after,
            types_to_json(&entry.event_types),
            entry.endpoint.enabled,
            entry.endpoint.epoch,
        ),
    )
    .map(drop)
}

fn unreadable() -> Failure {
    Failure::unreadable("subscription")
}
