//! Rows of subscriptions and of their history: how they are written and read.

use std::sync::Arc;

use rusqlite::Row;
use tidings_domain::{
    company::CompanyId,
    event_type::EventTypePattern,
    id::SubscriptionId,
    secret::Secret,
    subscription::{DisabledReason, Endpoint, EventTypes, ManagedBy, SigningSecrets, Subscription},
    target::TargetUrl,
    time::UtcMillis,
};
use tidings_store::{Position, Sealed, Sealer};

use crate::{
    database::Database,
    failure::Failure,
    memory::{Entry, Seq},
};

/// The columns that [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "seq, id, company_id, url, event_types, description, enabled, \
     disabled_reason, managed_by, created_ms, updated_ms, version, epoch, secret, \
     previous_secret, previous_until_ms, deleted_ms";

/// A row as it is.
pub(crate) struct StoredSubscription {
    pub(crate) seq: Seq,
    pub(crate) subscription: Subscription,
    pub(crate) epoch: u32,
    pub(crate) deleted: bool,
    secret: Option<Sealed>,
    previous: Option<(Sealed, UtcMillis)>,
}

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<StoredSubscription, Failure> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(|_| unreadable());
    let previous_until: Option<i64> = row.get(15)?;
    let previous: Option<Sealed> = row.get(14)?;
    let reason: Option<String> = row.get(7)?;
    Ok(StoredSubscription {
        seq: row.get(0)?,
        subscription: Subscription {
            id: SubscriptionId::from_bytes(row.get(1)?),
            company: CompanyId::parse(text(2)?).map_err(|_| unreadable())?,
            url: TargetUrl::from_stored(text(3)?).map_err(|_| unreadable())?,
            event_types: parse_types(text(4)?)?,
            description: row.get(5)?,
            enabled: row.get(6)?,
            disabled_reason: reason
                .map(|word| DisabledReason::parse(&word).ok_or_else(unreadable))
                .transpose()?,
            managed_by: ManagedBy::parse(text(8)?).ok_or_else(unreadable)?,
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

impl StoredSubscription {
    /// What publishing and dispatching need, secrets opened.
    pub(crate) fn to_entry(&self, sealer: &Sealer) -> Result<Entry, Failure> {
        let subscription = &self.subscription;
        let open = |secret: &Sealed| open(sealer, subscription.id, secret);
        let newest = self.secret.as_ref().ok_or_else(unreadable)?;
        let secrets = SigningSecrets {
            newest: open(newest)?,
            previous: match &self.previous {
                Some((secret, until)) => Some((open(secret)?, *until)),
                None => None,
            },
        };
        Ok(entry_of(self.seq, subscription, secrets, self.epoch))
    }
}

/// What publishing and dispatching need of a subscription.
pub(crate) fn entry_of(
    seq: Seq,
    subscription: &Subscription,
    secrets: SigningSecrets,
    epoch: u32,
) -> Entry {
    Entry {
        seq,
        endpoint: Arc::new(Endpoint {
            id: subscription.id,
            company: subscription.company.clone(),
            url: subscription.url.clone(),
            secrets,
            enabled: subscription.enabled,
            epoch,
        }),
        event_types: subscription.event_types.clone(),
    }
}

/// Seals a secret for the subscription it belongs to.
pub(crate) fn seal(sealer: &Sealer, id: SubscriptionId, secret: &Secret) -> Sealed {
    sealer.seal(id.as_bytes(), secret.expose())
}

fn open(sealer: &Sealer, id: SubscriptionId, secret: &Sealed) -> Result<Secret, Failure> {
    let plain = sealer.open(id.as_bytes(), secret);
    let plain = plain.map_err(|error| Failure::Broken(error.to_string()))?;
    Secret::parse(&plain).map_err(|_| unreadable())
}

/// The number of a subscription, deleted ones included.
pub(crate) fn seq_of(db: &Database, id: SubscriptionId) -> Result<Option<Seq>, Failure> {
    db.first(
        "SELECT seq FROM subscriptions WHERE id = ?",
        [id.as_bytes()],
        |row| Ok(row.get(0)?),
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
            types_json(&entry.event_types),
            entry.endpoint.enabled,
            entry.endpoint.epoch,
        ),
    )
    .map(drop)
}

/// The stored form of a list of patterns.
pub(crate) fn types_json(types: &EventTypes) -> String {
    serde_json::to_string(types).expect("a list of strings always has a JSON form")
}

/// Reads the stored form back.
pub(crate) fn parse_types(json: &str) -> Result<EventTypes, Failure> {
    let words: Vec<String> = serde_json::from_str(json).map_err(|_| unreadable())?;
    let patterns: Result<Vec<_>, _> = words
        .iter()
        .map(|word| EventTypePattern::parse(word))
        .collect();
    EventTypes::new(patterns.map_err(|_| unreadable())?).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    Failure::unreadable("subscription")
}
