//! The delivery log: every attempt as it was made, filtered and paged, also of subscriptions that
//! are no more.

use bytes::Bytes;
use tidings_domain::{
    attempt::{
        Attempt, AttemptError, AttemptOutcome, RESPONSE_BODY_CHARS_MAX, ReceivedResponse,
        SentRequest,
    },
    cursor::Order,
    event::Event,
    id::{EventId, SubscriptionId},
    signing::Signer,
    verdict::Verdict,
};
use tidings_store::{AttemptFilter, Delivery, OutcomeFilter};

use crate::{
    Harness,
    hindsight::attempts_of,
    scenario::{SECOND_MS, Scenario, WORKS, acme, company, event_type_of},
};

pub(crate) async fn every_field_reads_back(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    scenario.publish_many(&acme(), "a", 12).await;
    let node = scenario.node().await;
    let deliveries = scenario.claim(&node).await;
    let mut expected = Vec::new();
    for (delivery, varied) in deliveries
        .iter()
        .zip(varied_attempts(&scenario, &deliveries))
    {
        scenario.advance(1);
        let attempt = Attempt {
            attempted: scenario.now(),
            ..varied
        };
        let verdict = match attempt.outcome {
            AttemptOutcome::Succeeded => Verdict::Succeeded,
            AttemptOutcome::Failed(_) => Verdict::RetryAt(scenario.later(5 * SECOND_MS)),
        };
        let settlement = scenario.settlement(delivery, attempt, verdict);
        expected.insert(0, Attempt::clone(&settlement.attempt));
        scenario.record(settlement).await;
    }
    drop((deliveries, node));
    for _ in 0..2 {
        assert_eq!(scenario.attempts(subscription).await, expected);
        scenario.crash().await;
    }
}

/// Twelve attempts that between them have every outcome, and every field at its edges.
fn varied_attempts(scenario: &Scenario<'_>, deliveries: &[Delivery]) -> Vec<Attempt> {
    let plain = scenario.attempt(&deliveries[0]);
    let [newest, previous] = [scenario.secret(), scenario.secret()];
    let body = Bytes::from_static(b"{}");
    let sign = |signer: Signer| Some(signer.sign(plain.event, scenario.now(), &body));
    let mut varied: Vec<_> = AttemptError::ALL
        .into_iter()
        .map(|error| Attempt {
            outcome: AttemptOutcome::Failed(error),
            response: ReceivedResponse::default(),
            ..plain.clone()
        })
        .collect();
    varied.push(Attempt {
        elapsed_ms: u32::MAX,
        request: SentRequest {
            url: "http://user.example:8080/p%C3%A4th?a='b'&c=\"d\"".into(),
            user_agent: "Tidings/9.9.9".into(),
            signatures: sign(Signer::new(&newest, Some(&previous))),
        },
        ..plain.clone()
    });
    varied.push(Attempt {
        elapsed_ms: 0,
        request: SentRequest {
            signatures: sign(Signer::new(&newest, None)),
            ..plain.request.clone()
        },
        response: ReceivedResponse {
            status: Some(204),
            headers: header_fields(),
            body: String::new(),
            body_truncated: false,
        },
        ..plain.clone()
    });
    for (character, body_truncated) in [("😀", true), ("\u{0}\r\n'\"\\", false)] {
        varied.push(Attempt {
            outcome: AttemptOutcome::Failed(AttemptError::Status),
            response: ReceivedResponse {
                status: Some(599),
                headers: vec![(String::new(), String::new())],
                body: character.repeat(RESPONSE_BODY_CHARS_MAX / character.chars().count()),
                body_truncated,
            },
            ..plain.clone()
        });
    }
    varied
        .into_iter()
        .zip(deliveries)
        .map(|(attempt, delivery)| {
            let fresh = scenario.attempt(delivery);
            Attempt {
                id: fresh.id,
                event: fresh.event,
                ..attempt
            }
        })
        .collect()
}

/// Names may come twice, in any case and order.
fn header_fields() -> Vec<(String, String)> {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        field("Set-Cookie", "b=2"),
        field("X-Empty", ""),
        field("set-cookie", "a=1"),
        field("x-text", "grün, \"quoted\"; 'x'\t\\"),
        field("Set-Cookie", "b=2"),
    ]
}

