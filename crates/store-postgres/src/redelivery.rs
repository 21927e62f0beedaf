//! Delivering again: one event on request, or a window of events.
//!
//! Each is a transaction of its own that keeps the subscription's row: so rounds of it are made by
//! one at a time. Waiting deliveries are kept from being claimed meanwhile, and events from being
//! dropped; the head of the log is not touched, so publishing does not wait.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
};

use deadpool_postgres::GenericClient;
use tidings_domain::{
    company::CompanyId,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{
    Again, Position, QueuedRound, Redelivered, ReplayProgress, ReplayScope, ReplayWindow, Replayed,
    Rounds, Seq, StoredSubscription,
};
use uuid::Uuid;

use crate::{
    columns,
    database::{self, Database},
    event_rows,
    failure::Failure,
    poll,
    store::Inner,
    subscription_rows,
    window::{self, InWindow, Window},
};

/// Events that one step of a replay takes; each step is a transaction of its own, so that a long
/// replay holds up nobody.
pub(crate) const REPLAY_STEP_MAX: usize = 500;

/// One event to one subscription.
pub(crate) struct Redelivery<'r> {
    pub(crate) company: Option<&'r CompanyId>,
    pub(crate) event: EventId,
    pub(crate) subscription: SubscriptionId,
    pub(crate) now: UtcMillis,
}

/// A window of events to one subscription.
pub(crate) struct Replay<'r> {
    pub(crate) company: Option<&'r CompanyId>,
    pub(crate) subscription: SubscriptionId,
    pub(crate) window: ReplayWindow,
    pub(crate) now: UtcMillis,
}

/// What there is of an event at the subscription.
#[derive(Default)]
pub(crate) struct Known {
    rounds: Rounds,
    succeeded: bool,
}

/// What is to be done to the queue.
#[derive(Default)]
struct Changes {
    owed_positions: Vec<Position>,
    owed_ids: Vec<Uuid>,
    owed_rounds: Vec<i32>,
    waiting_positions: Vec<Position>,
    waiting_rounds: Vec<i32>,
    waiting_attempts: Vec<i32>,
    waiting_become: Vec<i32>,
}

/// What became of a step.
enum Stepped {
    Queued(u64),
    NoSubscription,
    Disabled,
}

/// Owes an event once more, now.
pub(crate) async fn redeliver(
    inner: &Inner,
    redelivery: &Redelivery<'_>,
) -> Result<Redelivered, Failure> {
    const TRIES_MAX: usize = 5;
    for _ in 0..TRIES_MAX {
        if let Some(redelivered) = try_to_redeliver(inner, redelivery).await? {
            return Ok(redelivered);
        }
    }
    let why = "the delivery was claimed again and again meanwhile";
    Err(Failure::Unavailable(why.to_owned()))
}

/// None where the one that waits was claimed in the moment between looking and writing.
async fn try_to_redeliver(
    inner: &Inner,
    redelivery: &Redelivery<'_>,
) -> Result<Option<Redelivered>, Failure> {
    let mut client = database::borrow(&inner.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, &inner.memory.metrics);
    let id = event_rows::uuid_of(redelivery.event);
    let sql = "SELECT position, company_id FROM events WHERE id = $1 FOR KEY SHARE";
    let event = db.first(sql, &[&id]).await?;
    let event = event.map(|row| (row.get::<_, Position>(0), row.get::<_, String>(1)));
    let wanted = redelivery.company;
    let Some((position, company)) =
        event.filter(|(_, company)| wanted.is_none_or(|wanted| wanted.as_str() == company))
    else {
        return Ok(Some(Redelivered::NoEvent));
    };
    let stored = subscription_rows::lock(&db, redelivery.subscription).await?;
    let there = |stored: &StoredSubscription| {
        !stored.deleted && stored.subscription.company.as_str() == company
    };
    let Some(stored) = stored.filter(there) else {
        return Ok(Some(Redelivered::NoSubscription));
    };
    if !stored.subscription.enabled {
        return Ok(Some(Redelivered::Disabled));
    }
    let events = [InWindow { position, id }];
    let known = look(&db, &stored, &events).await?;
    let mut changes = Changes::default();
    let known = known.get(&position);
    changes.add(
        &events[0],
        known
            .map_or(Rounds::default(), |known| known.rounds)
            .redelivered(),
    );
    if changes.write(&db, &stored, redelivery.now).await? == 0 {
        transaction.rollback().await?;
        return Ok(None);
    }
    tell_others(&db, inner).await?;
    transaction.commit().await?;
    inner.memory.wake();
    Ok(Some(Redelivered::Queued))
}

