//! Claiming: retries, spilled work, and what a lost lease left behind.
//!
//! A claim looks first ([`crate::waiting`]), and where nothing is due that is all. Otherwise it
//! takes rows that nobody else is taking, and only of subscriptions that have room. It keeps its
//! own lease from being lost meanwhile, so that no row is ever held by a lease that is over.

use std::{collections::HashSet, sync::Arc};

use deadpool_postgres::{GenericClient, Object, Pool};
use tidings_domain::time::UtcMillis;
use tidings_store::{BookEntry, Claimed, Delivery, DeliveryKey, Handover, LeaseId, Position, Seq};
use tokio_postgres::Row;

use crate::{
    columns,
    database::{self, Database},
    event_rows,
    failure::Failure,
    memory::Memory,
    subscription_rows::epoch_column,
    waiting::{self, Waiting},
};

/// How often a claim is tried that got into somebody's way.
const TRIES_MAX: u32 = 5;
/// When to look again for rows that somebody else was taking just now, in milliseconds.
const TAKEN_AGAIN_MS: i64 = 50;

/// What a claim asks for.
pub(crate) struct Wanted {
    pub(crate) lease: LeaseId,
    pub(crate) now: UtcMillis,
    pub(crate) limit: usize,
    pub(crate) handover: Arc<Handover>,
}

/// A claim in the making.
struct Claim<'c> {
    memory: &'c Memory,
    wanted: &'c Wanted,
    waiting: Waiting,
    /// Due time and delivery.
    taken: Vec<(i64, Delivery)>,
    /// Subscriptions whose next delivery found no place.
    saturated: HashSet<Seq>,
}

/// What a subscription has left that is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// Something for which there is no place.
    NoRoom,
    /// Perhaps something.
    More,
}

/// One round: what was taken of whom.
struct Round<'c> {
    entries: &'c [Arc<BookEntry>],
    rests: Vec<Rest>,
    seen: Vec<usize>,
    leased: RowKeys,
    lost: RowKeys,
}

/// Keys of rows of the queue, as columns.
#[derive(Default)]
struct RowKeys {
    positions: Vec<Position>,
    subscriptions: Vec<Seq>,
    rounds: Vec<i32>,
}

/// Leases what is due and has room.
pub(crate) async fn claim(
    pool: &Pool,
    memory: &Memory,
    wanted: &Wanted,
) -> Result<Claimed, Failure> {
    let mut client = database::borrow(pool).await?;
    let mut tries = 0;
    loop {
        tries += 1;
        match claim_once(&mut client, memory, wanted).await {
            Err(failure) if failure.is_conflict() && tries < TRIES_MAX => {}
            result => return result,
        }
    }
}

async fn claim_once(
    client: &mut Object,
    memory: &Memory,
    wanted: &Wanted,
) -> Result<Claimed, Failure> {
    let (lease, now) = (wanted.lease, wanted.now);
    let metrics = &memory.metrics;
    let nothing = Claimed {
        deliveries: Vec::new(),
        next_due: None,
    };
    let mut waiting = waiting::look(&Database::new(&*client, metrics), memory, lease, now).await?;
    if !waiting.stands {
        return Ok(nothing);
    }
    if waiting.others_lost {
        crate::leases::take_over(client, memory, lease, now).await?;
        waiting = waiting::look(&Database::new(&*client, metrics), memory, lease, now).await?;
    }
    let mut claim = Claim {
        memory,
        wanted,
        waiting,
        taken: Vec::new(),
        saturated: HashSet::new(),
    };
    let due = claim.due_with_room();
    if !due.is_empty() {
        let transaction = client.transaction().await?;
        let db = Database::new(&transaction, metrics);
        let stands = "SELECT 1 FROM leases WHERE id = $1 AND NOT lost FOR SHARE";
        if db.first(stands, &[&lease.0]).await?.is_none() {
            return Ok(nothing);
        }
        claim.take_fairly(&db, due).await?;
        transaction.commit().await?;
    }
    Ok(claim.finish())
}

