//! The guard: which addresses of a target may be dialled, asked anew for every attempt.
//!
//! It judges the target's name or literal address, resolves the name, and judges every address
//! that came of it. What it hands on are addresses, not names: whoever dials them reaches what was
//! judged, however quickly a name changes its mind. The rules themselves are
//! [`tidings_domain::address`]; dialling is for the connector.

use std::{net::IpAddr, slice, sync::Arc, time::Duration};

use tidings_domain::{
    address::{AddressRules, Refusal},
    attempt::AttemptError,
    target::{Environment, TargetUrl},
};
use tokio::time::timeout;

use crate::{
    failure::Failure,
    resolver::{Resolve, ResolveError},
};

/// How long the resolver may take for one name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no delivery goes to a target, as a sentence for the user who wanted it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefusal {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name has no address.
    #[error("the host {name} does not resolve to any address; check the name")]
    DoesNotResolve {
        /// The name as it was given.
        name: String,
    },
    /// The resolver failed: nothing is known about the name.
    #[error("the host {name} could not be checked because the DNS lookup failed; try again later")]
    ResolverFailed {
        /// The name as it was given.
        name: String,
    },
    /// The resolver did not answer in time: nothing is known about the name.
    #[error("the host {name} could not be checked because DNS did not answer; try again later")]
    ResolverSilent {
        /// The name as it was given.
        name: String,
    },
}

impl From<TargetRefusal> for Failure {
    fn from(refusal: TargetRefusal) -> Self {
        let kind = match refusal {
            TargetRefusal::Refused(_) => AttemptError::BlockedAddress,
            TargetRefusal::DoesNotResolve { .. }
            | TargetRefusal::ResolverFailed { .. }
            | TargetRefusal::ResolverSilent { .. } => AttemptError::Dns,
        };
        Self::new(kind, refusal)
    }
}

/// Judges targets.
pub(crate) struct Guard {
    rules: AddressRules,
    resolver: Arc<dyn Resolve>,
}

/// Addresses that were judged and may be dialled; at least one.
#[derive(Debug)]
pub(crate) enum Vetted {
    Literal(IpAddr),
    Resolved(Arc<[IpAddr]>),
}

impl Vetted {
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Literal(address) => slice::from_ref(address),
            Self::Resolved(addresses) => addresses,
        }
    }
}

impl Guard {
    pub(crate) fn new(rules: AddressRules, resolver: Arc<dyn Resolve>) -> Self {
        Self { rules, resolver }
    }

    /// The addresses that may be dialled for a target now.
    pub(crate) async fn vet(&self, target: &TargetUrl) -> Result<Vetted, TargetRefusal> {
        self.rules.judge_target(target)?;
        let name = match (target.literal_address(), target.host_name()) {
            (Some(address), _) => return Ok(Vetted::Literal(address)),
            (None, name) => name.unwrap_or_default(),
        };
        let resolved = timeout(RESOLVE_TIMEOUT, self.resolver.resolve(name)).await;
        let name = || name.to_owned();
        match resolved {
            Ok(Ok(addresses)) if !addresses.is_empty() => {
                self.rules.judge_resolved(&addresses)?;
                Ok(Vetted::Resolved(addresses))
            }
            Ok(Ok(_) | Err(ResolveError::NotFound)) => {
                Err(TargetRefusal::DoesNotResolve { name: name() })
            }
            Ok(Err(ResolveError::Failed)) => Err(TargetRefusal::ResolverFailed { name: name() }),
            Err(_) => Err(TargetRefusal::ResolverSilent { name: name() }),
        }
    }

    /// Whether a subscription may have this target. In development a name without a known address
    /// is accepted: its receiver may not be up yet, or the machine offline.
    pub(crate) async fn check(&self, target: &TargetUrl) -> Result<(), TargetRefusal> {
        match self.vet(target).await {
            Ok(_) => Ok(()),
            Err(refusal @ TargetRefusal::Refused(_)) => Err(refusal),
            Err(refusal) => match self.rules.environment() {
                Environment::Production => Err(refusal),
                Environment::Development => Ok(()),
            },
        }
    }
}
