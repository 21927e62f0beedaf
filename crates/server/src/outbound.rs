//! Lets the API look at targets and make one attempt by hand, over the delivery side's courier:
//! the adapter between two crates that do not know each other.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_api::{Outbound, TargetRefusal};
use tidings_delivery::{AttemptRequest, Courier};
use tidings_domain::{
    attempt::Attempt, event::Event, id::AttemptId, signing::Signer, subscription::Endpoint,
    target::TargetUrl,
};

use crate::node::Surroundings;

/// The courier as the API knows it.
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
}

#[async_trait]
impl Outbound for CourierOutbound {
    async fn check_target(&self, url: &TargetUrl) -> Result<(), TargetRefusal> {
        self.courier
            .check_target(url)
            .await
            .map_err(|refusal| TargetRefusal(refusal.to_string()))
    }

    async fn send_test(&self, endpoint: Arc<Endpoint>, event: Arc<Event>) -> Attempt {
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
