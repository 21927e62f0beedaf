//! Delivering again: one event on request, or a window of events.
//!
//! A new delivery of the same event to the same subscription is a new round. Where one waits for
//! its next attempt, it starts anew as the next round instead of being doubled.

use std::sync::Arc;

use tidings_domain::{
    company::CompanyId,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{Position, Redelivered, ReplayScope};

use crate::{
    batch::{Batch, QueueRow},
    failure::Failure,
    memory::{Entry, Seq},
    queue_rows,
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

/// What the queue has of an event for a subscription.
struct Rounds {
    /// The next one that was never used.
    next: u32,
    /// A live one that waits, and how often it was attempted.
    waiting: Option<(u32, u32)>,
    /// A live one in somebody's hands.
    in_flight: bool,
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
    let rounds = rounds_of(batch, &entry, position)?;
    match rounds.waiting {
        Some((round, attempts)) => {
            restart(
                batch,
                &entry,
                position,
                round,
                attempts,
                &rounds,
                redelivery.now,
            )?;
        }
        None => owe(batch, &entry, position, rounds.next, redelivery.now),
    }
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
    if !exists(batch, "SELECT 1 FROM events WHERE position = ?", [position])? {
        return Ok(false);
    }
    let rounds = rounds_of(batch, entry, position)?;
    match rounds.waiting {
        Some((round, attempts)) if attempts > 0 => {
            restart(batch, entry, position, round, attempts, &rounds, step.now)?;
            return Ok(true);
        }
        Some(_) => return Ok(false),
        None if rounds.in_flight => return Ok(false),
        None => {}
    }
    let succeeded = "SELECT 1 FROM attempts
         WHERE position = ? AND subscription = ? AND error IS NULL";
    if step.scope == ReplayScope::Failed && exists(batch, succeeded, (position, entry.seq))? {
        return Ok(false);
    }
    owe(batch, entry, position, rounds.next, step.now);
    Ok(true)
}

fn exists(
    batch: &mut Batch<'_, '_>,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<bool, Failure> {
    let found = batch.db()?.first(sql, params, |_| Ok(()))?;
    Ok(found.is_some())
}

fn rounds_of(
    batch: &mut Batch<'_, '_>,
    entry: &Entry,
    position: Position,
) -> Result<Rounds, Failure> {
    let db = batch.db()?;
    // Round 0 is the one that publishing makes, whether it did or not.
    let mut rounds = Rounds {
        next: 1,
        waiting: None,
        in_flight: false,
    };
    let attempted: Option<Option<u32>> = db.first(
        "SELECT max(round) FROM attempts WHERE position = ? AND subscription = ?",
        (position, entry.seq),
        |row| Ok(row.get(0)?),
    )?;
    if let Some(round) = attempted.flatten() {
        rounds.next = round + 1;
    }
    let mut statement = db.statement(
        "SELECT round, holder, epoch, attempts FROM queue
         WHERE position = ? AND subscription = ?",
    )?;
    let mut rows = statement.query((position, entry.seq))?;
    while let Some(row) = rows.next()? {
        let (round, holder): (u32, i64) = (row.get(0)?, row.get(1)?);
        let (epoch, attempts): (u32, u32) = (row.get(2)?, row.get(3)?);
        rounds.next = rounds.next.max(round + 1);
        if epoch == entry.endpoint.epoch {
            if holder == queue_rows::FREE {
                rounds.waiting = Some((round, attempts));
            } else {
                rounds.in_flight = true;
            }
        }
    }
    Ok(rounds)
}

/// Makes a waiting delivery due now: as a new round where it has been attempted.
fn restart(
    batch: &mut Batch<'_, '_>,
    entry: &Entry,
    position: Position,
    round: u32,
    attempts: u32,
    rounds: &Rounds,
    now: UtcMillis,
) -> Result<(), Failure> {
    let new_round = if attempts > 0 { rounds.next } else { round };
    batch.db()?.execute(
        "UPDATE queue
         SET round = ?1, due_ms = ?2, owed_since_ms = ?2, attempts = 0, first_attempt_ms = NULL
         WHERE position = ?3 AND subscription = ?4 AND round = ?5",
        (new_round, now.as_millis(), position, entry.seq, round),
    )?;
    batch.note_waiting(entry.seq, now.as_millis());
    batch.wake();
    Ok(())
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
