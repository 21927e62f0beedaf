//! The traits of `tidings-store`, joined to the use cases; those that the portal asks for are in
//! [`crate::portal_surface`].

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, KeyHash},
    breaker::EndpointHealth,
    company::CompanyId,
    cursor::Order,
    event::Event,
    id::{ApiKeyId, EventId, SubscriptionId},
    secret::Secret,
    subscription::{Endpoint, Subscription},
    time::UtcMillis,
};
use tidings_store::{
    Appended, Arrivals, AttemptFilter, AttemptLog, AttemptPage, AttemptSearch, AttemptsFound,
    Backlog, Claimed, Deleted, DeliveryKey, DeliveryQueue, DeliveryTrace, EventLog, EventPage,
    EventQuery, Handover, Idempotency, KeyRing, LeaseId, NewApiKey, NewSubscription, PlacedAttempt,
    Position, Publication, Redelivered, Renewal, ReplayCount, ReplayProgress, ReplayWindow,
    Replayed, Retention, Rotated, Settled, Settlement, StoreError, SubscriptionBook,
    SubscriptionChange, SubscriptionPage, Updated, Upkeep,
};

use crate::{
    SqliteStore, append, attempt_lookups,
    attempt_rows::Line,
    attempts, backlog, claim,
    health::{self, Failing, HealthNote},
    key_rows, keys, leases, places, poll, probe,
    redelivery::{self, Redelivery},
    search, settle, subscription_reads,
    subscriptions::{self, Deletion, Rotation, Target, Update},
    tidy, trace,
};

/// A commit so recent proves that commits are possible, in milliseconds.
const PROOF_VALID_MS: u64 = 1000;
/// How long a commit may take before the store counts as unavailable, in milliseconds.
const CHECK_TIMEOUT_MS: u64 = 3000;

#[async_trait]
impl EventLog for SqliteStore {
    async fn append(&self, publication: Publication) -> Result<Appended, StoreError> {
        const EVENT_FIXED_BYTES: usize = 200;
        if publication.events.is_empty() {
            return Err(StoreError::Broken(
                "a publication without events".to_owned(),
            ));
        }
        let bytes = publication
            .events
            .iter()
            .map(|event| event.json().len() + EVENT_FIXED_BYTES);
        let bytes = bytes.sum();
        self.inner.publish(publication, bytes, append::append).await
    }

    async fn replayed(
        &self,
        company: &CompanyId,
        promise: &Idempotency,
        now: UtcMillis,
    ) -> Result<Option<Appended>, StoreError> {
        let (company, promise) = (company.clone(), promise.clone());
        let read = move |conn: &_| append::replayed(conn, &company, &promise, now);
        self.inner.readers.read(read).await
    }

    async fn read_events(&self, query: EventQuery) -> Result<EventPage, StoreError> {
        let read = move |conn: &_| poll::read_events(conn, &query);
        self.inner.readers.read(read).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.inner.memory.head.load(Ordering::Acquire))
    }

    async fn position_before(&self, time: UtcMillis) -> Result<Position, StoreError> {
        let read = move |conn: &_| places::position_before(conn, time);
        self.inner.readers.read(read).await
    }

    async fn event(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        let company = company.cloned();
        let read = move |conn: &_| poll::event(conn, company.as_ref(), id);
        self.inner.readers.read(read).await
    }

    async fn trace(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Vec<DeliveryTrace>>, StoreError> {
        let company = company.cloned();
        let read = move |conn: &_| trace::trace(conn, company.as_ref(), id);
        self.inner.readers.read(read).await
    }

    fn arrivals(&self) -> &Arrivals {
        &self.inner.memory.arrivals
    }
}

#[async_trait]
impl DeliveryQueue for SqliteStore {
    async fn acquire_lease(&self, now: UtcMillis, until: UtcMillis) -> Result<LeaseId, StoreError> {
        self.inner.change((now, until), leases::acquire).await
    }

    async fn renew_lease(
        &self,
        lease: LeaseId,
        _now: UtcMillis,
        until: UtcMillis,
    ) -> Result<Renewal, StoreError> {
        Ok(leases::renew(&self.inner.memory, lease, until))
    }

