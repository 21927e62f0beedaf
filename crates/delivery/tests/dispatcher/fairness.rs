//! Nobody delays or starves anybody else.

use tidings_store::HandoverLimits;

use crate::{
    receivers::Answer,
    stage::{Setup, Stage},
};

#[tokio::test]
async fn a_receiver_that_hangs_does_not_delay_others() {
    let mut stage = Stage::new().await;
    let hanging = stage.subscribe("acme").await;
    let healthy = stage.subscribe("acme").await;
    stage.receivers.always(hanging, Answer::Hang);
    stage.publish("acme", 200).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived_at(healthy).len(), 200);
    assert_eq!(
        stage.receivers.hanging_at(hanging),
        16,
        "its cap, and no more"
    );
    stage.receivers.answer_hanging(5, Answer::Status(200));
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived_at(hanging).len(), 21);
    assert_eq!(stage.receivers.hanging_at(hanging), 16);
}

#[tokio::test]
async fn a_company_of_dead_endpoints_does_not_starve_another() {
    let mut stage = Stage::with(Setup {
        concurrency: 64,
        ..Setup::default()
    })
    .await;
    for _ in 0..100 {
        let dead = stage.subscribe("greedy").await;
        stage.receivers.always(dead, Answer::Hang);
    }
    stage.publish("greedy", 20).await;
    stage.settle_down().await;
    assert_eq!(
        stage.receivers.hanging(),
        32,
        "half of the slots, as it is alone"
    );
    let modest = stage.subscribe("modest").await;
    stage.publish("modest", 40).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived_at(modest).len(), 40);
    // Its retries neither: they have half of the slots, and a company a share of that.
    stage
        .receivers
        .answer_hanging(usize::MAX, Answer::Status(500));
    stage.settle_down().await;
    stage.receivers.script(modest, |request| {
        Answer::Status(if request.number == 1 { 500 } else { 200 })
    });
    let late = stage.publish("modest", 1).await[0];
    for _ in 0..400 {
        stage.advance(20).await;
    }
    let arrived = stage.receivers.arrived_at(modest);
    assert_eq!(arrived.iter().filter(|one| one.event == late).count(), 2);
}

#[tokio::test]
async fn retries_do_not_take_all_the_slots() {
    let mut stage = Stage::with(Setup {
        concurrency: 8,
        per_subscription: 100,
        ..Setup::default()
    })
    .await;
    let companies: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    for company in &companies {
        let subscription = stage.subscribe(company).await;
        stage
            .receivers
            .script(subscription, |request| match request.number {
                1 => Answer::Status(500),
                _ => Answer::Hang,
            });
        stage.publish(company, 2).await;
        stage.settle_down().await;
    }
    stage.advance(10_000).await;
    stage.advance(20).await;
    assert_eq!(stage.receivers.hanging(), 4, "half of the slots");
    let fresh = stage.subscribe("fresh").await;
    stage.publish("fresh", 30).await;
    stage.settle_down().await;
    assert_eq!(stage.receivers.arrived_at(fresh).len(), 30);
}

#[tokio::test]
async fn first_attempts_do_not_starve_retries() {
    let mut stage = Stage::with(Setup {
        concurrency: 2,
        per_subscription: 2,
        ..Setup::default()
    })
    .await;
    let subscription = stage.subscribe("acme").await;
    stage
        .receivers
        .script(subscription, |request| match request.number {
            1 => Answer::Status(500),
            _ => Answer::Status(200),
        });
    let first = stage.publish("acme", 1).await[0];
    stage.settle_down().await;
    stage.receivers.always(subscription, Answer::Hang);
    stage.publish("acme", 100).await;
    stage.settle_down().await;
    stage.advance(6000).await;
    stage.advance(20).await;
    for _ in 0..4 {
        stage.receivers.answer_hanging(1, Answer::Status(200));
        stage.settle_down().await;
    }
    let arrived = stage.receivers.arrived_at(subscription);
    let position = arrived.iter().rposition(|one| one.event == first);
    assert!(
        arrived[position.unwrap()].number == 2,
        "its turn came among the fresh ones"
    );
}

#[tokio::test]
async fn what_found_no_room_in_memory_is_made_all_the_same() {
    let mut stage = Stage::with(Setup {
        limits: HandoverLimits {
            deliveries_max: 60,
            deliveries_per_subscription_max: 10,
            ..HandoverLimits::default()
        },
        ..Setup::default()
    })
    .await;
    let hanging = stage.subscribe("acme").await;
    let busy = stage.subscribe("acme").await;
    let other = stage.subscribe("other").await;
    stage.receivers.always(hanging, Answer::Hang);
    stage.publish("acme", 300).await;
    stage.publish("other", 300).await;
    assert!(stage.handover.held() <= 60);
    for _ in 0..200 {
        stage.advance(20).await;
        assert!(stage.handover.held() <= 60);
    }
    for healthy in [busy, other] {
        assert_eq!(stage.receivers.arrived_at(healthy).len(), 300);
    }
    assert_eq!(
        stage.receivers.hanging_at(hanging),
        10,
        "as many as it may have in memory"
    );
    stage.receivers.always(hanging, Answer::Status(200));
    stage
        .receivers
        .answer_hanging(usize::MAX, Answer::Status(200));
    for _ in 0..200 {
        stage.advance(20).await;
    }
    assert_eq!(stage.receivers.arrived_at(hanging).len(), 300);
    assert_eq!((stage.owed().await, stage.handover.held()), (0, 0));
}

#[tokio::test]
async fn spilled_work_of_a_fast_receiver_waits_for_no_timer() {
    let mut stage = Stage::with(Setup {
        limits: HandoverLimits {
            deliveries_per_subscription_max: 10,
            ..HandoverLimits::default()
        },
        ..Setup::default()
    })
    .await;
    let subscription = stage.subscribe("acme").await;
    stage.publish("acme", 1000).await;
    let began = tidings_domain::clock::Clock::now(stage.clock.as_ref());
    while stage.owed().await > 0 {
        assert!(stage.next().await, "something is owed and nobody looks");
    }
    let took = tidings_domain::clock::Clock::now(stage.clock.as_ref()).since(began);
    assert!(
        took <= 4000,
        "claims of ten follow each other, but took {took} ms"
    );
    assert_eq!(stage.receivers.arrived_at(subscription).len(), 1000);
}
