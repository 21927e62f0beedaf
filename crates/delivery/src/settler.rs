//! Settling: what came of attempts, on its way into the store.
//!
//! Outcomes wait here and go out in batches, one at a time: everything that ended while the last
//! batch was being written is the next one. The settler makes no calls itself; the dispatcher
//! fetches a batch, makes the call, and brings the answer. An outcome leaves only when the store
//! has answered for it, so nothing is lost while the store is unavailable, and its place in memory
//! stays taken, so what waits is bounded.
//!
//! A call that failed may have been committed all the same. Sending it again is harmless, because
//! a settlement acts only on a row that is still held under its lease, as long as the row is not
//! claimed in between: hence [`Settler::forbids_claims`].

use std::collections::VecDeque;

use tidings_domain::{time::UtcMillis, verdict::Verdict};
use tidings_store::{Place, Settled, Settlement, StoreError};

use crate::pause::Pause;

/// The most settlements in one call, so that one commit does not hold up others for long.
const BATCH_MAX: usize = 512;

/// An outcome that the store has not answered for.
#[derive(Debug)]
pub(crate) struct Unsettled {
    /// What to record.
    pub(crate) settlement: Settlement,
    /// The delivery's place in memory, given back when it is settled.
    pub(crate) place: Place,
}

/// What the store's answer means for the outcomes that were sent.
#[derive(Debug)]
pub(crate) enum Answered {
    /// The store answered for these, each with what became of it.
    Settled(Vec<(Unsettled, Settled)>),
    /// They are kept and go out again.
    Kept,
    /// The store cannot take this one, and will not: it is let go.
    Refused(Box<Unsettled>),
}

/// The outcomes that wait for the store.
#[derive(Debug)]
pub(crate) struct Settler {
    waiting: VecDeque<Unsettled>,
    sent: Vec<Unsettled>,
    /// How many at the front of `waiting` were sent before, with a failure for an answer.
    in_doubt: usize,
    /// Whether some of `sent` were.
    sent_in_doubt: bool,
    batch_max: usize,
    pause: Pause,
}

