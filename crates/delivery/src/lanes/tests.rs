//! Turns, caps, shares and holds; and that nobody is forgotten, whatever comes.

use std::sync::Arc;

use super::*;
use proptest::prelude::*;
use tidings_domain::{
    event::Event, event_type::EventType, id::EventId, random::SeededRandom, time::UtcMillis,
};
use tidings_store::{DeliveryKey, Handover, HandoverLimits, LeaseId};

fn at(millis: i64) -> UtcMillis {
    UtcMillis::from_millis(millis)
}

fn id_of(subscription: u64) -> SubscriptionId {
    SubscriptionId::new(at(0), &SeededRandom::new(subscription))
}

/// The subscription of that number; its company is the letter.
fn delivery(company: &str, subscription: u64, position: i64, attempts_made: u32) -> Delivery {
    let company = CompanyId::parse(company).unwrap();
    let id = id_of(subscription);
    let handover = Handover::new(HandoverLimits::default());
    Delivery {
        key: DeliveryKey {
            position,
            subscription: id,
            round: 0,
        },
        lease: LeaseId(1),
        epoch: 0,
        attempts_made,
        first_attempt: None,
        owed_since: at(0),
        place: handover.admit(id, &company, 1).unwrap(),
        event: Arc::new(Event::from_stored(
            EventId::new(at(0), &SeededRandom::new(1)),
            EventType::parse("a.b").unwrap(),
            at(0),
            company,
            "{}",
            "{}",
        )),
    }
}

fn pop_all(lanes: &mut Lanes, kind: Kind) -> Vec<Delivery> {
    std::iter::from_fn(|| lanes.pop(kind)).collect()
}

fn positions(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|taken| taken.key.position).collect()
}

#[test]
fn companies_and_their_lanes_take_turns() {
    let mut lanes = Lanes::new(1000, 500, 1000);
    for (company, subscription, position) in [
        ("a", 1, 1),
        ("a", 1, 2),
        ("a", 2, 3),
        ("a", 2, 4),
        ("b", 3, 5),
        ("b", 3, 6),
    ] {
        lanes.push(delivery(company, subscription, position, 0));
    }
    assert_eq!(
        positions(&pop_all(&mut lanes, Kind::First)),
        [1, 5, 3, 6, 2, 4]
    );
}

#[test]
fn a_subscription_has_its_cap() {
    let mut lanes = Lanes::new(1000, 500, 2);
    for position in 0..4 {
        lanes.push(delivery("a", 1, position, 0));
    }
    lanes.push(delivery("a", 1, 4, 1));
    let taken = pop_all(&mut lanes, Kind::First);
    assert_eq!(positions(&taken), [0, 1]);
    assert!(
        lanes.pop(Kind::Retry).is_none(),
        "the cap is for both kinds"
    );
    lanes.ended(&taken[0]);
    assert_eq!(positions(&pop_all(&mut lanes, Kind::Retry)), [4]);
    lanes.ended(&taken[1]);
    assert_eq!(positions(&pop_all(&mut lanes, Kind::First)), [2]);
}

#[test]
fn many_lanes_of_a_company_leave_a_share_for_the_next() {
    let mut lanes = Lanes::new(40, 20, 16);
    for position in 0..10 {
        for subscription in 1..5 {
            lanes.push(delivery("a", subscription, position, 0));
        }
    }
    // The company may have 20, each of its four lanes a fifth of them.
    assert_eq!(pop_all(&mut lanes, Kind::First).len(), 16);
    lanes.push(delivery("a", 5, 99, 0));
    assert_eq!(positions(&pop_all(&mut lanes, Kind::First)), [99]);
}

#[test]
fn a_company_leaves_a_share_for_the_next() {
    let mut lanes = Lanes::new(120, 60, 100);
    for position in 0_i64..60 {
        let subscription = position.unsigned_abs();
        lanes.push(delivery("a", subscription, position, 0));
        lanes.push(delivery("a", 100 + subscription, 100 + position, 1));
    }
    assert_eq!(
        pop_all(&mut lanes, Kind::Retry).len(),
        30,
        "half of the retries' slots"
    );
    let greedy = pop_all(&mut lanes, Kind::First);
    assert_eq!(greedy.len(), 30, "sixty with the retries");
    for position in 200_i64..300 {
        lanes.push(delivery("b", position.unsigned_abs(), position, 0));
    }
    let modest = pop_all(&mut lanes, Kind::First);
    assert_eq!(modest.len(), 40, "a third, as there are two");
    assert!(modest.iter().all(|taken| taken.key.position >= 200));
    lanes.retain(|waiting| waiting.key.position < 200);
    for taken in &modest {
        assert!(lanes.pop(Kind::First).is_none());
        lanes.ended(taken);
    }
    lanes.ended(&greedy[0]);
    assert_eq!(
        pop_all(&mut lanes, Kind::First).len(),
        1,
        "the half again, as it is alone"
    );
}

