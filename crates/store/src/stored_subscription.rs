//! A subscription as its row has it, and what becomes of it on the way to memory: secrets opened,
//! and the rest as publishing and dispatching need it.

use std::sync::Arc;

use tidings_domain::{
    id::SubscriptionId,
    secret::Secret,
    subscription::{Endpoint, SigningSecrets, Subscription},
    time::UtcMillis,
};

use crate::{BookEntry, Sealed, Sealer, Seq, StoredFormError};

/// A row as it is.
#[derive(Clone, Debug)]
pub struct StoredSubscription {
    /// Its number.
    pub seq: Seq,
    /// As its company sees it.
    pub subscription: Subscription,
    /// How often it was disabled; see [`Endpoint::epoch`].
    pub epoch: u32,
    /// Whether it was deleted: the row stays for its attempts.
    pub deleted: bool,
    /// The newest secret; none once it is deleted.
    pub secret: Option<Sealed>,
    /// The one before, and when it ends.
    pub previous: Option<(Sealed, UtcMillis)>,
}

impl StoredSubscription {
    /// What publishing and dispatching need, secrets opened.
    pub fn to_entry(&self, sealer: &Sealer) -> Result<BookEntry, StoredFormError> {
        let secrets = self.secrets(sealer)?;
        Ok(BookEntry::new(
            self.seq,
            &self.subscription,
            secrets,
            self.epoch,
        ))
    }

    /// The secrets, opened.
    pub fn secrets(&self, sealer: &Sealer) -> Result<SigningSecrets, StoredFormError> {
        let id = self.subscription.id;
        let unreadable = StoredFormError::Unreadable("secret");
        let newest = self.secret.as_ref().ok_or(unreadable)?;
        Ok(SigningSecrets {
            newest: sealer.open_secret(id, newest)?,
            previous: match &self.previous {
                Some((secret, until)) => Some((sealer.open_secret(id, secret)?, *until)),
                None => None,
            },
        })
    }
}

impl BookEntry {
    /// What publishing and dispatching need of a subscription.
    #[must_use]
    pub fn new(seq: Seq, subscription: &Subscription, secrets: SigningSecrets, epoch: u32) -> Self {
        Self {
            seq,
            endpoint: Arc::new(Endpoint {
                id: subscription.id,
                company: subscription.company.clone(),
                url: subscription.url.clone(),
                secrets,
                enabled: subscription.enabled,
                epoch,
                max_per_second: subscription.max_per_second,
                health: subscription.health,
            }),
            event_types: subscription.event_types.clone(),
        }
    }

    /// The same once it is disabled: what was owed to it before is owed no more.
    #[must_use]
    pub fn disabled(&self) -> Self {
        Self {
            seq: self.seq,
            endpoint: Arc::new(Endpoint {
                enabled: false,
                epoch: self.endpoint.epoch + 1,
                ..Endpoint::clone(&self.endpoint)
            }),
            event_types: self.event_types.clone(),
        }
    }
}

impl Sealer {
    /// Seals a signing secret for the subscription it belongs to.
    #[must_use]
    pub fn seal_secret(&self, id: SubscriptionId, secret: &Secret) -> Sealed {
        self.seal(id.as_bytes(), secret.expose())
    }

    /// Opens what [`Sealer::seal_secret`] made.
    pub fn open_secret(
        &self,
        id: SubscriptionId,
        sealed: &Sealed,
    ) -> Result<Secret, StoredFormError> {
        let plain = self.open(id.as_bytes(), sealed)?;
        Secret::parse(&plain).map_err(|_| StoredFormError::Unreadable("secret"))
    }
}
