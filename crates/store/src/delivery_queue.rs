//! What is still owed: leases, claims, settlements, redelivery and replay.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_domain::{
    attempt::Attempt,
    breaker::EndpointHealth,
    company::CompanyId,
    event::Event,
    id::{EventId, SubscriptionId},
    subscription::Endpoint,
    time::UtcMillis,
    verdict::Verdict,
};

use crate::{Handover, Place, Position, StoreError};

/// A node's hold on the rows it works on, and the fencing token in each of them. Never given out
/// twice, also not after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub i64);

/// Names a delivery: which event, to whom, and which delivery of it in turn (0 for the first;
/// redelivery and replay count up).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The event's position.
    pub position: Position,
    /// To whom.
    pub subscription: SubscriptionId,
    /// 0 for the delivery that publishing made.
    pub round: u32,
}

/// A leased delivery in a node's memory.
#[derive(Debug)]
pub struct Delivery {
    /// Its name.
    pub key: DeliveryKey,
    /// Under which lease it is held.
    pub lease: LeaseId,
    /// The subscription's epoch in which it became owed; see [`Endpoint::epoch`].
    pub epoch: u32,
    /// What to send.
    pub event: Arc<Event>,
    /// Attempts that were settled before.
    pub attempts_made: u32,
    /// When the first of them began.
    pub first_attempt: Option<UtcMillis>,
    /// When it became owed.
    pub owed_since: UtcMillis,
    /// Its place in memory, given back when the delivery is dropped.
    pub place: Place,
}

/// The result of one attempt, to be recorded.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which delivery.
    pub key: DeliveryKey,
    /// The lease under which the attempt was made.
    pub lease: LeaseId,
    /// The epoch in which the delivery became owed.
    pub epoch: u32,
    /// When the delivery's first attempt began.
    pub first_attempt: UtcMillis,
    /// The line for the delivery log. Shared, as whoever settles keeps it until it is recorded.
    pub attempt: Arc<Attempt>,
    /// What becomes of the delivery.
    pub verdict: Verdict,
    /// With [`Verdict::Gone`]: the event that tells the company that its subscription ended.
    pub notice: Option<Arc<Event>>,
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The attempt is in the log; the row is gone, or waits for its next time.
    Recorded,
    /// The delivery was ended meanwhile (subscription disabled or deleted): the attempt is in the
    /// log, with no next one, and the row is gone.
    Ended,
    /// The lease was lost: nothing changed, somebody else has it.
    LeaseLost,
}

/// What a claim found.
#[derive(Debug)]
pub struct Claimed {
    /// Now leased to the caller, the longest due first.
    pub deliveries: Vec<Delivery>,
    /// When the next delivery is due that a later claim could take, of subscriptions that had
    /// room; none where nothing waits.
    pub next_due: Option<UtcMillis>,
}

/// Whether a lease still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It does, for the time asked for.
    Held,
    /// Others took its work over. What is in memory under it is void.
    Lost,
}

/// What became of a wish to deliver again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivered {
    /// Owed now.
    Queued,
    /// No such event.
    NoEvent,
    /// No such subscription.
    NoSubscription,
    /// The subscription is disabled.
    Disabled,
}

/// What became of a wish to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// So many deliveries are owed now.
    Queued(u64),
    /// No such subscription.
    NoSubscription,
    /// The subscription is disabled.
    Disabled,
}

/// Which of a window's events to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayScope {
    /// Those that did not succeed at the subscription, the missed ones included.
    Failed,
    /// Every one that matches.
    All,
}

impl ReplayScope {
    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::All => "all",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Failed, Self::All]
            .into_iter()
            .find(|scope| scope.as_str() == word)
    }
}

/// A window of events by their `createdUtc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// From here on.
    pub since: UtcMillis,
    /// Up to here, exclusive; none for everything that is stored by now.
    pub until: Option<UtcMillis>,
    /// Which of them.
    pub scope: ReplayScope,
}

/// How many deliveries a replay would ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayCount {
    /// So many.
    Exactly(u64),
    /// At least so many: counting ended there.
    AtLeast(u64),
    /// No such subscription.
    NoSubscription,
    /// The subscription is disabled.
    Disabled,
}