impl Settler {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: Vec::new(),
            in_doubt: 0,
            sent_in_doubt: false,
            batch_max: BATCH_MAX,
            pause: Pause::new(),
        }
    }

    /// Takes an outcome.
    pub(crate) fn add(&mut self, unsettled: Unsettled) {
        self.waiting.push_back(unsettled);
    }

    /// Outcomes that the store has not answered for.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    /// The next batch to send; none while one is on its way, during a pause after a failure, or
    /// where nothing waits.
    pub(crate) fn next_batch(&mut self, now: UtcMillis) -> Option<Vec<Settlement>> {
        if !self.sent.is_empty() || self.waiting.is_empty() || self.pause.lasts_at(now) {
            return None;
        }
        let size = self.waiting.len().min(self.batch_max);
        self.sent_in_doubt = self.in_doubt > 0;
        self.in_doubt = self.in_doubt.saturating_sub(size);
        self.sent.extend(self.waiting.drain(..size));
        // The store takes what it records; a copy stays here in case it does not.
        Some(
            self.sent
                .iter()
                .map(|sent| sent.settlement.clone())
                .collect(),
        )
    }

    /// Takes the answer for the batch that was sent.
    pub(crate) fn answer(
        &mut self,
        answer: Result<Vec<Settled>, StoreError>,
        now: UtcMillis,
    ) -> Answered {
        let error = match answer {
            Ok(settled) if settled.len() == self.sent.len() => {
                self.pause.end();
                self.batch_max = (self.batch_max * 2).min(BATCH_MAX);
                return Answered::Settled(self.sent.drain(..).zip(settled).collect());
            }
            Ok(settled) => StoreError::Broken(format!(
                "{} answers for {} settlements",
                settled.len(),
                self.sent.len()
            )),
            Err(error) => error,
        };
        match error {
            StoreError::Unavailable(_) | StoreError::Overloaded => {
                self.pause.begin(now);
                tracing::warn!(
                    outcomes = self.len(),
                    %error,
                    "outcomes of attempts wait, as the store does not take them"
                );
            }
            // One row that the store cannot take must not hold up the rest: halve until it is
            // alone.
            StoreError::Broken(_) if self.sent.len() > 1 => {
                self.batch_max = self.sent.len() / 2;
                tracing::warn!(
                    outcomes = self.sent.len(),
                    %error,
                    "the store refused a batch of outcomes; they are sent in smaller ones"
                );
            }
            StoreError::Broken(_) => {
                if let Some(refused) = self.sent.pop() {
                    tracing::error!(
                        event = %refused.settlement.attempt.event,
                        subscription = %refused.settlement.attempt.subscription,
                        attempt = refused.settlement.attempt.number,
                        %error,
                        "an outcome cannot be recorded; its delivery is made again under another \
                         lease"
                    );
                    return Answered::Refused(Box::new(refused));
                }
            }
        }
        self.in_doubt += self.sent.len();
        for unsettled in self.sent.drain(..).rev() {
            self.waiting.push_front(unsettled);
        }
        Answered::Kept
    }

    /// Whether a claim at `now` could fetch a row whose settlement may yet be sent again: one that
    /// a failed call may have set free, or one whose next time came while the call is on its way.
    /// A second sending would then settle the attempt that the claim leads to.
    pub(crate) fn forbids_claims(&self, now: UtcMillis) -> bool {
        let sent_is_due = |sent: &Unsettled| match sent.settlement.verdict {
            Verdict::RetryAt(next) => next <= now,
            Verdict::Succeeded | Verdict::GaveUp | Verdict::Gone => false,
        };
        self.in_doubt > 0
            || !self.sent.is_empty() && (self.sent_in_doubt || self.sent.iter().any(sent_is_due))
    }

    /// When to look again without being asked to.
    pub(crate) fn next_wake(&self) -> Option<UtcMillis> {
        let idle = self.sent.is_empty() && !self.waiting.is_empty();
        idle.then(|| self.pause.until()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use tidings_domain::{
        attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
        company::CompanyId,
        event_type::EventType,
        id::{AttemptId, EventId, SubscriptionId},
        random::SeededRandom,
    };
    use tidings_store::{DeliveryKey, Handover, HandoverLimits, LeaseId};

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn outcome(position: i64, verdict: Verdict) -> Unsettled {
        let random = SeededRandom::new(1);
        let subscription = SubscriptionId::new(at(0), &random);
        let company = CompanyId::parse("acme").unwrap();
        Unsettled {
            settlement: Settlement {
                key: DeliveryKey {
                    position,
                    subscription,
                    round: 0,
                },
                lease: LeaseId(1),
                epoch: 0,
                first_attempt: at(0),
                attempt: Arc::new(Attempt {
                    id: AttemptId::new(at(0), &random),
                    subscription,
                    event: EventId::new(at(0), &random),
                    event_type: EventType::parse("a.b").unwrap(),
                    number: 1,
                    attempted: at(0),
                    elapsed_ms: 1,
                    outcome: AttemptOutcome::Succeeded,
                    request: SentRequest {
                        url: "".into(),
                        user_agent: "".into(),
                        signatures: None,
                    },
                    response: ReceivedResponse::default(),
                    next_attempt: None,
                }),
                verdict,
                notice: None,
            },
            place: Handover::new(HandoverLimits::default())
                .admit(subscription, &company, 1)
                .unwrap(),
        }
    }

    fn settler(outcomes: i64) -> Settler {
        let mut settler = Settler::new();
        for position in 0..outcomes {
            settler.add(outcome(position, Verdict::Succeeded));
        }
        settler
    }

    fn batch(settler: &mut Settler, now: i64) -> Vec<i64> {
        let batch = settler.next_batch(at(now)).unwrap_or_default();
        batch.iter().map(|sent| sent.key.position).collect()
    }

    fn unavailable<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("down".to_owned()))
    }

    #[test]
    fn what_ends_meanwhile_is_the_next_batch() {
        let mut settler = settler(2);
        assert_eq!(batch(&mut settler, 0), [0, 1]);
        settler.add(outcome(2, Verdict::Succeeded));
        assert!(batch(&mut settler, 0).is_empty(), "one at a time");
        let answer = settler.answer(Ok(vec![Settled::Recorded, Settled::Ended]), at(0));
        assert!(matches!(answer, Answered::Settled(settled) if settled.len() == 2));
        assert_eq!((batch(&mut settler, 0), settler.len()), (vec![2], 1));
    }

    #[test]
    fn nothing_is_lost_while_the_store_is_unavailable() {
        let mut settler = settler(2);
        batch(&mut settler, 0);
        settler.add(outcome(2, Verdict::Succeeded));
        assert!(!settler.forbids_claims(at(0)));
        assert!(matches!(
            settler.answer(unavailable(), at(0)),
            Answered::Kept
        ));
        assert!(settler.forbids_claims(at(0)), "it may be committed");
        assert_eq!(settler.next_wake(), Some(at(250)));
        assert!(batch(&mut settler, 249).is_empty());
        assert_eq!(batch(&mut settler, 250), [0, 1, 2], "in the same order");
        assert!(
            settler.forbids_claims(at(250)),
            "until the store has answered"
        );
        settler.answer(Ok(vec![Settled::Recorded; 3]), at(251));
        assert!(!settler.forbids_claims(at(251)));
        assert_eq!((settler.len(), settler.next_wake()), (0, None));
    }

    #[test]
    fn a_row_whose_next_time_came_is_not_claimed_while_its_settlement_is_on_its_way() {
        let mut settler = Settler::new();
        settler.add(outcome(0, Verdict::RetryAt(at(5000))));
        batch(&mut settler, 0);
        assert!(!settler.forbids_claims(at(4999)));
        assert!(settler.forbids_claims(at(5000)));
    }

    #[test]
    fn one_bad_row_is_found_and_let_go_and_the_rest_is_recorded() {
        let mut settler = settler(40);
        let (mut recorded, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let sent = batch(&mut settler, 0);
            let answer = if sent.contains(&23) {
                Err(StoreError::Broken("row 23".to_owned()))
            } else {
                Ok(vec![Settled::Recorded; sent.len()])
            };
            match settler.answer(answer, at(0)) {
                Answered::Settled(settled) => {
                    recorded.extend(settled.iter().map(|(one, _)| one.settlement.key.position));
                }
                Answered::Refused(one) => refused.push(one.settlement.key.position),
                Answered::Kept => {}
            }
        }
        assert_eq!(refused, [23]);
        assert_eq!(recorded, (0..40).filter(|n| *n != 23).collect::<Vec<_>>());
    }

    #[test]
    fn an_answer_of_the_wrong_length_proves_nothing() {
        let mut settler = settler(2);
        batch(&mut settler, 0);
        assert!(matches!(
            settler.answer(Ok(vec![Settled::Recorded]), at(0)),
            Answered::Kept
        ));
        assert_eq!(settler.len(), 2);
    }
}
