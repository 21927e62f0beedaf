//! Delivering again: one event on request, or a window of events.
//!
//! What it makes of the rounds that there are is in `tidings_store`.

use std::sync::Arc;

use tidings_domain::{
    company::CompanyId,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{Again, Position, Redelivered, ReplayScope};

use crate::{
    batch::{Batch, QueueRow},
    failure::Failure,
    memory::{Entry, Seq},
    queue_rows, round_rows,
};

/// Positions that one step of a replay takes; each step is a transaction of its own, so that a
/// long replay does not hold up publishing.
pub(crate) const REPLAY_STEP_MAX: usize = 500;

/// One event to one subscription.
pub(crate) struct Redelivery {
    pub(crate) company: Option<CompanyId>,
    pub(crate) event: EventId,
    pub(crate) subscription: SubscriptionId,
    pub(crate) now: UtcMillis,
}

/// One step of a replay.
pub(crate) struct ReplayStep {
    pub(crate) subscription: SubscriptionId,
    pub(crate) positions: Vec<Position>,
    pub(crate) scope: ReplayScope,
    pub(crate) now: UtcMillis,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// So many are owed by it.
    Queued(u64),
    /// The subscription was deleted meanwhile.
    NoSubscription,
    /// The subscription was disabled meanwhile.
    Disabled,
}

/// Owes an event once more, now.
pub(crate) fn redeliver(
    batch: &mut Batch<'_, '_>,
    redelivery: &Redelivery,
) -> Result<Redelivered, Failure> {
    let event: Option<(Position, String)> = batch.db()?.first(
        "SELECT position, company_id FROM events WHERE id = ?",
        [redelivery.event.as_bytes()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let wanted = redelivery.company.as_ref();
    let Some((position, company)) =
        event.filter(|(_, company)| wanted.is_none_or(|wanted| wanted.as_str() == company))
    else {
        return Ok(Redelivered::NoEvent);
    };
    let entry = batch
        .memory
        .book
        .read()
        .by_id(redelivery.subscription)
        .cloned();
    let Some(entry) = entry.filter(|entry| entry.endpoint.company.as_str() == company) else {
        return Ok(Redelivered::NoSubscription);
    };
    if !entry.endpoint.enabled {
        return Ok(Redelivered::Disabled);
    }
    let db = batch.db()?;
    let rounds = round_rows::rounds_of(&|sql: &str| db.statement(sql), &entry, position)?;
    let again = rounds.redelivered();
    do_again(batch, &entry, position, again, redelivery.now)?;
    Ok(Redelivered::Queued)
}

/// Owes the events at some positions once more, as far as the scope wants them.
pub(crate) fn replay_step(
    batch: &mut Batch<'_, '_>,
    step: &ReplayStep,
) -> Result<Stepped, Failure> {
    let entry = batch.memory.book.read().by_id(step.subscription).cloned();
    let Some(entry) = entry else {
        return Ok(Stepped::NoSubscription);
    };
    if !entry.endpoint.enabled {
        return Ok(Stepped::Disabled);
    }
    let mut queued = 0;
    for &position in &step.positions {
        queued += u64::from(replay_one(batch, &entry, position, step)?);
    }
    Ok(Stepped::Queued(queued))
}

fn replay_one(
    batch: &mut Batch<'_, '_>,
    entry: &Arc<Entry>,
    position: Position,
    step: &ReplayStep,
) -> Result<bool, Failure> {
    // Retention may have taken it since the window was read.
    let sql = "SELECT 1 FROM events WHERE position = ?";
    if batch.db()?.first(sql, [position], |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    let db = batch.db()?;
    let prepare = |sql: &str| db.statement(sql);
    let again = round_rows::replayed(&prepare, entry, position, step.scope)?;
    do_again(batch, entry, position, again, step.now)
}

/// True where something is owed by it.
fn do_again(
    batch: &mut Batch<'_, '_>,
    entry: &Entry,
    position: Position,
    again: Again,
    now: UtcMillis,
) -> Result<bool, Failure> {
    match again {
        Again::Owe { round } => owe(batch, entry, position, round, now),
        Again::Restart { waiting, round, .. } => {
            batch.db()?.execute(
                "UPDATE queue
                 SET round = ?1, due_ms = ?2, owed_since_ms = ?2, attempts = 0,
                     first_attempt_ms = NULL
                 WHERE position = ?3 AND subscription = ?4 AND round = ?5",
                (round, now.as_millis(), position, entry.seq, waiting),
            )?;
            batch.note_waiting(entry.seq, now.as_millis());
            batch.wake();
        }
        Again::Leave => return Ok(false),
    }
    Ok(true)
}

fn owe(batch: &mut Batch<'_, '_>, entry: &Entry, position: Position, round: u32, now: UtcMillis) {
    let subscription: Seq = entry.seq;
    batch.owe_waiting(QueueRow {
        position,
        subscription,
        round,
        due_ms: now.as_millis(),
        holder: queue_rows::FREE,
        epoch: entry.endpoint.epoch,
    });
}
