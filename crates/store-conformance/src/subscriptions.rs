//! Subscriptions: what was asked for comes back, every change is seen by the next append, and an
//! end is an end.

use tidings_domain::{
    breaker::EndpointHealth,
    cursor::Order,
    id::SubscriptionId,
    subscription::{ManagedBy, Subscription},
};
use tidings_store::{
    Deleted, DeliveryState, NewSubscription, Redelivered, ReplayScope, Replayed,
    SubscriptionChange, Updated,
};

use crate::{
    Harness,
    scenario::{BY, SECOND_MS, Scenario, WORKS, acme, company, sorted, types_of, url},
};

pub(crate) async fn a_new_one_reads_back(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let mut made = Vec::new();
    for (number, managed_by) in ManagedBy::ALL.into_iter().enumerate() {
        let new = NewSubscription {
            url: url("http://user.example:8080/päth?query=%20a&b"),
            description: (number != 1).then(|| "Büro, \"Ost\"; 'x'".repeat(number)),
            enabled: number != 2,
            managed_by,
            ..scenario.new_subscription(&acme(), &["b.*", "a", "*", "a.b-c_d.9"])
        };
        let subscription = scenario.create(new.clone()).await;
        let expected = Subscription {
            id: new.id,
            company: new.company,
            url: new.url,
            event_types: new.event_types,
            description: new.description,
            enabled: new.enabled,
            disabled_reason: None,
            managed_by,
            max_per_second: None,
            health: EndpointHealth::default(),
            created: scenario.now(),
            updated: scenario.now(),
            version: 1,
        };
        assert_eq!(subscription, expected);
        made.push(subscription);
        scenario.advance(1);
    }
    for _ in 0..2 {
        for subscription in &made {
            assert_eq!(
                read(&scenario, subscription.id).await.as_ref(),
                Some(subscription)
            );
            let endpoint = scenario.endpoint(subscription.id);
            let stored = scenario.store().endpoint_as_stored(subscription.id).await;
            assert_eq!(
                stored.expect(WORKS).map(|stored| stored.url.clone()),
                Some(endpoint.url.clone())
            );
            assert_eq!(endpoint.url, subscription.url);
            assert_eq!(endpoint.company, subscription.company);
            assert_eq!(endpoint.enabled, subscription.enabled);
        }
        scenario.reopen().await;
    }
}

pub(crate) async fn a_change_counts_from_the_next_append(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let mut expected = vec![scenario.publish(&acme(), "a").await.id()];
    scenario.publish(&acme(), "b.c").await;
    scenario.retype(id, &["b.*"]).await;
    scenario.publish(&acme(), "a").await;
    expected.push(scenario.publish(&acme(), "b.c").await.id());
    scenario.retype(id, &["*"]).await;
    expected.push(scenario.publish(&acme(), "a").await.id());
    let due = scenario.due().await;
    let due: Vec<_> = due.into_iter().map(|(event, _)| event).collect();
    assert_eq!(due, sorted(expected));
    scenario.delete(id).await;
    scenario.publish(&acme(), "a").await;
    assert_eq!(scenario.due().await, []);
}

pub(crate) async fn a_change_keeps_what_it_does_not_name(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let new = NewSubscription {
        description: Some("first".to_owned()),
        ..scenario.new_subscription(&acme(), &["a"])
    };
    let mut expected = scenario.create(new).await;
    let changes: [(SubscriptionChange, Effect); 6] = [
        (
            SubscriptionChange {
                url: Some(url("https://new.example/")),
                ..none()
            },
            |it| it.url = url("https://new.example/"),
        ),
        (
            SubscriptionChange {
                event_types: Some(types_of(&["b.*", "c"])),
                ..none()
            },
            |it| it.event_types = types_of(&["b.*", "c"]),
        ),
        (
            SubscriptionChange {
                description: Some(Some("second".to_owned())),
                ..none()
            },
            |it| it.description = Some("second".to_owned()),
        ),
        (
            SubscriptionChange {
                description: Some(None),
                ..none()
            },
            |it| it.description = None,
        ),
        (
            SubscriptionChange {
                enabled: Some(false),
                ..none()
            },
            |it| it.enabled = false,
        ),
        (
            SubscriptionChange {
                enabled: Some(true),
                ..none()
            },
            |it| it.enabled = true,
        ),
    ];
    for (change, apply) in changes {
        scenario.advance(SECOND_MS);
        apply(&mut expected);
        expected.updated = scenario.now();
        expected.version += 1;
        assert_eq!(scenario.change(expected.id, change).await, expected);
        assert_eq!(read(&scenario, expected.id).await.as_ref(), Some(&expected));
        let endpoint = scenario.endpoint(expected.id);
        assert_eq!(
            (&endpoint.url, endpoint.enabled),
            (&expected.url, expected.enabled)
        );
    }
    scenario.reopen().await;
    assert_eq!(read(&scenario, expected.id).await, Some(expected));
}

