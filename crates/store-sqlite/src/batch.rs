//! One transaction of the writer while it is being made: what its use cases staged, and what
//! follows from it once it is committed.
//!
//! Rows are collected and written with few statements at the end ([`Batch::flush`]), or before a
//! use case reads what an earlier one staged. Nothing outside sees anything of a batch until
//! [`crate::writer`] has committed it; dropping a batch gives back the places it took.

use std::sync::{Arc, LazyLock};

use tidings_domain::{
    api_key::{ApiKey, KeyHash},
    attempt::AttemptOutcome,
    company::CompanyId,
    event::Event,
    time::UtcMillis,
};
use tidings_store::{Delivery, DeliveryKey, Handover, LeaseId, Position};

use crate::{
    attempt_rows::{self, AttemptRow},
    bulk::{Bulk, Series},
    database::Database,
    failure::Failure,
    figure_memory::{Attempted, Published},
    memory::{Book, Entry, Memory, Seq},
    queue_rows,
    state::State,
    waiting::Undo,
};

/// A transaction in the making. `'w` is the writer's life, `'b` that of the commands it runs.
pub(crate) struct Batch<'w, 'b> {
    db: &'w Database,
    begun: bool,
    pub(crate) memory: &'w Memory,
    pub(crate) state: &'w mut State,
    pub(crate) undo: Undo,
    attached: Option<(LeaseId, Arc<Handover>)>,
    next_position: Position,
    next_attempt: i64,
    events: Vec<EventRow<'b>>,
    queue: Vec<QueueRow>,
    attempts: Vec<AttemptRow<'b>>,
    ended: Vec<Seq>,
    lapsed: Vec<(LeaseId, UtcMillis)>,
    after: Aftermath,
}

/// What a committed batch changes in memory, and whom it tells.
#[derive(Default)]
pub(crate) struct Aftermath {
    pub(crate) effects: Vec<Effect>,
    pub(crate) owed: Vec<OwedChange>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) handover: Option<Arc<Handover>>,
    pub(crate) companies: Vec<CompanyId>,
    /// What is to be counted.
    pub(crate) published: Vec<Published>,
    pub(crate) attempted: Vec<Attempted>,
    /// The number of the writing of figures that it holds.
    pub(crate) figures_written: Option<i64>,
    pub(crate) next_position: Position,
    pub(crate) next_attempt: i64,
    /// Attempts up to this one have been filed.
    pub(crate) filed_up_to: Option<i64>,
    pub(crate) events: usize,
    pub(crate) spilled: usize,
    /// The dispatcher has something to claim.
    pub(crate) wake: bool,
    /// Whether there was a transaction at all.
    pub(crate) begun: bool,
}

/// A change of what is in memory.
pub(crate) enum Effect {
    Put(Arc<Entry>),
    Remove(Seq),
    PutKey(KeyHash, ApiKey),
    RemoveKey(KeyHash),
    PutLease(LeaseId, UtcMillis),
}

/// A change of how many deliveries are owed.
pub(crate) enum OwedChange {
    More(Seq, u64),
    Fewer(Seq, u64),
    /// Everything that was owed there is owed no more.
    Ended(Seq),
}

struct EventRow<'b> {
    position: Position,
    event: &'b Event,
    stored: UtcMillis,
}

/// A delivery that becomes owed.
pub(crate) struct QueueRow {
    pub(crate) position: Position,
    pub(crate) subscription: Seq,
    pub(crate) round: u32,
    pub(crate) due_ms: i64,
    pub(crate) holder: i64,
    pub(crate) epoch: u32,
}

static INSERT_EVENTS: LazyLock<Series> = LazyLock::new(|| {
    let columns = [
        "id",
        "company_id",
        "type",
        "created_ms",
        "stored_ms",
        "payload",
        "metadata",
    ];
    Series::new("events", "position", &columns)
});

static INSERT_QUEUE: LazyLock<Bulk> = LazyLock::new(|| {
    let columns = "position, subscription, round, due_ms, holder, epoch, attempts, first_attempt_ms, owed_since_ms";
    Bulk::new(
        &format!("INSERT OR ROLLBACK INTO queue ({columns}) VALUES"),
        9,
        "",
    )
});

