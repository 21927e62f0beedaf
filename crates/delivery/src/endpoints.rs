//! Endpoints that need care: those that fail, and those that are delivered to slowly.
//!
//! Each has its circuit breaker and its pace here; an endpoint about which there is nothing to
//! remember is not here. What a breaker means for lanes and places, and writing it down, is the
//! dispatcher's affair: this module says what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use tidings_domain::{
    breaker::{Breaker, BreakerState, EndpointHealth},
    id::SubscriptionId,
    subscription::Endpoint,
    target::TargetUrl,
    time::UtcMillis,
    verdict::Jitter,
};

/// Those that are left alone are looked at no more often than this, in milliseconds.
const LOOK_MS: i64 = 1000;
/// How many endpoints are looked at at a time for whether their subscriptions ended.
const LOOKED_AT_MAX: usize = 1000;
/// Failing is written down once it has lasted so long, in milliseconds; a hiccup costs no write.
const FAILING_NOTED_MS: i64 = 60 * 60_000;

/// What becomes of an endpoint's deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// None are made.
    Park,
    /// One is made, to see.
    Probe,
    /// All are made.
    Free,
}

/// Something to be written down about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) subscription: SubscriptionId,
    pub(crate) epoch: u32,
    pub(crate) health: EndpointHealth,
    /// What was written down before.
    former: EndpointHealth,
}

/// The endpoints about which there is something to remember.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    known: BTreeMap<SubscriptionId, Known>,
    /// Those whose breaker is not closed.
    tripped: BTreeSet<SubscriptionId>,
    /// When each open breaker's time is over.
    ends: BTreeSet<(UtcMillis, SubscriptionId)>,
    /// Those about which there is something to write down.
    to_note: BTreeSet<SubscriptionId>,
    /// What is being written down: until that is done, what the store says may be older.
    noting: Option<Note>,
    /// Whether subscriptions may have changed since the last look at those that are left alone.
    looks: bool,
    looked: Option<UtcMillis>,
    /// Up to where, and when, known endpoints were last looked through for ended ones.
    swept_to: Option<SubscriptionId>,
    swept: Option<UtcMillis>,
}

#[derive(Debug)]
struct Known {
    epoch: u32,
    url: TargetUrl,
    breaker: Breaker,
    /// What was written down last, or is on its way.
    noted: EndpointHealth,
    /// Its place in [`Endpoints::ends`].
    end: Option<UtcMillis>,
    /// When its next attempt may be made at the earliest, in microseconds; where it has a rate.
    next_us: Option<i64>,
}

impl Known {
    fn new(endpoint: &Endpoint) -> Self {
        Self {
            epoch: endpoint.epoch,
            url: endpoint.url.clone(),
            breaker: Breaker::resumed(endpoint.health),
            noted: endpoint.health,
            end: None,
            next_us: None,
        }
    }

    /// Whether it is about this endpoint as it is now.
    fn is_about(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_still(self.epoch, &self.url)
    }

    /// What should be known of it by others, if that is something else than they know.
    fn news(&self, now: UtcMillis) -> Option<EndpointHealth> {
        let mut health = self.breaker.health();
        let long_enough = |since: UtcMillis| now.since(since) >= FAILING_NOTED_MS;
        if health.breaker == BreakerState::Closed && self.noted.failing_since.is_none() {
            health.failing_since = health.failing_since.filter(|since| long_enough(*since));
        }
        (health != self.noted).then_some(health)
    }
}

impl Endpoints {
    /// Takes in how an attempt ended, and says what that changes.
    pub(crate) fn landed(
        &mut self,
        endpoint: &Endpoint,
        has_succeeded: bool,
        now: UtcMillis,
        jitter: Jitter,
    ) -> Option<Turn> {
        let is_known = self
            .known
            .get(&endpoint.id)
            .is_some_and(|known| known.is_about(endpoint));
        if has_succeeded && !is_known && endpoint.health == EndpointHealth::default() {
            return None;
        }
        let known = self.entry(endpoint);
        let before = known.breaker.state();
        if has_succeeded {
            known.breaker.succeeded();
        } else {
            known.breaker.failed(now, jitter);
        }
        let after = known.breaker.state();
        // Also where what was known was about a former endpoint, which had tripped.
        let was_tripped = self.tripped.contains(&endpoint.id);
        self.tidy_up(endpoint.id, now);
        match (before, after) {
            (BreakerState::Closed | BreakerState::HalfOpen, BreakerState::Open) => Some(Turn::Park),
            (_, BreakerState::Closed) if was_tripped => Some(Turn::Free),
            _ => None,
        }
    }

    /// What an endpoint that is about to be attempted is to get, where its breaker says so: it was
    /// noted before this node knew of it, or by another node.
    pub(crate) fn turn(&mut self, endpoint: &Endpoint, now: UtcMillis) -> Option<Turn> {
        let is_noted = endpoint.health.breaker != BreakerState::Closed;
        if !is_noted || self.tripped.contains(&endpoint.id) || self.knows_better(endpoint, now) {
            return None;
        }
        let known = self.entry(endpoint);
        known.breaker = Breaker::resumed(endpoint.health);
        known.noted = endpoint.health;
        known.breaker.tick(now);
        let state = known.breaker.state();
        self.tidy_up(endpoint.id, now);
        match state {
            BreakerState::Closed => None,
            BreakerState::Open => Some(Turn::Park),
            BreakerState::HalfOpen => Some(Turn::Probe),
        }
    }

