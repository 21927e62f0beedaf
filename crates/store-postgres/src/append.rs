//! Appending: events, what is owed for them, and their positions, in one statement for many
//! publications.
//!
//! Matching is done in memory beforehand, so the statement says which version of the book it was
//! done with, and at which version of the leases this node's own still stood. Where either has
//! moved on, the head does not match, nothing is inserted, and the writer prepares it anew. That
//! makes every change of the book that was answered before hold for every event appended after.

use std::sync::{Arc, LazyLock, atomic::Ordering};

use tidings_domain::{company::CompanyId, event::Event, time::UtcMillis};
use tidings_store::{
    Book, BookEntry, Delivery, DeliveryKey, Handover, LeaseId, Position, Publication, Seq,
};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{
    event_rows::uuid_of, memory::Memory, queue_rows, reserve::Promises,
    subscription_rows::epoch_column,
};

/// A notice that names more companies than fit into so many bytes names none.
const NOTICE_BYTES_MAX: usize = 4000;
/// The notice that anybody's events may have arrived.
pub(crate) const ANYBODY: &str = "*";

/// The statement's beginning and its end; in between, what a promise needs.
fn statement(promised: &str, last: &str) -> String {
    format!(
        "WITH head AS (
             UPDATE log_heads SET position = position + $1
             WHERE shard = 0 AND book_version = $2 AND lease_version = $3
             RETURNING position - $1 AS base
         ), stored AS (
             INSERT INTO events
                 (id, position, company_id, type, created_ms, stored_ms, payload, metadata)
             SELECT e.id, head.base + e.place, e.company_id, e.type, e.created_ms, e.stored_ms,
                 e.payload, e.metadata
             FROM head CROSS JOIN unnest($4::uuid[], $5::text[], $6::text[], $7::bigint[],
                     $8::bigint[], $9::bytea[], $10::bytea[])
                 WITH ORDINALITY AS e (id, company_id, type, created_ms, stored_ms, payload,
                     metadata, place)
         ), owed AS (
             INSERT INTO queue
                 (position, subscription, round, event_id, company_id, due_ms, holder, epoch,
                  attempts, owed_since_ms)
             SELECT head.base + q.place, q.subscription, 0, q.event_id, q.company_id, q.due_ms,
                 q.holder, q.epoch, 0, q.due_ms
             FROM head CROSS JOIN unnest($11::bigint[], $12::bigint[], $13::uuid[], $14::text[],
                     $15::bigint[], $16::bigint[], $17::int[])
                 AS q (place, subscription, event_id, company_id, due_ms, holder, epoch)
         ) {promised}
         SELECT head.base,
             CASE WHEN $18::text IS NOT NULL THEN pg_notify('tidings_events', $18)::text END,
             CASE WHEN $19::boolean THEN pg_notify('tidings_work', '')::text END
             {last}"
    )
}

/// Appends; no row where the head has moved on.
pub(crate) static APPEND: LazyLock<String> = LazyLock::new(|| statement("", "FROM head"));

/// Appends where promises were given in the same transaction, which are fulfilled here. Where the
/// head has moved on, it fails with a division by zero, so that the commit that was sent right
/// behind it takes the promises back.
pub(crate) static APPEND_PROMISED: LazyLock<String> = LazyLock::new(|| {
    statement(
        ", fulfilled AS (
             UPDATE idempotency i SET first_position = head.base + p.place
             FROM head CROSS JOIN unnest($20::text[], $21::text[], $22::bigint[])
                 AS p (company_id, key, place)
             WHERE i.company_id = p.company_id AND i.key = p.key
         )",
        ", 1 / (SELECT count(*) FROM head)
         FROM (VALUES (1)) AS always (one) LEFT JOIN head ON true",
    )
});

/// What an append rests on, and for whom.
#[derive(Clone)]
pub(crate) struct Ground {
    /// The version of the leases at which `holder` is known to have stood.
    pub(crate) lease_version: i64,
    /// Who takes fresh work; none where nobody does, or not any more.
    pub(crate) holder: Option<(LeaseId, Arc<Handover>)>,
}

