//! Lets the API and the portal look at targets and make one attempt by hand, over the delivery
//! side's courier: the adapter between crates that do not know each other.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_delivery::{AttemptRequest, Courier};
use tidings_domain::{
    attempt::Attempt, event::Event, id::AttemptId, signing::Signer, subscription::Endpoint,
    target::TargetUrl,
};

use crate::node::Surroundings;

/// The courier as the API and the portal know it.
pub(crate) struct CourierOutbound {
    courier: Arc<Courier>,
    surroundings: Surroundings,
}

impl CourierOutbound {
    /// An adapter over the courier that the dispatcher uses, too.
    pub(crate) fn new(courier: Arc<Courier>, surroundings: Surroundings) -> Self {
        Self {
            courier,
            surroundings,
        }
    }

    /// Whether deliveries may go there; if not, why, as a sentence.
    async fn check(&self, url: &TargetUrl) -> Result<(), String> {
        let checked = self.courier.check_target(url).await;
        checked.map_err(|refusal| refusal.to_string())
    }

    /// One attempt, now, that leaves no trace.
    async fn attempt(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt {
        const NUMBER: u32 = 1;
        let now = self.surroundings.clock.now();
        let secrets = &endpoint.secrets;
        let signer = Signer::new(&secrets.newest, secrets.previous_at(now));
        let subscription = endpoint.id;
        let request = AttemptRequest {
            endpoint,
            event: Arc::clone(&event),
            signer: Arc::new(signer),
            number: NUMBER,
            now,
        };
        let report = self.courier.attempt(request).await;
        Attempt {
            id: AttemptId::new(now, self.surroundings.random.as_ref()),
            subscription,
            event: event.id(),
            event_type: event.event_type().clone(),
            number: NUMBER,
            attempted: now,
            elapsed_ms: report.elapsed_ms,
            outcome: report.outcome,
            request: report.request,
            response: report.response,
            next_attempt: None,
        }
    }
}

#[async_trait]
impl tidings_api::Outbound for CourierOutbound {
    async fn check_target(&self, url: &TargetUrl) -> Result<(), tidings_api::TargetRefusal> {
        self.check(url).await.map_err(tidings_api::TargetRefusal)
    }

    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt {
        self.attempt(endpoint, event).await
    }
}

#[async_trait]
impl tidings_portal::Outbound for CourierOutbound {
    async fn check_target(&self, url: &TargetUrl) -> Result<(), tidings_portal::TargetRefusal> {
        let checked = self.check(url).await;
        checked.map_err(tidings_portal::TargetRefusal)
    }

    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt {
        self.attempt(endpoint, event).await
    }
}
