//! A store that does what the real one does, except when it is told to fail: before the call took
//! effect, or after it, which is what a connection that breaks during a commit looks like.

mod unfaulted;

use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use async_trait::async_trait;
use parking_lot::Mutex;
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
    Appended, Arrivals, Backlog, Claimed, Deleted, DeliveryKey, DeliveryQueue, DeliveryTrace,
    EventLog, EventPage, EventQuery, Handover, Idempotency, KeyRing, LeaseId, NewApiKey,
    NewSubscription, Position, Publication, Redelivered, Renewal, ReplayCount, ReplayProgress,
    ReplayWindow, Replayed, Retention, Rotated, Settled, Settlement, Store, StoreError,
    SubscriptionBook, SubscriptionChange, SubscriptionPage, Updated, Upkeep,
};
use tokio::sync::{Notify, oneshot};

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Append,
    AcquireLease,
    RenewLease,
    EndLease,
    Claim,
    Settle,
    Release,
    Change,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not happen, and says so.
    Before(StoreError),
    /// It happens, and says that it did not.
    After(StoreError),
    /// It happens, but not until [`FaultyStore::let_go`].
    Hold,
    /// It panics.
    Panic,
    /// So many other tasks have a turn before and after it.
    Dawdle(usize),
}

type Plan = Box<dyn FnMut(Call) -> Option<Fault> + Send>;

/// A store around the real one. Its calls of the real one end within one turn of the task, so that
/// what happens in which order follows from the test alone.
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
    calls: Mutex<HashMap<Call, usize>>,
    held: Mutex<Vec<oneshot::Sender<()>>>,
    poison: Mutex<Option<EventId>>,
    /// A call began to be held.
    pub(crate) holding: Notify,
}

impl FaultyStore {
    /// Around `inner`, without faults so far.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            plan: Mutex::new(Box::new(|_| None)),
            calls: Mutex::default(),
            held: Mutex::default(),
            poison: Mutex::default(),
            holding: Notify::new(),
        })
    }

    /// From now on, `plan` says what happens to each call.
    pub(crate) fn plan(&self, plan: impl FnMut(Call) -> Option<Fault> + Send + 'static) {
        *self.plan.lock() = Box::new(plan);
    }

    /// From now on, this call always meets this fault, and no other does.
    pub(crate) fn always(&self, which: Call, fault: Fault) {
        self.plan(move |call| (call == which).then(|| fault.clone()));
    }

    /// The next such call meets this fault, and no other does.
    pub(crate) fn once(&self, which: Call, fault: Fault) {
        let mut fault = Some(fault);
        self.plan(move |call| if call == which { fault.take() } else { None });
    }

    /// No faults from now on.
    pub(crate) fn works(&self) {
        self.plan(|_| None);
    }

    /// From now on, no settlement of this event can be recorded, nor what is sent along with it.
    pub(crate) fn poison(&self, event: Option<EventId>) {
        *self.poison.lock() = event;
    }

    /// How often a call was made so far.
    pub(crate) fn calls(&self, call: Call) -> usize {
        self.calls.lock().get(&call).copied().unwrap_or(0)
    }

    /// How many calls are held.
    pub(crate) fn held(&self) -> usize {
        let mut held = self.held.lock();
        held.retain(|one| !one.is_closed());
        held.len()
    }

    /// Lets the held calls happen.
    pub(crate) fn let_go(&self) {
        for held in self.held.lock().drain(..) {
            // The caller may have gone.
            let _ = held.send(());
        }
    }

    async fn meet<T>(
        &self,
        call: Call,
        inner: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        *self.calls.lock().entry(call).or_default() += 1;
        let fault = (*self.plan.lock())(call);
        match fault {
            None => block_on(inner),
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => block_on(inner).and(Err(error)),
            Some(Fault::Panic) => panic!("the plan says so"),
            Some(Fault::Hold) => {
                let (told, tells) = oneshot::channel();
                self.held.lock().push(told);
                self.holding.notify_one();
                // One that nobody lets go of ends with the test.
                let _ = tells.await;
                block_on(inner)
            }
            Some(Fault::Dawdle(turns)) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                let answer = block_on(inner);
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                answer
            }
        }
    }
}

/// Waits for a future on this thread. The real store works on threads of its own, so its answers
/// come although nothing else runs here meanwhile.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[async_trait]
impl DeliveryQueue for FaultyStore {
    async fn acquire_lease(&self, now: UtcMillis, until: UtcMillis) -> Result<LeaseId, StoreError> {
        self.meet(Call::AcquireLease, self.inner.acquire_lease(now, until))
            .await
    }

    async fn renew_lease(
        &self,
        lease: LeaseId,
        now: UtcMillis,
        until: UtcMillis,
    ) -> Result<Renewal, StoreError> {
        self.meet(Call::RenewLease, self.inner.renew_lease(lease, now, until))
            .await
    }

