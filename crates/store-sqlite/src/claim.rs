//! Claiming: retries, spilled work, and what a lost lease left behind.
//!
//! The writer knows in memory who waits since when ([`crate::waiting`]), so a claim asks the
//! table only about subscriptions that are due and have room, and an idle one asks nothing.

use std::sync::{Arc, LazyLock};

use rusqlite::Row;
use tidings_domain::{event::Event, time::UtcMillis};
use tidings_store::{Claimed, Delivery, DeliveryKey, Handover, LeaseId, Position};

use crate::{
    batch::Batch,
    event_rows,
    failure::Failure,
    leases,
    memory::{Entry, Seq},
    queue_rows::{Held, Leasing},
};

/// What a claim asks for.
pub(crate) struct Wanted {
    pub(crate) lease: LeaseId,
    pub(crate) now: UtcMillis,
    pub(crate) limit: usize,
    pub(crate) handover: Arc<Handover>,
}

/// What one subscription gave.
struct Taken {
    /// Due time and delivery.
    deliveries: Vec<(i64, Delivery)>,
    rest: Rest,
}

/// What a subscription has left that is due.
enum Rest {
    Nothing,
    /// Something for which there is no place.
    NoRoom,
    /// Perhaps something.
    More,
}

/// A waiting row with its event.
struct Candidate {
    position: Position,
    round: u32,
    due_ms: i64,
    attempts: u32,
    first_attempt: Option<UtcMillis>,
    owed_since: UtcMillis,
    /// None where the event is gone, which should not happen.
    event: Option<Event>,
}

pub(crate) static WAITING: LazyLock<String> = LazyLock::new(|| {
    let columns = event_rows::COLUMNS;
    format!(
        "SELECT q.position, q.round, q.due_ms, q.attempts, q.first_attempt_ms, q.owed_since_ms,
             {columns}
         FROM queue q LEFT JOIN events e ON e.position = q.position
         WHERE q.holder = 0 AND q.subscription = ? AND q.epoch = ? AND q.due_ms <= ?
         ORDER BY q.due_ms LIMIT ?"
    )
});

/// Leases what is due and has room.
pub(crate) fn claim<'b>(batch: &mut Batch<'_, 'b>, wanted: &'b Wanted) -> Result<Claimed, Failure> {
    if !batch.memory.leases.lock().contains_key(&wanted.lease) {
        return Ok(Claimed {
            deliveries: Vec::new(),
            next_due: None,
        });
    }
    leases::take_over_lapsed(batch, wanted.lease, wanted.now)?;
    let mut deliveries = Vec::new();
    let mut saturated = Vec::new();
    if wanted.limit > 0 && batch.state.waiting.is_due(wanted.now.as_millis()) {
        // The rows of an earlier command may be among what is due.
        batch.flush()?;
        take_fairly(batch, wanted, &mut deliveries, &mut saturated)?;
    }
    deliveries.sort_by_key(|(due_ms, delivery)| (*due_ms, delivery.key));
    Ok(Claimed {
        deliveries: deliveries
            .into_iter()
            .map(|(_, delivery)| delivery)
            .collect(),
        next_due: next_due(batch, wanted, &saturated),
    })
}

/// Takes from every subscription that is due and has room, an equal share of what is left to
/// take in each round, until nothing is left of the one or the other.
fn take_fairly(
    batch: &mut Batch<'_, '_>,
    wanted: &Wanted,
    deliveries: &mut Vec<(i64, Delivery)>,
    saturated: &mut Vec<Seq>,
) -> Result<(), Failure> {
    let mut due = due_with_room(batch, wanted);
    while !due.is_empty() && deliveries.len() < wanted.limit {
        let share = ((wanted.limit - deliveries.len()) / due.len()).max(1);
        let mut unfinished = Vec::new();
        for entry in due {
            let left = wanted.limit - deliveries.len();
            if left == 0 {
                break;
            }
            let taken = take_from(batch, wanted, &entry, share.min(left))?;
            deliveries.extend(taken.deliveries);
            match taken.rest {
                Rest::Nothing => {}
                Rest::NoRoom => saturated.push(entry.seq),
                Rest::More => unfinished.push(entry),
            }
        }
        due = unfinished;
    }
    Ok(())
}

/// The subscriptions to ask, the longest waiting first; saturated ones are left out.
fn due_with_room(batch: &Batch<'_, '_>, wanted: &Wanted) -> Vec<Arc<Entry>> {
    let book = batch.memory.book.read();
    batch
        .state
        .waiting
        .iter()
        .take_while(|&(due_ms, _)| due_ms <= wanted.now.as_millis())
        .filter_map(|(_, seq)| book.by_seq(seq))
        .filter(|entry| has_room(wanted, entry))
        .take(wanted.limit)
        .cloned()
        .collect()
}

fn has_room(wanted: &Wanted, entry: &Entry) -> bool {
    let endpoint = &entry.endpoint;
    wanted.handover.has_room(endpoint.id, &endpoint.company)
}

