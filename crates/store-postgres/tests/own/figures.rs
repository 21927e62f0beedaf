//! Figures of several nodes: each counts its own, and the table adds them up.

use futures_util::future::join_all;
use tidings_domain::{
    company::CompanyId,
    figures::{Figures, Resolution},
    time::UtcMillis,
};
use tidings_store::{
    Dashboards as _, DeliveryQueue as _, EventLog as _, FigureRow, FigureScope, Publication,
    Upkeep as _,
};

use crate::nodes::{Node, WORKS, acme, database, now, sql, until};

/// From before everything until after it.
fn all_time() -> (UtcMillis, UtcMillis) {
    (
        UtcMillis::from_millis(0),
        UtcMillis::from_millis(4_000_000_000_000),
    )
}

/// Everything of a scope in hours, as one.
async fn sum(node: &Node, scope: FigureScope) -> Figures {
    let (since, until) = all_time();
    let figures = node
        .store
        .figures(&[scope], Resolution::Hour, since, until)
        .await
        .expect(WORKS);
    let mut sum = Figures::default();
    for FigureRow { figures, .. } in &figures[0] {
        sum.add(figures);
    }
    sum
}

/// Publishes and delivers so many events.
async fn deliver(node: &Node, events: usize) {
    node.store
        .append(node.publication(events))
        .await
        .expect(WORKS);
    let deliveries = node.handover.take();
    let settled = node.store.settle(node.succeeded(&deliveries)).await;
    settled.expect(WORKS);
}

#[tokio::test]
async fn nodes_add_up() {
    const EVENTS: usize = 20;
    const ROUNDS: usize = 20;
    let database = database();
    let (one, other) = (
        Node::open(database.url()).await,
        Node::open(database.url()).await,
    );
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        subscriptions.push(one.subscribe().await);
    }
    one.attach().await;
    other.attach().await;
    // So that both have the book, and no append is prepared twice.
    until("the other node knows them", async || {
        subscriptions
            .iter()
            .all(|id| other.store.endpoint(*id).is_some())
    })
    .await;
    deliver(&one, EVENTS).await;
    let scope = || FigureScope::Company(acme());
    let here = sum(&one, scope()).await;
    assert_eq!(here.published, EVENTS as u64);
    assert_eq!(here.succeeded, 3 * EVENTS as u64);
    assert_eq!(sum(&other, scope()).await, Figures::default());
    one.store.write_figures().await.expect(WORKS);
    assert_eq!(sum(&one, scope()).await, here, "nothing is counted twice");
    assert_eq!(sum(&other, scope()).await, here);

    for _ in 0..ROUNDS {
        deliver(&one, EVENTS).await;
        deliver(&other, EVENTS).await;
        let (here, there) = tokio::join!(one.store.write_figures(), other.store.write_figures());
        here.expect(WORKS);
        there.expect(WORKS);
    }
    let all = (1 + 2 * ROUNDS) * EVENTS;
    for node in [&one, &other] {
        for scope in [FigureScope::Platform, FigureScope::Company(acme())] {
            let found = sum(node, scope).await;
            assert_eq!(found.published, all as u64);
            assert_eq!(found.succeeded, 3 * all as u64);
            assert_eq!(found.elapsed.iter().sum::<u64>(), 3 * all as u64);
        }
        for id in &subscriptions {
            let found = sum(node, FigureScope::Subscription(*id)).await;
            assert_eq!((found.published, found.succeeded), (0, all as u64));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_written_when_asked_and_only_where_there_are_any() {
    let database = database();
    let node = Node::open(database.url()).await;
    node.subscribe().await;
    node.attach().await;
    deliver(&node, 10).await;
    let versions = || sql(&database, "SELECT string_agg(xmin::text, ' ') FROM figures");
    assert_eq!(versions().trim(), "", "counting writes nothing");
    node.store.write_figures().await.expect(WORKS);
    let written = versions();
    assert_eq!(written.split_whitespace().count(), 9);
    node.store.write_figures().await.expect(WORKS);
    assert_eq!(versions(), written, "there was nothing to write");
    deliver(&node, 1).await;
    node.store.write_figures().await.expect(WORKS);
    assert_ne!(versions(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_written_is_written_later() {
    let database = database();
    let node = Node::open(database.url()).await;
    node.store.append(node.publication(3)).await.expect(WORKS);
    sql(&database, "ALTER TABLE figures RENAME TO elsewhere");
    assert!(node.store.write_figures().await.is_err());
    node.store.append(node.publication(4)).await.expect(WORKS);
    sql(&database, "ALTER TABLE elsewhere RENAME TO figures");
    assert_eq!(sum(&node, FigureScope::Platform).await.published, 7);
    node.store.close().await.expect(WORKS);
    let written = sql(
        &database,
        "SELECT sum(published) FROM figures WHERE resolution = 1 AND company_id = ''",
    );
    assert_eq!(written.trim(), "7", "closing writes what is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_companies_are_written_without_being_asked() {
    const COMPANIES: usize = 2500;
    let database = database();
    let node = Node::open(database.url()).await;
    let publications: Vec<_> = (0..COMPANIES)
        .map(|number| {
            let company = CompanyId::parse(&format!("c{number}")).expect("a company id");
            let event = node.event_of(&company);
            Publication {
                company,
                events: vec![event],
                idempotency: None,
                now: now(),
            }
        })
        .collect();
    for some in publications.chunks(500) {
        let appends = some.iter().map(|one| node.store.append(one.clone()));
        for appended in join_all(appends).await {
            appended.expect(WORKS);
        }
    }
    until("most of them are written", async || {
        let written = sql(
            &database,
            "SELECT count(*) FROM figures WHERE resolution = 3 AND company_id <> ''",
        );
        written.trim().parse::<usize>().expect("a number") >= 2000
    })
    .await;
    let all = sum(&node, FigureScope::Platform).await;
    assert_eq!(all.published, COMPANIES as u64);
    let (since, until) = all_time();
    let busiest = node.store.busiest_companies(since, until, 10).await;
    assert_eq!(busiest, Ok(Vec::new()), "nothing was attempted");
}
