//! Who wants what: subscriptions, their secrets, their end.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    breaker::EndpointHealth,
    company::CompanyId,
    cursor::Order,
    id::SubscriptionId,
    secret::Secret,
    subscription::{Endpoint, EventTypes, ManagedBy, MaxPerSecond, Subscription},
    target::TargetUrl,
    time::UtcMillis,
};

use crate::{Position, StoreError};

/// A subscription to make.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose.
    pub company: CompanyId,
    /// Where to.
    pub url: TargetUrl,
    /// Which events.
    pub event_types: EventTypes,
    /// What signs; sealed before it is stored.
    pub secret: Secret,
    /// A note.
    pub description: Option<String>,
    /// Whether it receives from the start.
    pub enabled: bool,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// How fast it is delivered to at the most.
    pub max_per_second: Option<MaxPerSecond>,
    /// When.
    pub now: UtcMillis,
}

/// A change: what is none stays.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionChange {
    /// A new URL.
    pub url: Option<TargetUrl>,
    /// Other events.
    pub event_types: Option<EventTypes>,
    /// Another note, or none.
    pub description: Option<Option<String>>,
    /// On or off. Off ends what is pending; on clears the reason the server gave.
    pub enabled: Option<bool>,
    /// Another delivery rate, or none.
    pub max_per_second: Option<Option<MaxPerSecond>>,
}

impl NewSubscription {
    /// The subscription as it begins.
    #[must_use]
    pub fn to_subscription(&self) -> Subscription {
        Subscription {
            id: self.id,
            company: self.company.clone(),
            url: self.url.clone(),
            event_types: self.event_types.clone(),
            description: self.description.clone(),
            enabled: self.enabled,
            disabled_reason: None,
            managed_by: self.managed_by,
            max_per_second: self.max_per_second,
            health: EndpointHealth::default(),
            created: self.now,
            updated: self.now,
            version: 1,
        }
    }
}

impl SubscriptionChange {
    /// The subscription after the change, its version and time of change left to the store: what
    /// makes no difference makes no new version.
    #[must_use]
    pub fn applied_to(&self, before: &Subscription) -> Subscription {
        let mut after = before.clone();
        if let Some(url) = &self.url {
            after.url = url.clone();
        }
        if let Some(types) = &self.event_types {
            after.event_types = types.clone();
        }
        if let Some(description) = &self.description {
            after.description.clone_from(description);
        }
        if let Some(rate) = self.max_per_second {
            after.max_per_second = rate;
        }
        // What goes elsewhere, or is enabled again, starts afresh.
        if after.url != before.url || self.enabled == Some(true) && !before.enabled {
            after.health = EndpointHealth::default();
        }
        if let Some(enabled) = self.enabled {
            after.enabled = enabled;
            if enabled {
                after.disabled_reason = None;
            }
        }
        after
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// As it is now.
    Changed(Subscription),
    /// No such subscription.
    NotFound,
    /// It has another version than the caller expects.
    Stale,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, now or since an earlier deletion, and owed nothing any more.
    Gone,
    /// There never was one.
    NeverWas,
}

/// What became of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The new secret signs.
    Done,
    /// No such subscription.
    NotFound,
}

/// A page of subscriptions.
#[derive(Clone, Debug)]
pub struct SubscriptionPage {
    /// In the order asked for.
    pub subscriptions: Vec<Subscription>,
    /// Where to go on.
    pub next: Position,
    /// Whether more follow.
    pub has_more: bool,
}

/// Who wants what.
///
/// Each change leaves a line in the audit log, in the same transaction. Every append that begins
/// after it was answered sees it. It wakes the attached [`crate::Handover`], whose dispatcher may
/// have left an endpoint alone.
#[async_trait]
pub trait SubscriptionBook: Send + Sync + 'static {
    /// Makes a subscription; events from now on are matched to it.
    async fn create_subscription(
        &self,
        new: NewSubscription,
        by: &Actor,
    ) -> Result<Subscription, StoreError>;

    /// One that exists; `company` none for whoever's it is.
    async fn subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
    ) -> Result<Option<Subscription>, StoreError>;

    /// Where its attempts go and what signs them, as the database has it now; none where it was
    /// deleted. Unlike [`DeliveryQueue::endpoint`](crate::DeliveryQueue::endpoint), it knows what
    /// another node has just changed.
    async fn endpoint_as_stored(
        &self,
        id: SubscriptionId,
    ) -> Result<Option<Arc<Endpoint>>, StoreError>;

    /// A page of a company's, in the order in which they were made.
    async fn subscriptions(
        &self,
        company: &CompanyId,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<SubscriptionPage, StoreError>;

    /// Changes a subscription, if it still has the version that the caller expects.
    async fn update_subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        expected_version: Option<i64>,
        change: SubscriptionChange,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<Updated, StoreError>;

    /// Deletes a subscription and drops what it is owed; its attempts stay readable.
    async fn delete_subscription(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<Deleted, StoreError>;

    /// Puts a new secret in front; the former newest stays valid until `previous_until`, any
    /// older one ends.
    async fn rotate_secret(
        &self,
        company: Option<&CompanyId>,
        id: SubscriptionId,
        secret: Secret,
        now: UtcMillis,
        previous_until: UtcMillis,
        by: &Actor,
    ) -> Result<Rotated, StoreError>;
}
