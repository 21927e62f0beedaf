//! Signing secrets: at most two are valid, both survive a reopen, and a rotation counts from the
//! next attempt.

use tidings_domain::{
    api_key::{ApiKey, ApiKeyToken, Scope},
    id::{ApiKeyId, SubscriptionId},
    secret::Secret,
    subscription::SigningSecrets,
    time::UtcMillis,
};
use tidings_store::{NewApiKey, NewSubscription, Rotated};

use crate::{
    Harness,
    scenario::{BY, DAY_MS, Scenario, WORKS, acme, company},
};

pub(crate) async fn a_secret_reads_back_as_it_was_given(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let texts = [
        scenario.secret().expose().to_owned(),
        "plain, 'quoted' and \"printable\" ~".to_owned(),
        "x".repeat(128),
    ];
    let mut made = Vec::new();
    for text in texts {
        let secret = Secret::parse(&text).expect("a secret");
        let new = scenario.new_subscription(&acme(), &["*"]);
        let id = scenario
            .create(NewSubscription {
                secret: secret.clone(),
                ..new
            })
            .await
            .id;
        made.push((id, secret));
    }
    for _ in 0..2 {
        for (id, secret) in &made {
            let expected = SigningSecrets {
                newest: secret.clone(),
                previous: None,
            };
            assert_eq!(secrets(&scenario, *id), expected);
        }
        scenario.crash().await;
    }
}

/// Neither as it is shown nor as the key that it stands for; and keys of the API not at all.
pub(crate) async fn no_secret_is_kept_in_the_clear(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let marked = NewSubscription {
        description: Some("a text that is no secret".to_owned()),
        ..scenario.new_subscription(&acme(), &["*"])
    };
    let id = scenario.create(marked.clone()).await.id;
    let next = scenario.secret();
    rotate(&scenario, id, &next, scenario.later(DAY_MS)).await;
    let token = ApiKeyToken::generate(scenario.random());
    let key = ApiKey {
        id: ApiKeyId::new(scenario.now(), scenario.random()),
        name: "another text that is no secret".to_owned(),
        company: None,
        scopes: vec![Scope::Admin],
        expires: None,
        created: scenario.now(),
        last_used: None,
    };
    let key = NewApiKey {
        key,
        hash: token.hash(),
    };
    scenario.store().create_key(key, &BY).await.expect(WORKS);
    scenario.reopen().await;
    let kept = harness.at_rest().await;
    for shown in ["a text that is no secret", "another text that is no secret"] {
        assert!(
            contains(&kept, shown.as_bytes()),
            "everything else is there to be found"
        );
    }
    for secret in [&marked.secret, &next] {
        assert!(!contains(&kept, secret.expose().as_bytes()));
        assert!(!contains(&kept, &secret.key()));
    }
    assert!(!contains(&kept, token.expose().as_bytes()));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub(crate) async fn a_rotation_keeps_the_former_secret_for_a_while(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let first = secrets(&scenario, id).newest;
    let (second, third) = (scenario.secret(), scenario.secret());
    let first_until = scenario.later(DAY_MS);
    rotate(&scenario, id, &second, first_until).await;
    let expected = SigningSecrets {
        newest: second.clone(),
        previous: Some((first, first_until)),
    };
    assert_eq!(secrets(&scenario, id), expected);
    scenario.reopen().await;
    assert_eq!(secrets(&scenario, id), expected);

    // A further rotation ends the oldest, even within its time.
    scenario.advance(1);
    let second_until = scenario.later(2 * DAY_MS);
    rotate(&scenario, id, &third, second_until).await;
    let expected = SigningSecrets {
        newest: third,
        previous: Some((second, second_until)),
    };
    assert_eq!(secrets(&scenario, id), expected);
    scenario.reopen().await;
    assert_eq!(secrets(&scenario, id), expected);
}

pub(crate) async fn a_rotation_without_overlap_ends_the_former_secret(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let second = scenario.secret();
    rotate(&scenario, id, &second, scenario.now()).await;
    for _ in 0..2 {
        let found = secrets(&scenario, id);
        assert_eq!(&found.newest, &second);
        assert_eq!(found.previous_at(scenario.now()), None);
        scenario.reopen().await;
    }
}

pub(crate) async fn a_rotation_touches_nothing_else(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let other = scenario.subscribe(&acme(), &["*"]).await;
    let (before, theirs) = (scenario.endpoint(id), secrets(&scenario, other));
    scenario.publish(&acme(), "a").await;
    let node = scenario.node().await;
    let held = scenario.claim(&node).await;
    rotate(&scenario, id, &scenario.secret(), scenario.later(DAY_MS)).await;
    let after = scenario.endpoint(id);
    assert_eq!(
        (after.epoch, after.enabled),
        (before.epoch, true),
        "what is owed stays owed"
    );
    assert_eq!(after.url, before.url);
    assert_eq!(secrets(&scenario, other), theirs);
    for delivery in &held {
        scenario.record(scenario.succeeded(delivery)).await;
    }
}

pub(crate) async fn nobody_elses_secret_can_be_rotated(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["*"]).await;
    let deleted = scenario.subscribe(&acme(), &["*"]).await;
    scenario.delete(deleted).await;
    let unknown = SubscriptionId::new(scenario.now(), scenario.random());
    let before = secrets(&scenario, id);
    let other = company("other");
    for (asking, id) in [(Some(&other), id), (None, deleted), (None, unknown)] {
        let until = scenario.later(DAY_MS);
        let secret = scenario.secret();
        let rotated =
            scenario
                .store()
                .rotate_secret(asking, id, secret, scenario.now(), until, &BY);
        assert_eq!(rotated.await, Ok(Rotated::NotFound));
    }
    assert_eq!(secrets(&scenario, id), before);
}

fn secrets(scenario: &Scenario<'_>, id: SubscriptionId) -> SigningSecrets {
    scenario.endpoint(id).secrets.clone()
}

async fn rotate(scenario: &Scenario<'_>, id: SubscriptionId, to: &Secret, until: UtcMillis) {
    let store = scenario.store();
    let rotated = store
        .rotate_secret(Some(&acme()), id, to.clone(), scenario.now(), until, &BY)
        .await;
    assert_eq!(rotated.expect(WORKS), Rotated::Done);
}
