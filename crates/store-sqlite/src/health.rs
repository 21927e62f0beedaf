//! How endpoints do: noted as the dispatcher finds it, and the end of a subscription whose endpoint
//! is gone or fails for too long.

use std::sync::Arc;

use tidings_domain::{
    breaker::EndpointHealth,
    event::Event,
    id::SubscriptionId,
    subscription::{DisabledReason, Endpoint},
    time::UtcMillis,
};

use tidings_store::audit_log;

use crate::{
    audit_rows,
    batch::{Batch, Effect},
    failure::Failure,
    memory::Entry,
    subscription_rows,
    subscriptions::{self, Target},
};

/// What is to be noted.
pub(crate) struct HealthNote {
    pub(crate) subscription: SubscriptionId,
    pub(crate) epoch: u32,
    pub(crate) health: EndpointHealth,
}

/// A subscription that is to be disabled.
pub(crate) struct Failing {
    pub(crate) subscription: SubscriptionId,
    pub(crate) epoch: u32,
    pub(crate) notice: Arc<Event>,
}

/// Notes how an endpoint does. Its subscription stays what it is, and so keeps its version.
pub(crate) fn note(batch: &mut Batch<'_, '_>, note: &HealthNote) -> Result<(), Failure> {
    let Some(entry) = live(batch, note.subscription, note.epoch) else {
        return Ok(());
    };
    let health = note.health;
    batch.db()?.execute(
        "UPDATE subscriptions SET breaker = ?, open_until_ms = ?, failing_since_ms = ?
         WHERE seq = ?",
        (
            health.breaker.as_str(),
            health.open_until.map(UtcMillis::as_millis),
            health.failing_since.map(UtcMillis::as_millis),
            entry.seq,
        ),
    )?;
    let noted = Entry {
        seq: entry.seq,
        endpoint: Arc::new(Endpoint {
            health,
            ..Endpoint::clone(&entry.endpoint)
        }),
        event_types: entry.event_types.clone(),
    };
    batch.afterwards(Effect::Put(Arc::new(noted)));
    Ok(())
}

/// Disables a subscription because its endpoint fails.
pub(crate) fn disable_failing<'b>(
    batch: &mut Batch<'_, 'b>,
    failing: &'b Failing,
) -> Result<(), Failure> {
    match live(batch, failing.subscription, failing.epoch) {
        Some(entry) => {
            let notice = &failing.notice;
            let reason = DisabledReason::Failing;
            end(batch, &entry, reason, notice.created(), Some(notice))
        }
        None => Ok(()),
    }
}

/// The server ends a subscription: what is pending there ends, and the company is told.
pub(crate) fn end<'b>(
    batch: &mut Batch<'_, 'b>,
    entry: &Entry,
    reason: DisabledReason,
    now: UtcMillis,
    notice: Option<&'b Arc<Event>>,
) -> Result<(), Failure> {
    let ended = entry.disabled();
    let target = Target {
        company: None,
        id: entry.endpoint.id,
    };
    let stored = subscriptions::find(batch, &target)?;
    let before = stored.ok_or_else(|| Failure::unreadable("subscription"))?;
    let db = batch.db()?;
    let line = audit_log::subscription_disabled(&before.subscription, reason, now);
    audit_rows::insert(db, &line)?;
    db.execute(
        "UPDATE subscriptions
         SET enabled = 0, disabled_reason = ?, epoch = ?, version = version + 1, updated_ms = ?
         WHERE seq = ?",
        (
            reason.as_str(),
            ended.endpoint.epoch,
            now.as_millis(),
            entry.seq,
        ),
    )?;
    subscription_rows::write_history(db, batch.head(), &ended)?;
    batch.end_owing(entry.seq, Effect::Put(Arc::new(ended)));
    if let Some(notice) = notice {
        let memory = batch.memory;
        batch.append(&memory.book.read(), notice, now);
        batch.announce(notice.company());
    }
    Ok(())
}

/// The subscription, if it is still in that epoch.
fn live(batch: &Batch<'_, '_>, id: SubscriptionId, epoch: u32) -> Option<Arc<Entry>> {
    let entry = batch.memory.book.read().by_id(id).cloned()?;
    (entry.endpoint.enabled && batch.is_live(Some(&entry), epoch)).then_some(entry)
}