/// Publications as columns, and what follows once they are committed.
pub(crate) struct Staged<'p> {
    events: i64,
    book_version: i64,
    ground: Ground,
    notify: bool,
    ids: Vec<Uuid>,
    companies: Vec<&'p str>,
    types: Vec<&'p str>,
    created_ms: Vec<i64>,
    stored_ms: Vec<i64>,
    payloads: Vec<&'p [u8]>,
    metadata: Vec<Option<&'p [u8]>>,
    queue: QueueColumns<'p>,
    notice: Option<String>,
    notify_work: bool,
    announced: Vec<CompanyId>,
    /// How many events of whom, and when.
    published: Vec<(CompanyId, u64, UtcMillis)>,
    /// Their positions count from the head that is yet to be known.
    deliveries: Vec<Delivery>,
    spilled: usize,
}

/// Deliveries that become owed.
#[derive(Default)]
struct QueueColumns<'p> {
    place: Vec<i64>,
    subscription: Vec<i64>,
    event_id: Vec<Uuid>,
    company: Vec<&'p str>,
    due_ms: Vec<i64>,
    holder: Vec<i64>,
    epoch: Vec<i32>,
}

impl<'p> Staged<'p> {
    /// Publications, matched by the book as memory has it now.
    pub(crate) fn publications(
        memory: &Memory,
        ground: &Ground,
        publications: impl IntoIterator<Item = &'p Publication>,
    ) -> Self {
        let book = memory.book.read();
        let mut staged = Self::new(memory, ground);
        for publication in publications {
            for event in &publication.events {
                staged.add(&book, event, publication.now, &[]);
            }
        }
        staged.finish();
        staged
    }