impl Claim<'_> {
    /// The subscriptions to ask, the longest waiting first; saturated ones are left out.
    fn due_with_room(&self) -> Vec<Arc<BookEntry>> {
        let now_ms = self.wanted.now.as_millis();
        let mut due: Vec<_> = self
            .waiting
            .due
            .iter()
            .filter(|&(_, &due_ms)| due_ms <= now_ms)
            .map(|(&seq, &due_ms)| (due_ms, seq))
            .collect();
        due.sort_unstable();
        let book = self.memory.book.read();
        due.into_iter()
            .filter_map(|(_, seq)| book.by_seq(seq))
            .filter(|entry| self.has_room(entry))
            .take(self.wanted.limit)
            .cloned()
            .collect()
    }

    fn has_room(&self, entry: &BookEntry) -> bool {
        let endpoint = &entry.endpoint;
        let handover = &self.wanted.handover;
        handover.has_room(endpoint.id, &endpoint.company)
    }

    /// Takes from every subscription that is due and has room, an equal share of what is left to
    /// take in each round, until nothing is left of the one or the other.
    async fn take_fairly<C: GenericClient>(
        &mut self,
        db: &Database<'_, C>,
        mut due: Vec<Arc<BookEntry>>,
    ) -> Result<(), Failure> {
        let mut touched = Vec::new();
        while !due.is_empty() && self.taken.len() < self.wanted.limit {
            let left = self.wanted.limit - self.taken.len();
            let asked = &due[..due.len().min(left)];
            let share = left / asked.len();
            let rests = self.take(db, asked, share).await?;
            touched.extend(
                asked
                    .iter()
                    .zip(&rests)
                    .map(|(entry, &rest)| (Arc::clone(entry), rest)),
            );
            let unasked = due.split_off(rests.len());
            due = due
                .into_iter()
                .zip(rests)
                .filter_map(|(entry, rest)| (rest == Rest::More).then_some(entry))
                .chain(unasked)
                .collect();
        }
        self.look_behind(db, &touched).await
    }

    /// Takes at most `share` of each subscription, as far as there are places; says what each has
    /// left.
    async fn take<C: GenericClient>(
        &mut self,
        db: &Database<'_, C>,
        entries: &[Arc<BookEntry>],
        share: usize,
    ) -> Result<Vec<Rest>, Failure> {
        let (subscriptions, epochs) = keys_of(entries.iter());
        let share_column = i64::try_from(share).unwrap_or(i64::MAX);
        let columns = event_rows::COLUMNS;
        let sql = format!(
            "SELECT s.place, q.position, q.round, q.due_ms, q.attempts, q.first_attempt_ms,
                 q.owed_since_ms, e.id IS NOT NULL, e.*
             FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY AS s (subscription, epoch, place)
             CROSS JOIN LATERAL (
                 SELECT * FROM queue w
                 WHERE w.holder = 0 AND w.subscription = s.subscription AND w.epoch = s.epoch
                     AND w.due_ms <= $3
                 ORDER BY w.due_ms LIMIT $4 FOR UPDATE SKIP LOCKED) AS q
             LEFT JOIN LATERAL (
                 SELECT {columns} FROM events WHERE events.id = q.event_id) AS e ON true"
        );
        let now_ms = self.wanted.now.as_millis();
        let mut rows = db
            .query(&sql, &[&subscriptions, &epochs, &now_ms, &share_column])
            .await?;
        rows.sort_by_key(|row| (row.get::<_, i64>(0), row.get::<_, i64>(3)));
        let mut round = Round {
            entries,
            rests: vec![Rest::Nothing; entries.len()],
            seen: vec![0; entries.len()],
            leased: RowKeys::default(),
            lost: RowKeys::default(),
        };
        for row in &rows {
            self.admit(&mut round, row, share)?;
        }
        lease_rows(db, self.wanted.lease, &round.leased).await?;
        drop_lost(db, &round.lost).await?;
        for (entry, rest) in entries.iter().zip(&round.rests) {
            if *rest == Rest::NoRoom {
                self.saturated.insert(entry.seq);
            }
        }
        Ok(round.rests)
    }

    /// Takes one row, where there is a place for it.
    fn admit(&mut self, round: &mut Round<'_>, row: &Row, share: usize) -> Result<(), Failure> {
        const EVENT_COLUMN: usize = 8;
        let place: i64 = row.get(0);
        let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
        let Some(entry) = round.entries.get(place) else {
            return Err(Failure::Broken("a row came from nowhere".to_owned()));
        };
        if round.rests[place] == Rest::NoRoom {
            return Ok(());
        }
        round.seen[place] += 1;
        if round.seen[place] == share {
            round.rests[place] = Rest::More;
        }
        let (position, row_round): (Position, i32) = (row.get(1), row.get(2));
        let has_event: bool = row.get(7);
        if !has_event {
            round.lost.push(position, entry.seq, row_round);
            return Ok(());
        }
        let event = event_rows::read(row, EVENT_COLUMN)?;
        let endpoint = &entry.endpoint;
        let bytes = event.json().len();
        let handover = &self.wanted.handover;
        let Some(room) = handover.admit(endpoint.id, &endpoint.company, bytes) else {
            round.rests[place] = Rest::NoRoom;
            return Ok(());
        };
        round.leased.push(position, entry.seq, row_round);
        let delivery = Delivery {
            key: DeliveryKey {
                position,
                subscription: endpoint.id,
                round: columns::number(row, 2)?,
            },
            lease: self.wanted.lease,
            epoch: endpoint.epoch,
            event: Arc::new(event),
            attempts_made: columns::number(row, 4)?,
            first_attempt: columns::time_or_none(row, 5),
            owed_since: columns::time(row, 6),
            place: room,
        };
        self.taken.push((row.get(3), delivery));
        Ok(())
    }

    /// Learns when the next delivery is due of the subscriptions that gave some.
    async fn look_behind<C: GenericClient>(
        &mut self,
        db: &Database<'_, C>,
        touched: &[(Arc<BookEntry>, Rest)],
    ) -> Result<(), Failure> {
        let (subscriptions, epochs) = keys_of(touched.iter().map(|(entry, _)| entry));
        let rows = db
            .query(
                "SELECT s.subscription, q.due_ms
                 FROM unnest($1::bigint[], $2::int[]) AS s (subscription, epoch)
                 CROSS JOIN LATERAL (
                     SELECT w.due_ms FROM queue w
                     WHERE w.holder = 0 AND w.subscription = s.subscription AND w.epoch = s.epoch
                     ORDER BY w.due_ms LIMIT 1) AS q",
                &[&subscriptions, &epochs],
            )
            .await?;
        let mut emptied = HashSet::new();
        for (entry, rest) in touched {
            self.waiting.due.remove(&entry.seq);
            if *rest == Rest::Nothing {
                emptied.insert(entry.seq);
            }
        }
        // What is due and could not be had is in the hands of another claim.
        let soon_ms = self.wanted.now.plus_millis(TAKEN_AGAIN_MS).as_millis();
        for row in rows {
            let (subscription, due_ms): (Seq, i64) = (row.get(0), row.get(1));
            let taken = emptied.contains(&subscription) && due_ms <= self.wanted.now.as_millis();
            let due_ms = if taken { soon_ms } else { due_ms };
            self.waiting.due.insert(subscription, due_ms);
        }
        Ok(())
    }

    /// What was taken, the longest due first; and when the next delivery is due of a subscription
    /// that has room, for all that is known: not of those whose next one found no place just now.
    fn finish(mut self) -> Claimed {
        let mut taken = std::mem::take(&mut self.taken);
        taken.sort_by_key(|(due_ms, delivery)| (*due_ms, delivery.key));
        let mut due: Vec<_> = self
            .waiting
            .due
            .iter()
            .map(|(&seq, &due_ms)| (due_ms, seq))
            .collect();
        due.sort_unstable();
        let book = self.memory.book.read();
        let next = due.into_iter().find(|(_, seq)| {
            !self.saturated.contains(seq)
                && book.by_seq(*seq).is_some_and(|entry| self.has_room(entry))
        });
        Claimed {
            deliveries: taken.into_iter().map(|(_, delivery)| delivery).collect(),
            next_due: next.map(|(due_ms, _)| UtcMillis::from_millis(due_ms)),
        }
    }
}

