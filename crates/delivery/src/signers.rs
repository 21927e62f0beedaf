//! Prepared signing keys, kept from one attempt to the next.
//!
//! Preparing the keys of a secret costs as much as signing a small body, and the secret changes
//! hardly ever. An entry holds for as long as the store gives out the same endpoint, and until the
//! previous secret's overlap ends.

use std::sync::Arc;

use hashbrown::HashMap;
use tidings_domain::{
    id::SubscriptionId, signing::Signer, subscription::Endpoint, time::UtcMillis,
};

/// The most subscriptions whose keys are kept. Beyond it all are forgotten, and made again as
/// they are needed: a rare and cheap event, and no order to keep.
const SIGNERS_MAX: usize = 10_000;

/// The prepared keys of the subscriptions that were delivered to lately.
#[derive(Default)]
pub(crate) struct Signers(HashMap<SubscriptionId, Prepared>);

struct Prepared {
    endpoint: Arc<Endpoint>,
    /// When the previous secret ends, where it was still valid.
    until: Option<UtcMillis>,
    signer: Arc<Signer>,
}

impl Signers {
    /// The keys that sign for `endpoint` at `now`.
    pub(crate) fn signer(&mut self, endpoint: &Arc<Endpoint>, now: UtcMillis) -> Arc<Signer> {
        if let Some(prepared) = self.0.get(&endpoint.id)
            && Arc::ptr_eq(&prepared.endpoint, endpoint)
            && prepared.until.is_none_or(|until| now < until)
        {
            return Arc::clone(&prepared.signer);
        }
        if self.0.len() >= SIGNERS_MAX {
            self.0.clear();
        }
        let secrets = &endpoint.secrets;
        let previous = secrets.previous_at(now);
        let prepared = Prepared {
            endpoint: Arc::clone(endpoint),
            until: previous.and(secrets.previous.as_ref().map(|(_, until)| *until)),
            signer: Arc::new(Signer::new(&secrets.newest, previous)),
        };
        let signer = Arc::clone(&prepared.signer);
        self.0.insert(endpoint.id, prepared);
        signer
    }

    /// Forgets a subscription that receives nothing any more.
    pub(crate) fn forget(&mut self, subscription: SubscriptionId) {
        self.0.remove(&subscription);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_endpoint::sample_endpoint;
    use bytes::Bytes;
    use tidings_domain::{
        id::EventId, random::SeededRandom, secret::Secret, subscription::SigningSecrets,
    };

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn endpoint(secrets: SigningSecrets) -> Arc<Endpoint> {
        Arc::new(Endpoint {
            secrets,
            ..sample_endpoint("https://example.com/")
        })
    }

    fn signatures(signer: &Signer) -> usize {
        let id = EventId::new(at(0), &SeededRandom::new(2));
        let all = signer.sign(id, at(0), &Bytes::from_static(b"{}"));
        all.standard_header().split(' ').count()
    }

    #[test]
    fn keys_are_prepared_once_until_the_overlap_ends_or_the_endpoint_changes() {
        let random = SeededRandom::new(3);
        let [newest, previous] = std::array::from_fn(|_| Secret::generate(&random));
        let rotated = SigningSecrets {
            newest,
            previous: Some((previous, at(100))),
        };
        let endpoint_before = endpoint(rotated.clone());
        let mut signers = Signers::default();
        let first = signers.signer(&endpoint_before, at(0));
        assert_eq!(signatures(&first), 2);
        assert!(Arc::ptr_eq(
            &first,
            &signers.signer(&endpoint_before, at(99))
        ));
        let after_overlap = signers.signer(&endpoint_before, at(100));
        assert_eq!(signatures(&after_overlap), 1);
        assert!(Arc::ptr_eq(
            &after_overlap,
            &signers.signer(&endpoint_before, at(1000))
        ));
        let changed = signers.signer(&endpoint(rotated), at(50));
        assert!(!Arc::ptr_eq(&after_overlap, &changed));
    }
}
