//! Changing subscriptions: made, changed, rotated, deleted. Each is a change of the book.
//!
//! Disabling and deleting take the same time whatever is owed: the epoch moves on, and rows of an
//! earlier epoch are dead from then on. [`crate::tidy`] takes them away.

use tidings_domain::{
    actor::Actor,
    company::CompanyId,
    id::SubscriptionId,
    secret::Secret,
    subscription::{DisabledReason, SigningSecrets, Subscription},
    time::UtcMillis,
};
use tidings_store::{
    BookEntry, Deleted, NewSubscription, Rotated, Seq, StoredSubscription, SubscriptionChange,
    Updated, audit_log as lines, types_to_json,
};

use crate::{
    audit_log,
    book_change::{self, BookChange},
    database,
    failure::Failure,
    store::Inner,
    subscription_rows,
};

/// Names a subscription; `company` none for whoever's it is.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    pub(crate) company: Option<&'t CompanyId>,
    pub(crate) id: SubscriptionId,
}

/// A change of one, if it still has the version.
pub(crate) struct Update<'t> {
    pub(crate) target: Target<'t>,
    pub(crate) expected_version: Option<i64>,
    pub(crate) change: SubscriptionChange,
    pub(crate) now: UtcMillis,
    pub(crate) by: &'t Actor,
}

/// A rotation of one's secret.
pub(crate) struct Rotation<'t> {
    pub(crate) target: Target<'t>,
    pub(crate) secret: Secret,
    pub(crate) now: UtcMillis,
    pub(crate) previous_until: UtcMillis,
    pub(crate) by: &'t Actor,
}

/// Makes a subscription.
pub(crate) async fn create(
    inner: &Inner,
    new: &NewSubscription,
    by: &Actor,
) -> Result<Subscription, Failure> {
    const FIRST_EPOCH: u32 = 0;
    let subscription = new.to_subscription();
    let memory = &inner.memory;
    let mut client = database::borrow(&inner.pool).await?;
    let change = BookChange::begin(&mut client, &memory.metrics).await?;
    let inserted = change
        .db()
        .first(
            "INSERT INTO subscriptions
                 (id, company_id, url, event_types, description, enabled, managed_by, created_ms,
                  updated_ms, version, epoch, secret, book_version, max_per_second)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             RETURNING seq",
            &[
                &subscription_rows::uuid_of(new.id),
                &new.company.as_str(),
                &new.url.as_str(),
                &types_to_json(&new.event_types),
                &new.description.as_ref().map(String::as_bytes),
                &new.enabled,
                &new.managed_by.as_str(),
                &new.now.as_millis(),
                &new.now.as_millis(),
                &subscription.version,
                &subscription_rows::epoch_column(FIRST_EPOCH),
                &memory.sealer.seal_secret(new.id, &new.secret),
                &change.version,
                &subscription_rows::rate_column(new.max_per_second),
            ],
        )
        .await?;
    let seq: Seq = inserted
        .ok_or_else(|| Failure::Broken("a new subscription got no number".to_owned()))?
        .get(0);
    let secrets = SigningSecrets {
        newest: new.secret.clone(),
        previous: None,
    };
    let entry = BookEntry::new(seq, &subscription, secrets, FIRST_EPOCH);
    subscription_rows::write_history(&change.db(), change.head, &entry).await?;
    audit_log::write(
        &change.db(),
        &lines::subscription_created(&subscription, by),
    )
    .await?;
    change.commit().await?;
    drop(client);
    book_change::take_in(inner).await;
    Ok(subscription)
}

/// Changes a subscription. What makes no difference makes no new version.
pub(crate) async fn update(inner: &Inner, update: &Update<'_>) -> Result<Updated, Failure> {
    let memory = &inner.memory;
    let mut client = database::borrow(&inner.pool).await?;
    let change = BookChange::begin(&mut client, &memory.metrics).await?;
    let found = find(&change, update.target).await?;
    let Some(stored) = found.filter(|stored| !stored.deleted) else {
        return Ok(Updated::NotFound);
    };
    let before = &stored.subscription;
    if update
        .expected_version
        .is_some_and(|version| version != before.version)
    {
        return Ok(Updated::Stale);
    }
    let mut after = update.change.applied_to(before);
    if after == *before {
        return Ok(Updated::Changed(after));
    }
    after.version += 1;
    after.updated = update.now;
    let epoch = stored.epoch + u32::from(before.enabled && !after.enabled);
    let secrets = stored.secrets(&memory.sealer)?;
    let entry = BookEntry::new(stored.seq, &after, secrets, epoch);
    write(&change, &after, &entry).await?;
    if after.event_types != before.event_types || after.enabled != before.enabled {
        subscription_rows::write_history(&change.db(), change.head, &entry).await?;
    }
    if let Some(line) = lines::subscription_changed(before, &after, update.now, update.by) {
        audit_log::write(&change.db(), &line).await?;
    }
    change.commit().await?;
    drop(client);
    book_change::take_in(inner).await;
    Ok(Updated::Changed(after))
}

