//! Polling: who follows the cursor sees every event of its company exactly once, in the order in
//! which they were stored, whatever is being published meanwhile.

use std::{collections::HashMap, pin::pin, sync::Arc};

use futures_util::future::join_all;
use tidings_domain::{company::CompanyId, cursor::Order, event::Event, id::EventId};
use tidings_store::{EventPage, EventQuery};

use crate::{
    Harness,
    scenario::{Scenario, WORKS, acme, company, ids, patterns, query, sorted},
};

pub(crate) async fn an_empty_log_has_a_beginning(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    assert_eq!(scenario.store().head().await, Ok(0));
    for order in [Order::Ascending, Order::Descending] {
        let page = page(
            &scenario,
            EventQuery {
                order,
                ..query(&acme())
            },
        )
        .await;
        assert!(page.events.is_empty() && !page.has_more);
    }
    let start = page(&scenario, query(&acme())).await.next;
    let event = scenario.publish(&acme(), "a").await;
    assert_eq!(
        scenario.store().head().await,
        Ok(1),
        "the first position is 1"
    );
    let later = page(
        &scenario,
        EventQuery {
            after: Some(start),
            ..query(&acme())
        },
    )
    .await;
    assert_eq!(ids(&later.events), [event.id()]);
}

pub(crate) async fn pages_follow_each_other_in_both_orders(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let mut published = scenario.publish_many(&acme(), "a", 10).await;
    for order in [Order::Ascending, Order::Descending] {
        for limit in [1, 3, 5, 9, 10, 11] {
            let query = EventQuery {
                order,
                limit,
                ..query(&acme())
            };
            let found = scenario.follow(query).await;
            assert_eq!(ids(&found), ids(&published), "{order:?} by {limit}");
        }
        published.reverse();
    }
}

pub(crate) async fn a_full_page_says_whether_more_follow(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.publish_many(&acme(), "a", 3).await;
    for order in [Order::Ascending, Order::Descending] {
        let first = page(
            &scenario,
            EventQuery {
                order,
                limit: 2,
                ..query(&acme())
            },
        )
        .await;
        assert_eq!((first.events.len(), first.has_more), (2, true));
        let after = Some(first.next);
        let last = page(
            &scenario,
            EventQuery {
                order,
                after,
                ..query(&acme())
            },
        )
        .await;
        assert_eq!((last.events.len(), last.has_more), (1, false));
        let after = Some(last.next);
        let beyond = page(
            &scenario,
            EventQuery {
                order,
                after,
                ..query(&acme())
            },
        )
        .await;
        assert_eq!((beyond.events.len(), beyond.has_more), (0, false));
    }
}

pub(crate) async fn what_does_not_match_does_not_follow(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    for event_type in ["b", "a", "b", "a", "b"] {
        scenario.publish(&acme(), event_type).await;
    }
    for order in [Order::Ascending, Order::Descending] {
        let wanted = EventQuery {
            order,
            types: patterns(&["a"]),
            ..query(&acme())
        };
        for (limit, has_more) in [(1, true), (2, false), (3, false)] {
            let found = page(
                &scenario,
                EventQuery {
                    limit,
                    ..wanted.clone()
                },
            )
            .await;
            assert_eq!(
                (found.events.len(), found.has_more),
                (limit.min(2), has_more),
                "{limit}, {order:?}"
            );
            let rest = EventQuery {
                after: Some(found.next),
                ..wanted.clone()
            };
            assert_eq!(page(&scenario, rest).await.events.len(), 2 - limit.min(2));
        }
    }
}

pub(crate) async fn types_are_filtered_as_subscriptions_do(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let types = [
        "client",
        "client.created",
        "client.created.again",
        "clients.created",
        "client_.created",
        "invoice.paid",
    ];
    for event_type in types {
        scenario.publish(&acme(), event_type).await;
    }
    let cases: [(&[&str], &[usize]); 7] = [
        (&[], &[0, 1, 2, 3, 4, 5]),
        (&["*"], &[0, 1, 2, 3, 4, 5]),
        (&["client.*"], &[1, 2]),
        (&["client.created"], &[1]),
        (&["client.created.*", "client"], &[0, 2]),
        (&["client.*", "client.created", "invoice.paid"], &[1, 2, 5]),
        (&["nothing.like.it", "client.creat"], &[]),
    ];
    for (wanted, expected) in cases {
        let mut expected: Vec<_> = expected.iter().map(|&at| types[at]).collect();
        for order in [Order::Ascending, Order::Descending] {
            for limit in [1, 100] {
                let types = patterns(wanted);
                let found = scenario.follow(EventQuery {
                    types,
                    order,
                    limit,
                    ..query(&acme())
                });
                let found = found.await;
                let found: Vec<_> = found
                    .iter()
                    .map(|event| event.event_type().as_str())
                    .collect();
                assert_eq!(found, expected, "{wanted:?} {order:?} by {limit}");
            }
            expected.reverse();
        }
    }
}

