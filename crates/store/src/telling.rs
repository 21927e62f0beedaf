//! What an event's trace tells of one subscription: the state, and the sentence that says why.
//!
//! The newest delivery speaks: a live queue row says that it is pending, its attempts say how it
//! ended. Where there is neither, the subscription's history says why it was never owed.

use std::collections::HashMap;

use tidings_domain::{
    attempt::{AttemptError, AttemptOutcome},
    event_type::EventType,
    id::SubscriptionId,
    subscription::EventTypes,
    time::UtcMillis,
};

use crate::{DeliveryState, DeliveryTrace, Seq};

/// Why a delivery that was disabled with its subscription has no attempt.
const ENDED_UNTRIED: &str =
    "disabling the subscription ended the delivery before its first attempt";

/// A delivery that is still owed, or was ended before its first attempt.
#[derive(Clone, Copy, Debug)]
pub struct OwedRound {
    /// Which round.
    pub round: u32,
    /// Whether its epoch is the subscription's current one.
    pub live: bool,
    /// When it is due.
    pub due: UtcMillis,
    /// Attempts that were settled.
    pub attempts: u32,
    /// Whether somebody works on it.
    pub held: bool,
}

/// The last attempt of a round.
#[derive(Clone, Copy, Debug)]
pub struct LastAttempt {
    /// Which round.
    pub round: u32,
    /// Its number within the round.
    pub number: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The status, where a head was read.
    pub status: Option<u16>,
    /// When the next was due.
    pub next: Option<UtcMillis>,
    /// A retry was due but the delivery had been ended.
    pub ended: bool,
}

/// The last attempt of the newest round that has any, for each subscription.
#[derive(Clone, Debug, Default)]
pub struct LastAttempts(HashMap<Seq, LastAttempt>);

/// What a subscription wanted when the event was published.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which types.
    pub types: EventTypes,
    /// Whether it received anything.
    pub enabled: bool,
    /// Its epoch then.
    pub epoch: u32,
}

/// An event at one subscription.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'t> {
    /// What happened.
    pub event_type: &'t EventType,
    /// To whom.
    pub subscription: SubscriptionId,
    /// The subscription's epoch now.
    pub epoch: u32,
    /// Until when its breaker is open, where it is.
    pub open_until: Option<UtcMillis>,
}

impl OwedRound {
    /// Whether the trace speaks of it: dead rows that were attempted have their attempts to tell.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.live || self.attempts == 0
    }
}

impl LastAttempts {
    /// Takes in an attempt; they come in the order of the log.
    pub fn note(&mut self, subscription: Seq, attempt: LastAttempt) {
        let known = self.0.get(&subscription);
        if known.is_none_or(|known| known.round <= attempt.round) {
            self.0.insert(subscription, attempt);
        }
    }

    /// The last one of a subscription.
    #[must_use]
    pub fn of(&self, subscription: Seq) -> Option<&LastAttempt> {
        self.0.get(&subscription)
    }
}

impl Traced<'_> {
    /// What the queue and the log say; none where the delivery was never attempted and is not
    /// owed, so that the history has to say why.
    #[must_use]
    pub fn told(
        &self,
        owed: Option<&OwedRound>,
        last: Option<&LastAttempt>,
    ) -> Option<DeliveryTrace> {
        match (owed, last) {
            // A newer round that is settled already speaks before an older one in flight.
            (Some(owed), last) if last.is_none_or(|last| last.round <= owed.round) => {
                let last = last.filter(|last| last.round == owed.round);
                Some(self.pending(owed, last))
            }
            (_, Some(last)) => Some(self.settled(last)),
            (_, None) => None,
        }
    }

    /// What the history says of a delivery that was never attempted and is not owed; `wish` is
    /// none where the subscription did not exist.
    #[must_use]
    pub fn never_attempted(&self, wish: Option<&Wish>) -> DeliveryTrace {
        let event_type = self.event_type;
        let (state, reason) = match wish {
            None => (
                DeliveryState::NotMatched,
                "the subscription did not exist when the event was published".to_owned(),
            ),
            Some(wish) if !wish.types.matches(event_type) => (
                DeliveryState::NotMatched,
                format!("the subscription did not want {event_type} when the event was published"),
            ),
            Some(wish) if !wish.enabled => (
                DeliveryState::Disabled,
                "the subscription was disabled when the event was published".to_owned(),
            ),
            Some(wish) if wish.epoch != self.epoch => {
                (DeliveryState::Disabled, ENDED_UNTRIED.to_owned())
            }
            // The delivery ended, and the log has forgotten how. Said in the cautious way.
            Some(_) => (
                DeliveryState::Failed,
                "it was owed, but its attempts are no longer in the delivery log".to_owned(),
            ),
        };
        DeliveryTrace {
            subscription: self.subscription,
            state,
            reason,
            attempts: 0,
            next_attempt: None,
            last_status: None,
            last_error: None,
        }
    }

    fn pending(&self, owed: &OwedRound, last: Option<&LastAttempt>) -> DeliveryTrace {
        let (state, reason) = match (owed.attempts, owed.held) {
            _ if !owed.live => (DeliveryState::Disabled, ENDED_UNTRIED.to_owned()),
            (0, true) => (DeliveryState::Pending, "it is being delivered".to_owned()),
            (0, false) => (
                DeliveryState::Pending,
                "it waits for its first attempt".to_owned(),
            ),
            (made, true) => (
                DeliveryState::Retrying,
                format!("attempt {} is being made", made + 1),
            ),
            (made, false) => (
                DeliveryState::Retrying,
                format!("attempt {made} failed; the next is due at {}", owed.due),
            ),
        };
        let left_alone = self
            .open_until
            .filter(|&until| until > owed.due && !owed.held);
        let (reason, next) = match left_alone {
            Some(until) if owed.live => (
                format!("{reason}, but its endpoint kept failing and is left alone until {until}"),
                Some(until),
            ),
            _ => (reason, owed.live.then_some(owed.due)),
        };
        DeliveryTrace {
            subscription: self.subscription,
            state,
            reason,
            attempts: owed.attempts,
            next_attempt: next,
            last_status: last.and_then(|last| last.status),
            last_error: last.and_then(error_of),
        }
    }

    fn settled(&self, last: &LastAttempt) -> DeliveryTrace {
        const ENDED: &str = "a retry was due, but disabling the subscription ended the delivery";
        let (state, reason) = match last.outcome {
            AttemptOutcome::Succeeded => (
                DeliveryState::Succeeded,
                format!("attempt {} succeeded", last.number),
            ),
            AttemptOutcome::Failed(_) if last.ended || last.next.is_some() => {
                (DeliveryState::Disabled, ENDED.to_owned())
            }
            AttemptOutcome::Failed(_) if last.status == Some(410) => (
                DeliveryState::Failed,
                "the receiver answered 410 Gone".to_owned(),
            ),
            AttemptOutcome::Failed(_) => (
                DeliveryState::Failed,
                format!("attempt {} failed, and it was the last", last.number),
            ),
        };
        DeliveryTrace {
            subscription: self.subscription,
            state,
            reason,
            attempts: last.number,
            next_attempt: None,
            last_status: last.status,
            last_error: error_of(last),
        }
    }
}

fn error_of(last: &LastAttempt) -> Option<AttemptError> {
    match last.outcome {
        AttemptOutcome::Succeeded => None,
        AttemptOutcome::Failed(error) => Some(error),
    }
}
