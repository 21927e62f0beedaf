//! Nodes: who leases deliveries, claims them, and lets them be made again.
//!
//! What comes of their attempts is in [`crate::outcome`], what can be seen of it afterwards in
//! [`crate::hindsight`].

use std::sync::Arc;

use tidings_domain::{
    event::Event,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{
    Claimed, Delivery, Handover, HandoverLimits, LeaseId, Redelivered, ReplayScope, ReplayWindow,
    Replayed,
};

use crate::scenario::{EVERYTHING, Scenario, WORKS};

/// How long a node's lease is good, in milliseconds.
pub(crate) const LEASE_MS: i64 = 15_000;
/// Room for more than any case owes.
const WIDE: HandoverLimits = HandoverLimits {
    deliveries_max: 4 * EVERYTHING,
    deliveries_per_subscription_max: EVERYTHING,
    bytes_max: usize::MAX,
};

/// A node: a lease, and the memory that its deliveries take room in.
pub(crate) struct Node {
    pub(crate) lease: LeaseId,
    pub(crate) handover: Arc<Handover>,
}

impl Scenario<'_> {
    /// A node with a fresh lease and much room, which appends do not know of.
    pub(crate) async fn node(&self) -> Node {
        self.node_within(WIDE).await
    }

    /// The same with these limits.
    pub(crate) async fn node_within(&self, limits: HandoverLimits) -> Node {
        let until = self.later(LEASE_MS);
        let lease = self
            .store()
            .acquire_lease(self.now(), until)
            .await
            .expect(WORKS);
        let handover = Handover::new(limits);
        Node { lease, handover }
    }

    /// Has what is appended from now on handed over to `node`.
    pub(crate) fn attach(&self, node: &Node) {
        self.store().attach(node.lease, Arc::clone(&node.handover));
    }

    pub(crate) async fn attached_node(&self) -> Node {
        let node = self.node().await;
        self.attach(&node);
        node
    }

    /// One claim of at most `limit`.
    pub(crate) async fn claim_some(&self, node: &Node, limit: usize) -> Claimed {
        let store = self.store();
        let claimed = store
            .claim(node.lease, self.now(), limit, &node.handover)
            .await;
        let claimed = claimed.expect(WORKS);
        assert!(claimed.deliveries.len() <= limit, "a claim keeps its limit");
        for delivery in &claimed.deliveries {
            assert_eq!(delivery.lease, node.lease, "who claims it holds it");
        }
        claimed
    }

    /// Everything that is due and that the node has room for, the longest due first.
    pub(crate) async fn claim(&self, node: &Node) -> Vec<Delivery> {
        let mut found = Vec::new();
        loop {
            let claimed = self.claim_some(node, EVERYTHING).await.deliveries;
            if claimed.is_empty() {
                return found;
            }
            found.extend(claimed);
        }
    }

    /// Everything that is due, which has to be one delivery.
    pub(crate) async fn claim_one(&self, node: &Node) -> Delivery {
        let mut claimed = self.claim(node).await;
        assert_eq!(claimed.len(), 1, "one delivery is due: {claimed:?}");
        claimed.remove(0)
    }

    /// What is due now, as a new node would see it, and let go of at once.
    pub(crate) async fn due(&self) -> Vec<(EventId, SubscriptionId)> {
        let node = self.node().await;
        let mut due = addressed(&self.claim(&node).await);
        self.store().end_lease(node.lease).await.expect(WORKS);
        due.sort_unstable();
        due
    }

    pub(crate) async fn owed(&self) -> u64 {
        self.store().backlog().await.expect(WORKS).owed
    }

    pub(crate) async fn redeliver(&self, event: &Event, to: SubscriptionId) -> Redelivered {
        let store = self.store();
        store
            .redeliver(None, event.id(), to, self.now())
            .await
            .expect(WORKS)
    }

    /// Replays everything since the beginning of time.
    pub(crate) async fn replay(&self, to: SubscriptionId, scope: ReplayScope) -> Replayed {
        let since = UtcMillis::from_millis(0);
        self.replay_window(
            to,
            ReplayWindow {
                since,
                until: None,
                scope,
            },
        )
        .await
    }

    pub(crate) async fn replay_window(&self, to: SubscriptionId, window: ReplayWindow) -> Replayed {
        self.store()
            .replay(None, to, window, self.now(), None)
            .await
            .expect(WORKS)
    }
}

/// Which event goes to whom.
pub(crate) fn addressed(deliveries: &[Delivery]) -> Vec<(EventId, SubscriptionId)> {
    let address = |delivery: &Delivery| (delivery.event.id(), delivery.key.subscription);
    deliveries.iter().map(address).collect()
}
