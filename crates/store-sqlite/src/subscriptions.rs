//! Changing subscriptions: made, changed, rotated, deleted. Each in a transaction of its own.
//!
//! Disabling and deleting take the same time whatever is owed: the epoch moves on, and rows of an
//! earlier epoch are dead from then on. [`crate::tidy`] takes them away.

use tidings_domain::{
    actor::Actor,
    company::CompanyId,
    id::SubscriptionId,
    secret::Secret,
    subscription::{DisabledReason, MaxPerSecond, SigningSecrets, Subscription},
    time::UtcMillis,
};
use tidings_store::{
    Deleted, NewSubscription, Rotated, StoredSubscription, SubscriptionChange, Updated, audit_log,
    types_to_json,
};

use crate::{
    audit_rows,
    batch::{Batch, Effect},
    failure::Failure,
    memory::Entry,
    subscription_rows,
};

/// Names a subscription; `company` none for whoever's it is.
pub(crate) struct Target {
    pub(crate) company: Option<CompanyId>,
    pub(crate) id: SubscriptionId,
}

/// A change of one, if it still has the version.
pub(crate) struct Update {
    pub(crate) target: Target,
    pub(crate) expected_version: Option<i64>,
    pub(crate) change: SubscriptionChange,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// A rotation of one's secret.
pub(crate) struct Rotation {
    pub(crate) target: Target,
    pub(crate) secret: Secret,
    pub(crate) now: UtcMillis,
    pub(crate) previous_until: UtcMillis,
    pub(crate) by: Actor,
}

/// The end of one.
pub(crate) struct Deletion {
    pub(crate) target: Target,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// Makes a subscription.
pub(crate) fn create(
    batch: &mut Batch<'_, '_>,
    (new, by): &(NewSubscription, Actor),
) -> Result<Subscription, Failure> {
    const FIRST_EPOCH: u32 = 0;
    let subscription = new.to_subscription();
    let db = batch.db()?;
    let mut statement = db.statement(
        "INSERT INTO subscriptions
             (id, company_id, url, event_types, description, enabled, managed_by, created_ms,
              updated_ms, version, epoch, secret, max_per_second)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let seq = statement.insert((
        new.id.as_bytes(),
        new.company.as_str(),
        new.url.as_str(),
        types_to_json(&new.event_types),
        &new.description,
        new.enabled,
        new.managed_by.as_str(),
        new.now.as_millis(),
        new.now.as_millis(),
        subscription.version,
        FIRST_EPOCH,
        batch.memory.sealer.seal_secret(new.id, &new.secret),
        new.max_per_second.map(MaxPerSecond::get),
    ))?;
    let secrets = SigningSecrets {
        newest: new.secret.clone(),
        previous: None,
    };
    let entry = Entry::new(seq, &subscription, secrets, FIRST_EPOCH);
    subscription_rows::write_history(db, batch.head(), &entry)?;
    audit_rows::insert(db, &audit_log::subscription_created(&subscription, by))?;
    batch.afterwards(Effect::Put(entry.into()));
    Ok(subscription)
}

/// Changes a subscription. What makes no difference makes no new version.
pub(crate) fn update(batch: &mut Batch<'_, '_>, update: &Update) -> Result<Updated, Failure> {
    let Some(stored) = find(batch, &update.target)?.filter(|stored| !stored.deleted) else {
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
    let ends = before.enabled && !after.enabled;
    let epoch = stored.epoch + u32::from(ends);
    let db = batch.db()?;
    db.execute(
        "UPDATE subscriptions
         SET url = ?, event_types = ?, description = ?, enabled = ?, disabled_reason = ?,
             updated_ms = ?, version = ?, epoch = ?, max_per_second = ?, breaker = ?,
             open_until_ms = ?, failing_since_ms = ?
         WHERE seq = ?",
        (
            after.url.as_str(),
            types_to_json(&after.event_types),
            &after.description,
            after.enabled,
            after.disabled_reason.map(DisabledReason::as_str),
            after.updated.as_millis(),
            after.version,
            epoch,
            after.max_per_second.map(MaxPerSecond::get),
            after.health.breaker.as_str(),
            after.health.open_until.map(UtcMillis::as_millis),
            after.health.failing_since.map(UtcMillis::as_millis),
            stored.seq,
        ),
    )?;
    let secrets = secrets_of(batch, &stored)?;
    let entry = Entry::new(stored.seq, &after, secrets, epoch);
    if after.event_types != before.event_types || after.enabled != before.enabled {
        subscription_rows::write_history(db, batch.head(), &entry)?;
    }
    if let Some(line) = audit_log::subscription_changed(before, &after, update.now, &update.by) {
        audit_rows::insert(db, &line)?;
    }
    let effect = Effect::Put(entry.into());
    // Who has left the endpoint alone may have to change its mind.
    batch.wake();
    if ends {
        batch.end_owing(stored.seq, effect);
    } else {
        batch.afterwards(effect);
    }
    Ok(Updated::Changed(after))
}

/// Deletes a subscription; the row stays for its attempts, without its secrets.
pub(crate) fn delete(batch: &mut Batch<'_, '_>, deletion: &Deletion) -> Result<Deleted, Failure> {
    let Deletion { target, now, by } = deletion;
    let Some(stored) = find(batch, target)? else {
        return Ok(Deleted::NeverWas);
    };
    if !stored.deleted {
        let db = batch.db()?;
        let line = audit_log::subscription_deleted(&stored.subscription, *now, by);
        audit_rows::insert(db, &line)?;
        db.execute(
            "UPDATE subscriptions
             SET deleted_ms = ?, epoch = epoch + 1, secret = NULL, previous_secret = NULL,
                 previous_until_ms = NULL
             WHERE seq = ?",
            (now.as_millis(), stored.seq),
        )?;
        batch.wake();
        batch.end_owing(stored.seq, Effect::Remove(stored.seq));
    }
    Ok(Deleted::Gone)
}

/// Puts a new secret in front. The subscription as its company sees it does not change by that,
/// and so keeps its version.
pub(crate) fn rotate(batch: &mut Batch<'_, '_>, rotation: &Rotation) -> Result<Rotated, Failure> {
    let Some(stored) = find(batch, &rotation.target)?.filter(|stored| !stored.deleted) else {
        return Ok(Rotated::NotFound);
    };
    let secrets = secrets_of(batch, &stored)?.rotated(
        rotation.secret.clone(),
        rotation.now,
        rotation.previous_until,
    );
    let seal = |secret| {
        let id = stored.subscription.id;
        batch.memory.sealer.seal_secret(id, secret)
    };
    let newest = seal(&secrets.newest);
    let (previous, until) = match &secrets.previous {
        Some((secret, until)) => (Some(seal(secret)), Some(until.as_millis())),
        None => (None, None),
    };
    let db = batch.db()?;
    db.execute(
        "UPDATE subscriptions SET secret = ?, previous_secret = ?, previous_until_ms = ?
         WHERE seq = ?",
        (newest, previous, until, stored.seq),
    )?;
    let subscription = &stored.subscription;
    let Rotation {
        previous_until,
        now,
        by,
        ..
    } = rotation;
    let line = audit_log::secret_rotated(subscription, *previous_until, *now, by);
    audit_rows::insert(db, &line)?;
    let entry = Entry::new(stored.seq, subscription, secrets, stored.epoch);
    batch.afterwards(Effect::Put(entry.into()));
    Ok(Rotated::Done)
}

/// The row, deleted or not; none where it is another company's.
pub(crate) fn find(
    batch: &mut Batch<'_, '_>,
    target: &Target,
) -> Result<Option<StoredSubscription>, Failure> {
    let columns = subscription_rows::COLUMNS;
    let stored = batch.db()?.first(
        &format!("SELECT {columns} FROM subscriptions WHERE id = ?"),
        [target.id.as_bytes()],
        subscription_rows::read,
    )?;
    Ok(stored.filter(|stored| {
        let company = &stored.subscription.company;
        target
            .company
            .as_ref()
            .is_none_or(|wanted| wanted == company)
    }))
}

/// The secrets as memory has them.
fn secrets_of(
    batch: &Batch<'_, '_>,
    stored: &StoredSubscription,
) -> Result<SigningSecrets, Failure> {
    let book = batch.memory.book.read();
    match book.by_seq(stored.seq) {
        Some(entry) => Ok(entry.endpoint.secrets.clone()),
        None => Err(Failure::Broken(
            "a subscription is not in memory".to_owned(),
        )),
    }
}