    /// One event that is not a publication; `ended` are subscriptions that end in the same
    /// transaction, at which the book counts up to `book_version`.
    pub(crate) fn notice(
        memory: &Memory,
        ground: &Ground,
        (event, now): (&'p Arc<Event>, UtcMillis),
        ended: &[Seq],
        book_version: i64,
    ) -> Self {
        let book = memory.book.read();
        let mut staged = Self::new(memory, ground);
        staged.book_version = book_version;
        staged.add(&book, event, now, ended);
        staged.finish();
        staged
    }

    /// Needs the book's lock, so that the version is the book's own.
    fn new(memory: &Memory, ground: &Ground) -> Self {
        Self {
            events: 0,
            book_version: memory.book_version.load(Ordering::Acquire),
            ground: ground.clone(),
            notify: memory.peers.load(Ordering::Relaxed) > 0,
            ids: Vec::new(),
            companies: Vec::new(),
            types: Vec::new(),
            created_ms: Vec::new(),
            stored_ms: Vec::new(),
            payloads: Vec::new(),
            metadata: Vec::new(),
            queue: QueueColumns::default(),
            notice: None,
            notify_work: false,
            announced: Vec::new(),
            published: Vec::new(),
            deliveries: Vec::new(),
            spilled: 0,
        }
    }

    fn add(&mut self, book: &Book, event: &'p Arc<Event>, now: UtcMillis, ended: &[Seq]) {
        self.events += 1;
        self.ids.push(uuid_of(event.id()));
        self.companies.push(event.company().as_str());
        self.types.push(event.event_type().as_str());
        self.created_ms.push(event.created().as_millis());
        self.stored_ms.push(now.as_millis());
        self.payloads.push(event.payload());
        self.metadata.push(match event.metadata() {
            b"{}" => None,
            metadata => Some(metadata),
        });
        if self.announced.last() != Some(event.company()) {
            self.announced.push(event.company().clone());
        }
        match self.published.last_mut() {
            Some((company, events, at)) if company == event.company() && *at == now => *events += 1,
            _ => self.published.push((event.company().clone(), 1, now)),
        }
        let Some(index) = book.matching(event.company()) else {
            return;
        };
        for seq in index.matches(event.event_type()) {
            let entry = book
                .by_seq(seq)
                .expect("the index names entries of the book");
            if !ended.contains(&seq) {
                self.owe(entry, event, now);
            }
        }
    }

    fn owe(&mut self, entry: &BookEntry, event: &'p Arc<Event>, now: UtcMillis) {
        let endpoint = &entry.endpoint;
        let admitted = self.ground.holder.as_ref().and_then(|(lease, handover)| {
            let place = handover.admit(endpoint.id, &endpoint.company, event.json().len())?;
            Some((*lease, place))
        });
        let queue = &mut self.queue;
        queue.place.push(self.events);
        queue.subscription.push(entry.seq);
        queue.event_id.push(uuid_of(event.id()));
        queue.company.push(event.company().as_str());
        queue.due_ms.push(now.as_millis());
        queue.epoch.push(epoch_column(endpoint.epoch));
        let Some((lease, place)) = admitted else {
            queue.holder.push(queue_rows::FREE);
            self.spilled += 1;
            return;
        };
        queue.holder.push(lease.0);
        self.deliveries.push(Delivery {
            key: DeliveryKey {
                position: self.events,
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
    }

    fn finish(&mut self) {
        self.announced.sort_unstable();
        self.announced.dedup();
        self.notify_work = self.notify && self.spilled > 0;
        self.notice = self.notify.then(|| {
            let names: Vec<_> = self.announced.iter().map(CompanyId::as_str).collect();
            let names = names.join(",");
            if names.len() > NOTICE_BYTES_MAX {
                ANYBODY.to_owned()
            } else {
                names
            }
        });
    }

    /// The parameters of [`APPEND`].
    pub(crate) fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        let queue = &self.queue;
        vec![
            &self.events,
            &self.book_version,
            &self.ground.lease_version,
            &self.ids,
            &self.companies,
            &self.types,
            &self.created_ms,
            &self.stored_ms,
            &self.payloads,
            &self.metadata,
            &queue.place,
            &queue.subscription,
            &queue.event_id,
            &queue.company,
            &queue.due_ms,
            &queue.holder,
            &queue.epoch,
            &self.notice,
            &self.notify_work,
        ]
    }

    /// The parameters of [`APPEND_PROMISED`].
    pub(crate) fn params_promised<'s>(
        &'s self,
        promises: &'s Promises<'_>,
    ) -> Vec<&'s (dyn ToSql + Sync)> {
        let mut params = self.params();
        params.extend(promises.fulfilment());
        params
    }

    /// Which events have deliveries that are leased to this node; with the lease. None where
    /// there are none.
    pub(crate) fn leased(&self) -> Option<(LeaseId, Vec<Uuid>)> {
        let lease = self.deliveries.first()?.lease;
        let mut events: Vec<_> = self
            .deliveries
            .iter()
            .map(|delivery| uuid_of(delivery.event.id()))
            .collect();
        events.dedup();
        Some((lease, events))
    }

    /// After the commit: hands over and announces, all behind `base`, the head as it was before.
    pub(crate) fn follow_up(mut self, memory: &Memory, base: Position) {
        let metrics = &memory.metrics;
        let events = self.ids.len();
        metrics.events_appended.inc_by(events as u64);
        metrics.commit_batch_events.observe(as_float(events));
        let owed = self.deliveries.len() + self.spilled;
        metrics.deliveries_owed.inc_by(owed as u64);
        metrics.deliveries_spilled.inc_by(self.spilled as u64);
        for delivery in &mut self.deliveries {
            delivery.key.position += base;
        }
        if let Some((_, handover)) = &self.ground.holder {
            handover.hand_over(self.deliveries);
        }
        if self.spilled > 0 {
            memory.wake();
        }
        memory.figures.count(|counts| {
            for (company, events, at) in &self.published {
                counts.count_published(company, *events, *at);
            }
        });
        memory.arrivals.announce(&self.announced);
    }
}

/// A count for a histogram.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts in one transaction are small"
)]
pub(crate) fn as_float(count: usize) -> f64 {
    count as f64
}