pub(crate) async fn a_stale_change_changes_nothing(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let first = scenario
        .create(scenario.new_subscription(&acme(), &["a"]))
        .await;
    let update = |version, types: &'static [&str]| {
        let change = SubscriptionChange {
            event_types: Some(types_of(types)),
            ..none()
        };
        scenario
            .store()
            .update_subscription(None, first.id, version, change, scenario.now(), &BY)
    };
    let Updated::Changed(second) = update(Some(first.version), &["b"]).await.expect(WORKS) else {
        panic!("the version is the newest");
    };
    for version in [first.version, second.version + 1, 0, -1] {
        assert_eq!(
            update(Some(version), &["c"]).await,
            Ok(Updated::Stale),
            "{version}"
        );
    }
    assert_eq!(read(&scenario, first.id).await.as_ref(), Some(&second));
    let event = scenario.publish(&acme(), "c").await;
    assert_eq!(
        scenario.state(&event, first.id).await,
        DeliveryState::NotMatched
    );
    assert!(matches!(
        update(Some(second.version), &["c"]).await,
        Ok(Updated::Changed(_))
    ));
    assert!(matches!(
        update(None, &["d"]).await,
        Ok(Updated::Changed(_))
    ));
}

pub(crate) async fn others_cannot_see_or_touch_it(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (store, other) = (scenario.store(), company("other"));
    let mine = scenario
        .create(scenario.new_subscription(&acme(), &["*"]))
        .await;
    let unknown = SubscriptionId::new(scenario.now(), scenario.random());
    let (now, off) = (
        scenario.now(),
        SubscriptionChange {
            enabled: Some(false),
            ..none()
        },
    );
    for (asking, id) in [
        (Some(&other), mine.id),
        (Some(&acme()), unknown),
        (None, unknown),
    ] {
        assert_eq!(store.subscription(asking, id).await, Ok(None));
        let updated = store
            .update_subscription(asking, id, None, off.clone(), now, &BY)
            .await;
        assert_eq!(updated, Ok(Updated::NotFound));
        let updated = store
            .update_subscription(asking, id, Some(9), off.clone(), now, &BY)
            .await;
        assert_eq!(updated, Ok(Updated::NotFound), "and not stale");
        assert_eq!(
            store.delete_subscription(asking, id, now, &BY).await,
            Ok(Deleted::NeverWas)
        );
    }
    assert!(store.endpoint(unknown).is_none());
    assert_eq!(
        store.subscription(Some(&acme()), mine.id).await,
        Ok(Some(mine.clone()))
    );
    assert_eq!(store.subscription(None, mine.id).await, Ok(Some(mine)));
    scenario.publish(&acme(), "a").await;
    assert_eq!(scenario.due().await.len(), 1, "nothing has happened to it");
}

pub(crate) async fn a_deleted_one_is_gone_for_good(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let event = scenario.publish(&acme(), "a").await;
    scenario.delete(id).await;
    for _ in 0..2 {
        let store = scenario.store();
        assert!(store.endpoint(id).is_none());
        assert_eq!(read(&scenario, id).await, None);
        assert_eq!(listed(&scenario, Order::Ascending, 10).await, []);
        let updated = store
            .update_subscription(None, id, None, none(), scenario.now(), &BY)
            .await;
        assert_eq!(updated, Ok(Updated::NotFound));
        assert_eq!(
            scenario.redeliver(&event, id).await,
            Redelivered::NoSubscription
        );
        let replayed = scenario.replay(id, ReplayScope::All).await;
        assert_eq!(replayed, Replayed::NoSubscription);
        assert_eq!(scenario.due().await, []);
        assert_eq!(scenario.attempts(id).await, [], "the log still answers");
        // Deleting it once more is no error, but only for whom it belonged to.
        let again = store
            .delete_subscription(Some(&acme()), id, scenario.now(), &BY)
            .await;
        assert_eq!(again, Ok(Deleted::Gone));
        let others = company("other");
        let theirs = store
            .delete_subscription(Some(&others), id, scenario.now(), &BY)
            .await;
        assert_eq!(theirs, Ok(Deleted::NeverWas));
        scenario.reopen().await;
    }
    assert_eq!(scenario.owed().await, 0);
}

pub(crate) async fn a_page_is_in_the_order_of_making(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(scenario.subscribe(&acme(), &["a"]).await);
        scenario.subscribe(&company("other"), &["a"]).await;
    }
    scenario.delete(made.remove(3)).await;
    scenario.retype(made[0], &["b"]).await;
    for order in [Order::Ascending, Order::Descending] {
        for limit in [1, 2, 3, 6, 7] {
            assert_eq!(
                listed(&scenario, order, limit).await,
                made,
                "{order:?} by {limit}"
            );
        }
        made.reverse();
    }
    let nobody = company("nobody");
    let page = scenario
        .store()
        .subscriptions(&nobody, Order::Ascending, None, 5)
        .await;
    let page = page.expect(WORKS);
    assert!(page.subscriptions.is_empty() && !page.has_more);
}