pub(crate) async fn the_log_is_paged_in_both_orders(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (subscription, mut attempts) = with_history(&scenario).await;
    for order in [Order::Ascending, Order::Descending] {
        for limit in [1, 2, 5, 11, 12, 13] {
            let filter = AttemptFilter {
                order,
                limit,
                ..attempts_of(subscription)
            };
            assert_eq!(
                follow(&scenario, filter).await,
                attempts,
                "{order:?} by {limit}"
            );
        }
        attempts.reverse();
    }
}

pub(crate) async fn the_log_is_filtered(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (subscription, attempts) = with_history(&scenario).await;
    let event = attempts[0].event;
    let unknown = EventId::new(scenario.now(), scenario.random());
    let all = attempts_of(subscription);
    let filters = [
        AttemptFilter {
            outcome: Some(OutcomeFilter::Succeeded),
            ..all.clone()
        },
        AttemptFilter {
            outcome: Some(OutcomeFilter::Failed),
            ..all.clone()
        },
        AttemptFilter {
            event_type: Some(event_type_of("even")),
            ..all.clone()
        },
        AttemptFilter {
            event_type: Some(event_type_of("eve")),
            ..all.clone()
        },
        AttemptFilter {
            event: Some(event),
            ..all.clone()
        },
        AttemptFilter {
            event: Some(unknown),
            ..all.clone()
        },
        AttemptFilter {
            outcome: Some(OutcomeFilter::Failed),
            event_type: Some(event_type_of("even")),
            event: Some(event),
            ..all
        },
    ];
    let mut sizes = Vec::new();
    for filter in filters {
        for order in [Order::Ascending, Order::Descending] {
            let mut expected = attempts.clone();
            expected.retain(|attempt| passes(&filter, attempt));
            if order == Order::Descending {
                expected.reverse();
            }
            for limit in [1, 3, 100] {
                let filter = AttemptFilter {
                    order,
                    limit,
                    ..filter.clone()
                };
                let found = follow(&scenario, filter.clone()).await;
                assert_eq!(found, expected, "{filter:?}");
            }
            sizes.push(expected.len());
        }
    }
    assert_eq!(
        sizes,
        [4, 4, 8, 8, 6, 6, 0, 0, 3, 3, 0, 0, 2, 2],
        "the filters tell apart"
    );
}

fn passes(filter: &AttemptFilter, attempt: &Attempt) -> bool {
    let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
    filter
        .outcome
        .is_none_or(|wanted| (wanted == OutcomeFilter::Succeeded) == succeeded)
        && filter
            .event_type
            .as_ref()
            .is_none_or(|wanted| *wanted == attempt.event_type)
        && filter.event.is_none_or(|wanted| wanted == attempt.event)
}

pub(crate) async fn new_attempts_do_not_disturb_who_reads_backwards(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (subscription, mut expected) = with_history(&scenario).await;
    expected.reverse();
    let mut filter = AttemptFilter {
        limit: 5,
        ..attempts_of(subscription)
    };
    let mut found = Vec::new();
    loop {
        let page = scenario
            .store()
            .attempts(None, filter.clone())
            .await
            .expect(WORKS);
        let page = page.expect("the subscription is there");
        found.extend(page.attempts);
        if !page.has_more {
            break;
        }
        filter.after = Some(page.next);
        let event = scenario.publish(&acme(), "late").await;
        attempt_once(&scenario, &event).await;
    }
    assert_eq!(found, expected);
}

pub(crate) async fn what_does_not_match_does_not_follow(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (subscription, _) = with_history(&scenario).await;
    for order in [Order::Ascending, Order::Descending] {
        for outcome in [OutcomeFilter::Succeeded, OutcomeFilter::Failed] {
            let filter = AttemptFilter {
                order,
                outcome: Some(outcome),
                ..attempts_of(subscription)
            };
            let count = follow(&scenario, filter.clone()).await.len();
            assert!(count > 1, "the history has some of each outcome");
            for (limit, has_more) in [(count - 1, true), (count, false)] {
                let filter = AttemptFilter {
                    limit,
                    ..filter.clone()
                };
                let page = scenario.store().attempts(None, filter).await.expect(WORKS);
                let page = page.expect("the subscription is there");
                assert_eq!(
                    (page.attempts.len(), page.has_more),
                    (limit, has_more),
                    "{outcome:?}, {order:?}"
                );
            }
        }
    }
}

