//! A delivery log with attempts of every kind, and what searches of it have to find.

use tidings_domain::{
    attempt::{Attempt, AttemptError, AttemptOutcome, ReceivedResponse},
    company::CompanyId,
    cursor::Order,
    id::{EventId, SubscriptionId},
    verdict::Verdict,
};
use tidings_store::{AttemptSearch, Delivery, OutcomeFilter, StatusFilter};

use crate::scenario::{EVERYTHING, SECOND_MS, Scenario, acme, company, patterns};

/// Events that the company publishes.
const EVENTS: usize = 20;

/// What a company's log holds, oldest first, and who is in it.
pub(crate) struct History {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) subscriptions: Vec<SubscriptionId>,
    pub(crate) events: Vec<EventId>,
    pub(crate) other: SubscriptionId,
    pub(crate) others_event: EventId,
}

/// Three subscriptions, one of which is deleted afterwards, and one of another company; attempts of
/// every kind, most of which end in the order in which they began.
pub(crate) async fn with_history(scenario: &Scenario<'_>) -> History {
    let subscriptions = vec![
        scenario.subscribe(&acme(), &["a.*", "b"]).await,
        scenario.subscribe(&acme(), &["*"]).await,
        scenario.subscribe(&acme(), &["b", "c"]).await,
    ];
    let other = scenario.subscribe(&company("other"), &["*"]).await;
    let node = scenario.node().await;
    let others_event = scenario.publish(&company("other"), "a.a").await.id();
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.succeeded(&delivery)).await;
    let (mut attempts, mut events) = (Vec::new(), Vec::new());
    for n in 0..EVENTS {
        scenario.advance(7 * SECOND_MS);
        let event_type = ["a.a", "b", "c", "a.a.b", "a"][n % 5];
        events.push(scenario.publish(&acme(), event_type).await.id());
        for delivery in scenario.claim(&node).await {
            let attempt = attempt_like(scenario, &delivery, attempts.len());
            let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
            let verdict = if succeeded {
                Verdict::Succeeded
            } else {
                Verdict::GaveUp
            };
            attempts.push(attempt.clone());
            scenario
                .record(scenario.settlement(&delivery, attempt, verdict))
                .await;
        }
    }
    scenario.delete(subscriptions[2]).await;
    History {
        attempts,
        subscriptions,
        events,
        other,
        others_event,
    }
}

/// An attempt with an outcome, a status and a duration that go by its number.
fn attempt_like(scenario: &Scenario<'_>, delivery: &Delivery, n: usize) -> Attempt {
    let (outcome, status) = match n % 7 {
        0 | 3 => (AttemptOutcome::Succeeded, Some(200)),
        1 => (AttemptOutcome::Succeeded, Some(204)),
        2 => (AttemptOutcome::Failed(AttemptError::Status), Some(404)),
        4 => (AttemptOutcome::Failed(AttemptError::Status), Some(503)),
        5 => (AttemptOutcome::Failed(AttemptError::Redirect), Some(302)),
        _ => (AttemptOutcome::Failed(AttemptError::Timeout), None),
    };
    // Some began long before those that were logged before them.
    let elapsed_ms = if n % 6 == 5 { 10_000 } else { 20 };
    Attempt {
        outcome,
        attempted: scenario.now().plus_millis(-i64::from(elapsed_ms)),
        elapsed_ms,
        response: ReceivedResponse {
            status,
            body: "x".repeat(n),
            ..ReceivedResponse::default()
        },
        ..scenario.attempt(delivery)
    }
}

/// Searches with each filter and with several at once, in both orders.
pub(crate) fn searches(history: &History) -> Vec<AttemptSearch> {
    let mut searches = by_what_they_are(history);
    searches.extend(by_time(history));
    let ascending = searches.clone().into_iter().map(|search| AttemptSearch {
        order: Order::Ascending,
        ..search
    });
    searches.extend(ascending.collect::<Vec<_>>());
    searches
}