    async fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.meet(Call::EndLease, self.inner.end_lease(lease)).await
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
        self.meet(Call::Claim, self.inner.claim(lease, now, limit, handover))
            .await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError> {
        let poison = *self.poison.lock();
        let is_poisoned = |one: &Settlement| Some(one.attempt.event) == poison;
        if settlements.iter().any(is_poisoned) {
            return Err(StoreError::Broken("poisoned".to_owned()));
        }
        self.meet(Call::Settle, self.inner.settle(settlements))
            .await
    }

    async fn release(&self, lease: LeaseId, keys: Vec<DeliveryKey>) -> Result<(), StoreError> {
        self.meet(Call::Release, self.inner.release(lease, keys))
            .await
    }

    fn endpoint(&self, subscription: SubscriptionId) -> Option<Arc<Endpoint>> {
        self.inner.endpoint(subscription)
    }

    fn left_alone(&self, limit: usize) -> Vec<Arc<Endpoint>> {
        self.inner.left_alone(limit)
    }

    async fn note_health(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        health: EndpointHealth,
    ) -> Result<(), StoreError> {
        let noted = self.inner.note_health(subscription, epoch, health);
        self.meet(Call::Change, noted).await
    }

    async fn disable_failing(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        notice: Arc<Event>,
    ) -> Result<(), StoreError> {
        let disabled = self.inner.disable_failing(subscription, epoch, notice);
        self.meet(Call::Change, disabled).await
    }

    async fn redeliver(
        &self,
        company: Option<&CompanyId>,
        event: EventId,
        subscription: SubscriptionId,
        now: UtcMillis,
    ) -> Result<Redelivered, StoreError> {
        self.meet(
            Call::Change,
            self.inner.redeliver(company, event, subscription, now),
        )
        .await
    }

    async fn replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        now: UtcMillis,
        progress: Option<ReplayProgress>,
    ) -> Result<Replayed, StoreError> {
        self.meet(
            Call::Change,
            self.inner
                .replay(company, subscription, window, now, progress),
        )
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
impl EventLog for FaultyStore {
    async fn append(&self, publication: Publication) -> Result<Appended, StoreError> {
        self.meet(Call::Append, self.inner.append(publication))
            .await
    }

    async fn replayed(
        &self,
        company: &CompanyId,
        promise: &Idempotency,
        now: UtcMillis,
    ) -> Result<Option<Appended>, StoreError> {
        self.inner.replayed(company, promise, now).await
    }

    async fn read_events(&self, query: EventQuery) -> Result<EventPage, StoreError> {
        self.inner.read_events(query).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    async fn position_before(&self, time: UtcMillis) -> Result<Position, StoreError> {
        self.inner.position_before(time).await
    }

    async fn event(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        self.inner.event(company, id).await
    }

    async fn trace(
        &self,
        company: Option<&CompanyId>,
        id: EventId,
    ) -> Result<Option<Vec<DeliveryTrace>>, StoreError> {
        self.inner.trace(company, id).await
    }

    fn arrivals(&self) -> &Arrivals {
        self.inner.arrivals()
    }
}

#[async_trait]
impl SubscriptionBook for FaultyStore {
    async fn create_subscription(
        &self,
        new: NewSubscription,
        by: &Actor,
    ) -> Result<Subscription, StoreError> {
        self.meet(Call::Change, self.inner.create_subscription(new, by))
            .await
    }

    async fn subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
    ) -> Result<Option<Subscription>, StoreError> {
        self.inner.subscription(company, id).await
    }

    async fn endpoint_as_stored(
        &self,
        id: SubscriptionId,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        self.inner.endpoint_as_stored(id).await
    }

    async fn subscriptions(
        &self,
        company: &CompanyId,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<SubscriptionPage, StoreError> {
        self.inner.subscriptions(company, order, after, limit).await
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
        self.meet(
            Call::Change,
            self.inner
                .update_subscription(company, id, expected_version, change, now, by),
        )
        .await
    }

    async fn delete_subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<Deleted, StoreError> {
        self.meet(
            Call::Change,
            self.inner.delete_subscription(company, id, now, by),
        )
        .await
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
        self.meet(
            Call::Change,
            self.inner
                .rotate_secret(company, id, secret, now, previous_until, by),
        )
        .await
    }
}

#[async_trait]
impl KeyRing for FaultyStore {
    async fn create_key(&self, new: NewApiKey, by: &Actor) -> Result<(), StoreError> {
        self.inner.create_key(new, by).await
    }

    async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<ApiKey>, StoreError> {
        self.inner.key_by_hash(hash).await
    }

    async fn keys(&self, company: Option<&CompanyId>) -> Result<Vec<ApiKey>, StoreError> {
        self.inner.keys(company).await
    }

    async fn revoke_key(
        &self,
        company: Option<&CompanyId>,
        id: ApiKeyId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        self.inner.revoke_key(company, id, now, by).await
    }

    fn touch_key(&self, id: ApiKeyId, now: UtcMillis) {
        self.inner.touch_key(id, now);
    }
}

#[async_trait]
impl Upkeep for FaultyStore {
    async fn tidy(&self, now: UtcMillis, retention: Retention) -> Result<bool, StoreError> {
        self.inner.tidy(now, retention).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.inner.backlog().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