#[test]
fn what_is_not_kept_is_gone_and_what_is_in_flight_stays() {
    let mut lanes = Lanes::new(100, 50, 1);
    for position in 0..3 {
        lanes.push(delivery("a", 1, position, 0));
        lanes.push(delivery("b", 2, 10 + position, 1));
    }
    let flying = lanes.pop(Kind::First).unwrap();
    lanes.retain(|waiting| waiting.key.position == 2);
    assert_eq!((lanes.waiting(), lanes.in_flight()), (1, 1));
    assert!(lanes.pop(Kind::First).is_none(), "its lane is at its cap");
    lanes.ended(&flying);
    assert_eq!(positions(&pop_all(&mut lanes, Kind::First)), [2]);
    assert!(lanes.pop(Kind::Retry).is_none());
}

proptest! {
    /// Whatever comes and goes: no bound is passed, order is kept within a lane and kind,
    /// nobody is forgotten, and in the end nothing is left.
    #[test]
    fn bounds_hold_and_nobody_is_forgotten(
        steps in proptest::collection::vec((0..7_u8, 0..3_usize, 0..3_u64, any::<prop::sample::Index>()), 1..200),
        slots in 1..12_usize, cap in 1..4_usize,
    ) {
        let retry_slots = (slots / 2).max(1);
        let mut lanes = Lanes::new(slots, retry_slots, cap);
        let mut flying: Vec<Delivery> = Vec::new();
        let mut own_caps = BTreeMap::new();
        let mut pushed = 0;
        let mut taken = 0;
        for (n, (what, company, subscription, which)) in (0..).zip(steps) {
            let company = ["a", "b", "c"][company];
            // A subscription has one company.
            let subscription = subscription + 10 * u64::from(company.as_bytes()[0]);
            match what {
                0 | 1 => {
                    lanes.push(delivery(company, subscription, n, u32::from(what)));
                    pushed += 1;
                }
                4 => {
                    // Parked, probed, or free again.
                    let bound = which.index(3);
                    let id = id_of(subscription);
                    lanes.cap(id, (bound < 2).then_some(bound));
                    own_caps.insert(id, if bound < 2 { bound } else { cap });
                }
                5 => lanes.hold(id_of(subscription), at(n + 10)),
                6 => lanes.end_holds(at(n)),
                2 if !flying.is_empty() => {
                    let ended = flying.swap_remove(which.index(flying.len()));
                    lanes.ended(&ended);
                }
                _ => {
                    let kind = if which.index(2) == 0 { Kind::First } else { Kind::Retry };
                    if flying.len() < slots && let Some(next) = lanes.pop(kind) {
                        prop_assert_eq!(Kind::of(&next), kind);
                        let id = next.key.subscription;
                        let in_flight = flying.iter().filter(|f| f.key.subscription == id).count();
                        prop_assert!(in_flight < *own_caps.get(&id).unwrap_or(&cap));
                        flying.push(next);
                        taken += 1;
                    }
                }
            }
            let of = |subscription| flying.iter().filter(|f| f.key.subscription == subscription).count();
            prop_assert!(flying.iter().all(|f| of(f.key.subscription) <= cap));
            prop_assert_eq!(lanes.in_flight(), flying.len());
            prop_assert_eq!(lanes.waiting(), pushed - taken);
        }
        for id in own_caps.into_keys() {
            lanes.cap(id, None);
        }
        lanes.end_holds(at(1000));
        let mut rounds = 0;
        while lanes.waiting() > 0 || !flying.is_empty() {
            for ended in flying.drain(..) {
                lanes.ended(&ended);
            }
            flying.extend(pop_all(&mut lanes, Kind::First));
            flying.extend(pop_all(&mut lanes, Kind::Retry));
            rounds += 1;
            prop_assert!(rounds <= 2 * pushed + 2, "somebody is forgotten");
        }
        prop_assert!(lanes.lanes.is_empty() && lanes.companies.is_empty());
    }
}