/// Takes at most `limit` of one subscription, as far as there are places.
fn take_from(
    batch: &mut Batch<'_, '_>,
    wanted: &Wanted,
    entry: &Entry,
    limit: usize,
) -> Result<Taken, Failure> {
    let endpoint = &entry.endpoint;
    let db = batch.db()?;
    let mut statement = db.statement(&WAITING)?;
    let mut rows = statement.query((
        entry.seq,
        endpoint.epoch,
        wanted.now.as_millis(),
        i64::try_from(limit).unwrap_or(i64::MAX),
    ))?;
    let mut deliveries = Vec::new();
    let mut lost = Vec::new();
    let mut rest = Rest::Nothing;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let candidate = read_candidate(row)?;
        let Some(event) = candidate.event else {
            lost.push((candidate.position, candidate.round));
            continue;
        };
        let bytes = event.json().len();
        let Some(place) = wanted.handover.admit(endpoint.id, &endpoint.company, bytes) else {
            rest = Rest::NoRoom;
            break;
        };
        let delivery = Delivery {
            key: DeliveryKey {
                position: candidate.position,
                subscription: endpoint.id,
                round: candidate.round,
            },
            lease: wanted.lease,
            epoch: endpoint.epoch,
            event: Arc::new(event),
            attempts_made: candidate.attempts,
            first_attempt: candidate.first_attempt,
            owed_since: candidate.owed_since,
            place,
        };
        deliveries.push((candidate.due_ms, delivery));
        if seen == limit {
            rest = Rest::More;
        }
    }
    drop(rows);
    drop(statement);
    lease_rows(batch, wanted.lease, entry.seq, &deliveries)?;
    drop_lost(batch, entry.seq, &lost)?;
    refresh(batch, entry.seq, endpoint.epoch)?;
    Ok(Taken { deliveries, rest })
}

fn read_candidate(row: &Row<'_>) -> Result<Candidate, Failure> {
    const EVENT_COLUMN: usize = 6;
    let has_event = row.get_ref(EVENT_COLUMN)?.as_blob().is_ok();
    Ok(Candidate {
        position: row.get(0)?,
        round: row.get(1)?,
        due_ms: row.get(2)?,
        attempts: row.get(3)?,
        first_attempt: row.get::<_, Option<i64>>(4)?.map(UtcMillis::from_millis),
        owed_since: UtcMillis::from_millis(row.get(5)?),
        event: has_event
            .then(|| event_rows::read(row, EVENT_COLUMN))
            .transpose()?,
    })
}

fn lease_rows(
    batch: &mut Batch<'_, '_>,
    lease: LeaseId,
    subscription: Seq,
    deliveries: &[(i64, Delivery)],
) -> Result<(), Failure> {
    let mut leasing = Leasing::begin(batch.db()?)?;
    for (_, delivery) in deliveries {
        let row = Held {
            position: delivery.key.position,
            subscription,
            round: delivery.key.round,
            holder: lease.0,
        };
        leasing.lease(row)?;
    }
    Ok(())
}

/// A delivery whose event is gone can never be made. Retention does not touch events that are
/// owed, so somebody else's hand was in the file.
fn drop_lost(
    batch: &mut Batch<'_, '_>,
    subscription: Seq,
    lost: &[(Position, u32)],
) -> Result<(), Failure> {
    for &(position, round) in lost {
        tracing::error!(position, "dropped a delivery whose event is not in the log");
        batch.db()?.execute(
            "DELETE FROM queue WHERE position = ? AND subscription = ? AND round = ?",
            (position, subscription, round),
        )?;
        batch.owe_less(subscription, 1);
    }
    Ok(())
}

/// Learns when the subscription's next row is due.
pub(crate) fn refresh(
    batch: &mut Batch<'_, '_>,
    subscription: Seq,
    epoch: u32,
) -> Result<(), Failure> {
    let next: Option<Option<i64>> = batch.db()?.first(
        "SELECT min(due_ms) FROM queue WHERE holder = 0 AND subscription = ? AND epoch = ?",
        (subscription, epoch),
        |row| Ok(row.get(0)?),
    )?;
    batch
        .state
        .waiting
        .set(subscription, next.flatten(), &mut batch.undo);
    Ok(())
}

/// When the next delivery is due of a subscription that has room, for all that is known: not of
/// those whose next one found no place just now.
fn next_due(batch: &Batch<'_, '_>, wanted: &Wanted, saturated: &[Seq]) -> Option<UtcMillis> {
    let book = batch.memory.book.read();
    let has_room = |seq| {
        book.by_seq(seq)
            .is_some_and(|entry| has_room(wanted, entry))
    };
    batch
        .state
        .waiting
        .iter()
        .find(|&(_, seq)| !saturated.contains(&seq) && has_room(seq))
        .map(|(due_ms, _)| UtcMillis::from_millis(due_ms))
}

/// The deliveries of a claim that nobody received.
pub(crate) fn orphans(claimed: &Claimed) -> (LeaseId, Vec<DeliveryKey>) {
    let lease = claimed
        .deliveries
        .first()
        .map_or(LeaseId(0), |first| first.lease);
    let keys = claimed
        .deliveries
        .iter()
        .map(|delivery| delivery.key)
        .collect();
    (lease, keys)
}