impl<'w, 'b> Batch<'w, 'b> {
    /// An empty one.
    pub(crate) fn new(db: &'w Database, memory: &'w Memory, state: &'w mut State) -> Self {
        let attached = memory.attached.lock().clone();
        // Work is not leased to somebody whose lease was taken over meanwhile.
        let attached = attached.filter(|(lease, _)| memory.leases.lock().contains_key(lease));
        Self {
            db,
            begun: false,
            memory,
            undo: Undo::default(),
            next_position: state.next_position,
            next_attempt: state.next_attempt,
            state,
            attached,
            events: Vec::new(),
            queue: Vec::new(),
            attempts: Vec::new(),
            ended: Vec::new(),
            lapsed: Vec::new(),
            after: Aftermath::default(),
        }
    }

    /// The database inside the transaction, which begins here if it has not.
    pub(crate) fn db(&mut self) -> Result<&'w Database, Failure> {
        if !self.begun {
            self.db.begin()?;
            self.begun = true;
        }
        Ok(self.db)
    }

    /// The database as it is, in a transaction or not.
    #[cfg(test)]
    pub(crate) fn database(&self) -> &'w Database {
        self.db
    }

    /// The highest position given out, this batch's own included.
    pub(crate) fn head(&self) -> Position {
        self.next_position - 1
    }

    /// The highest number of an attempt, those that are yet to be flushed not included.
    pub(crate) fn last_attempt(&self) -> i64 {
        self.next_attempt - 1
    }

    /// Attempts up to this one have been filed.
    pub(crate) fn filed_up_to(&mut self, last: i64) {
        self.after.filed_up_to = Some(last);
    }

    /// Whether a change of this batch needs the next command to begin with fresh memory.
    pub(crate) fn must_end(&self) -> bool {
        !self.after.effects.is_empty()
    }

    /// Whether a delivery of this epoch is still owed.
    pub(crate) fn is_live(&self, entry: Option<&Arc<Entry>>, epoch: u32) -> bool {
        entry.is_some_and(|entry| entry.endpoint.epoch == epoch && !self.ended.contains(&entry.seq))
    }

    /// Gives an event its position, and owes it to everybody who wants it.
    pub(crate) fn append(&mut self, book: &Book, event: &'b Arc<Event>, now: UtcMillis) {
        let position = self.next_position;
        self.next_position += 1;
        self.after.events += 1;
        self.count_published(event.company(), now);
        self.events.push(EventRow {
            position,
            event,
            stored: now,
        });
        let Some(index) = book.matching(event.company()) else {
            return;
        };
        for seq in index.matches(event.event_type()) {
            let entry = book
                .by_seq(seq)
                .expect("the index names entries of the book");
            if !self.ended.contains(&seq) {
                self.owe_fresh(entry, position, event, now);
            }
        }
    }

    /// A company that will have something new to read.
    pub(crate) fn announce(&mut self, company: &CompanyId) {
        if self.after.companies.last() != Some(company) {
            self.after.companies.push(company.clone());
        }
    }

    /// Owes an event to a subscription, to be found by a claim.
    pub(crate) fn owe_waiting(&mut self, row: QueueRow) {
        self.state.waiting.note(row.subscription, row.due_ms);
        self.after.owed.push(OwedChange::More(row.subscription, 1));
        self.after.wake = true;
        self.queue.push(row);
    }

    /// Something waits that did not wait before, or is due earlier.
    pub(crate) fn note_waiting(&mut self, subscription: Seq, due_ms: i64) {
        self.state.waiting.note(subscription, due_ms);
    }

    /// The dispatcher should look.
    pub(crate) fn wake(&mut self) {
        self.after.wake = true;
    }

    /// A delivery left the queue that was still owed.
    pub(crate) fn owe_less(&mut self, subscription: Seq, deliveries: u64) {
        self.after
            .owed
            .push(OwedChange::Fewer(subscription, deliveries));
    }

    /// Nothing that was owed to the subscription is owed any more; `effect` says how it is known
    /// from now on.
    pub(crate) fn end_owing(&mut self, subscription: Seq, effect: Effect) {
        self.ended.push(subscription);
        self.state.waiting.set(subscription, None, &mut self.undo);
        self.after.owed.push(OwedChange::Ended(subscription));
        self.after.effects.push(effect);
    }

    /// Changes memory once the batch is committed.
    pub(crate) fn afterwards(&mut self, effect: Effect) {
        self.after.effects.push(effect);
    }

    /// A lease whose time ran out loses its work; it stands again if the batch fails.
    pub(crate) fn lapse(&mut self, lease: LeaseId, until: UtcMillis) {
        self.lapsed.push((lease, until));
    }

    /// Whether figures have been written already.
    pub(crate) fn has_written_figures(&self) -> bool {
        self.after.figures_written.is_some()
    }

    /// Figures have been written, under this number.
    pub(crate) fn figures_written(&mut self, number: i64) {
        self.after.figures_written = Some(number);
    }

    /// Adds a line to the delivery log.
    pub(crate) fn log_attempt(&mut self, row: AttemptRow<'b>) {
        let attempt = &row.line.settlement.attempt;
        self.after.attempted.push(Attempted {
            company: row.company.clone(),
            subscription: row.subscription,
            attempted: attempt.attempted,
            succeeded: attempt.outcome == AttemptOutcome::Succeeded,
            elapsed_ms: attempt.elapsed_ms,
        });
        self.attempts.push(row);
    }

    /// Writes what is staged, so that statements see it.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.events.is_empty() && self.queue.is_empty() && self.attempts.is_empty() {
            return Ok(());
        }
        let db = self.db()?;
        // Positions are given in a row, and what is staged is all that is not in the table yet.
        let first = self.events.first().map_or(0, |row| row.position);
        INSERT_EVENTS.execute(db, first, &self.events, |binder, row| {
            binder.bind(row.event.id().as_bytes())?;
            binder.bind(row.event.company().as_str())?;
            binder.bind(row.event.event_type().as_str())?;
            binder.bind(row.event.created().as_millis())?;
            binder.bind(row.stored.as_millis())?;
            binder.bind_text(row.event.payload())?;
            match row.event.metadata() {
                b"{}" => binder.bind(None::<i64>),
                metadata => binder.bind_text(metadata),
            }
        })?;
        INSERT_QUEUE.execute(db, &self.queue, |binder, row| {
            binder.bind(row.position)?;
            binder.bind(row.subscription)?;
            binder.bind(row.round)?;
            binder.bind(row.due_ms)?;
            binder.bind(row.holder)?;
            binder.bind(row.epoch)?;
            binder.bind(0)?;
            binder.bind(None::<i64>)?;
            binder.bind(row.due_ms)
        })?;
        attempt_rows::insert(db, self.next_attempt, &self.attempts)?;
        self.next_attempt += i64::try_from(self.attempts.len()).expect("a bounded batch");
        self.events.clear();
        self.queue.clear();
        self.attempts.clear();
        Ok(())
    }

    /// Writes what is left and commits. What follows from it is the caller's to do.
    pub(crate) fn commit(mut self) -> Result<Aftermath, Failure> {
        match self.flush().and_then(|()| self.end_transaction()) {
            Ok(()) => {}
            Err(failure) => {
                self.abandon();
                return Err(failure);
            }
        }
        self.after.begun = self.begun;
        self.after.next_position = self.next_position;
        self.after.next_attempt = self.next_attempt;
        self.after.handover = self.attached.map(|(_, handover)| handover);
        Ok(self.after)
    }

    /// Takes back what was done to the writer's memory. The transaction itself is the caller's to
    /// roll back.
    pub(crate) fn abandon(self) {
        self.state.waiting.undo(self.undo);
        self.memory.leases.lock().extend(self.lapsed);
    }

    fn end_transaction(&self) -> Result<(), Failure> {
        if self.begun { self.db.commit() } else { Ok(()) }
    }

    /// Events of one publication follow each other.
    fn count_published(&mut self, company: &CompanyId, now: UtcMillis) {
        match self.after.published.last_mut() {
            Some(last) if last.company == *company && last.now == now => last.events += 1,
            _ => self.after.published.push(Published {
                company: company.clone(),
                events: 1,
                now,
            }),
        }
    }

    fn owe_fresh(&mut self, entry: &Entry, position: Position, event: &Arc<Event>, now: UtcMillis) {
        let endpoint = &entry.endpoint;
        let admitted = self.attached.as_ref().and_then(|(lease, handover)| {
            let place = handover.admit(endpoint.id, &endpoint.company, event.json().len())?;
            Some((*lease, place))
        });
        let row = QueueRow {
            position,
            subscription: entry.seq,
            round: 0,
            due_ms: now.as_millis(),
            holder: admitted
                .as_ref()
                .map_or(queue_rows::FREE, |(lease, _)| lease.0),
            epoch: endpoint.epoch,
        };
        let Some((lease, place)) = admitted else {
            self.after.spilled += 1;
            self.owe_waiting(row);
            return;
        };
        self.after.owed.push(OwedChange::More(entry.seq, 1));
        self.after.deliveries.push(Delivery {
            key: DeliveryKey {
                position,
                subscription: endpoint.id,
                round: 0,
            },
            lease,
            epoch: endpoint.epoch,
            event: Arc::clone(event),
            attempts_made: 0,
            first_attempt: None,
            owed_since: now,
            place,
        });
        self.queue.push(row);
    }
}
