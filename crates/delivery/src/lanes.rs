//! Lanes: the fair choice of what is attempted next.
//!
//! Every subscription with work in memory has a lane: a queue of first attempts and a queue of
//! retries, and a count of what is in flight. The choice goes round between companies, and within
//! a company round between its lanes, so that neither a busy subscription nor a busy company is
//! served before others. A lane has at most its cap in flight, a company at most its share of all
//! slots: with n companies at work, 1/(n + 1), which keeps one share free for whoever comes next.
//! The same holds of the slots that retries may take, and of a company's lanes within its share, so
//! that many endpoints that hang leave room for one that does not.
//!
//! This is bookkeeping only: whether a slot is free is for the dispatcher to know. Every step
//! costs the same however many lanes there are, but for one that makes the shares grow, which
//! looks at every company once.

use std::collections::{BTreeMap, VecDeque};

use tidings_domain::{company::CompanyId, id::SubscriptionId, time::UtcMillis};
use tidings_store::Delivery;

use crate::lane_bounds::LaneBounds;

/// First attempts and retries are chosen apart, so that neither starves the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The delivery was not attempted yet.
    First,
    /// It was.
    Retry,
}

/// Everything in memory that waits for a slot, and what is in flight. Its maps are ordered, so that
/// the choice follows from what was pushed and popped alone, and a simulation from its seed.
#[derive(Debug)]
pub(crate) struct Lanes {
    slots: usize,
    retry_slots: usize,
    lanes: BTreeMap<SubscriptionId, Lane>,
    companies: BTreeMap<CompanyId, Company>,
    ready: [VecDeque<CompanyId>; Kind::COUNT],
    bounds: LaneBounds,
    waiting: usize,
    in_flight: usize,
}

/// The work of one subscription. It exists while something waits or is in flight.
#[derive(Debug)]
struct Lane {
    company: CompanyId,
    waiting: [VecDeque<Delivery>; Kind::COUNT],
    /// Whether it is in its company's round of that kind.
    listed: [bool; Kind::COUNT],
    in_flight: usize,
}

/// A company's lanes. It exists while it has any.
#[derive(Debug, Default)]
struct Company {
    lanes: usize,
    ready: [VecDeque<SubscriptionId>; Kind::COUNT],
    /// Whether it is in the round of companies of that kind.
    listed: [bool; Kind::COUNT],
    in_flight: usize,
    /// Those in flight that are retries.
    retries: usize,
}

impl Kind {
    const COUNT: usize = 2;

    /// Which kind the next attempt of a delivery is.
    pub(crate) fn of(delivery: &Delivery) -> Self {
        if delivery.attempts_made == 0 {
            Self::First
        } else {
            Self::Retry
        }
    }
}

impl Lanes {
    /// Empty lanes over `slots` slots, of which retries get at most `retry_slots` and one
    /// subscription at most `per_subscription`.
    pub(crate) fn new(slots: usize, retry_slots: usize, per_subscription: usize) -> Self {
        Self {
            slots,
            retry_slots,
            lanes: BTreeMap::new(),
            companies: BTreeMap::new(),
            ready: Default::default(),
            bounds: LaneBounds::new(per_subscription),
            waiting: 0,
            in_flight: 0,
        }
    }

    /// Gives a lane a cap of its own on what is in flight, below everybody's; or takes it away.
    pub(crate) fn cap(&mut self, subscription: SubscriptionId, cap: Option<usize>) {
        self.bounds.set(subscription, cap);
        self.list_again(subscription);
    }

    /// Gives a lane no turn until `until`.
    pub(crate) fn hold(&mut self, subscription: SubscriptionId, until: UtcMillis) {
        self.bounds.hold(subscription, until);
    }

    /// Ends the holds whose time has come.
    pub(crate) fn end_holds(&mut self, now: UtcMillis) {
        while let Some(subscription) = self.bounds.end_hold(now) {
            self.list_again(subscription);
        }
    }

    /// Ends all holds: the clock was set back.
    pub(crate) fn end_all_holds(&mut self) {
        for subscription in self.bounds.end_all_holds() {
            self.list_again(subscription);
        }
    }

    /// When the next hold of a lane with work ends.
    pub(crate) fn next_wake(&self) -> Option<UtcMillis> {
        self.bounds
            .next_end(|subscription| self.lanes.contains_key(&subscription))
    }

