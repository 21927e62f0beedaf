//! Settling: attempts into the log, deliveries out of the queue or on to their next time; and
//! letting go of deliveries without an attempt.
//!
//! Most settlements end their delivery, so those rows are deleted with few statements; every
//! statement acts only on rows that the settling lease holds.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use tidings_domain::{
    company::CompanyId, subscription::DisabledReason, time::UtcMillis, verdict::Verdict,
};
use tidings_store::{DeliveryKey, LeaseId, Settled};

use crate::{
    attempt_rows::{AttemptRow, Line},
    batch::Batch,
    bulk::{self, Bulk},
    failure::Failure,
    health,
    memory::{Entry, Seq},
    queue_rows::{self, Held},
    subscription_rows,
};

pub(crate) static DELETE: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "WITH done(p, s, r) AS (VALUES",
        3,
        ") DELETE FROM queue
         WHERE (position, subscription, round) IN (SELECT p, s, r FROM done) AND holder = ?",
    )
});

/// A settlement with what is known of its subscription.
struct Case<'b> {
    line: &'b Line,
    /// Its number and whose it is; none where there never was such a subscription.
    subscription: Option<(Seq, CompanyId)>,
    entry: Option<Arc<Entry>>,
    /// Whether its row was deleted at once; none where it was not tried.
    deleted: Option<bool>,
}

/// What was attempted.
pub(crate) struct Outcomes {
    pub(crate) lines: Vec<Line>,
}

/// Records attempts. Answers in the order of the lines.
pub(crate) fn settle<'b>(
    batch: &mut Batch<'_, 'b>,
    outcomes: &'b Outcomes,
) -> Result<Vec<Settled>, Failure> {
    let mut cases = look_up(batch, &outcomes.lines)?;
    delete_finished(batch, &mut cases)?;
    cases.iter().map(|case| settle_one(batch, case)).collect()
}

/// Frees deliveries without an attempt, or drops those that were ended.
pub(crate) fn release<'b>(
    batch: &mut Batch<'_, 'b>,
    (lease, keys): &'b (LeaseId, Vec<DeliveryKey>),
) -> Result<(), Failure> {
    let db = batch.db()?;
    for key in keys {
        let entry = batch.memory.book.read().by_id(key.subscription).cloned();
        let Some((subscription, _)) = owner_of(batch, entry.as_ref(), *key)? else {
            continue;
        };
        let place = Held {
            position: key.position,
            subscription,
            round: key.round,
            holder: lease.0,
        };
        let epoch = entry
            .filter(|entry| batch.is_live(Some(entry), entry.endpoint.epoch))
            .map(|entry| entry.endpoint.epoch);
        let freed = db.first(
            "UPDATE queue SET holder = 0
             WHERE position = ?1 AND subscription = ?2 AND round = ?3 AND holder = ?4
                 AND epoch = ?5
             RETURNING due_ms",
            (
                place.position,
                place.subscription,
                place.round,
                place.holder,
                epoch,
            ),
            |row| Ok(row.get(0)?),
        )?;
        if let Some(due_ms) = freed {
            batch.note_waiting(subscription, due_ms);
        } else {
            queue_rows::end(db, place)?;
        }
    }
    Ok(())
}

fn look_up<'b>(batch: &mut Batch<'_, 'b>, lines: &'b [Line]) -> Result<Vec<Case<'b>>, Failure> {
    let mut cases = Vec::with_capacity(lines.len());
    for line in lines {
        let key = line.settlement.key;
        let entry = batch.memory.book.read().by_id(key.subscription).cloned();
        cases.push(Case {
            line,
            subscription: owner_of(batch, entry.as_ref(), key)?,
            entry,
            deleted: None,
        });
    }
    Ok(cases)
}

/// The number of a delivery's subscription and whose it is, deleted ones included.
fn owner_of(
    batch: &mut Batch<'_, '_>,
    entry: Option<&Arc<Entry>>,
    key: DeliveryKey,
) -> Result<Option<(Seq, CompanyId)>, Failure> {
    match entry {
        Some(entry) => Ok(Some((entry.seq, entry.endpoint.company.clone()))),
        None => subscription_rows::owner_of(batch.db()?, key.subscription),
    }
}

/// Deletes the rows of all deliveries that end whatever else this command does, and notes which
/// were there.
fn delete_finished(batch: &mut Batch<'_, '_>, cases: &mut [Case<'_>]) -> Result<(), Failure> {
    let finished = |batch: &Batch<'_, '_>, case: &Case<'_>| {
        let settlement = &case.line.settlement;
        case.subscription.is_some()
            && (!matches!(settlement.verdict, Verdict::RetryAt(_))
                || !batch.is_live(case.entry.as_ref(), settlement.epoch))
    };
    let mut by_lease: HashMap<LeaseId, Vec<usize>> = HashMap::new();
    for (n, case) in cases.iter().enumerate() {
        if finished(batch, case) {
            by_lease
                .entry(case.line.settlement.lease)
                .or_default()
                .push(n);
        }
    }
    for (lease, numbers) in by_lease {
        let mut rest = &numbers[..];
        while !rest.is_empty() {
            let (chunk, beyond) = rest.split_at(bulk::chunk_len(rest.len()));
            delete_chunk(batch, cases, lease, chunk)?;
            rest = beyond;
        }
    }
    Ok(())
}

