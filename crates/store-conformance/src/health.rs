//! How endpoints do: noted for everybody, and the end of those that fail for too long; and how fast
//! they are delivered to.

use tidings_domain::{
    breaker::{BreakerState, EndpointHealth},
    id::SubscriptionId,
    subscription::{DisabledReason, MaxPerSecond},
};
use tidings_store::{NewSubscription, SubscriptionChange};

use crate::{
    Harness,
    scenario::{SECOND_MS, Scenario, WORKS, acme, ids, url},
};

pub(crate) async fn what_is_noted_reads_back_and_is_no_change(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let before = scenario.read(id).await;
    assert_eq!(before.health, EndpointHealth::default());
    let health = EndpointHealth {
        breaker: BreakerState::Open,
        open_until: Some(scenario.later(10 * SECOND_MS)),
        failing_since: Some(scenario.now()),
    };
    scenario.advance(SECOND_MS);
    scenario
        .store()
        .note_health(id, 0, health)
        .await
        .expect(WORKS);
    for _ in 0..2 {
        let noted = scenario.read(id).await;
        assert_eq!(noted.health, health);
        assert_eq!(
            (noted.version, noted.updated),
            (before.version, before.updated)
        );
        assert_eq!(scenario.endpoint(id).health, health);
        assert_eq!(left_alone(&scenario), [id]);
        scenario.reopen().await;
    }
    let well = EndpointHealth::default();
    scenario
        .store()
        .note_health(id, 0, well)
        .await
        .expect(WORKS);
    assert_eq!(scenario.read(id).await, before);
    assert!(left_alone(&scenario).is_empty());
}

fn left_alone(scenario: &Scenario<'_>) -> Vec<SubscriptionId> {
    let endpoints = scenario.store().left_alone(10);
    endpoints.iter().map(|endpoint| endpoint.id).collect()
}

pub(crate) async fn what_ended_is_not_noted(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let [disabled, deleted] = [
        scenario.subscribe(&acme(), &["*"]).await,
        scenario.subscribe(&acme(), &["*"]).await,
    ];
    scenario.enable(disabled, false).await;
    scenario.delete(deleted).await;
    let health = EndpointHealth {
        breaker: BreakerState::HalfOpen,
        ..EndpointHealth::default()
    };
    for id in [disabled, deleted] {
        let noted = scenario.store().note_health(id, 0, health).await;
        assert_eq!(noted, Ok(()));
    }
    assert_eq!(
        scenario.read(disabled).await.health,
        EndpointHealth::default()
    );
}

pub(crate) async fn a_mended_subscription_starts_afresh(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let health = EndpointHealth {
        breaker: BreakerState::Open,
        open_until: Some(scenario.later(10 * SECOND_MS)),
        failing_since: Some(scenario.now()),
    };
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let mended = [
        SubscriptionChange {
            url: Some(url("http://elsewhere.example/")),
            ..SubscriptionChange::default()
        },
        SubscriptionChange {
            enabled: Some(true),
            ..SubscriptionChange::default()
        },
    ];
    for (epoch, change) in (0..).zip(mended) {
        scenario
            .store()
            .note_health(id, epoch, health)
            .await
            .expect(WORKS);
        if change.enabled.is_some() {
            scenario.enable(id, false).await;
            assert!(left_alone(&scenario).is_empty());
        } else {
            scenario.retype(id, &["a"]).await;
            assert_eq!(scenario.read(id).await.health, health, "of no concern");
        }
        scenario.change(id, change).await;
        assert_eq!(scenario.read(id).await.health, EndpointHealth::default());
        assert_eq!(scenario.endpoint(id).health, EndpointHealth::default());
        if epoch == 0 {
            // Disabling and enabling makes the next epoch.
            scenario.enable(id, false).await;
            scenario.enable(id, true).await;
        }
    }
}

pub(crate) async fn one_that_fails_too_long_is_disabled_and_says_so(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let failing = scenario.subscribe(&acme(), &["*"]).await;
    let other = scenario.subscribe(&acme(), &["webhook.*"]).await;
    scenario.publish_many(&acme(), "a", 3).await;
    scenario.advance(SECOND_MS);
    let notice = scenario.event(&acme(), "webhook.subscription_disabled");
    for _ in 0..2 {
        // The second time its epoch is over.
        let disabled = scenario
            .store()
            .disable_failing(failing, 0, notice.clone())
            .await;
        assert_eq!(disabled, Ok(()));
    }
    for _ in 0..2 {
        let ended = scenario.read(failing).await;
        assert_eq!(
            (ended.enabled, ended.disabled_reason, ended.version),
            (false, Some(DisabledReason::Failing), 2)
        );
        assert_eq!(scenario.owed().await, 1, "the notice, to the other one");
        assert_eq!(ids(&scenario.log(&acme()).await)[3..], [notice.id()]);
        scenario.reopen().await;
    }
    assert_eq!(scenario.due().await, [(notice.id(), other)]);
}

pub(crate) async fn a_rate_reads_back_and_can_be_changed(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let rate = |per_second| Some(MaxPerSecond::new(per_second).expect("within bounds"));
    let new = NewSubscription {
        max_per_second: rate(10_000),
        ..scenario.new_subscription(&acme(), &["*"])
    };
    let id = scenario.create(new).await.id;
    for expected in [rate(10_000), rate(1), None] {
        let change = SubscriptionChange {
            max_per_second: Some(expected),
            ..SubscriptionChange::default()
        };
        scenario.change(id, change).await;
        assert_eq!(scenario.read(id).await.max_per_second, expected);
        assert_eq!(scenario.endpoint(id).max_per_second, expected);
        scenario.reopen().await;
        assert_eq!(scenario.endpoint(id).max_per_second, expected);
    }
    assert_eq!(
        scenario.read(id).await.version,
        3,
        "the first was no change"
    );
}
