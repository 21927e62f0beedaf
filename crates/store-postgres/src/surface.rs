//! The traits of `tidings-store`, joined to the use cases.

use std::sync::{Arc, atomic::Ordering};

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
    PostgresStore, attempts, backlog, book_change,
    database::{self, Database},
    health, key_rows,
    keys::{self, Revocation},
    log_places, placed_attempts, poll,
    redelivery::{self, Redelivery, Replay},
    replay_count::{self, Count},
    reserve, search, subscription_reads,
    subscriptions::{self, Rotation, Target, Update},
    tidy, trace,
};

#[async_trait]
impl EventLog for PostgresStore {
    async fn append(&self, publication: Publication) -> Result<Appended, StoreError> {
        self.inner.append(publication).await
    }

    async fn replayed(
        &self,
        company: &CompanyId,
        promise: &Idempotency,
        now: UtcMillis,
    ) -> Result<Option<Appended>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(reserve::replayed(&db, company, promise, now).await?)
    }

    async fn read_events(&self, query: EventQuery) -> Result<EventPage, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(poll::read_events(&db, &query).await?)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(poll::head(&db).await?)
    }

    async fn position_before(&self, time: UtcMillis) -> Result<Position, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(log_places::position_before(&db, time).await?)
    }

    async fn event(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(poll::event(&db, company, id).await?)
    }

    async fn trace(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Vec<DeliveryTrace>>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(trace::trace(&db, company, id).await?)
    }

    fn arrivals(&self) -> &Arrivals {
        &self.inner.memory.arrivals
    }
}

#[async_trait]
impl DeliveryQueue for PostgresStore {
    async fn acquire_lease(&self, now: UtcMillis, until: UtcMillis) -> Result<LeaseId, StoreError> {
        self.inner.acquire_lease(now, until).await
    }

    async fn renew_lease(
        &self,
        lease: LeaseId,
        _now: UtcMillis,
        until: UtcMillis,
    ) -> Result<Renewal, StoreError> {
        self.inner.renew_lease(lease, until).await
    }

    async fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.end_lease(lease).await
    }

    fn attach(&self, lease: LeaseId, handover: Arc<Handover>) {
        self.inner.attach(lease, handover);
    }

    fn detach(&self) {
        self.inner.detach();
    }

    async fn claim(
        &self,
        lease: LeaseId,
        now: UtcMillis,
        limit: usize,
        handover: &Arc<Handover>,
    ) -> Result<Claimed, StoreError> {
        self.inner.claim(lease, now, limit, handover).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        self.inner.settle(settlements).await
    }

    async fn release(&self, lease: LeaseId, keys: Vec<DeliveryKey>) -> Result<(), StoreError> {
        self.inner.release(lease, keys).await
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
        Ok(health::note(&self.inner, subscription, epoch, health).await?)
    }

    async fn disable_failing(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        notice: Arc<Event>,
    ) -> Result<(), StoreError> {
        Ok(health::disable_failing(&self.inner, subscription, epoch, &notice).await?)
    }

    fn nodes(&self) -> usize {
        self.inner.memory.peers.load(Ordering::Relaxed) + 1
    }

    async fn redeliver(
        &self,
        company: Option<&CompanyId>,
        event: EventId,
        subscription: SubscriptionId,
        now: UtcMillis,
    ) -> Result<Redelivered, StoreError> {
        let redelivery = Redelivery {
            company,
            event,
            subscription,
            now,
        };
        Ok(redelivery::redeliver(&self.inner, &redelivery).await?)
    }

    async fn replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        now: UtcMillis,
        progress: Option<ReplayProgress>,
    ) -> Result<Replayed, StoreError> {
        let replay = Replay {
            company,
            subscription,
            window,
            now,
        };
        Ok(redelivery::replay(&self.inner, &replay, progress.as_ref()).await?)
    }

    async fn count_replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        count_max: u64,
    ) -> Result<ReplayCount, StoreError> {
        let count = Count {
            company,
            subscription,
            window,
            count_max,
        };
        Ok(replay_count::count(&self.inner, &count).await?)
    }
}

