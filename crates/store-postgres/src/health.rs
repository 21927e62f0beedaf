//! How endpoints do: noted as a dispatcher finds it, and the end of a subscription whose endpoint
//! fails for too long. Both are changes of the book, so that every node knows.

use std::sync::{Arc, atomic::Ordering};

use tidings_domain::{
    breaker::EndpointHealth, event::Event, id::SubscriptionId, subscription::DisabledReason,
    time::UtcMillis,
};
use tidings_store::{BookEntry, StoredSubscription, audit_log as lines};

use crate::{
    append::{self, Ground},
    audit_log,
    book_change::{self, BookChange},
    database,
    failure::Failure,
    store::Inner,
    subscription_rows::{self, epoch_column, uuid_of},
};

/// How often the end of a subscription is prepared anew because memory was behind.
const STALE_TRIES_MAX: u32 = 20;

/// Notes how an endpoint does. Its subscription stays what it is, and so keeps its version.
pub(crate) async fn note(
    inner: &Inner,
    subscription: SubscriptionId,
    epoch: u32,
    health: EndpointHealth,
) -> Result<(), Failure> {
    let mut client = database::borrow(&inner.pool).await?;
    let change = BookChange::begin(&mut client, &inner.memory.metrics).await?;
    let noted = change
        .db()
        .execute(
            "UPDATE subscriptions
             SET breaker = $1, open_until_ms = $2, failing_since_ms = $3, book_version = $4
             WHERE id = $5 AND epoch = $6 AND enabled AND deleted_ms IS NULL",
            &[
                &health.breaker.as_str(),
                &health.open_until.map(UtcMillis::as_millis),
                &health.failing_since.map(UtcMillis::as_millis),
                &change.version,
                &uuid_of(subscription),
                &epoch_column(epoch),
            ],
        )
        .await?;
    if noted == 0 {
        return Ok(());
    }
    change.commit().await?;
    drop(client);
    book_change::take_in(inner).await;
    Ok(())
}

/// What became of one try to end a subscription.
enum Ended {
    Done,
    /// Memory was behind: nothing was done.
    Stale,
}

/// Disables a subscription because its endpoint fails, and tells the company.
pub(crate) async fn disable_failing(
    inner: &Inner,
    subscription: SubscriptionId,
    epoch: u32,
    notice: &Arc<Event>,
) -> Result<(), Failure> {
    for _ in 0..STALE_TRIES_MAX {
        match end(inner, subscription, epoch, notice).await? {
            Ended::Done => return Ok(()),
            Ended::Stale => inner.refresh().await?,
        }
    }
    Err(Failure::Unavailable(
        "subscriptions change faster than one can be ended".to_owned(),
    ))
}

async fn end(
    inner: &Inner,
    subscription: SubscriptionId,
    epoch: u32,
    notice: &Arc<Event>,
) -> Result<Ended, Failure> {
    let memory = &inner.memory;
    let known = memory.book_version.load(Ordering::Acquire);
    let mut client = database::borrow(&inner.pool).await?;
    let change = BookChange::begin(&mut client, &memory.metrics).await?;
    if change.version != known + 1 {
        return Ok(Ended::Stale);
    }
    let found = subscription_rows::find(&change.db(), subscription).await?;
    let is_live = |stored: &StoredSubscription| {
        stored.epoch == epoch && stored.subscription.enabled && !stored.deleted
    };
    let Some(stored) = found.filter(is_live) else {
        return Ok(Ended::Done);
    };
    let secrets = stored.secrets(&memory.sealer)?;
    let ended = BookEntry::new(stored.seq, &stored.subscription, secrets, stored.epoch).disabled();
    let (reason, now) = (DisabledReason::Failing, notice.created());
    subscription_rows::disable(&change.db(), &ended, reason, now, change.version).await?;
    subscription_rows::write_history(&change.db(), change.head, &ended).await?;
    let line = lines::subscription_disabled(&stored.subscription, reason, now);
    audit_log::write(&change.db(), &line).await?;
    let ground = Ground {
        lease_version: lease_version(&change).await?,
        // Who has a lease is the writer's to know: the notice waits for a claim.
        holder: None,
    };
    let staged = append::Staged::notice(
        memory,
        &ground,
        (notice, notice.created()),
        &[stored.seq],
        change.version,
    );
    let appended = change.db().first(&append::APPEND, &staged.params()).await?;
    let Some(row) = appended else {
        // A refresh fell between: the notice was matched against another version.
        return Ok(Ended::Stale);
    };
    let base = row.get(0);
    change.commit().await?;
    drop(client);
    // The book first: who is woken by the notice finds the subscription ended.
    book_change::take_in(inner).await;
    staged.follow_up(memory, base);
    Ok(Ended::Done)
}

/// Stands still while the head is held.
async fn lease_version(change: &BookChange<'_>) -> Result<i64, Failure> {
    let sql = "SELECT lease_version FROM log_heads WHERE shard = 0";
    let row = change.db().first(sql, &[]).await?;
    let row = row.ok_or_else(|| Failure::Broken("the log has no head".to_owned()))?;
    Ok(row.get(0))
}