    /// Subscriptions may have changed: the next tick looks whether somebody mended what is parked.
    pub(crate) fn look_again(&mut self) {
        self.looks = true;
    }

    /// Lets probes through whose time has come, and sees whether somebody mended what is parked.
    pub(crate) fn tick(
        &mut self,
        now: UtcMillis,
        current: impl Fn(SubscriptionId) -> Option<Arc<Endpoint>>,
    ) -> Vec<(SubscriptionId, Turn)> {
        let mut turns = Vec::new();
        if self.looks && self.may_look_from().is_none_or(|from| from <= now) {
            self.looks = false;
            self.looked = Some(now);
            for id in self.mended(current) {
                self.forget(id);
                turns.push((id, Turn::Free));
            }
        }
        while let Some(&(end, id)) = self.ends.first()
            && end <= now
        {
            self.ends.pop_first();
            let Some(known) = self.known.get_mut(&id) else {
                continue;
            };
            known.end = None;
            if known.breaker.tick(now) {
                turns.push((id, Turn::Probe));
            } else if known.breaker.state() == BreakerState::Closed {
                // What had tripped was a former endpoint.
                turns.push((id, Turn::Free));
            }
            self.tidy_up(id, now);
        }
        turns
    }

    /// Those that are left alone, and whose subscription is another now, or ended; or that another
    /// node found to work.
    fn mended(
        &self,
        current: impl Fn(SubscriptionId) -> Option<Arc<Endpoint>>,
    ) -> Vec<SubscriptionId> {
        let is_tripped = |id: &SubscriptionId| {
            let (Some(known), Some(endpoint)) = (self.known.get(id), current(*id)) else {
                return false;
            };
            known.is_about(&endpoint)
                && (endpoint.health.breaker != BreakerState::Closed
                    || known.noted.breaker == BreakerState::Closed)
        };
        let is_noting = |id: &SubscriptionId| {
            let noting = self.noting.as_ref();
            noting.is_some_and(|note| note.subscription == *id)
        };
        let tripped = self.tripped.iter().copied();
        tripped
            .filter(|id| !is_noting(id) && !is_tripped(id))
            .collect()
    }

    /// Those whose subscription was deleted or is disabled, so that nothing need be remembered. A
    /// look takes some of all that are known, and goes on from there the next time.
    pub(crate) fn ended(
        &mut self,
        now: UtcMillis,
        current: impl Fn(SubscriptionId) -> Option<Arc<Endpoint>>,
    ) -> Vec<SubscriptionId> {
        let may_look = |swept: UtcMillis| swept.plus_millis(LOOK_MS) <= now;
        if self.known.is_empty() || !self.swept.is_none_or(may_look) {
            return Vec::new();
        }
        self.swept = Some(now);
        let from = self.swept_to.map_or(Bound::Unbounded, Bound::Excluded);
        let looked_at = self.known.range((from, Bound::Unbounded));
        let looked_at: Vec<_> = looked_at.take(LOOKED_AT_MAX).map(|(id, _)| *id).collect();
        let is_last = looked_at.len() < LOOKED_AT_MAX;
        self.swept_to = looked_at.last().copied().filter(|_| !is_last);
        let has_ended = |id: &SubscriptionId| current(*id).is_none_or(|endpoint| !endpoint.enabled);
        looked_at.into_iter().filter(has_ended).collect()
    }

    /// Endpoints about which something is remembered.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// From when on the next look may be taken; none for at once.
    fn may_look_from(&self) -> Option<UtcMillis> {
        self.looked.map(|looked| looked.plus_millis(LOOK_MS))
    }

    /// When to tick without being asked to.
    pub(crate) fn next_wake(&self) -> Option<UtcMillis> {
        let end = self.ends.first().map(|&(end, _)| end);
        let is_waiting = self.looks && !self.tripped.is_empty();
        let look = self.may_look_from().filter(|_| is_waiting);
        end.into_iter().chain(look).min()
    }

    /// An attempt begins at `now` at an endpoint whose attempts are to be `spacing_us` apart; says
    /// until when its lane has no other turn.
    pub(crate) fn pace(
        &mut self,
        endpoint: &Endpoint,
        spacing_us: i64,
        now: UtcMillis,
    ) -> Option<UtcMillis> {
        const MS_US: i64 = 1000;
        let now_us = now.as_millis() * MS_US;
        let known = self.entry(endpoint);
        // The clock tells milliseconds: a turn that came within this one keeps its place in the
        // sequence, or fast rates would lose up to half of what they may.
        let came_just_now = |next: &i64| next + MS_US > now_us;
        let turn_us = known.next_us.filter(came_just_now).unwrap_or(now_us);
        let next_us = turn_us + spacing_us;
        known.next_us = Some(next_us);
        // Whatever is due within this millisecond is due now.
        (next_us >= now_us + MS_US).then(|| {
            let ms = next_us.div_euclid(MS_US) + i64::from(next_us.rem_euclid(MS_US) > 0);
            UtcMillis::from_millis(ms)
        })
    }

