//! Rows of subscriptions and of their history: how they are written and read.

use deadpool_postgres::GenericClient;
use tidings_domain::{
    breaker::{BreakerState, EndpointHealth},
    company::CompanyId,
    id::SubscriptionId,
    subscription::{DisabledReason, ManagedBy, MaxPerSecond, Subscription},
    target::TargetUrl,
    time::UtcMillis,
};
use tidings_store::{BookEntry, Position, Seq, StoredSubscription, types_from_json, types_to_json};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{columns, database::Database, failure::Failure};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "seq, id, company_id, url, event_types, description, enabled, \
     disabled_reason, managed_by, created_ms, updated_ms, version, epoch, secret, \
     previous_secret, previous_until_ms, deleted_ms, max_per_second, breaker, open_until_ms, \
     failing_since_ms";

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row) -> Result<StoredSubscription, Failure> {
    let reason: Option<&str> = row.get(7);
    let previous: Option<Vec<u8>> = row.get(14);
    let rate: Option<i32> = row.get(17);
    Ok(StoredSubscription {
        seq: row.get(0),
        subscription: Subscription {
            id: SubscriptionId::from_bytes(columns::id(row, 1)),
            company: CompanyId::parse(row.get(2)).map_err(|_| unreadable())?,
            url: TargetUrl::from_stored(row.get(3)).map_err(|_| unreadable())?,
            event_types: types_from_json(row.get(4))?,
            description: columns::text_or_none(row, 5)?.map(str::to_owned),
            enabled: row.get(6),
            disabled_reason: reason
                .map(|word| DisabledReason::parse(word).ok_or_else(unreadable))
                .transpose()?,
            managed_by: ManagedBy::parse(row.get(8)).ok_or_else(unreadable)?,
            max_per_second: rate
                .map(|rate| MaxPerSecond::new(rate.into()).map_err(|_| unreadable()))
                .transpose()?,
            health: EndpointHealth {
                breaker: BreakerState::parse(row.get(18)).ok_or_else(unreadable)?,
                open_until: columns::time_or_none(row, 19),
                failing_since: columns::time_or_none(row, 20),
            },
            created: columns::time(row, 9),
            updated: columns::time(row, 10),
            version: row.get(11),
        },
        epoch: columns::number(row, 12)?,
        secret: row.get(13),
        previous: previous.zip(columns::time_or_none(row, 15)),
        deleted: columns::time_or_none(row, 16).is_some(),
    })
}

/// A subscription's row, deleted or not.
pub(crate) async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    id: SubscriptionId,
) -> Result<Option<StoredSubscription>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM subscriptions WHERE id = $1");
    let row = db.first(&sql, &[&uuid_of(id)]).await?;
    row.map(|row| read(&row)).transpose()
}

/// The same, kept from changing until the transaction ends.
pub(crate) async fn lock<C: GenericClient>(
    db: &Database<'_, C>,
    id: SubscriptionId,
) -> Result<Option<StoredSubscription>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM subscriptions WHERE id = $1 FOR UPDATE");
    let row = db.first(&sql, &[&uuid_of(id)]).await?;
    row.map(|row| read(&row)).transpose()
}

/// The number and the company of a subscription, deleted ones included.
pub(crate) async fn owner_of<C: GenericClient>(
    db: &Database<'_, C>,
    id: SubscriptionId,
) -> Result<Option<(Seq, String)>, Failure> {
    let sql = "SELECT seq, company_id FROM subscriptions WHERE id = $1";
    let row = db.first(sql, &[&uuid_of(id)]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

/// Writes that the server has disabled a subscription; `entry` is what it is from now on.
pub(crate) async fn disable<C: GenericClient>(
    db: &Database<'_, C>,
    entry: &BookEntry,
    reason: DisabledReason,
    now: UtcMillis,
    book_version: i64,
) -> Result<(), Failure> {
    db.execute(
        "UPDATE subscriptions
         SET enabled = false, disabled_reason = $1, epoch = $2, version = version + 1,
             updated_ms = $3, book_version = $4
         WHERE seq = $5",
        &[
            &reason.as_str(),
            &epoch_column(entry.endpoint.epoch),
            &now.as_millis(),
            &book_version,
            &entry.seq,
        ],
    )
    .await
    .map(drop)
}

/// Notes what a subscription wants from the event after `after` on. Two changes with no event in
/// between leave one note: nobody can tell them apart.
pub(crate) async fn write_history<C: GenericClient>(
    db: &Database<'_, C>,
    after: Position,
    entry: &BookEntry,
) -> Result<(), Failure> {
    let endpoint = &entry.endpoint;
    db.execute(
        "INSERT INTO subscription_history
             (subscription, after_position, company_id, event_types, enabled, epoch)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (subscription, after_position) DO UPDATE
         SET event_types = EXCLUDED.event_types, enabled = EXCLUDED.enabled,
             epoch = EXCLUDED.epoch",
        &[
            &entry.seq,
            &after,
            &endpoint.company.as_str(),
            &types_to_json(&entry.event_types),
            &endpoint.enabled,
            &epoch_column(endpoint.epoch),
        ],
    )
    .await
    .map(drop)
}

/// An epoch as its column has it.
pub(crate) fn epoch_column(epoch: u32) -> i32 {
    i32::try_from(epoch).expect("nobody disables a subscription two thousand million times")
}

/// A delivery rate as its column has it.
pub(crate) fn rate_column(rate: Option<MaxPerSecond>) -> Option<i32> {
    rate.map(|rate| i32::from(rate.get()))
}

/// An id as its column has it.
pub(crate) fn uuid_of(id: SubscriptionId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn unreadable() -> Failure {
    Failure::unreadable("subscription")
}