/// One read looks at a bounded number of events, but the cursor gets there all the same.
pub(crate) async fn rare_events_are_found_among_many_others(harness: &dyn Harness) {
    const BATCHES: usize = 8;
    let scenario = Scenario::new(harness).await;
    let other = company("other");
    let mut rare = Vec::new();
    for _ in 0..BATCHES {
        let noise: Vec<_> = (0..700).map(|_| scenario.event(&acme(), "noise")).collect();
        scenario.append(&noise).await;
        rare.push(scenario.publish(&acme(), "rare").await);
        let theirs: Vec<_> = (0..300).map(|_| scenario.event(&other, "rare")).collect();
        scenario.append(&theirs).await;
    }
    for order in [Order::Ascending, Order::Descending] {
        let types = patterns(&["rare"]);
        let found = scenario
            .follow(EventQuery {
                types,
                order,
                limit: 3,
                ..query(&acme())
            })
            .await;
        assert_eq!(ids(&found), ids(&rare), "{order:?}");
        rare.reverse();
    }
}

pub(crate) async fn the_head_is_where_the_present_begins(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    scenario.publish_many(&acme(), "a", 3).await;
    let head = scenario.store().head().await.expect(WORKS);
    let present = EventQuery {
        after: Some(head),
        ..query(&acme())
    };
    let nothing = page(&scenario, present.clone()).await;
    assert!(nothing.events.is_empty() && !nothing.has_more);
    let event = scenario.publish(&acme(), "a").await;
    assert!(scenario.store().head().await.expect(WORKS) > head);
    assert_eq!(ids(&page(&scenario, present).await.events), [event.id()]);
    // Somebody else's event moves the head too: positions are the log's, not the company's.
    let head = scenario.store().head().await.expect(WORKS);
    scenario.publish(&company("other"), "a").await;
    assert!(scenario.store().head().await.expect(WORKS) > head);
}

pub(crate) async fn a_reader_that_caught_up_goes_on_where_it_was(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let types = patterns(&["a"]);
    let wanted = EventQuery {
        types,
        limit: 2,
        ..query(&acme())
    };
    let mut after = None;
    for round in 0..6 {
        let event = scenario.publish(&acme(), "a").await;
        scenario.publish(&acme(), "b").await;
        scenario.publish(&company("other"), "a").await;
        if round % 2 == 1 {
            scenario.reopen().await;
        }
        let page = page(
            &scenario,
            EventQuery {
                after,
                ..wanted.clone()
            },
        )
        .await;
        assert_eq!(ids(&page.events), [event.id()]);
        let head = scenario.store().head().await.expect(WORKS);
        assert!(
            page.next <= head,
            "nothing beyond the head has been looked at"
        );
        after = Some(page.next);
    }
}

pub(crate) async fn newer_events_do_not_disturb_who_reads_backwards(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let mut published = scenario.publish_many(&acme(), "a", 6).await;
    published.reverse();
    let mut backwards = EventQuery {
        order: Order::Descending,
        limit: 2,
        ..query(&acme())
    };
    let mut found = Vec::new();
    loop {
        let page = page(&scenario, backwards.clone()).await;
        found.extend(page.events);
        if !page.has_more {
            break;
        }
        backwards.after = Some(page.next);
        scenario.publish(&acme(), "a").await;
    }
    assert_eq!(ids(&found), ids(&published));
}

pub(crate) async fn an_event_is_found_by_its_own_company_alone(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let event = scenario.publish(&acme(), "a").await;
    let store = scenario.store();
    for (asking, expected) in [
        (None, Some(&event)),
        (Some(acme()), Some(&event)),
        (Some(company("other")), None),
    ] {
        let found = store.event(asking.as_ref(), event.id()).await.expect(WORKS);
        assert_eq!(found.as_ref(), expected);
        let trace = store.trace(asking.as_ref(), event.id()).await.expect(WORKS);
        assert_eq!(trace.is_some(), expected.is_some());
    }
    let unknown = EventId::new(scenario.now(), scenario.random());
    assert_eq!(store.event(None, unknown).await, Ok(None));
    assert_eq!(store.trace(None, unknown).await, Ok(None));
}

