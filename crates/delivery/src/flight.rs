//! One attempt from its start to its verdict: what goes to the transport, and what is made of what
//! comes back.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tidings_domain::{
    attempt::{Attempt, AttemptError, AttemptOutcome, ReceivedResponse, SentRequest},
    clock::Clock,
    id::AttemptId,
    random::Random,
    signing::Signer,
    subscription::{DisabledReason, Endpoint},
    time::UtcMillis,
    verdict::{Finished, Jitter, RetrySchedule, Verdict, verdict},
};
use tidings_store::{Delivery, Settlement};

use crate::{
    notice,
    outgoing::USER_AGENT_VALUE,
    settler::Unsettled,
    transport::{AttemptReport, AttemptRequest, Transport},
};

/// An attempt that is about to be made.
pub(crate) struct Flight {
    /// Of which delivery.
    pub(crate) delivery: Delivery,
    /// To whom, as it is at the start.
    pub(crate) endpoint: Arc<Endpoint>,
    /// With which keys.
    pub(crate) signer: Arc<Signer>,
    /// When it begins.
    pub(crate) attempted: UtcMillis,
}

/// An attempt that was made.
#[derive(Debug)]
pub(crate) struct Landed {
    delivery: Delivery,
    endpoint: Arc<Endpoint>,
    attempted: UtcMillis,
    ended: UtcMillis,
    report: AttemptReport,
}

impl Flight {
    /// Makes the attempt. A transport that panics has failed the attempt, nothing else.
    pub(crate) async fn make(self, transport: &dyn Transport, clock: &dyn Clock) -> Landed {
        let request = AttemptRequest {
            endpoint: Arc::clone(&self.endpoint),
            event: Arc::clone(&self.delivery.event),
            signer: self.signer,
            number: number(&self.delivery),
            now: self.attempted,
        };
        let attempt = AssertUnwindSafe(transport.attempt(request)).catch_unwind();
        let report = attempt.await.unwrap_or_else(|_| {
            tracing::error!(subscription = %self.endpoint.id, "an attempt panicked");
            panicked(&self.endpoint)
        });
        Landed {
            delivery: self.delivery,
            endpoint: self.endpoint,
            attempted: self.attempted,
            ended: clock.now(),
            report,
        }
    }
}

impl Landed {
    /// How it ended.
    pub(crate) fn outcome(&self) -> AttemptOutcome {
        self.report.outcome
    }

    /// How long it took, in milliseconds.
    pub(crate) fn elapsed_ms(&self) -> u32 {
        self.report.elapsed_ms
    }

    /// Of which delivery.
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// To whom.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Judges it: what the store is to record, and what becomes of the delivery. Where the endpoint is
    /// not the current one any more, that it is gone is a failure like others.
    pub(crate) fn judge(
        self,
        is_current: bool,
        schedule: &RetrySchedule,
        random: &dyn Random,
    ) -> Unsettled {
        let Self {
            delivery,
            endpoint,
            attempted,
            ended,
            report,
        } = self;
        let number = number(&delivery);
        let first_attempt = delivery.first_attempt.unwrap_or(attempted);
        let finished = Finished {
            outcome: report.outcome,
            status: report.response.status.filter(|_| is_current),
            retry_after_ms: report.retry_after_ms,
            attempt: number,
            first_attempt,
            now: ended,
        };
        let verdict = verdict(schedule, &finished, Jitter(random.next_u16()));
        let next_attempt = match verdict {
            Verdict::RetryAt(next) => Some(next),
            Verdict::Succeeded | Verdict::GaveUp | Verdict::Gone => None,
        };
        let notice = (verdict == Verdict::Gone).then(|| {
            notice::subscription_disabled(&endpoint, DisabledReason::Gone, ended, ended, random)
        });
        let settlement = Settlement {
            key: delivery.key,
            lease: delivery.lease,
            epoch: delivery.epoch,
            first_attempt,
            attempt: Arc::new(Attempt {
                id: AttemptId::new(attempted, random),
                subscription: delivery.key.subscription,
                event: delivery.event.id(),
                event_type: delivery.event.event_type().clone(),
                number,
                attempted,
                elapsed_ms: report.elapsed_ms,
                outcome: report.outcome,
                request: report.request,
                response: report.response,
                next_attempt,
            }),
            verdict,
            notice,
        };
        Unsettled {
            settlement,
            place: delivery.place,
        }
    }
}

/// The 1-based number of the attempt that a delivery is due for.
fn number(delivery: &Delivery) -> u32 {
    delivery.attempts_made.saturating_add(1)
}

