//! The trace of an event: what became of it at every subscription of its company, and why.
//!
//! The newest delivery speaks: a live queue row says that it is pending, its attempts say how it
//! ended. Where there is neither, the subscription's history says why it was never owed.

use std::collections::HashMap;

use rusqlite::Connection;
use tidings_domain::{
    attempt::{AttemptError, AttemptOutcome},
    company::CompanyId,
    event_type::EventType,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{DeliveryState, DeliveryTrace, Position};

use crate::{
    attempt_rows, database::first_of, failure::Failure, memory::Seq, queue_rows, subscription_rows,
};

/// The event that is traced.
struct Traced {
    position: Position,
    company: String,
    event_type: EventType,
}

/// A delivery that is still owed, or was ended before its first attempt.
struct Owed {
    round: u32,
    live: bool,
    due: UtcMillis,
    attempts: u32,
    held: bool,
}

/// The last attempt of a round.
struct Last {
    round: u32,
    number: u32,
    outcome: AttemptOutcome,
    status: Option<u16>,
    next: Option<UtcMillis>,
    ended: bool,
}

/// A subscription as the trace needs it.
struct Subscriber {
    seq: Seq,
    id: SubscriptionId,
    epoch: u32,
}

/// What became of an event; none where there is no such event.
pub(crate) fn trace(
    conn: &Connection,
    company: Option<&CompanyId>,
    id: EventId,
) -> Result<Option<Vec<DeliveryTrace>>, Failure> {
    let Some(traced) = find(conn, id)? else {
        return Ok(None);
    };
    if company.is_some_and(|company| company.as_str() != traced.company) {
        return Ok(None);
    }
    let subscribers = subscribers(conn, &traced.company)?;
    let owed = owed(conn, traced.position, &subscribers)?;
    let last = last_attempts(conn, traced.position)?;
    let lines = subscribers.iter().map(|subscriber| {
        let owed = owed.get(&subscriber.seq);
        let last = last.get(&subscriber.seq);
        match (owed, last) {
            // A newer round that is settled already speaks before an older one in flight.
            (Some(owed), last) if last.is_none_or(|last| last.round <= owed.round) => {
                let last = last.filter(|last| last.round == owed.round);
                Ok(pending(subscriber, owed, last))
            }
            (_, Some(last)) => Ok(settled(subscriber, last)),
            (_, None) => never_attempted(conn, &traced, subscriber),
        }
    });
    lines.collect::<Result<_, _>>().map(Some)
}

fn find(conn: &Connection, id: EventId) -> Result<Option<Traced>, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT position, company_id, type FROM events WHERE id = ?")?;
    first_of(&mut statement, [id.as_bytes()], |row| {
        let event_type: String = row.get(2)?;
        Ok(Traced {
            position: row.get(0)?,
            company: row.get(1)?,
            event_type: EventType::parse(&event_type)
                .map_err(|_| Failure::unreadable("event type"))?,
        })
    })
}