    async fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.change(lease, leases::end).await
    }

    fn attach(&self, lease: LeaseId, handover: Arc<Handover>) {
        *self.inner.memory.attached.lock() = Some((lease, handover));
    }

    fn detach(&self) {
        *self.inner.memory.attached.lock() = None;
    }

    async fn claim(
        &self,
        lease: LeaseId,
        now: UtcMillis,
        limit: usize,
        handover: &Arc<Handover>,
    ) -> Result<Claimed, StoreError> {
        let wanted = claim::Wanted {
            lease,
            now,
            limit,
            handover: Arc::clone(handover),
        };
        let orphans = Some(claim::orphans as _);
        self.inner.work(wanted, 0, claim::claim, orphans).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let lines: Vec<Line> = settlements.into_iter().map(Line::prepare).collect();
        let bytes = lines.iter().map(Line::bytes).sum();
        let outcomes = settle::Outcomes { lines };
        self.inner.work(outcomes, bytes, settle::settle, None).await
    }

    async fn release(&self, lease: LeaseId, keys: Vec<DeliveryKey>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.inner
            .work((lease, keys), 0, settle::release, None)
            .await
    }

    fn endpoint(&self, subscription: SubscriptionId) -> Option<Arc<Endpoint>> {
        let book = self.inner.memory.book.read();
        let entry = book.by_id(subscription)?;
        Some(Arc::clone(&entry.endpoint))
    }

    fn left_alone(&self, limit: usize) -> Vec<Arc<Endpoint>> {
        self.inner.memory.book.read().left_alone(limit)
    }

    async fn note_health(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        health: EndpointHealth,
    ) -> Result<(), StoreError> {
        let note = HealthNote {
            subscription,
            epoch,
            health,
        };
        self.inner.change(note, health::note).await
    }

    async fn disable_failing(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        notice: Arc<Event>,
    ) -> Result<(), StoreError> {
        let failing = Failing {
            subscription,
            epoch,
            notice,
        };
        self.inner.change(failing, health::disable_failing).await
    }

    async fn redeliver(
        &self,
        company: Option<&CompanyId>,
        event: EventId,
        subscription: SubscriptionId,
        now: UtcMillis,
    ) -> Result<Redelivered, StoreError> {
        let redelivery = Redelivery {
            company: company.cloned(),
            event,
            subscription,
            now,
        };
        self.inner.change(redelivery, redelivery::redeliver).await
    }

    async fn replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        now: UtcMillis,
        progress: Option<ReplayProgress>,
    ) -> Result<Replayed, StoreError> {
        self.inner
            .replay(company, subscription, window, now, progress)
            .await
    }

    async fn count_replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        count_max: u64,
    ) -> Result<ReplayCount, StoreError> {
        self.inner
            .count_replay(company, subscription, window, count_max)
            .await
    }
}

#[async_trait]
impl AttemptLog for SqliteStore {
    async fn search_attempts(&self, search: AttemptSearch) -> Result<AttemptsFound, StoreError> {
        let tail = self.inner.tail();
        let read = move |conn: &_| search::search(conn, &tail, &search);
        self.inner.readers.read(read).await
    }

    async fn attempt(
        &self,
        company: &CompanyId,
        place: Position,
    ) -> Result<Option<PlacedAttempt>, StoreError> {
        let company = company.clone();
        let read = move |conn: &_| attempt_lookups::attempt(conn, &company, place);
        self.inner.readers.read(read).await
    }

    async fn attempts_of_delivery(
        &self,
        company: &CompanyId,
        event: EventId,
        subscription: SubscriptionId,
        limit: usize,
    ) -> Result<Vec<PlacedAttempt>, StoreError> {
        let (company, tail) = (company.clone(), self.inner.tail());
        let read = move |conn: &_| {
            attempt_lookups::of_delivery(conn, &tail, &company, event, subscription, limit)
        };
        self.inner.readers.read(read).await
    }

    async fn newest_attempts(
        &self,
        company: &CompanyId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Vec<Option<PlacedAttempt>>, StoreError> {
        let (company, subscriptions) = (company.clone(), subscriptions.to_vec());
        let tail = self.inner.tail();
        let read = move |conn: &_| attempt_lookups::newest(conn, &tail, &company, &subscriptions);
        self.inner.readers.read(read).await
    }

    async fn attempts(
        &self,
        company: Option<&CompanyId>,
        filter: AttemptFilter,
    ) -> Result<Option<AttemptPage>, StoreError> {
        let (company, tail) = (company.cloned(), self.inner.tail());
        let read = move |conn: &_| attempts::attempts(conn, &tail, company.as_ref(), &filter);
        self.inner.readers.read(read).await
    }
}

#[async_trait]
impl SubscriptionBook for SqliteStore {
    async fn create_subscription(
        &self,
        new: NewSubscription,
        by: &Actor,
    ) -> Result<Subscription, StoreError> {
        let input = (new, by.clone());
        self.inner.change(input, subscriptions::create).await
    }

    async fn subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
    ) -> Result<Option<Subscription>, StoreError> {
        let company = company.cloned();
        let read = move |conn: &_| subscription_reads::subscription(conn, company.as_ref(), id);
        self.inner.readers.read(read).await
    }