#[async_trait]
impl AttemptLog for PostgresStore {
    async fn search_attempts(&self, search: AttemptSearch) -> Result<AttemptsFound, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(search::search(&db, &search).await?)
    }

    async fn attempt(
        &self,
        company: &CompanyId,
        place: Position,
    ) -> Result<Option<PlacedAttempt>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(placed_attempts::at(&db, company, place).await?)
    }

    async fn attempts_of_delivery(
        &self,
        company: &CompanyId,
        event: EventId,
        subscription: SubscriptionId,
        limit: usize,
    ) -> Result<Vec<PlacedAttempt>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(placed_attempts::of_delivery(&db, company, event, subscription, limit).await?)
    }

    async fn newest_attempts(
        &self,
        company: &CompanyId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Vec<Option<PlacedAttempt>>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(placed_attempts::newest(&db, company, subscriptions).await?)
    }

    async fn attempts(
        &self,
        company: Option<&CompanyId>,
        filter: AttemptFilter,
    ) -> Result<Option<AttemptPage>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(attempts::attempts(&db, company, &filter).await?)
    }
}

#[async_trait]
impl SubscriptionBook for PostgresStore {
    async fn create_subscription(
        &self,
        new: NewSubscription,
        by: &Actor,
    ) -> Result<Subscription, StoreError> {
        Ok(subscriptions::create(&self.inner, &new, by).await?)
    }

    async fn subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
    ) -> Result<Option<Subscription>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(subscription_reads::subscription(&db, company, id).await?)
    }

    async fn endpoint_as_stored(
        &self,
        id: SubscriptionId,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        self.inner.refresh().await?;
        Ok(self.endpoint(id))
    }

    async fn subscriptions(
        &self,
        company: &CompanyId,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<SubscriptionPage, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(subscription_reads::subscriptions(&db, company, order, after, limit).await?)
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
            target: Target { company, id },
            expected_version,
            change,
            now,
            by,
        };
        Ok(subscriptions::update(&self.inner, &update).await?)
    }

    async fn delete_subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<Deleted, StoreError> {
        let target = Target { company, id };
        Ok(subscriptions::delete(&self.inner, target, now, by).await?)
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
            target: Target { company, id },
            secret,
            now,
            previous_until,
            by,
        };
        Ok(subscriptions::rotate(&self.inner, &rotation).await?)
    }
}

#[async_trait]
impl KeyRing for PostgresStore {
    async fn create_key(&self, new: NewApiKey, by: &Actor) -> Result<(), StoreError> {
        let inner = &self.inner;
        keys::create(&inner.pool, &inner.memory.metrics, &new, by).await?;
        book_change::take_in(inner).await;
        Ok(())
    }

    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        let memory = &self.inner.memory;
        if let Some(key) = memory.keys.read().get(hash) {
            return Ok(Some(key.clone()));
        }
        // Another node may have made it a moment ago.
        let client = database::borrow(&self.inner.pool).await?;
        Ok(key_rows::find(&Database::new(&client, &memory.metrics), hash).await?)
    }

    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError> {
        let memory = &self.inner.memory;
        let client = database::borrow(&self.inner.pool).await?;
        let mut keys = key_rows::list(&Database::new(&client, &memory.metrics), company).await?;
        let touched = memory.touched.lock();
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
        let (pool, memory) = (&self.inner.pool, &self.inner.memory);
        let revocation = Revocation {
            company,
            id,
            now,
            by,
        };
        let Some(revoked) = keys::revoke(pool, &memory.metrics, &revocation).await? else {
            return Ok(false);
        };
        book_change::take_in(&self.inner).await;
        memory.keys.write().remove(&revoked.hash);
        let own: Vec<i64> = memory.own_leases.lock().iter().map(|it| it.0).collect();
        keys::seen_by_all(pool, &memory.metrics, revoked.version, &own, now).await?;
        Ok(true)
    }

    fn touch_key(&self, id: ApiKeyId, now: UtcMillis) {
        let mut touched = self.inner.memory.touched.lock();
        let used = touched.keys.entry(id).or_insert(now);
        *used = now.max(*used);
    }
}

#[async_trait]
impl Upkeep for PostgresStore {
    async fn tidy(&self, now: UtcMillis, retention: Retention) -> Result<bool, StoreError> {
        Ok(tidy::tidy(&self.inner, now, retention).await?)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(backlog::backlog(&db).await?)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.shut_down().await;
        Ok(())
    }
}