/// Owes every event of a window once more, as far as the scope wants them; tells after each step
/// how many deliveries are owed by then.
pub(crate) async fn replay(
    inner: &Inner,
    replay: &Replay<'_>,
    progress: Option<&ReplayProgress>,
) -> Result<Replayed, Failure> {
    let client = database::borrow(&inner.pool).await?;
    let db = Database::new(&client, &inner.memory.metrics);
    let target = target(&db, replay.company, replay.subscription).await?;
    let up_to = poll::head(&db).await?;
    drop(client);
    let stored = match target {
        Target::Live(stored) => stored,
        Target::None => return Ok(Replayed::NoSubscription),
        Target::Disabled => return Ok(Replayed::Disabled),
    };
    let mut window = Window::of(&stored, replay.window, up_to);
    let mut replayed = 0;
    loop {
        let found = look_into(inner, &window).await?;
        if !found.events.is_empty() {
            match step(inner, replay, found.events).await? {
                Stepped::Queued(queued) => replayed += queued,
                Stepped::NoSubscription => return Ok(Replayed::NoSubscription),
                Stepped::Disabled => return Ok(Replayed::Disabled),
            }
        }
        if let Some(tell) = progress {
            tell(replayed);
        }
        match found.after {
            Some(place) => window.after = place,
            None => return Ok(Replayed::Queued(replayed)),
        }
    }
}

/// Who is to be delivered to again.
pub(crate) enum Target {
    Live(Box<StoredSubscription>),
    None,
    Disabled,
}

/// Finds a subscription that may be delivered to again.
pub(crate) async fn target<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
    subscription: SubscriptionId,
) -> Result<Target, Failure> {
    let stored = subscription_rows::find(db, subscription).await?;
    let there = |stored: &StoredSubscription| {
        let owner = &stored.subscription.company;
        !stored.deleted && company.is_none_or(|company| company == owner)
    };
    Ok(match stored.filter(there) {
        None => Target::None,
        Some(stored) if !stored.subscription.enabled => Target::Disabled,
        Some(stored) => Target::Live(Box::new(stored)),
    })
}

async fn look_into(inner: &Inner, window: &Window) -> Result<window::Step, Failure> {
    let client = database::borrow(&inner.pool).await?;
    window::step(&Database::new(&client, &inner.memory.metrics), window).await
}

/// One step of a replay: these events, as far as they are still there.
async fn step(
    inner: &Inner,
    replay: &Replay<'_>,
    mut events: Vec<InWindow>,
) -> Result<Stepped, Failure> {
    let mut client = database::borrow(&inner.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, &inner.memory.metrics);
    let stored = subscription_rows::lock(&db, replay.subscription).await?;
    let Some(stored) = stored.filter(|stored| !stored.deleted) else {
        return Ok(Stepped::NoSubscription);
    };
    if !stored.subscription.enabled {
        return Ok(Stepped::Disabled);
    }
    let there = keep(&db, &events).await?;
    events.retain(|event| there.contains(&event.id));
    let known = look(&db, &stored, &events).await?;
    let mut changes = Changes::default();
    for event in &events {
        let nothing = Known::default();
        let known = known.get(&event.position).unwrap_or(&nothing);
        changes.add(event, known.again(replay.window.scope));
    }
    let queued = changes.write(&db, &stored, replay.now).await?;
    if queued > 0 {
        tell_others(&db, inner).await?;
    }
    // Also where nothing was written: a claim passes over rows as long as they are locked.
    transaction.commit().await?;
    if queued > 0 {
        inner.memory.wake();
    }
    Ok(Stepped::Queued(queued))
}