impl RowKeys {
    fn push(&mut self, position: Position, subscription: Seq, round: i32) {
        self.positions.push(position);
        self.subscriptions.push(subscription);
        self.rounds.push(round);
    }
}

fn keys_of<'e>(entries: impl Iterator<Item = &'e Arc<BookEntry>>) -> (Vec<Seq>, Vec<i32>) {
    entries
        .map(|entry| (entry.seq, epoch_column(entry.endpoint.epoch)))
        .unzip()
}

async fn lease_rows<C: GenericClient>(
    db: &Database<'_, C>,
    lease: LeaseId,
    rows: &RowKeys,
) -> Result<(), Failure> {
    if rows.positions.is_empty() {
        return Ok(());
    }
    db.execute(
        "UPDATE queue q SET holder = $4
         FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS t (position, subscription, round)
         WHERE q.position = t.position AND q.subscription = t.subscription AND q.round = t.round",
        &[&rows.positions, &rows.subscriptions, &rows.rounds, &lease.0],
    )
    .await
    .map(drop)
}

/// A delivery whose event is gone can never be made. Retention does not touch events that are
/// owed, so somebody else's hand was in the database.
async fn drop_lost<C: GenericClient>(db: &Database<'_, C>, rows: &RowKeys) -> Result<(), Failure> {
    if rows.positions.is_empty() {
        return Ok(());
    }
    for position in &rows.positions {
        tracing::error!(position, "dropped a delivery whose event is not in the log");
    }
    db.execute(
        "DELETE FROM queue q
         USING unnest($1::bigint[], $2::bigint[], $3::int[]) AS t (position, subscription, round)
         WHERE q.position = t.position AND q.subscription = t.subscription AND q.round = t.round",
        &[&rows.positions, &rows.subscriptions, &rows.rounds],
    )
    .await
    .map(drop)
}