    async fn endpoint_as_stored(
        &self,
        id: SubscriptionId,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        // The writer changes memory before it answers, so memory is never behind.
        Ok(self.endpoint(id))
    }

    async fn subscriptions(
        &self,
        company: &CompanyId,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<SubscriptionPage, StoreError> {
        let company = company.clone();
        let read =
            move |conn: &_| subscription_reads::subscriptions(conn, &company, order, after, limit);
        self.inner.readers.read(read).await
    }

    async fn update_subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        expected_version: Option<i64>,
        change: SubscriptionChange,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<Updated, StoreError> {
        let update = Update {
            target: target(company, id),
            expected_version,
            change,
            now,
            by: by.clone(),
        };
        self.inner.change(update, subscriptions::update).await
    }

    async fn delete_subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<Deleted, StoreError> {
        let deletion = Deletion {
            target: target(company, id),
            now,
            by: by.clone(),
        };
        self.inner.change(deletion, subscriptions::delete).await
    }

    async fn rotate_secret(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        secret: Secret,
        now: UtcMillis,
        previous_until: UtcMillis,
        by: &Actor,
    ) -> Result<Rotated, StoreError> {
        let rotation = Rotation {
            target: target(company, id),
            secret,
            now,
            previous_until,
            by: by.clone(),
        };
        self.inner.change(rotation, subscriptions::rotate).await
    }
}

#[async_trait]
impl KeyRing for SqliteStore {
    async fn create_key(&self, new: NewApiKey, by: &Actor) -> Result<(), StoreError> {
        self.inner.change((new, by.clone()), keys::create).await
    }

    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        if let Some(key) = self.inner.memory.keys.read().get(hash) {
            return Ok(Some(key.clone()));
        }
        // A program beside this one may have made it.
        let hash = *hash;
        let read = move |conn: &_| key_rows::find(conn, &hash);
        let Some(found) = self.inner.readers.read(read).await? else {
            return Ok(None);
        };
        match self.inner.change(hash, keys::adopt).await {
            Ok(key) => Ok(key),
            // It is in the database; that it cannot be kept in memory now is no reason to refuse.
            Err(_) => Ok(Some(found)),
        }
    }

    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError> {
        let company = company.cloned();
        let read = move |conn: &_| key_rows::list(conn, company.as_ref());
        let mut keys = self.inner.readers.read(read).await?;
        let touched = self.inner.memory.touched.lock();
        for key in &mut keys {
            key.last_used = key.last_used.max(touched.keys.get(&key.id).copied());
        }
        Ok(keys)
    }

    async fn revoke_key(
        &self,
        company: Option<&CompanyId>,
        id: ApiKeyId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        let revocation = keys::Revocation {
            company: company.cloned(),
            id,
            now,
            by: by.clone(),
        };
        self.inner.change(revocation, keys::revoke).await
    }

    fn touch_key(&self, id: ApiKeyId, now: UtcMillis) {
        let mut touched = self.inner.memory.touched.lock();
        let used = touched.keys.entry(id).or_insert(now);
        *used = now.max(*used);
    }
}

#[async_trait]
impl Upkeep for SqliteStore {
    async fn tidy(&self, now: UtcMillis, retention: Retention) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let after = inner.events_tidied();
        let tail = inner.tail();
        let look = move |conn: &_| tidy::look(conn, &tail, now, retention, after);
        let mut chores = inner.readers.read(look).await?;
        inner
            .events_tidied
            .store(chores.events_next(), Ordering::Relaxed);
        chores.add_keys(&inner.memory, now);
        if chores.is_empty() {
            return Ok(chores.has_more());
        }
        let keys = chores.keys();
        let more = inner.change((chores, now), tidy::work).await?;
        tidy::keys_written(&inner.memory, &keys, now);
        Ok(more)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let last = *self.inner.memory.last_commit.lock();
        if last.is_some_and(|last| last.elapsed() < Duration::from_millis(PROOF_VALID_MS)) {
            return Ok(());
        }
        let commit = self.inner.work((), 0, probe::write, None);
        match tokio::time::timeout(Duration::from_millis(CHECK_TIMEOUT_MS), commit).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no commit was possible within {CHECK_TIMEOUT_MS} ms"
            ))),
        }
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let owed = self.inner.memory.owed.load(Ordering::Relaxed);
        let oldest = match owed {
            0 => None,
            _ => self.inner.readers.read(backlog::oldest).await?,
        };
        Ok(Backlog { owed, oldest })
    }

    async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.shut_down())
            .await
            .map_err(|error| StoreError::Broken(format!("closing failed: {error}")))
    }
}

fn target(company: Option<&CompanyId>, id: SubscriptionId) -> Target {
    Target {
        company: company.cloned(),
        id,
    }
}
