//! What goes through the store and the dispatcher.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_delivery::{
    AttemptReport, AttemptRequest, DeliveryMetrics, Dispatcher, DispatcherOptions, Transport,
};
use tidings_domain::{
    attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
    clock::Clock as _,
    id::AttemptId,
    verdict::{RetrySchedule, Verdict},
};
use tidings_store::{
    Delivery, DeliveryQueue as _, Handover, HandoverLimits, Settlement, Store, Upkeep as _,
};

use crate::ground::{GROUP, Ground};

/// Appends so many events.
pub(crate) async fn publish(count: usize) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    for _ in 0..count / GROUP {
        ground.append().await?;
    }
    ground.store.close().await?;
    Ok(())
}

/// Appends so many events and settles what is owed for them.
pub(crate) async fn settle(count: usize) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let handover = Handover::new(HandoverLimits::default());
    let now = ground.clock.now();
    let until = now.plus_millis(1_000_000_000);
    let lease = ground.store.acquire_lease(now, until).await?;
    ground.store.attach(lease, Arc::clone(&handover));
    for _ in 0..count / GROUP {
        ground.append().await?;
        let settlements = handover.take().into_iter();
        let settlements = settlements.map(|delivery| succeeded(&ground, &delivery));
        ground.store.settle(settlements.collect()).await?;
    }
    ground.store.close().await?;
    Ok(())
}

/// Appends so many events and has the dispatcher deliver them.
pub(crate) async fn dispatch(count: usize) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let mut dispatcher = Dispatcher::new(DispatcherOptions {
        store: Arc::clone(&ground.store) as Arc<dyn Store>,
        transport: Arc::new(TakesAll),
        handover: Handover::new(HandoverLimits::default()),
        clock: Arc::clone(&ground.clock) as _,
        random: Arc::clone(&ground.random) as _,
        schedule: RetrySchedule::default(),
        concurrency: 1024,
        concurrency_per_subscription: 16,
        lease_ms: 1_000_000_000,
        metrics: DeliveryMetrics::default(),
    });
    drain(&ground, &mut dispatcher).await?;
    for _ in 0..count / GROUP {
        ground.append().await?;
        drain(&ground, &mut dispatcher).await?;
    }
    dispatcher.stop();
    while !dispatcher.is_finished() {
        dispatcher.tick(ground.clock.now());
        if !dispatcher.is_finished() {
            dispatcher.reported().await;
        }
    }
    ground.store.close().await?;
    Ok(())
}

/// Ticks until nothing is under way any more.
async fn drain(ground: &Ground, dispatcher: &mut Dispatcher) -> anyhow::Result<()> {
    loop {
        dispatcher.tick(ground.clock.now());
        let is_idle = dispatcher.calls_in_flight() == 0 && dispatcher.attempts_in_flight() == 0;
        if is_idle && ground.store.backlog().await?.owed == 0 {
            return Ok(());
        }
        if !is_idle {
            dispatcher.reported().await;
        }
    }
}

/// A receiver that takes everything.
struct TakesAll;

#[async_trait]
impl Transport for TakesAll {
    async fn attempt(&self, request: AttemptRequest) -> AttemptReport {
        let AttemptRequest {
            signer, event, now, ..
        } = &request;
        AttemptReport {
            outcome: AttemptOutcome::Succeeded,
            request: SentRequest {
                url: request.endpoint.url.shared(),
                user_agent: "Tidings/guard".into(),
                signatures: Some(signer.sign(event.id(), *now, event.json())),
            },
            response: taken(),
            retry_after_ms: None,
            elapsed_ms: 1,
        }
    }
}

fn taken() -> ReceivedResponse {
    ReceivedResponse {
        status: Some(204),
        headers: vec![(
            "date".to_owned(),
            "Sat, 31 Jan 2026 08:00:00 GMT".to_owned(),
        )],
        ..ReceivedResponse::default()
    }
}

fn succeeded(ground: &Ground, delivery: &Delivery) -> Settlement {
    let now = ground.clock.now();
    Settlement {
        key: delivery.key,
        lease: delivery.lease,
        epoch: delivery.epoch,
        first_attempt: now,
        attempt: Arc::new(Attempt {
            id: AttemptId::new(now, ground.random.as_ref()),
            subscription: delivery.key.subscription,
            event: delivery.event.id(),
            event_type: delivery.event.event_type().clone(),
            number: 1,
            attempted: now,
            elapsed_ms: 1,
            outcome: AttemptOutcome::Succeeded,
            request: SentRequest {
                url: "https://receiver.example/in".into(),
                user_agent: "Tidings/guard".into(),
                signatures: None,
            },
            response: taken(),
            next_attempt: None,
        }),
        verdict: Verdict::Succeeded,
        notice: None,
    }
}