    /// Takes everything that waits in a lane.
    pub(crate) fn drain(&mut self, subscription: SubscriptionId) -> Vec<Delivery> {
        let Some(lane) = self.lanes.get_mut(&subscription) else {
            return Vec::new();
        };
        let drained: Vec<_> = lane
            .waiting
            .iter_mut()
            .flat_map(|queue| queue.drain(..))
            .collect();
        self.waiting -= drained.len();
        if lane.in_flight == 0 {
            self.remove(subscription);
        }
        drained
    }

    /// Deliveries that wait for a slot.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Deliveries that were taken and have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Puts a delivery at the end of its lane.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        let kind = Kind::of(&delivery) as usize;
        let id = delivery.key.subscription;
        let company = delivery.event.company();
        if !self.companies.contains_key(company) {
            self.companies.insert(company.clone(), Company::default());
        }
        let lane = self.lanes.entry(id).or_insert_with(|| {
            if let Some(company) = self.companies.get_mut(company) {
                company.lanes += 1;
            }
            Lane::new(company.clone())
        });
        lane.waiting[kind].push_back(delivery);
        self.waiting += 1;
        self.list(id, kind);
    }

    /// Takes the next delivery of `kind` whose turn it is, and counts it as in flight; none where
    /// nothing waits or everybody with work is at a bound. Each one taken is given back with
    /// [`Lanes::ended`].
    pub(crate) fn pop(&mut self, kind: Kind) -> Option<Delivery> {
        let share = self.share(self.slots);
        let retry_share = self.share(self.retry_slots);
        let is_retry = kind == Kind::Retry;
        let kind = kind as usize;
        while let Some(company_id) = self.ready[kind].pop_front() {
            let company = self
                .companies
                .get_mut(&company_id)
                .expect("a listed company has lanes");
            company.listed[kind] = false;
            // At its share: it is listed again when an attempt ends or the shares grow.
            if company.in_flight >= share || (is_retry && company.retries >= retry_share) {
                continue;
            }
            let share = company.lane_share(share);
            let bounds = &self.bounds;
            let delivery = company.pop(kind, &mut self.lanes, |id| bounds.cap(id).min(share));
            company.retries += usize::from(is_retry && delivery.is_some());
            if !company.ready[kind].is_empty() {
                company.listed[kind] = true;
                self.ready[kind].push_back(company_id);
            }
            if delivery.is_some() {
                self.waiting -= 1;
                self.in_flight += 1;
                return delivery;
            }
        }
        None
    }

    /// Notes that a delivery that was taken is no longer in flight.
    pub(crate) fn ended(&mut self, delivery: &Delivery) {
        let subscription = delivery.key.subscription;
        let lane = self
            .lanes
            .get_mut(&subscription)
            .expect("a lane stays while something is in flight");
        let company = self
            .companies
            .get_mut(&lane.company)
            .expect("a company stays while it has lanes");
        self.in_flight -= 1;
        lane.in_flight -= 1;
        company.in_flight -= 1;
        company.retries -= usize::from(Kind::of(delivery) == Kind::Retry);
        if !lane.is_idle() {
            self.list_again(subscription);
            return;
        }
        self.remove(subscription);
    }

    /// Forgets a lane that has nothing any more, and its company with its last one.
    fn remove(&mut self, subscription: SubscriptionId) {
        let Some(lane) = self.lanes.remove(&subscription) else {
            return;
        };
        let id = lane.company;
        let company = self
            .companies
            .get_mut(&id)
            .expect("a company stays while it has lanes");
        company.lanes -= 1;
        for kind in 0..Kind::COUNT {
            if lane.listed[kind] {
                company.ready[kind].retain(|listed| *listed != subscription);
            }
        }
        if company.lanes > 0 {
            for kind in 0..Kind::COUNT {
                self.list_company(&id, kind);
            }
            return;
        }
        let listed = company.listed;
        let shares = [self.slots, self.retry_slots].map(|slots| self.share(slots));
        for kind in 0..Kind::COUNT {
            if listed[kind] {
                self.ready[kind].retain(|listed| *listed != id);
            }
        }
        self.companies.remove(&id);
        if shares != [self.slots, self.retry_slots].map(|slots| self.share(slots)) {
            self.list_companies();
        }
    }

    /// Keeps only what `keep` wants of what waits, and drops the rest; what is in flight stays.
    /// Looks at everything, so it is for rare occasions.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Delivery) -> bool) {
        let mut kept: Vec<Delivery> = Vec::new();
        for lane in self.lanes.values_mut() {
            for queue in &mut lane.waiting {
                kept.extend(queue.drain(..).filter(&keep));
            }
            lane.listed = Default::default();
        }
        // Everything is listed anew, around the lanes that stay for what they have in flight.
        self.ready = Default::default();
        self.waiting = 0;
        self.lanes.retain(|_, lane| lane.in_flight > 0);
        self.companies.retain(|_, company| company.in_flight > 0);
        for company in self.companies.values_mut() {
            *company = Company {
                in_flight: company.in_flight,
                retries: company.retries,
                ..Company::default()
            };
        }
        for lane in self.lanes.values() {
            if let Some(company) = self.companies.get_mut(&lane.company) {
                company.lanes += 1;
            }
        }
        for delivery in kept {
            self.push(delivery);
        }
    }

    /// How many of `slots` a company may have: an equal share, with one left over.
    fn share(&self, slots: usize) -> usize {
        (slots / (self.companies.len() + 1)).max(1)
    }

    /// Puts a lane into its company's round, and the company into the round of companies, where
    /// they have work and room and are not there yet.
    fn list(&mut self, subscription: SubscriptionId, kind: usize) {
        let Some(lane) = self.lanes.get_mut(&subscription) else {
            return;
        };
        let has_room = lane.in_flight < self.bounds.cap(subscription);
        let has_turn = !lane.waiting[kind].is_empty() && has_room;
        if lane.listed[kind] || !has_turn {
            return;
        }
        let company = self
            .companies
            .get_mut(&lane.company)
            .expect("a company stays while it has lanes");
        lane.listed[kind] = true;
        company.ready[kind].push_back(subscription);
        if !company.listed[kind] {
            company.listed[kind] = true;
            self.ready[kind].push_back(lane.company.clone());
        }
    }

    /// The same for both kinds, and for a company that was at its share.
    fn list_again(&mut self, subscription: SubscriptionId) {
        for kind in 0..Kind::COUNT {
            self.list(subscription, kind);
            self.list_company_of(subscription, kind);
        }
    }

    fn list_company_of(&mut self, subscription: SubscriptionId, kind: usize) {
        if let Some(lane) = self.lanes.get(&subscription) {
            let id = lane.company.clone();
            self.list_company(&id, kind);
        }
    }

    fn list_company(&mut self, id: &CompanyId, kind: usize) {
        if let Some(company) = self.companies.get_mut(id)
            && !company.listed[kind]
            && !company.ready[kind].is_empty()
        {
            company.listed[kind] = true;
            self.ready[kind].push_back(id.clone());
        }
    }

    /// Shares grew: companies at the former share have a turn again.
    fn list_companies(&mut self) {
        for (id, company) in &mut self.companies {
            for kind in 0..Kind::COUNT {
                if !company.listed[kind] && !company.ready[kind].is_empty() {
                    company.listed[kind] = true;
                    self.ready[kind].push_back(id.clone());
                }
            }
        }
    }
}

