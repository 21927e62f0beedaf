//! Settling: attempts into the log, deliveries out of the queue or on to their next time; and
//! letting go of deliveries without an attempt.
//!
//! Every statement acts on one row, and only if the settling lease holds it. A statement over many
//! rows would cost more: SQLite builds a table of what they are first.

use std::sync::Arc;

use tidings_domain::{
    company::CompanyId, subscription::DisabledReason, time::UtcMillis, verdict::Verdict,
};
use tidings_store::{DeliveryKey, LeaseId, Settled};

use crate::{
    attempt_rows::{AttemptRow, Line},
    batch::Batch,
    failure::Failure,
    health,
    memory::{Entry, Seq},
    queue_rows::{self, Deletion, Held},
    subscription_rows,
};

/// A settlement with what is known of its subscription.
struct Case<'b> {
    line: &'b Line,
    /// Its number and whose it is; none where there never was such a subscription.
    subscription: Option<(Seq, CompanyId)>,
    entry: Option<Arc<Entry>>,
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
    let cases = look_up(batch, &outcomes.lines)?;
    let mut deletion = Deletion::begin(batch.db()?)?;
    let settled = cases
        .iter()
        .map(|case| settle_one(batch, &mut deletion, case));
    settled.collect()
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

fn settle_one<'b>(
    batch: &mut Batch<'_, 'b>,
    deletion: &mut Deletion<'_>,
    case: &Case<'b>,
) -> Result<Settled, Failure> {
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
    let place = Held {
        position: settlement.key.position,
        subscription,
        round: settlement.key.round,
        holder: settlement.lease.0,
    };
    let done = match settlement.verdict {
        Verdict::RetryAt(due) if live => {
            row.next_attempt = Some(due);
            retry(batch, case.line, place, due)?
        }
        _ => {
            let deleted = deletion.delete(place)?;
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

fn retry(
    batch: &mut Batch<'_, '_>,
    line: &Line,
    place: Held,
    due: UtcMillis,
) -> Result<bool, Failure> {
    let settlement = &line.settlement;
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