/// Keeps events from being dropped until the transaction ends; returns those that are there.
/// Retention may have taken some since the window was read.
async fn keep<C: GenericClient>(
    db: &Database<'_, C>,
    events: &[InWindow],
) -> Result<HashSet<Uuid>, Failure> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let sql = "SELECT id FROM events WHERE id = ANY ($1) FOR KEY SHARE";
    let rows = db.query(sql, &[&ids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What the queue and the log have of the events. What waits stays as it is until the transaction
/// ends.
async fn look<C: GenericClient>(
    db: &Database<'_, C>,
    stored: &StoredSubscription,
    events: &[InWindow],
) -> Result<HashMap<Position, Known>, Failure> {
    let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
    // The sum keeps the statement away from the index of everything that waits there, which may
    // be much more than what is asked for.
    db.query(
        "SELECT FROM queue
         WHERE position = ANY ($1) AND subscription = $2 AND epoch = $3 AND holder + 0 = 0
         ORDER BY position FOR UPDATE",
        &[
            &positions,
            &stored.seq,
            &subscription_rows::epoch_column(stored.epoch),
        ],
    )
    .await?;
    known(db, stored, events).await
}

/// What the queue and the log have of the events at this moment. The queue is read before the log:
/// what is settled in between is seen in either, so no round is given out twice.
pub(crate) async fn known<C: GenericClient>(
    db: &Database<'_, C>,
    stored: &StoredSubscription,
    events: &[InWindow],
) -> Result<HashMap<Position, Known>, Failure> {
    let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
    let by_id: HashMap<Uuid, Position> = events
        .iter()
        .map(|event| (event.id, event.position))
        .collect();
    let epoch = subscription_rows::epoch_column(stored.epoch);
    let queued = db
        .query(
            "SELECT position, round, holder = 0, epoch = $3, attempts FROM queue
             WHERE position = ANY ($1) AND subscription = $2 ORDER BY position, round",
            &[&positions, &stored.seq, &epoch],
        )
        .await?;
    let mut known: HashMap<Position, Known> = HashMap::new();
    for row in &queued {
        let round = QueuedRound {
            round: columns::number(row, 1)?,
            free: row.get(2),
            live: row.get(3),
            attempts: columns::number(row, 4)?,
        };
        known
            .entry(row.get(0))
            .or_default()
            .rounds
            .note_queued(round);
    }
    let attempted = db
        .query(
            "SELECT event_id, max(round), bool_or(error IS NULL) FROM attempts
             WHERE event_id = ANY ($1) AND subscription = $2 GROUP BY event_id",
            &[&by_id.keys().collect::<Vec<_>>(), &stored.seq],
        )
        .await?;
    for row in &attempted {
        let Some(&position) = by_id.get(&row.get(0)) else {
            continue;
        };
        let known = known.entry(position).or_default();
        known.rounds.note_attempted(columns::number(row, 1)?);
        known.succeeded = row.get(2);
    }
    Ok(known)
}

impl Known {
    pub(crate) fn again(&self, scope: ReplayScope) -> Again {
        self.rounds.replayed(scope, self.succeeded)
    }
}

impl Changes {
    fn add(&mut self, event: &InWindow, again: Again) {
        match again {
            Again::Owe { round } => {
                self.owed_positions.push(event.position);
                self.owed_ids.push(event.id);
                self.owed_rounds.push(column(round));
            }
            Again::Restart {
                waiting,
                attempts,
                round,
            } => {
                self.waiting_positions.push(event.position);
                self.waiting_rounds.push(column(waiting));
                self.waiting_attempts.push(column(attempts));
                self.waiting_become.push(column(round));
            }
            Again::Leave => {}
        }
    }

    /// Writes them; returns how many deliveries are owed by it. One that was claimed since it was
    /// looked at is left alone.
    async fn write<C: GenericClient>(
        &self,
        db: &Database<'_, C>,
        stored: &StoredSubscription,
        now: UtcMillis,
    ) -> Result<u64, Failure> {
        let (seq, now): (Seq, i64) = (stored.seq, now.as_millis());
        let mut written = 0;
        if !self.waiting_positions.is_empty() {
            written += db
                .execute(
                    "UPDATE queue q
                     SET round = again.round, due_ms = $6, owed_since_ms = $6, attempts = 0,
                         first_attempt_ms = NULL
                     FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[])
                         AS again (position, waiting, attempts, round)
                     WHERE q.position = again.position AND q.subscription = $5
                         AND q.round = again.waiting AND q.attempts = again.attempts
                         AND q.holder + 0 = 0",
                    &[
                        &self.waiting_positions,
                        &self.waiting_rounds,
                        &self.waiting_attempts,
                        &self.waiting_become,
                        &seq,
                        &now,
                    ],
                )
                .await?;
        }
        if !self.owed_positions.is_empty() {
            written += db
                .execute(
                    "INSERT INTO queue
                         (position, subscription, round, event_id, company_id, due_ms, holder,
                          epoch, attempts, owed_since_ms)
                     SELECT owed.position, $4, owed.round, owed.id, $5, $6, 0, $7, 0, $6
                     FROM unnest($1::bigint[], $2::integer[], $3::uuid[])
                         AS owed (position, round, id)",
                    &[
                        &self.owed_positions,
                        &self.owed_rounds,
                        &self.owed_ids,
                        &seq,
                        &stored.subscription.company.as_str(),
                        &now,
                        &subscription_rows::epoch_column(stored.epoch),
                    ],
                )
                .await?;
        }
        Ok(written)
    }
}

/// Tells the other nodes, where there are any, that there is work to claim.
async fn tell_others<C: GenericClient>(db: &Database<'_, C>, inner: &Inner) -> Result<(), Failure> {
    if inner.memory.peers.load(Ordering::Relaxed) > 0 {
        db.query("SELECT pg_notify('tidings_work', '')", &[])
            .await?;
    }
    Ok(())
}

/// A round or a number of attempts as its column has it.
fn column(number: u32) -> i32 {
    i32::try_from(number).expect("nobody delivers anything two thousand million times")
}