/// Deletes some rows in one statement, on the expectation that all of them are there. Where that
/// is not so, the batch is run again carefully, to learn which ones are not.
fn delete_chunk(
    batch: &mut Batch<'_, '_>,
    cases: &mut [Case<'_>],
    lease: LeaseId,
    chunk: &[usize],
) -> Result<(), Failure> {
    let db = batch.db()?;
    if batch.is_careful() || chunk.len() == 1 {
        for &n in chunk {
            cases[n].deleted = Some(queue_rows::delete(db, place_of(&cases[n]))?);
        }
        return Ok(());
    }
    let deleted = DELETE.execute_chunk(
        db,
        chunk,
        |binder, &n| {
            let place = place_of(&cases[n]);
            binder.bind(place.position)?;
            binder.bind(place.subscription)?;
            binder.bind(place.round)
        },
        &[lease.0],
    )?;
    if deleted != chunk.len() {
        return Err(Failure::NotAllHeld);
    }
    for &n in chunk {
        cases[n].deleted = Some(true);
    }
    Ok(())
}

/// The row of a case, held by who settles it.
fn place_of(case: &Case<'_>) -> Held {
    let settlement = &case.line.settlement;
    Held {
        position: settlement.key.position,
        // No subscription has the number 0.
        subscription: case.subscription.as_ref().map_or(0, |(seq, _)| *seq),
        round: settlement.key.round,
        holder: settlement.lease.0,
    }
}

fn settle_one<'b>(batch: &mut Batch<'_, 'b>, case: &Case<'b>) -> Result<Settled, Failure> {
    let settlement = &case.line.settlement;
    // Asked again for each: one before it may have ended the subscription.
    let live = batch.is_live(case.entry.as_ref(), settlement.epoch);
    let Some((subscription, company)) = case.subscription.clone() else {
        return Ok(Settled::LeaseLost);
    };
    let mut row = AttemptRow {
        line: case.line,
        subscription,
        company,
        next_attempt: None,
        ended: false,
    };
    let done = match (case.deleted, settlement.verdict) {
        (None, Verdict::RetryAt(due)) if live => {
            row.next_attempt = Some(due);
            retry(batch, case, due)?
        }
        (None, _) => queue_rows::delete(batch.db()?, place_of(case))?,
        (Some(deleted), _) => {
            if deleted && live {
                batch.owe_less(subscription, 1);
            }
            deleted
        }
    };
    if !done {
        return Ok(Settled::LeaseLost);
    }
    row.ended = !live && matches!(settlement.verdict, Verdict::RetryAt(_));
    batch.log_attempt(row);
    match &case.entry {
        Some(entry) if live => {
            if settlement.verdict == Verdict::Gone {
                end_gone(batch, case.line, entry)?;
            }
            Ok(Settled::Recorded)
        }
        _ => Ok(Settled::Ended),
    }
}

fn retry(batch: &mut Batch<'_, '_>, case: &Case<'_>, due: UtcMillis) -> Result<bool, Failure> {
    let settlement = &case.line.settlement;
    let place = place_of(case);
    let updated = batch.db()?.execute(
        "UPDATE queue SET holder = 0, due_ms = ?, attempts = ?, first_attempt_ms = ?
         WHERE position = ? AND subscription = ? AND round = ? AND holder = ?",
        (
            due.as_millis(),
            settlement.attempt.number,
            settlement.first_attempt.as_millis(),
            place.position,
            place.subscription,
            place.round,
            place.holder,
        ),
    )?;
    if updated == 1 {
        batch.note_waiting(place.subscription, due.as_millis());
    }
    Ok(updated == 1)
}

/// The receiver is gone for good: the subscription ends, and the company is told.
fn end_gone<'b>(batch: &mut Batch<'_, 'b>, line: &'b Line, entry: &Entry) -> Result<(), Failure> {
    let attempt = &line.settlement.attempt;
    let notice = line.settlement.notice.as_ref();
    // A settlement says when its attempt ended; the notice, when that was noticed.
    let now = notice.map_or_else(
        || attempt.attempted.plus_millis(attempt.elapsed_ms.into()),
        |notice| notice.created(),
    );
    health::end(batch, entry, DisabledReason::Gone, now, notice)
}