fn by_what_they_are(history: &History) -> Vec<AttemptSearch> {
    let all = everything(&acme());
    let mut searches = vec![all.clone()];
    for id in history.subscriptions.iter().copied() {
        searches.push(AttemptSearch {
            subscription: Some(id),
            ..all.clone()
        });
    }
    for outcome in [OutcomeFilter::Succeeded, OutcomeFilter::Failed] {
        searches.push(AttemptSearch {
            outcome: Some(outcome),
            ..all.clone()
        });
    }
    for status in [
        StatusFilter::Exactly(404),
        StatusFilter::Exactly(418),
        StatusFilter::Class(2),
        StatusFilter::Class(5),
        StatusFilter::NoAnswer,
    ] {
        searches.push(AttemptSearch {
            status: Some(status),
            ..all.clone()
        });
    }
    for types in [&["a.*"][..], &["b", "c"], &["*"], &["nothing"]] {
        searches.push(AttemptSearch {
            types: patterns(types),
            ..all.clone()
        });
    }
    for event in [history.events[1], history.events[EVENTS - 1]] {
        searches.push(AttemptSearch {
            event: Some(event),
            ..all.clone()
        });
        searches.push(AttemptSearch {
            event: Some(event),
            outcome: Some(OutcomeFilter::Failed),
            subscription: Some(history.subscriptions[1]),
            ..all.clone()
        });
    }
    searches
}

fn by_time(history: &History) -> Vec<AttemptSearch> {
    let all = everything(&acme());
    let attempted = |n: usize| history.attempts[n].attempted;
    let (first, last) = (attempted(0), attempted(history.attempts.len() - 1));
    let (some, more) = (attempted(history.attempts.len() / 3), attempted(20));
    let mut searches = Vec::new();
    for (since, until) in [
        (Some(first), None),
        (Some(some), None),
        (Some(last), None),
        (Some(last.plus_millis(1)), None),
        (None, Some(first)),
        (None, Some(first.plus_millis(1))),
        (None, Some(some)),
        (None, Some(last.plus_millis(1))),
        (Some(some), Some(more)),
        (Some(more), Some(some)),
    ] {
        searches.push(AttemptSearch {
            since,
            until,
            ..all.clone()
        });
    }
    searches.push(AttemptSearch {
        since: Some(some),
        until: Some(last),
        outcome: Some(OutcomeFilter::Failed),
        types: patterns(&["b", "a.*"]),
        ..all
    });
    searches
}

/// What a search has to find.
pub(crate) fn expected(history: &History, search: &AttemptSearch) -> Vec<Attempt> {
    let wanted = |attempt: &&Attempt| {
        let status = attempt.response.status;
        let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
        search
            .subscription
            .is_none_or(|id| id == attempt.subscription)
            && search
                .outcome
                .is_none_or(|wanted| succeeded == (wanted == OutcomeFilter::Succeeded))
            && search.status.is_none_or(|wanted| match wanted {
                StatusFilter::Exactly(wanted) => status == Some(wanted),
                StatusFilter::Class(class) => {
                    status.is_some_and(|status| status / 100 == u16::from(class))
                }
                StatusFilter::NoAnswer => status.is_none(),
            })
            && (search.types.is_empty()
                || search
                    .types
                    .iter()
                    .any(|it| it.matches(&attempt.event_type)))
            && search.event.is_none_or(|event| event == attempt.event)
            && search.since.is_none_or(|since| since <= attempt.attempted)
            && search.until.is_none_or(|until| attempt.attempted < until)
    };
    let mut expected: Vec<_> = history.attempts.iter().filter(wanted).cloned().collect();
    if search.order == Order::Descending {
        expected.reverse();
    }
    expected
}

/// Everything of a company, newest first.
pub(crate) fn everything(of: &CompanyId) -> AttemptSearch {
    AttemptSearch {
        company: of.clone(),
        subscription: None,
        outcome: None,
        status: None,
        types: Vec::new(),
        event: None,
        since: None,
        until: None,
        order: Order::Descending,
        after: None,
        limit: EVERYTHING,
        look_at_max: EVERYTHING,
    }
}