/// What is told while a replay goes on: how many deliveries were asked for so far.
pub type ReplayProgress = Arc<dyn Fn(u64) + Send + Sync>;

/// Small and busy: what is still owed, and who works on it.
#[async_trait]
pub trait DeliveryQueue: Send + Sync + 'static {
    /// A new lease for this node, good until `until` unless it is renewed.
    async fn acquire_lease(&self, now: UtcMillis, until: UtcMillis) -> Result<LeaseId, StoreError>;

    /// Prolongs a lease. A lease whose time ran out still stands until somebody takes its work.
    async fn renew_lease(
        &self,
        lease: LeaseId,
        now: UtcMillis,
        until: UtcMillis,
    ) -> Result<Renewal, StoreError>;

    /// Ends a lease: every row held under it is free again, at once.
    async fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// From now on, appended work is leased to `lease` and handed over as far as there is room.
    fn attach(&self, lease: LeaseId, handover: Arc<Handover>);

    /// From now on, appended work waits for a claim.
    fn detach(&self);

    /// Leases deliveries that are due at `now` to `lease`: free ones, and those of leases whose
    /// time ran out. At most `limit`, and of each subscription and company only as many as
    /// `handover` has room for; saturated ones are skipped, not fetched.
    async fn claim(
        &self,
        lease: LeaseId,
        now: UtcMillis,
        limit: usize,
        handover: &Arc<Handover>,
    ) -> Result<Claimed, StoreError>;

    /// Records attempts in one transaction; answers in the order of the settlements.
    ///
    /// Succeeded, given up, gone: the row leaves the queue. Retry: it is free and due at its next
    /// time. Gone also disables the subscription, ends what else was pending there, and appends
    /// the notice (once).
    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, StoreError>;

    /// Lets go of deliveries without an attempt: those of an ended epoch or of a subscription
    /// that is gone leave the queue, the others are free again and due as before.
    async fn release(&self, lease: LeaseId, keys: Vec<DeliveryKey>) -> Result<(), StoreError>;

    /// The endpoint as it is now, from memory; none where it was deleted.
    fn endpoint(&self, subscription: SubscriptionId) -> Option<Arc<Endpoint>>;

    /// Enabled endpoints of whichever company whose breaker was noted to be anything but closed, at
    /// most `limit`, from memory, in the order in which they were made.
    fn left_alone(&self, limit: usize) -> Vec<Arc<Endpoint>>;

    /// Notes how an endpoint does, for every node and for its company to see. Not a change of the
    /// subscription: its version stays. Nothing where its epoch is over.
    async fn note_health(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        health: EndpointHealth,
    ) -> Result<(), StoreError>;

    /// Disables a subscription whose endpoint did nothing but fail for too long: ends what is
    /// pending there, and appends the notice that says so. Nothing where its epoch is over.
    async fn disable_failing(
        &self,
        subscription: SubscriptionId,
        epoch: u32,
        notice: Arc<Event>,
    ) -> Result<(), StoreError>;

    /// How many nodes deliver from this database, this one included, as far as it is known: who
    /// must keep a rate for all of them together takes its part of it.
    fn nodes(&self) -> usize {
        1
    }

    /// Owes an event to a subscription once more, now, as a new delivery. One that waits for its
    /// next attempt starts anew instead of being doubled; one in flight is left to itself and a
    /// second is queued.
    async fn redeliver(
        &self,
        company: Option<&CompanyId>,
        event: EventId,
        subscription: SubscriptionId,
        now: UtcMillis,
    ) -> Result<Redelivered, StoreError>;

    /// Owes every event of a window that the subscription's types match once more. A delivery
    /// that waits for its next attempt starts anew; one that was not attempted yet or is in
    /// flight is left to itself and not counted.
    async fn replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        now: UtcMillis,
        progress: Option<ReplayProgress>,
    ) -> Result<Replayed, StoreError>;

    /// How many deliveries [`DeliveryQueue::replay`] would ask for now, counted up to `count_max`.
    async fn count_replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        count_max: u64,
    ) -> Result<ReplayCount, StoreError>;
}