    /// An endpoint has no rate any more; says whether it had one.
    pub(crate) fn stop_pacing(&mut self, id: SubscriptionId) -> bool {
        let known = self.known.get_mut(&id);
        known.is_some_and(|known| known.next_us.take().is_some())
    }

    /// Whether the endpoint has done nothing but fail for so long that its subscription ends.
    pub(crate) fn has_failed_too_long(&self, id: SubscriptionId, now: UtcMillis) -> bool {
        let known = self.known.get(&id);
        known.is_some_and(|known| known.breaker.has_failed_too_long(now))
    }

    /// Since when it fails.
    pub(crate) fn failing_since(&self, id: SubscriptionId) -> Option<UtcMillis> {
        self.known.get(&id)?.breaker.health().failing_since
    }

    /// The next thing to write down; none while something is being written.
    pub(crate) fn next_note(&mut self, now: UtcMillis) -> Option<Note> {
        if self.noting.is_some() {
            return None;
        }
        while let Some(subscription) = self.to_note.pop_first() {
            let Some(known) = self.known.get_mut(&subscription) else {
                continue;
            };
            if let Some(health) = known.news(now) {
                let former = std::mem::replace(&mut known.noted, health);
                self.noting = Some(Note {
                    subscription,
                    epoch: known.epoch,
                    health,
                    former,
                });
                return self.noting;
            }
        }
        None
    }

    /// What was to be written down has been, or not: then it is tried again.
    pub(crate) fn noted(&mut self, is_written: bool, now: UtcMillis) {
        let Some(note) = self.noting.take() else {
            return;
        };
        if let Some(known) = self.known.get_mut(&note.subscription)
            && known.epoch == note.epoch
            && !is_written
        {
            known.noted = note.former;
        }
        self.note_or_forget(note.subscription, now);
    }

    /// The clock was set back: what was to last until a time does not last longer for it, and
    /// breakers that are open let a probe through.
    pub(crate) fn clock_set_back(&mut self, now: UtcMillis) {
        self.looked = None;
        self.swept = None;
        for known in self.known.values_mut() {
            // Long ago: the next attempt is on time, and the endpoint stays one with a rate.
            known.next_us = known.next_us.map(|_| 0);
        }
        let ends = std::mem::take(&mut self.ends);
        for (_, id) in ends {
            if let Some(known) = self.known.get_mut(&id) {
                known.end = Some(now);
                known.breaker.end_at(now);
                self.ends.insert((now, id));
            }
        }
    }

    /// Forgets an endpoint: its subscription ended or goes elsewhere.
    pub(crate) fn forget(&mut self, id: SubscriptionId) {
        if let Some(end) = self.known.remove(&id).and_then(|known| known.end) {
            self.ends.remove(&(end, id));
        }
        self.tripped.remove(&id);
        self.to_note.remove(&id);
    }

    /// Endpoints whose breaker is not closed.
    pub(crate) fn tripped(&self) -> usize {
        self.tripped.len()
    }

    /// Whether this node has learnt something that the store does not say yet.
    fn knows_better(&self, endpoint: &Endpoint, now: UtcMillis) -> bool {
        let known = self.known.get(&endpoint.id);
        self.noting
            .is_some_and(|note| note.subscription == endpoint.id)
            || known.is_some_and(|known| known.is_about(endpoint) && known.news(now).is_some())
    }

    fn entry(&mut self, endpoint: &Endpoint) -> &mut Known {
        let known = self
            .known
            .entry(endpoint.id)
            .or_insert_with(|| Known::new(endpoint));
        if !known.is_about(endpoint) {
            let (next_us, end) = (known.next_us, known.end);
            *known = Known::new(endpoint);
            known.next_us = next_us;
            known.end = end;
        }
        known
    }

    /// After a change: when it is looked at again, and whether it is left alone.
    fn tidy_up(&mut self, id: SubscriptionId, now: UtcMillis) {
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        let end = known.breaker.open_until();
        if let Some(former) = std::mem::replace(&mut known.end, end) {
            self.ends.remove(&(former, id));
        }
        if let Some(end) = end {
            self.ends.insert((end, id));
        }
        if known.breaker.state() == BreakerState::Closed {
            self.tripped.remove(&id);
        } else {
            self.tripped.insert(id);
        }
        self.note_or_forget(id, now);
    }

    /// What there is to write down about it, or whether it is worth remembering.
    fn note_or_forget(&mut self, id: SubscriptionId, now: UtcMillis) {
        let Some(known) = self.known.get(&id) else {
            return;
        };
        if known.news(now).is_some() {
            self.to_note.insert(id);
        } else if known.breaker.is_unremarkable()
            && known.next_us.is_none()
            && !self.tripped.contains(&id)
            && self.noting.is_none_or(|note| note.subscription != id)
        {
            self.known.remove(&id);
            self.to_note.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