pub(crate) async fn an_arrival_wakes_its_company(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let signal = scenario.store().arrivals().of(&acme());
    let other = scenario.store().arrivals().of(&company("other"));
    let (mut woken, mut idle) = (pin!(signal.notified()), pin!(other.notified()));
    woken.as_mut().enable();
    idle.as_mut().enable();
    scenario.publish(&acme(), "a").await;
    woken.await;
    assert!(!idle.enable(), "others sleep on");
}

/// The promise of the polling API, with writers of two companies in parallel tasks and a reader
/// for each, who wakes by the arrival signal alone.
pub(crate) async fn readers_see_every_event_once_while_many_publish(harness: &dyn Harness) {
    const WRITERS: usize = 4;
    const APPENDS: usize = 60;
    let scenario = Scenario::new(harness).await;
    let companies = [company("one"), company("two")];
    let batch_of = |append: usize| 1 + append % 3;
    let expected: usize = WRITERS * (0..APPENDS).map(batch_of).sum::<usize>();
    let mut writers = Vec::new();
    for owner in &companies {
        for _ in 0..WRITERS {
            let publications: Vec<_> = (0..APPENDS)
                .map(|append| {
                    let batch = (0..batch_of(append)).map(|_| scenario.event(owner, "a"));
                    scenario.publication(&batch.collect::<Vec<_>>())
                })
                .collect();
            writers.push(publications);
        }
    }
    let orders: Vec<Vec<EventId>> = writers
        .iter()
        .map(|publications| {
            publications
                .iter()
                .flat_map(|one| ids(&one.events))
                .collect()
        })
        .collect();
    let tasks: Vec<_> = writers
        .into_iter()
        .map(|publications| {
            let store = Arc::clone(scenario.store());
            tokio::spawn(async move {
                for publication in publications {
                    store.append(publication).await.expect(WORKS);
                }
            })
        })
        .collect();
    let readers = companies
        .iter()
        .map(|owner| read_until(&scenario, owner, expected));
    let read = join_all(readers).await;
    for task in join_all(tasks).await {
        task.expect("the writer ends well");
    }
    for (log, orders) in read.iter().zip(orders.chunks(WRITERS)) {
        assert_read_once_in_order(&ids(log), orders);
    }
}

/// Follows the cursor until `expected` events are there, and once more.
async fn read_until(
    scenario: &Scenario<'_>,
    owner: &CompanyId,
    expected: usize,
) -> Vec<Arc<Event>> {
    let signal = scenario.store().arrivals().of(owner);
    let mut log = Vec::new();
    let mut next = EventQuery {
        limit: 7,
        ..query(owner)
    };
    loop {
        let mut woken = pin!(signal.notified());
        woken.as_mut().enable();
        let found = page(scenario, next.clone()).await;
        assert!(found.next >= next.after.unwrap_or(0), "cursors go one way");
        let empty = found.events.is_empty();
        log.extend(found.events);
        next.after = Some(found.next);
        if log.len() >= expected && empty {
            return log;
        }
        if empty && !found.has_more {
            woken.await;
        }
    }
}

/// What each writer wrote comes in its writer's order, and nothing else comes.
fn assert_read_once_in_order(log: &[EventId], writers: &[Vec<EventId>]) {
    let everything = writers.iter().flatten().copied();
    assert_eq!(
        sorted(log.iter().copied()),
        sorted(everything),
        "each exactly once"
    );
    let places: HashMap<EventId, usize> = log.iter().copied().zip(0..).collect();
    for order in writers {
        assert!(
            order.is_sorted_by_key(|id| places[id]),
            "what was answered before another was sent comes first"
        );
    }
}

async fn page(scenario: &Scenario<'_>, query: EventQuery) -> EventPage {
    let limit = query.limit;
    let page = scenario
        .store()
        .read_events(query.clone())
        .await
        .expect(WORKS);
    assert!(page.events.len() <= limit, "a page keeps its limit");
    assert_eq!(page.positions.len(), page.events.len());
    // Behind each event comes the next one.
    for (position, next) in page
        .positions
        .iter()
        .zip(page.events.iter().skip(1))
        .take(3)
    {
        let behind = EventQuery {
            after: Some(*position),
            limit: 1,
            ..query.clone()
        };
        let behind = scenario.store().read_events(behind).await.expect(WORKS);
        assert_eq!(ids(&behind.events), [next.id()]);
    }
    page
}