/// Writes everything of a subscription that a change can touch.
async fn write(
    change: &BookChange<'_>,
    subscription: &Subscription,
    entry: &BookEntry,
) -> Result<(), Failure> {
    change
        .db()
        .execute(
            "UPDATE subscriptions
             SET url = $1, event_types = $2, description = $3, enabled = $4, disabled_reason = $5,
                 updated_ms = $6, version = $7, epoch = $8, book_version = $9,
                 max_per_second = $10, breaker = $11, open_until_ms = $12, failing_since_ms = $13
             WHERE seq = $14",
            &[
                &subscription.url.as_str(),
                &types_to_json(&subscription.event_types),
                &subscription.description.as_ref().map(String::as_bytes),
                &subscription.enabled,
                &subscription.disabled_reason.map(DisabledReason::as_str),
                &subscription.updated.as_millis(),
                &subscription.version,
                &subscription_rows::epoch_column(entry.endpoint.epoch),
                &change.version,
                &subscription_rows::rate_column(subscription.max_per_second),
                &subscription.health.breaker.as_str(),
                &subscription.health.open_until.map(UtcMillis::as_millis),
                &subscription.health.failing_since.map(UtcMillis::as_millis),
                &entry.seq,
            ],
        )
        .await
        .map(drop)
}

/// Deletes a subscription; the row stays for its attempts, without its secrets.
pub(crate) async fn delete(
    inner: &Inner,
    target: Target<'_>,
    now: UtcMillis,
    by: &Actor,
) -> Result<Deleted, Failure> {
    let mut client = database::borrow(&inner.pool).await?;
    let change = BookChange::begin(&mut client, &inner.memory.metrics).await?;
    let Some(stored) = find(&change, target).await? else {
        return Ok(Deleted::NeverWas);
    };
    if stored.deleted {
        return Ok(Deleted::Gone);
    }
    change
        .db()
        .execute(
            "UPDATE subscriptions
             SET deleted_ms = $1, epoch = epoch + 1, secret = NULL, previous_secret = NULL,
                 previous_until_ms = NULL, book_version = $2
             WHERE seq = $3",
            &[&now.as_millis(), &change.version, &stored.seq],
        )
        .await?;
    let line = lines::subscription_deleted(&stored.subscription, now, by);
    audit_log::write(&change.db(), &line).await?;
    change.commit().await?;
    drop(client);
    book_change::take_in(inner).await;
    Ok(Deleted::Gone)
}

/// Puts a new secret in front. The subscription as its company sees it does not change by that,
/// and so keeps its version.
pub(crate) async fn rotate(inner: &Inner, rotation: &Rotation<'_>) -> Result<Rotated, Failure> {
    let sealer = &inner.memory.sealer;
    let mut client = database::borrow(&inner.pool).await?;
    let change = BookChange::begin(&mut client, &inner.memory.metrics).await?;
    let found = find(&change, rotation.target).await?;
    let Some(stored) = found.filter(|stored| !stored.deleted) else {
        return Ok(Rotated::NotFound);
    };
    let secrets = stored.secrets(sealer)?.rotated(
        rotation.secret.clone(),
        rotation.now,
        rotation.previous_until,
    );
    let seal = |secret: &Secret| sealer.seal_secret(stored.subscription.id, secret);
    let previous = secrets.previous.as_ref();
    change
        .db()
        .execute(
            "UPDATE subscriptions
             SET secret = $1, previous_secret = $2, previous_until_ms = $3, book_version = $4
             WHERE seq = $5",
            &[
                &seal(&secrets.newest),
                &previous.map(|(secret, _)| seal(secret)),
                &previous.map(|(_, until)| until.as_millis()),
                &change.version,
                &stored.seq,
            ],
        )
        .await?;
    let Rotation {
        previous_until,
        now,
        ..
    } = *rotation;
    let line = lines::secret_rotated(&stored.subscription, previous_until, now, rotation.by);
    audit_log::write(&change.db(), &line).await?;
    change.commit().await?;
    drop(client);
    book_change::take_in(inner).await;
    Ok(Rotated::Done)
}

/// The row, deleted or not; none where it is another company's.
async fn find(
    change: &BookChange<'_>,
    target: Target<'_>,
) -> Result<Option<StoredSubscription>, Failure> {
    let stored = subscription_rows::find(&change.db(), target.id).await?;
    Ok(stored.filter(|stored| {
        let company = &stored.subscription.company;
        target.company.is_none_or(|wanted| wanted == company)
    }))
}