pub(crate) async fn disabling_ends_what_is_pending(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let waiting = scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    let next = scenario.later(SECOND_MS);
    scenario.record(scenario.retry_at(&delivery, next)).await;
    drop(delivery);
    let pending = scenario.publish(&acme(), "a").await;
    let epoch = scenario.endpoint(id).epoch;

    let disabled = scenario.enable(id, false).await;
    assert_eq!((disabled.enabled, disabled.disabled_reason), (false, None));
    assert!(scenario.endpoint(id).epoch > epoch);
    let missed = scenario.publish(&acme(), "a").await;
    scenario.set_time(next);
    for event in [&waiting, &pending, &missed] {
        assert_eq!(scenario.state(event, id).await, DeliveryState::Disabled);
    }
    assert_eq!(scenario.due().await, []);
    assert_eq!(scenario.redeliver(&missed, id).await, Redelivered::Disabled);
    assert_eq!(
        scenario.replay(id, ReplayScope::All).await,
        Replayed::Disabled
    );

    scenario.enable(id, true).await;
    assert_eq!(scenario.due().await, [], "enabling brings nothing back");
    let fresh = scenario.publish(&acme(), "a").await;
    assert_eq!(scenario.due().await, [(fresh.id(), id)]);
    for event in [&waiting, &pending, &missed] {
        assert_eq!(scenario.state(event, id).await, DeliveryState::Disabled);
    }
}

pub(crate) async fn a_delivery_in_memory_knows_that_it_ended(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let node = scenario.attached_node().await;
    scenario.publish(&acme(), "a").await;
    let held = node.handover.take().remove(0);
    assert_eq!(held.epoch, scenario.endpoint(id).epoch);
    scenario.enable(id, false).await;
    scenario.enable(id, true).await;
    let endpoint = scenario.endpoint(id);
    assert!(endpoint.enabled && endpoint.epoch > held.epoch);
    scenario.publish(&acme(), "a").await;
    let fresh = node.handover.take().remove(0);
    assert_eq!(fresh.epoch, endpoint.epoch);
    drop((held, fresh));
    drop(node);
    scenario.crash().await;
    assert_eq!(
        scenario.endpoint(id).epoch,
        endpoint.epoch,
        "epochs outlive the process"
    );
}

pub(crate) async fn one_made_disabled_waits_to_be_enabled(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let new = NewSubscription {
        enabled: false,
        ..scenario.new_subscription(&acme(), &["*"])
    };
    let id = scenario.create(new).await.id;
    let missed = scenario.publish(&acme(), "a").await;
    assert_eq!(
        (scenario.owed().await, scenario.due().await),
        (0, Vec::new())
    );
    assert_eq!(scenario.state(&missed, id).await, DeliveryState::Disabled);
    scenario.enable(id, true).await;
    let event = scenario.publish(&acme(), "a").await;
    assert_eq!(scenario.due().await, [(event.id(), id)]);
}

pub(crate) async fn enabling_clears_the_servers_reason(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.gone(&delivery)).await;
    let enabled = scenario.enable(id, true).await;
    assert_eq!((enabled.enabled, enabled.disabled_reason), (true, None));
    let disabled = scenario.enable(id, false).await;
    assert_eq!(disabled.disabled_reason, None, "a person did it this time");
}

/// Twelve companies, subscriptions that come and go, and matching that survives a reopen.
pub(crate) async fn matching_is_the_same_after_a_reopen(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let mut expected = Vec::new();
    let owners: Vec<_> = (0..12)
        .map(|number| company(&format!("company-{number}")))
        .collect();
    for (number, owner) in owners.iter().enumerate() {
        let kept = scenario.subscribe(owner, &["a.*", "b"]).await;
        let retyped = scenario.subscribe(owner, &["b"]).await;
        let disabled = scenario.subscribe(owner, &["*"]).await;
        let deleted = scenario.subscribe(owner, &["*"]).await;
        scenario.retype(retyped, &["a.b"]).await;
        scenario.enable(disabled, false).await;
        scenario.delete(deleted).await;
        expected.push(kept);
        if number % 2 == 0 {
            expected.push(retyped);
        } else {
            scenario.retype(retyped, &["c"]).await;
        }
    }
    scenario.crash().await;
    for owner in &owners {
        scenario.publish(owner, "a.b").await;
    }
    let due = scenario
        .due()
        .await
        .into_iter()
        .map(|(_, subscription)| subscription);
    assert_eq!(sorted(due), sorted(expected));
}

/// What a change does to what is shown.
type Effect = fn(&mut Subscription);

fn none() -> SubscriptionChange {
    SubscriptionChange::default()
}

async fn read(scenario: &Scenario<'_>, id: SubscriptionId) -> Option<Subscription> {
    scenario.store().subscription(None, id).await.expect(WORKS)
}

/// The ids of acme's subscriptions, page by page.
async fn listed(scenario: &Scenario<'_>, order: Order, limit: usize) -> Vec<SubscriptionId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = scenario
            .store()
            .subscriptions(&acme(), order, after, limit)
            .await;
        let page = page.expect(WORKS);
        assert!(page.subscriptions.len() <= limit, "a page keeps its limit");
        found.extend(
            page.subscriptions
                .iter()
                .map(|subscription| subscription.id),
        );
        if !page.has_more {
            return found;
        }
        assert_ne!(Some(page.next), after, "a page with more behind it gets on");
        after = Some(page.next);
    }
}