impl Lane {
    fn new(company: CompanyId) -> Self {
        Self {
            company,
            waiting: Default::default(),
            listed: Default::default(),
            in_flight: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting.iter().all(VecDeque::is_empty)
    }
}

impl Company {
    /// How many of the company's slots one lane may have: an equal share, with one left over.
    fn lane_share(&self, company_share: usize) -> usize {
        (company_share / (self.lanes + 1)).max(1)
    }

    /// Takes a delivery from the next lane that has room, and puts the lane behind the others.
    fn pop(
        &mut self,
        kind: usize,
        lanes: &mut BTreeMap<SubscriptionId, Lane>,
        cap: impl Fn(SubscriptionId) -> usize,
    ) -> Option<Delivery> {
        while let Some(id) = self.ready[kind].pop_front() {
            let lane = lanes.get_mut(&id).expect("a listed lane has work");
            lane.listed[kind] = false;
            // At its cap: it is listed again when something of it ends, or when its bounds change.
            if lane.in_flight >= cap(id) {
                continue;
            }
            let delivery = lane.waiting[kind].pop_front();
            if !lane.waiting[kind].is_empty() {
                lane.listed[kind] = true;
                self.ready[kind].push_back(id);
            }
            if delivery.is_some() {
                lane.in_flight += 1;
                self.in_flight += 1;
                return delivery;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
