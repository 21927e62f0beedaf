//! The seam between deciding and doing: how an attempt is made, as a trait.
//!
//! The dispatcher knows when to make which attempt and asks a [`Transport`] to make it; the
//! [`crate::Courier`] is the one that goes out into the network, and tests put scripted receivers
//! in its place. Nothing here decides what becomes of the delivery: that is
//! [`tidings_domain::verdict`].

use std::sync::Arc;

use async_trait::async_trait;
use tidings_domain::{
    attempt::{AttemptOutcome, ReceivedResponse, SentRequest},
    event::Event,
    signing::Signer,
    subscription::Endpoint,
    time::UtcMillis,
};

/// Makes attempts.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Makes one attempt and reports what came of it. Never fails as such: whatever goes wrong is
    /// the attempt's outcome. Ends within the transport's own deadline, and may be dropped at any
    /// time, which cuts the attempt off.
    async fn attempt(&self, request: AttemptRequest) -> AttemptReport;
}

/// What one attempt needs.
#[derive(Clone)]
pub struct AttemptRequest {
    /// To whom, as it is right now.
    pub endpoint: Arc<Endpoint>,
    /// What to send.
    pub event: Arc<Event>,
    /// Signs with the secrets that are valid at `now`.
    pub signer: Arc<Signer>,
    /// 1-based number of the attempt within its delivery.
    pub number: u32,
    /// The attempt's time: it is in `webhook-timestamp` and in the signatures.
    pub now: UtcMillis,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What was sent.
    pub request: SentRequest,
    /// What came back; empty where nothing did.
    pub response: ReceivedResponse,
    /// The wait that `Retry-After` asks for, in milliseconds from the attempt's time; 0 for a date
    /// that has passed. Read from any answer: which statuses honour it is the verdict's to say.
    pub retry_after_ms: Option<i64>,
    /// From the attempt's begin to its outcome, in milliseconds.
    pub elapsed_ms: u32,
}
