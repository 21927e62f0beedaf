//! What changes about an endpoint, outcome by outcome.

use super::*;
use crate::sample_endpoint::sample_endpoint;
use tidings_domain::{
    breaker::{FAILING_MIN_MS, FAILURES_MIN, OPEN_MIN_MS},
    random::SeededRandom,
    subscription::MaxPerSecond,
    target::Environment,
};

const NONE: Jitter = Jitter(0);

fn at(millis: i64) -> UtcMillis {
    UtcMillis::from_millis(millis)
}

fn endpoint() -> Endpoint {
    sample_endpoint("https://example.com/")
}

/// Fails until the breaker opens; gives the time.
fn trip(endpoints: &mut Endpoints, endpoint: &Endpoint) -> UtcMillis {
    for number in 0..i64::from(FAILURES_MIN) {
        let now = at(number * FAILING_MIN_MS / 10);
        if endpoints.landed(endpoint, false, now, NONE) == Some(Turn::Park) {
            return now;
        }
    }
    panic!("it opens");
}

#[test]
fn an_endpoint_that_works_is_not_remembered() {
    let mut endpoints = Endpoints::default();
    assert_eq!(endpoints.landed(&endpoint(), true, at(0), NONE), None);
    assert_eq!(endpoints.landed(&endpoint(), false, at(0), NONE), None);
    assert_eq!(endpoints.landed(&endpoint(), true, at(1), NONE), None);
    assert!(endpoints.known.is_empty());
    assert_eq!(endpoints.next_note(at(1)), None, "a hiccup costs no write");
}

#[test]
fn one_that_fails_is_parked_and_probed_and_all_of_it_is_noted() {
    let (mut endpoints, mut endpoint) = (Endpoints::default(), endpoint());
    let opened = trip(&mut endpoints, &endpoint);
    let note = endpoints.next_note(opened).unwrap();
    assert_eq!(note.health.breaker, BreakerState::Open);
    assert_eq!(endpoints.next_note(opened), None, "one at a time");
    endpoint.health = note.health;
    endpoints.noted(true, opened);
    let over = opened.plus_millis(OPEN_MIN_MS);
    let current = |_| Some(Arc::new(endpoint.clone()));
    assert_eq!(endpoints.tick(opened, current), []);
    assert_eq!(endpoints.tick(over, current), [(endpoint.id, Turn::Probe)]);
    assert_eq!(
        endpoints.landed(&endpoint, true, over, NONE),
        Some(Turn::Free)
    );
    let note = endpoints.next_note(over).unwrap();
    assert_eq!(note.health, EndpointHealth::default());
    assert_eq!(endpoints.turn(&endpoint, over), None, "the store is behind");
    endpoints.noted(true, over);
    assert!(endpoints.known.is_empty());
}

#[test]
fn a_note_that_fails_is_tried_again() {
    let (mut endpoints, endpoint) = (Endpoints::default(), endpoint());
    let opened = trip(&mut endpoints, &endpoint);
    let note = endpoints.next_note(opened);
    endpoints.noted(false, opened);
    assert_eq!(endpoints.next_note(opened), note);
}

#[test]
fn what_another_node_found_counts_here() {
    let (mut endpoints, mut endpoint) = (Endpoints::default(), endpoint());
    endpoint.health = EndpointHealth {
        breaker: BreakerState::Open,
        open_until: Some(at(5000)),
        failing_since: Some(at(0)),
    };
    assert_eq!(endpoints.turn(&endpoint, at(100)), Some(Turn::Park));
    assert_eq!(endpoints.turn(&endpoint, at(100)), None, "known by now");
    assert_eq!(endpoints.next_note(at(100)), None, "and nothing new");
    let works = Arc::new(Endpoint {
        health: EndpointHealth::default(),
        ..endpoint.clone()
    });
    endpoints.look_again();
    let turns = endpoints.tick(at(1200), |_| Some(Arc::clone(&works)));
    assert_eq!(turns, [(endpoint.id, Turn::Free)], "the other closed it");
}

#[test]
fn a_subscription_that_goes_elsewhere_starts_afresh() {
    let (mut endpoints, endpoint) = (Endpoints::default(), endpoint());
    let opened = trip(&mut endpoints, &endpoint);
    let moved = Arc::new(Endpoint {
        url: TargetUrl::parse("https://example.org/", Environment::Production).unwrap(),
        ..endpoint.clone()
    });
    assert_eq!(endpoints.tick(opened, |_| Some(Arc::clone(&moved))), []);
    endpoints.look_again();
    let turns = endpoints.tick(opened, |_| Some(Arc::clone(&moved)));
    assert_eq!(turns, [(endpoint.id, Turn::Free)]);
    assert_eq!(endpoints.tripped(), 0);
}

#[test]
fn those_that_ended_are_found_however_many_are_known() {
    let (mut endpoints, random) = (Endpoints::default(), SeededRandom::new(2));
    let all: Vec<_> = (0..LOOKED_AT_MAX * 2 + 7)
        .map(|_| Endpoint {
            id: SubscriptionId::new(at(0), &random),
            ..endpoint()
        })
        .collect();
    for endpoint in &all {
        endpoints.landed(endpoint, false, at(0), NONE);
    }
    // Of three, one was deleted, one disabled, and one is as it was.
    let current = |id| {
        let place = all.iter().position(|endpoint| endpoint.id == id).unwrap();
        (place % 3 > 0).then(|| {
            Arc::new(Endpoint {
                enabled: place % 3 == 1,
                ..all[place].clone()
            })
        })
    };
    for second in 0..3 {
        let ended = endpoints.ended(at(second * LOOK_MS), current);
        assert!(ended.len() <= LOOKED_AT_MAX);
        for id in ended {
            endpoints.forget(id);
        }
        let soon = at((second + 1) * LOOK_MS - 1);
        assert_eq!(endpoints.ended(soon, current), [], "not all the time");
    }
    assert_eq!(endpoints.known(), all.len() / 3);
}

#[test]
fn a_rate_that_was_taken_away_is_forgotten() {
    let (mut endpoints, endpoint) = (Endpoints::default(), endpoint());
    assert!(!endpoints.stop_pacing(endpoint.id));
    assert!(endpoints.pace(&endpoint, 1_000_000, at(0)).is_some());
    assert!(endpoints.stop_pacing(endpoint.id));
    assert!(!endpoints.stop_pacing(endpoint.id), "once");
}

#[test]
fn a_rate_is_never_exceeded() {
    let endpoint = endpoint();
    for per_second in [1, 3, 10, 999, 1000, 7000, 10_000] {
        let rate = MaxPerSecond::new(per_second).unwrap();
        let mut endpoints = Endpoints::default();
        let (mut now, mut made) = (0, Vec::new());
        while now < 3000 {
            made.push(now);
            if let Some(until) = endpoints.pace(&endpoint, rate.spacing_us(), at(now)) {
                now = until.as_millis();
            }
        }
        let limit = usize::try_from(per_second).unwrap();
        for (first, beyond) in made.iter().zip(&made[limit..]) {
            assert!(beyond - first >= 1000, "{per_second} from {first}");
        }
        assert!(
            made.len() >= limit * 3 * 9 / 10,
            "{per_second}: {}",
            made.len()
        );
    }
}
