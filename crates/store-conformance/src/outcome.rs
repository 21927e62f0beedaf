//! What comes of attempts: settlements as a dispatcher would hand them in.

use std::sync::Arc;

use tidings_domain::{
    attempt::{Attempt, AttemptError, AttemptOutcome, ReceivedResponse, SentRequest},
    company::CompanyId,
    event::Event,
    id::{AttemptId, SubscriptionId},
    time::UtcMillis,
    verdict::Verdict,
};
use tidings_store::{Delivery, Settled, Settlement};

use crate::scenario::{Scenario, WORKS};

/// The type of the event that tells a company that the server disabled a subscription.
pub(crate) const DISABLED_NOTICE: &str = "webhook.subscription_disabled";

impl Scenario<'_> {
    /// An attempt for `delivery` that begins now, is its next, and is answered 200 at once.
    pub(crate) fn attempt(&self, delivery: &Delivery) -> Attempt {
        Attempt {
            id: AttemptId::new(self.now(), self.random()),
            subscription: delivery.key.subscription,
            event: delivery.event.id(),
            event_type: delivery.event.event_type().clone(),
            number: delivery.attempts_made + 1,
            attempted: self.now(),
            elapsed_ms: 0,
            outcome: AttemptOutcome::Succeeded,
            request: SentRequest {
                url: "https://receiver.example/".into(),
                user_agent: "Tidings/0.1.0".into(),
                signatures: None,
            },
            response: ReceivedResponse {
                status: Some(200),
                ..ReceivedResponse::default()
            },
            next_attempt: None,
        }
    }

    /// An attempt that was answered with `status`, which is no 2xx.
    pub(crate) fn failed_attempt(&self, delivery: &Delivery, status: u16) -> Attempt {
        Attempt {
            outcome: AttemptOutcome::Failed(AttemptError::Status),
            response: ReceivedResponse {
                status: Some(status),
                ..ReceivedResponse::default()
            },
            ..self.attempt(delivery)
        }
    }

    /// `attempt` for `delivery`, with this verdict.
    pub(crate) fn settlement(
        &self,
        delivery: &Delivery,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Settlement {
        let next_attempt = match verdict {
            Verdict::RetryAt(next) => Some(next),
            Verdict::Succeeded | Verdict::GaveUp | Verdict::Gone => None,
        };
        Settlement {
            key: delivery.key,
            lease: delivery.lease,
            epoch: delivery.epoch,
            first_attempt: delivery.first_attempt.unwrap_or_else(|| self.now()),
            attempt: Arc::new(Attempt {
                next_attempt,
                ..attempt
            }),
            verdict,
            notice: None,
        }
    }

    pub(crate) fn succeeded(&self, delivery: &Delivery) -> Settlement {
        self.settlement(delivery, self.attempt(delivery), Verdict::Succeeded)
    }

    /// Answered 500, to be tried again at `next`.
    pub(crate) fn retry_at(&self, delivery: &Delivery, next: UtcMillis) -> Settlement {
        let attempt = self.failed_attempt(delivery, 500);
        self.settlement(delivery, attempt, Verdict::RetryAt(next))
    }

    pub(crate) fn gave_up(&self, delivery: &Delivery) -> Settlement {
        let attempt = self.failed_attempt(delivery, 500);
        self.settlement(delivery, attempt, Verdict::GaveUp)
    }

    /// Answered 410, with the notice about it.
    pub(crate) fn gone(&self, delivery: &Delivery) -> Settlement {
        let attempt = self.failed_attempt(delivery, 410);
        let notice = self.notice(delivery.event.company(), delivery.key.subscription);
        Settlement {
            notice: Some(notice),
            ..self.settlement(delivery, attempt, Verdict::Gone)
        }
    }

    fn notice(&self, company: &CompanyId, of: SubscriptionId) -> Arc<Event> {
        let payload = format!(r#"{{"subscriptionId":"{of}","reason":"gone"}}"#);
        self.event_with(company, DISABLED_NOTICE, &payload, "{}")
    }

    pub(crate) async fn settle(&self, settlements: Vec<Settlement>) -> Vec<Settled> {
        let count = settlements.len();
        let settled = self.store().settle(settlements).await.expect(WORKS);
        assert_eq!(settled.len(), count, "each settlement has its answer");
        settled
    }

    pub(crate) async fn settle_one(&self, settlement: Settlement) -> Settled {
        self.settle(vec![settlement]).await[0]
    }

    /// Settles one and expects it to count.
    pub(crate) async fn record(&self, settlement: Settlement) {
        assert_eq!(self.settle_one(settlement).await, Settled::Recorded);
    }
}