pub(crate) async fn a_reader_that_caught_up_sees_what_comes_after(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (subscription, attempts) = with_history(&scenario).await;
    let ascending = AttemptFilter {
        order: Order::Ascending,
        ..attempts_of(subscription)
    };
    let read = |filter| scenario.store().attempts(None, filter);
    let page = read(ascending.clone())
        .await
        .expect(WORKS)
        .expect("it is there");
    assert_eq!(
        (page.attempts.len(), page.has_more),
        (attempts.len(), false)
    );
    let event = scenario.publish(&acme(), "late").await;
    attempt_once(&scenario, &event).await;
    let after = Some(page.next);
    let page = read(AttemptFilter { after, ..ascending })
        .await
        .expect(WORKS);
    let late = page.expect("it is there").attempts;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].event, event.id());
}

pub(crate) async fn the_log_outlives_its_subscription(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let (subscription, attempts) = with_history(&scenario).await;
    scenario.delete(subscription).await;
    for _ in 0..2 {
        let filter = AttemptFilter {
            order: Order::Ascending,
            ..attempts_of(subscription)
        };
        assert_eq!(follow(&scenario, filter.clone()).await, attempts);
        let own = scenario
            .store()
            .attempts(Some(&acme()), filter)
            .await
            .expect(WORKS);
        assert!(own.is_some());
        scenario.reopen().await;
    }
}

pub(crate) async fn a_log_belongs_to_its_company(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (subscription, attempts) = with_history(&scenario).await;
    let deleted = scenario.subscribe(&acme(), &["none"]).await;
    scenario.delete(deleted).await;
    let unknown = SubscriptionId::new(scenario.now(), scenario.random());
    let other = company("other");
    for (asking, of, expected) in [
        (Some(&acme()), subscription, Some(attempts.len())),
        (None, subscription, Some(attempts.len())),
        (Some(&other), subscription, None),
        (Some(&acme()), deleted, Some(0)),
        (Some(&other), deleted, None),
        (None, unknown, None),
    ] {
        let page = scenario
            .store()
            .attempts(asking, attempts_of(of))
            .await
            .expect(WORKS);
        assert_eq!(page.map(|page| page.attempts.len()), expected);
    }
}

/// A subscription with twelve attempts, oldest first: four events, three attempts each, of which
/// every third succeeds; and another subscription with attempts of its own beside it.
async fn with_history(scenario: &Scenario<'_>) -> (SubscriptionId, Vec<Attempt>) {
    let subscription = scenario.subscribe(&acme(), &["*"]).await;
    let beside = scenario.subscribe(&acme(), &["even"]).await;
    for number in 0..4 {
        scenario
            .publish(&acme(), if number % 2 == 0 { "even" } else { "odd" })
            .await;
    }
    let mut attempts = Vec::new();
    for round in 1..=3 {
        let node = scenario.node().await;
        let next = scenario.later(5 * SECOND_MS);
        for delivery in scenario.claim(&node).await {
            scenario.advance(1);
            let settlement = match round {
                3 => scenario.succeeded(&delivery),
                _ => scenario.retry_at(&delivery, next),
            };
            if delivery.key.subscription == subscription {
                attempts.push(Attempt::clone(&settlement.attempt));
            }
            scenario.record(settlement).await;
        }
        scenario.set_time(next);
    }
    assert_eq!(scenario.attempts(beside).await.len(), 6);
    (subscription, attempts)
}

/// Delivers an event everywhere it is owed.
async fn attempt_once(scenario: &Scenario<'_>, event: &Event) {
    let node = scenario.node().await;
    for delivery in scenario.claim(&node).await {
        assert_eq!(delivery.event.id(), event.id());
        scenario.advance(1);
        scenario.record(scenario.succeeded(&delivery)).await;
    }
}

async fn follow(scenario: &Scenario<'_>, filter: AttemptFilter) -> Vec<Attempt> {
    let (mut filter, mut found) = (filter, Vec::new());
    loop {
        let page = scenario
            .store()
            .attempts(Some(&acme()), filter.clone())
            .await
            .expect(WORKS);
        let page = page.expect("the subscription is there");
        assert!(
            page.attempts.len() <= filter.limit,
            "a page keeps its limit"
        );
        found.extend(page.attempts);
        if !page.has_more {
            return found;
        }
        assert_ne!(
            Some(page.next),
            filter.after,
            "a page with more behind it gets on"
        );
        filter.after = Some(page.next);
    }
}