fn panicked(endpoint: &Endpoint) -> AttemptReport {
    AttemptReport {
        outcome: AttemptOutcome::Failed(AttemptError::Protocol),
        request: SentRequest {
            url: endpoint.url.shared(),
            user_agent: USER_AGENT_VALUE.into(),
            signatures: None,
        },
        response: ReceivedResponse::default(),
        retry_after_ms: None,
        elapsed_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_endpoint::sample_endpoint;
    use async_trait::async_trait;
    use tidings_domain::{
        clock::ManualClock, event::Event, event_type::EventType, id::EventId, random::SeededRandom,
    };
    use tidings_store::{DeliveryKey, Handover, HandoverLimits, LeaseId};

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn flight(attempts_made: u32, first_attempt: Option<UtcMillis>) -> Flight {
        let random = SeededRandom::new(1);
        let endpoint = Endpoint {
            epoch: 3,
            ..sample_endpoint("https://example.com/in")
        };
        let (subscription, company) = (endpoint.id, endpoint.company.clone());
        Flight {
            signer: Arc::new(Signer::new(&endpoint.secrets.newest, None)),
            endpoint: Arc::new(endpoint),
            delivery: Delivery {
                key: DeliveryKey {
                    position: 7,
                    subscription,
                    round: 2,
                },
                lease: LeaseId(9),
                epoch: 3,
                attempts_made,
                first_attempt,
                owed_since: at(0),
                place: Handover::new(HandoverLimits::default())
                    .admit(subscription, &company, 1)
                    .unwrap(),
                event: Arc::new(Event::from_stored(
                    EventId::new(at(0), &random),
                    EventType::parse("client.created").unwrap(),
                    at(0),
                    company,
                    "{}",
                    "{}",
                )),
            },
            attempted: at(5000),
        }
    }

    /// Answers with a status and the number of the attempt; the clock moves on meanwhile.
    struct Answers {
        status: u16,
        retry_after_ms: Option<i64>,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Transport for Answers {
        async fn attempt(&self, request: AttemptRequest) -> AttemptReport {
            assert_ne!(self.status, 0, "a status that panics");
            self.clock.advance(250);
            AttemptReport {
                outcome: match self.status {
                    200..300 => AttemptOutcome::Succeeded,
                    _ => AttemptOutcome::Failed(AttemptError::Status),
                },
                request: SentRequest {
                    url: request.endpoint.url.shared(),
                    user_agent: format!("attempt {}", request.number).into(),
                    signatures: None,
                },
                response: ReceivedResponse {
                    status: Some(self.status),
                    ..ReceivedResponse::default()
                },
                retry_after_ms: self.retry_after_ms,
                elapsed_ms: 250,
            }
        }
    }

    async fn fly(flight: Flight, status: u16, retry_after_ms: Option<i64>) -> Settlement {
        let clock = Arc::new(ManualClock::at(flight.attempted));
        let transport = Answers {
            status,
            retry_after_ms,
            clock: Arc::clone(&clock),
        };
        let landed = flight.make(&transport, clock.as_ref()).await;
        landed
            .judge(true, &RetrySchedule::default(), &SeededRandom::new(2))
            .settlement
    }

    #[tokio::test]
    async fn the_first_attempt_begins_the_count_and_the_window() {
        let settlement = fly(flight(0, None), 204, None).await;
        assert_eq!(settlement.verdict, Verdict::Succeeded);
        assert_eq!(settlement.first_attempt, at(5000));
        assert_eq!((settlement.lease, settlement.epoch), (LeaseId(9), 3));
        let attempt = settlement.attempt;
        assert_eq!((attempt.number, attempt.attempted), (1, at(5000)));
        assert_eq!(attempt.request.user_agent, "attempt 1");
        assert_eq!((attempt.next_attempt, settlement.notice), (None, None));
    }

    #[tokio::test]
    async fn a_retry_counts_on_and_its_delay_runs_from_its_end() {
        let settlement = fly(flight(1, Some(at(100))), 500, Some(600_000)).await;
        assert_eq!(settlement.first_attempt, at(100));
        assert_eq!(settlement.attempt.number, 2);
        let Verdict::RetryAt(next) = settlement.verdict else {
            panic!("{:?}", settlement.verdict)
        };
        assert!((5250 + 30_000..=5250 + 33_000).contains(&next.as_millis()));
        assert_eq!(settlement.attempt.next_attempt, Some(next));
    }

    #[tokio::test]
    async fn retry_after_is_passed_on() {
        let settlement = fly(flight(0, None), 429, Some(600_000)).await;
        assert_eq!(settlement.verdict, Verdict::RetryAt(at(5250 + 600_000)));
    }

    #[tokio::test]
    async fn gone_brings_a_notice_and_the_eleventh_failure_gives_up() {
        let settlement = fly(flight(0, None), 410, None).await;
        assert_eq!(settlement.verdict, Verdict::Gone);
        let notice = settlement.notice.unwrap();
        assert_eq!(
            notice.event_type().as_str(),
            "webhook.subscription_disabled"
        );
        let settlement = fly(flight(10, Some(at(0))), 500, None).await;
        assert_eq!(settlement.verdict, Verdict::GaveUp);
        assert_eq!(settlement.attempt.next_attempt, None);
    }

    #[tokio::test]
    async fn a_transport_that_panics_has_failed_the_attempt() {
        let settlement = fly(flight(0, None), 0, None).await;
        let failed = AttemptOutcome::Failed(AttemptError::Protocol);
        assert_eq!(settlement.attempt.outcome, failed);
        assert!(matches!(settlement.verdict, Verdict::RetryAt(_)));
    }
}
