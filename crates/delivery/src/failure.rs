//! Why an attempt failed: the contract's word for it, and the cause for the operator's eyes.
//!
//! The word goes into the delivery log; the cause is shown to nobody but the operator, since it
//! may speak of the network behind the server.

use std::{error::Error, fmt};

use tidings_domain::attempt::AttemptError;

type Cause = Box<dyn Error + Send + Sync>;

/// What an attempt failed of.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The contract's word for it.
    pub(crate) kind: AttemptError,
    cause: Option<Cause>,
}

impl Failure {
    /// A failure with its cause.
    pub(crate) fn new(kind: AttemptError, cause: impl Into<Cause>) -> Self {
        Self {
            kind,
            cause: Some(cause.into()),
        }
    }
}

impl From<AttemptError> for Failure {
    /// A failure that its kind explains.
    fn from(kind: AttemptError) -> Self {
        Self { kind, cause: None }
    }
}

impl fmt::Display for Failure {
    /// The kind and the chain of causes, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)?;
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
