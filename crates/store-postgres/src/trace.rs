//! The trace of an event: what became of it at every subscription of its company, and why.
//!
//! Here it is put together from the rows; what they tell is in `tidings_store`. The queue is read
//! before the log, so that a delivery which is settled in between is seen in either.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use tidings_domain::{
    company::CompanyId,
    event_type::EventType,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{
    DeliveryTrace, LastAttempt, LastAttempts, OwedRound, Position, Seq, Traced, Wish,
    outcome_from_word, types_from_json,
};
use uuid::Uuid;

use crate::{attempt_rows, columns, database::Database, event_rows, failure::Failure};

/// The event that is traced.
struct Found {
    position: Position,
    event_type: EventType,
    subscribers: Vec<Subscriber>,
}

/// A subscription as the trace needs it.
struct Subscriber {
    seq: Seq,
    id: SubscriptionId,
    epoch: u32,
    open_until: Option<UtcMillis>,
}

/// What became of an event; none where there is no such event.
pub(crate) async fn trace<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
    id: EventId,
) -> Result<Option<Vec<DeliveryTrace>>, Failure> {
    let id = event_rows::uuid_of(id);
    let Some(found) = find(db, company, id).await? else {
        return Ok(None);
    };
    let owed = owed(db, &found).await?;
    let last = last_attempts(db, id).await?;
    let told = |subscriber: &Subscriber| {
        let (owed, last) = (owed.get(&subscriber.seq), last.of(subscriber.seq));
        found.traced(subscriber).told(owed, last)
    };
    let told: Vec<_> = found.subscribers.iter().map(told).collect();
    let untold = found.subscribers.iter().zip(&told);
    let untold = untold.filter(|(_, line)| line.is_none());
    let untold: Vec<Seq> = untold.map(|(subscriber, _)| subscriber.seq).collect();
    let wishes = wishes(db, &untold, found.position).await?;
    let lines = found.subscribers.iter().zip(told);
    let lines = lines.map(|(subscriber, line)| {
        line.unwrap_or_else(|| {
            let wish = wishes.get(&subscriber.seq);
            found.traced(subscriber).never_attempted(wish)
        })
    });
    Ok(Some(lines.collect()))
}

impl Found {
    fn traced(&self, subscriber: &Subscriber) -> Traced<'_> {
        Traced {
            event_type: &self.event_type,
            subscription: subscriber.id,
            epoch: subscriber.epoch,
            open_until: subscriber.open_until,
        }
    }
}

async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
    id: Uuid,
) -> Result<Option<Found>, Failure> {
    let sql = "SELECT position, company_id, type FROM events WHERE id = $1";
    let Some(row) = db.first(sql, &[&id]).await? else {
        return Ok(None);
    };
    let owner: &str = row.get(1);
    if company.is_some_and(|company| company.as_str() != owner) {
        return Ok(None);
    }
    let event_type = EventType::parse(row.get(2)).map_err(|_| Failure::unreadable("event type"))?;
    Ok(Some(Found {
        position: row.get(0),
        event_type,
        subscribers: subscribers(db, owner).await?,
    }))
}

async fn subscribers<C: GenericClient>(
    db: &Database<'_, C>,
    company: &str,
) -> Result<Vec<Subscriber>, Failure> {
    let rows = db
        .query(
            "SELECT seq, id, epoch, open_until_ms FROM subscriptions
             WHERE company_id = $1 AND deleted_ms IS NULL ORDER BY seq",
            &[&company],
        )
        .await?;
    let read = rows.iter().map(|row| {
        Ok(Subscriber {
            seq: row.get(0),
            id: SubscriptionId::from_bytes(columns::id(row, 1)),
            epoch: columns::number(row, 2)?,
            open_until: columns::time_or_none(row, 3),
        })
    });
    read.collect()
}

/// The newest row of each subscription that is live or was never attempted.
async fn owed<C: GenericClient>(
    db: &Database<'_, C>,
    found: &Found,
) -> Result<HashMap<Seq, OwedRound>, Failure> {
    let subscribers = found.subscribers.iter();
    let epochs: HashMap<Seq, u32> = subscribers.map(|one| (one.seq, one.epoch)).collect();
    let rows = db
        .query(
            "SELECT subscription, epoch, round, due_ms, attempts, holder <> 0 FROM queue
             WHERE position = $1 ORDER BY subscription, round",
            &[&found.position],
        )
        .await?;
    let mut owed = HashMap::new();
    for row in &rows {
        let subscription: Seq = row.get(0);
        let round = OwedRound {
            round: columns::number(row, 2)?,
            live: epochs.get(&subscription) == Some(&columns::number(row, 1)?),
            due: columns::time(row, 3),
            attempts: columns::number(row, 4)?,
            held: row.get(5),
        };
        if round.speaks() {
            owed.insert(subscription, round);
        }
    }
    Ok(owed)
}

async fn last_attempts<C: GenericClient>(
    db: &Database<'_, C>,
    event: Uuid,
) -> Result<LastAttempts, Failure> {
    let rows = db
        .query(
            "SELECT subscription, round, number, error, status, next_attempt_ms, ended
             FROM attempts WHERE event_id = $1 ORDER BY subscription, seq",
            &[&event],
        )
        .await?;
    let mut newest = LastAttempts::default();
    for row in &rows {
        let last = LastAttempt {
            round: columns::number(row, 1)?,
            number: columns::number(row, 2)?,
            outcome: outcome_from_word(row.get(3))?,
            status: attempt_rows::read_status(row, 4)?,
            next: columns::time_or_none(row, 5),
            ended: row.get(6),
        };
        newest.note(row.get(0), last);
    }
    Ok(newest)
}

/// What subscriptions wanted when the event at `position` was published.
async fn wishes<C: GenericClient>(
    db: &Database<'_, C>,
    subscriptions: &[Seq],
    position: Position,
) -> Result<HashMap<Seq, Wish>, Failure> {
    if subscriptions.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db
        .query(
            "SELECT h.subscription, h.event_types, h.enabled, h.epoch
             FROM unnest($1::bigint[]) AS asked (seq) CROSS JOIN LATERAL (
                 SELECT subscription, event_types, enabled, epoch FROM subscription_history
                 WHERE subscription = asked.seq AND after_position < $2
                 ORDER BY after_position DESC LIMIT 1) h",
            &[&subscriptions, &position],
        )
        .await?;
    let read = rows.iter().map(|row| {
        let wish = Wish {
            types: types_from_json(row.get(1))?,
            enabled: row.get(2),
            epoch: columns::number(row, 3)?,
        };
        Ok((row.get(0), wish))
    });
    read.collect()
}
