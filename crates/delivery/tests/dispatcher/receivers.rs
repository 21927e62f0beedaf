//! Scripted receivers in the place of the network.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_delivery::{AttemptReport, AttemptRequest, Transport};
use tidings_domain::{
    attempt::{AttemptError, AttemptOutcome, ReceivedResponse, SentRequest},
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tokio::sync::{Notify, oneshot};

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and asks for a wait, in milliseconds.
    Wait(u16, i64),
    /// Does not answer until it is told to.
    Hang,
    /// Panics, as a transport with a mistake would.
    Panic,
}

type Script = Arc<dyn Fn(&AttemptRequest) -> Answer + Send + Sync>;

/// A request that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) subscription: SubscriptionId,
    pub(crate) event: EventId,
    pub(crate) number: u32,
    pub(crate) at: UtcMillis,
    pub(crate) succeeded: bool,
    /// How many secrets signed it.
    pub(crate) signatures: usize,
}

/// All receivers; one without a script answers 200.
#[derive(Default)]
pub(crate) struct Receivers {
    scripts: Mutex<HashMap<SubscriptionId, Script>>,
    arrived: Mutex<Vec<Arrived>>,
    hanging: Mutex<Vec<(SubscriptionId, oneshot::Sender<Answer>)>>,
    /// Somebody began to hang.
    pub(crate) hung: Notify,
}

impl Receivers {
    /// From now on, the subscription's receiver does what `script` says.
    pub(crate) fn script(
        &self,
        subscription: SubscriptionId,
        script: impl Fn(&AttemptRequest) -> Answer + Send + Sync + 'static,
    ) {
        self.scripts.lock().insert(subscription, Arc::new(script));
    }

    /// From now on, the subscription's receiver answers always alike.
    pub(crate) fn always(&self, subscription: SubscriptionId, answer: Answer) {
        self.script(subscription, move |_| answer);
    }

    /// Every request so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().clone()
    }

    /// Every request so far to one subscription.
    pub(crate) fn arrived_at(&self, subscription: SubscriptionId) -> Vec<Arrived> {
        let mut arrived = self.arrived();
        arrived.retain(|one| one.subscription == subscription);
        arrived
    }

    /// How many requests hang.
    pub(crate) fn hanging(&self) -> usize {
        let mut hanging = self.hanging.lock();
        hanging.retain(|(_, answer)| !answer.is_closed());
        hanging.len()
    }

    /// How many requests to one subscription hang.
    pub(crate) fn hanging_at(&self, subscription: SubscriptionId) -> usize {
        let hanging = self.hanging.lock();
        hanging.iter().filter(|(id, _)| *id == subscription).count()
    }

    /// Answers at most `count` of those that hang, the longest waiting first.
    pub(crate) fn answer_hanging(&self, count: usize, answer: Answer) {
        let mut hanging = self.hanging.lock();
        let count = count.min(hanging.len());
        for (_, waiting) in hanging.drain(..count) {
            // One that was cut off takes no answer any more.
            let _ = waiting.send(answer);
        }
    }
}

#[async_trait]
impl Transport for Receivers {
    async fn attempt(&self, request: AttemptRequest) -> AttemptReport {
        let id = request.endpoint.id;
        let script = self.scripts.lock().get(&id).cloned();
        let answer = script.map_or(Answer::Status(200), |script| script(&request));
        let event = &request.event;
        let signatures = request.signer.sign(event.id(), request.now, event.json());
        let arrived = Arrived {
            subscription: id,
            event: event.id(),
            number: request.number,
            at: request.now,
            succeeded: false,
            signatures: signatures.standard_header().split(' ').count(),
        };
        let index = {
            let mut all = self.arrived.lock();
            all.push(arrived);
            all.len() - 1
        };
        let answer = if answer == Answer::Hang {
            let (told, tells) = oneshot::channel();
            self.hanging.lock().push((id, told));
            self.hung.notify_one();
            tells.await.unwrap_or(Answer::Hang)
        } else {
            answer
        };
        let (outcome, status, retry_after_ms) = match answer {
            Answer::Status(status @ 200..300) => (AttemptOutcome::Succeeded, Some(status), None),
            Answer::Status(status) => (failed(AttemptError::Status), Some(status), None),
            Answer::Wait(status, ms) => (failed(AttemptError::Status), Some(status), Some(ms)),
            Answer::Hang => (failed(AttemptError::Timeout), None, None),
            Answer::Panic => panic!("the script says so"),
        };
        self.arrived.lock()[index].succeeded = outcome == AttemptOutcome::Succeeded;
        AttemptReport {
            outcome,
            request: SentRequest {
                url: request.endpoint.url.shared(),
                user_agent: "Tidings/test".into(),
                signatures: Some(signatures),
            },
            response: ReceivedResponse {
                status,
                ..ReceivedResponse::default()
            },
            retry_after_ms,
            elapsed_ms: 7,
        }
    }
}

fn failed(error: AttemptError) -> AttemptOutcome {
    AttemptOutcome::Failed(error)
}
