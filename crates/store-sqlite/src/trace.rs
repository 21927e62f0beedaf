//! The trace of an event: what became of it at every subscription of its company, and why.
//!
//! Here it is put together from the rows; what they tell is in `tidings_store`.

use std::collections::HashMap;

use rusqlite::Connection;
use tidings_domain::{
    company::CompanyId,
    event_type::EventType,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{
    DeliveryTrace, LastAttempt, LastAttempts, OwedRound, Position, Traced, Wish, types_from_json,
};

use crate::{attempt_rows, database::first_of, failure::Failure, memory::Seq, queue_rows};

/// The event that is traced.
struct Found {
    position: Position,
    company: String,
    event_type: EventType,
}

/// A subscription as the trace needs it.
struct Subscriber {
    seq: Seq,
    id: SubscriptionId,
    epoch: u32,
    open_until: Option<UtcMillis>,
}

/// What became of an event; none where there is no such event.
pub(crate) fn trace(
    conn: &Connection,
    company: Option<&CompanyId>,
    id: EventId,
) -> Result<Option<Vec<DeliveryTrace>>, Failure> {
    let Some(found) = find(conn, id)? else {
        return Ok(None);
    };
    if company.is_some_and(|company| company.as_str() != found.company) {
        return Ok(None);
    }
    let subscribers = subscribers(conn, &found.company)?;
    let owed = owed(conn, found.position, &subscribers)?;
    let last = last_attempts(conn, found.position)?;
    let lines = subscribers.iter().map(|subscriber| {
        let at_subscriber = Traced {
            event_type: &found.event_type,
            subscription: subscriber.id,
            epoch: subscriber.epoch,
            open_until: subscriber.open_until,
        };
        let told = at_subscriber.told(owed.get(&subscriber.seq), last.of(subscriber.seq));
        if let Some(line) = told {
            return Ok(line);
        }
        let wish = wish(conn, subscriber.seq, found.position)?;
        Ok(at_subscriber.never_attempted(wish.as_ref()))
    });
    lines.collect::<Result<_, _>>().map(Some)
}

fn find(conn: &Connection, id: EventId) -> Result<Option<Found>, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT position, company_id, type FROM events WHERE id = ?")?;
    first_of(&mut statement, [id.as_bytes()], |row| {
        let event_type: String = row.get(2)?;
        Ok(Found {
            position: row.get(0)?,
            company: row.get(1)?,
            event_type: EventType::parse(&event_type)
                .map_err(|_| Failure::unreadable("event type"))?,
        })
    })
}

fn subscribers(conn: &Connection, company: &str) -> Result<Vec<Subscriber>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, epoch, open_until_ms FROM subscriptions
         WHERE company_id = ? AND deleted_ms IS NULL ORDER BY seq",
    )?;
    let rows = statement.query_map([company], |row| {
        Ok(Subscriber {
            seq: row.get(0)?,
            id: SubscriptionId::from_bytes(row.get(1)?),
            epoch: row.get(2)?,
            open_until: row.get::<_, Option<i64>>(3)?.map(UtcMillis::from_millis),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest row of each subscription that is live or was never attempted.
fn owed(
    conn: &Connection,
    position: Position,
    subscribers: &[Subscriber],
) -> Result<HashMap<Seq, OwedRound>, Failure> {
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
        let row = OwedRound {
            round: row.get(2)?,
            live: epochs.get(&subscription) == Some(&epoch),
            due: UtcMillis::from_millis(row.get(3)?),
            attempts: row.get(4)?,
            held: row.get::<_, i64>(5)? != queue_rows::FREE,
        };
        if row.speaks() {
            owed.insert(subscription, row);
        }
    }
    Ok(owed)
}

/// The last attempt of the newest round that has any, for each subscription.
fn last_attempts(conn: &Connection, position: Position) -> Result<LastAttempts, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT subscription, round, number, error, status, next_attempt_ms, ended
         FROM attempts INDEXED BY attempts_by_event
         WHERE position = ? ORDER BY subscription, seq",
    )?;
    let mut rows = statement.query([position])?;
    let mut newest = LastAttempts::default();
    while let Some(row) = rows.next()? {
        let next: Option<i64> = row.get(5)?;
        let last = LastAttempt {
            round: row.get(1)?,
            number: row.get(2)?,
            outcome: attempt_rows::read_outcome(row.get_ref(3)?)?,
            status: row.get(4)?,
            next: next.map(UtcMillis::from_millis),
            ended: row.get(6)?,
        };
        newest.note(row.get(0)?, last);
    }
    Ok(newest)
}

/// What a subscription wanted when the event at `position` was published.
fn wish(conn: &Connection, subscription: Seq, position: Position) -> Result<Option<Wish>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT event_types, enabled, epoch FROM subscription_history
         WHERE subscription = ? AND after_position < ? ORDER BY after_position DESC LIMIT 1",
    )?;
    first_of(&mut statement, (subscription, position), |row| {
        let types: String = row.get(0)?;
        Ok(Wish {
            types: types_from_json(&types)?,
            enabled: row.get(1)?,
            epoch: row.get(2)?,
        })
    })
}