fn subscribers(conn: &Connection, company: &str) -> Result<Vec<Subscriber>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, epoch FROM subscriptions
         WHERE company_id = ? AND deleted_ms IS NULL ORDER BY seq",
    )?;
    let rows = statement.query_map([company], |row| {
        Ok(Subscriber {
            seq: row.get(0)?,
            id: SubscriptionId::from_bytes(row.get(1)?),
            epoch: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest row of each subscription that is live or was never attempted.
fn owed(
    conn: &Connection,
    position: Position,
    subscribers: &[Subscriber],
) -> Result<HashMap<Seq, Owed>, Failure> {
    let epochs: HashMap<Seq, u32> = subscribers
        .iter()
        .map(|subscriber| (subscriber.seq, subscriber.epoch))
        .collect();
    let mut statement = conn.prepare_cached(
        "SELECT subscription, epoch, round, due_ms, attempts, holder FROM queue
         WHERE position = ? ORDER BY subscription, round",
    )?;
    let mut rows = statement.query([position])?;
    let mut owed = HashMap::new();
    while let Some(row) = rows.next()? {
        let (subscription, epoch): (Seq, u32) = (row.get(0)?, row.get(1)?);
        let row = Owed {
            round: row.get(2)?,
            live: epochs.get(&subscription) == Some(&epoch),
            due: UtcMillis::from_millis(row.get(3)?),
            attempts: row.get(4)?,
            held: row.get::<_, i64>(5)? != queue_rows::FREE,
        };
        if row.live || row.attempts == 0 {
            owed.insert(subscription, row);
        }
    }
    Ok(owed)
}

/// The last attempt of the newest round that has any, for each subscription.
fn last_attempts(conn: &Connection, position: Position) -> Result<HashMap<Seq, Last>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT subscription, round, number, error, status, next_attempt_ms, ended
         FROM attempts INDEXED BY attempts_by_event
         WHERE position = ? ORDER BY subscription, seq",
    )?;
    let mut rows = statement.query([position])?;
    let mut newest: HashMap<Seq, Last> = HashMap::new();
    while let Some(row) = rows.next()? {
        let subscription = row.get(0)?;
        let round = row.get(1)?;
        if newest
            .get(&subscription)
            .is_none_or(|known| known.round <= round)
        {
            let next: Option<i64> = row.get(5)?;
            let last = Last {
                round,
                number: row.get(2)?,
                outcome: attempt_rows::read_outcome(row.get_ref(3)?)?,
                status: row.get(4)?,
                next: next.map(UtcMillis::from_millis),
                ended: row.get(6)?,
            };
            newest.insert(subscription, last);
        }
    }
    Ok(newest)
}

fn pending(subscriber: &Subscriber, owed: &Owed, last: Option<&Last>) -> DeliveryTrace {
    const ENDED: &str = "disabling the subscription ended the delivery before its first attempt";
    let (state, reason) = match (owed.attempts, owed.held) {
        _ if !owed.live => (DeliveryState::Disabled, ENDED.to_owned()),
        (0, true) => (DeliveryState::Pending, "it is being delivered".to_owned()),
        (0, false) => (
            DeliveryState::Pending,
            "it waits for its first attempt".to_owned(),
        ),
        (made, true) => (
            DeliveryState::Retrying,
            format!("attempt {} is being made", made + 1),
        ),
        (made, false) => (
            DeliveryState::Retrying,
            format!("attempt {made} failed; the next is due at {}", owed.due),
        ),
    };
    DeliveryTrace {
        subscription: subscriber.id,
        state,
        reason,
        attempts: owed.attempts,
        next_attempt: owed.live.then_some(owed.due),
        last_status: last.and_then(|last| last.status),
        last_error: last.and_then(error_of),
    }
}

fn settled(subscriber: &Subscriber, last: &Last) -> DeliveryTrace {
    const ENDED: &str = "a retry was due, but disabling the subscription ended the delivery";
    let (state, reason) = match last.outcome {
        AttemptOutcome::Succeeded => (
            DeliveryState::Succeeded,
            format!("attempt {} succeeded", last.number),
        ),
        AttemptOutcome::Failed(_) if last.ended || last.next.is_some() => {
            (DeliveryState::Disabled, ENDED.to_owned())
        }
        AttemptOutcome::Failed(_) if last.status == Some(410) => (
            DeliveryState::Failed,
            "the receiver answered 410 Gone".to_owned(),
        ),
        AttemptOutcome::Failed(_) => (
            DeliveryState::Failed,
            format!("attempt {} failed, and it was the last", last.number),
        ),
    };
    DeliveryTrace {
        subscription: subscriber.id,
        state,
        reason,
        attempts: last.number,
        next_attempt: None,
        last_status: last.status,
        last_error: error_of(last),
    }
}

fn never_attempted(
    conn: &Connection,
    traced: &Traced,
    subscriber: &Subscriber,
) -> Result<DeliveryTrace, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT event_types, enabled, epoch FROM subscription_history
         WHERE subscription = ? AND after_position < ? ORDER BY after_position DESC LIMIT 1",
    )?;
    let wish = first_of(&mut statement, (subscriber.seq, traced.position), |row| {
        let types: String = row.get(0)?;
        let (enabled, epoch): (bool, u32) = (row.get(1)?, row.get(2)?);
        Ok((subscription_rows::parse_types(&types)?, enabled, epoch))
    })?;
    let event_type = &traced.event_type;
    let (state, reason) = match wish {
        None => (
            DeliveryState::NotMatched,
            "the subscription did not exist when the event was published".to_owned(),
        ),
        Some((types, ..)) if !types.matches(event_type) => (
            DeliveryState::NotMatched,
            format!("the subscription did not want {event_type} when the event was published"),
        ),
        Some((_, false, _)) => (
            DeliveryState::Disabled,
            "the subscription was disabled when the event was published".to_owned(),
        ),
        Some((_, true, epoch)) if epoch != subscriber.epoch => (
            DeliveryState::Disabled,
            "disabling the subscription ended the delivery before its first attempt".to_owned(),
        ),
        // The delivery ended, and the log has forgotten how. Said in the cautious way.
        Some(_) => (
            DeliveryState::Failed,
            "it was owed, but its attempts are no longer in the delivery log".to_owned(),
        ),
    };
    Ok(DeliveryTrace {
        subscription: subscriber.id,
        state,
        reason,
        attempts: 0,
        next_attempt: None,
        last_status: None,
        last_error: None,
    })
}

fn error_of(last: &Last) -> Option<AttemptError> {
    match last.outcome {
        AttemptOutcome::Succeeded => None,
        AttemptOutcome::Failed(error) => Some(error),
    }
}
