//! API keys: found by their hash, listed by company, revoked at once.

use tidings_domain::{
    api_key::{ApiKey, ApiKeyToken, KeyHash, Scope},
    company::CompanyId,
    id::ApiKeyId,
};
use tidings_store::NewApiKey;

use crate::{
    Harness,
    scenario::{BY, DAY_MS, SECOND_MS, Scenario, WORKS, acme, company},
};

pub(crate) async fn a_key_is_found_by_its_hash(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let mut made = vec![
        make(&scenario, Some(&acme()), &[Scope::EventsRead]).await,
        make(&scenario, None, &Scope::ALL).await,
    ];
    let expiring = NewApiKey {
        key: ApiKey {
            name: "Büro 'Ost'; \"x\"".to_owned(),
            expires: Some(scenario.later(DAY_MS)),
            ..draft(
                &scenario,
                Some(&acme()),
                &[Scope::Admin, Scope::EventsWrite],
            )
        },
        hash: hash(&scenario),
    };
    scenario
        .store()
        .create_key(expiring.clone(), &BY)
        .await
        .expect(WORKS);
    made.push(expiring);
    scenario.advance(2 * DAY_MS);
    for _ in 0..2 {
        for NewApiKey { key, hash } in &made {
            let found = scenario.store().key_by_hash(hash).await.expect(WORKS);
            assert_eq!(
                found.as_ref(),
                Some(key),
                "also the expired one: that is not its part"
            );
        }
        assert_eq!(
            scenario.store().key_by_hash(&hash(&scenario)).await,
            Ok(None)
        );
        scenario.crash().await;
    }
}

pub(crate) async fn keys_are_listed_by_company(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let other = company("other");
    let mut made = Vec::new();
    for owner in [Some(&acme()), None, Some(&other), Some(&acme())] {
        made.push(make(&scenario, owner, &[Scope::EventsRead]).await.key);
        scenario.advance(1);
    }
    let list = async |owner: Option<CompanyId>| {
        let keys = scenario.store().keys(owner.as_ref()).await;
        keys.expect(WORKS)
    };
    assert_eq!(list(None).await, made, "oldest first");
    let own: Vec<_> = [0, 3].map(|at: usize| made[at].clone()).to_vec();
    assert_eq!(list(Some(acme())).await, own);
    assert_eq!(list(Some(other)).await, [made[2].clone()]);
    assert_eq!(list(Some(company("nobody"))).await, []);
}

pub(crate) async fn a_revoked_key_is_gone_at_once(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let kept = make(&scenario, Some(&acme()), &[Scope::Admin]).await;
    let revoked = make(&scenario, Some(&acme()), &[Scope::Admin]).await;
    let store = scenario.store();
    assert!(
        store
            .key_by_hash(&revoked.hash)
            .await
            .expect(WORKS)
            .is_some()
    );
    let id = revoked.key.id;
    assert_eq!(
        store
            .revoke_key(Some(&acme()), id, scenario.now(), &BY)
            .await,
        Ok(true)
    );
    for _ in 0..2 {
        let store = scenario.store();
        assert_eq!(store.key_by_hash(&revoked.hash).await, Ok(None));
        assert_eq!(store.keys(None).await, Ok(vec![kept.key.clone()]));
        assert_eq!(
            store.key_by_hash(&kept.hash).await,
            Ok(Some(kept.key.clone()))
        );
        assert_eq!(
            store.revoke_key(None, id, scenario.now(), &BY).await,
            Ok(false),
            "once is enough"
        );
        scenario.crash().await;
    }
}

pub(crate) async fn others_keys_cannot_be_revoked(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let own = make(&scenario, Some(&acme()), &[Scope::Admin]).await;
    let platform = make(&scenario, None, &[Scope::Admin]).await;
    let unknown = ApiKeyId::new(scenario.now(), scenario.random());
    let (other, store) = (company("other"), scenario.store());
    for (asking, id) in [
        (Some(&other), own.key.id),
        (Some(&acme()), platform.key.id),
        (Some(&acme()), unknown),
        (None, unknown),
    ] {
        assert_eq!(
            store.revoke_key(asking, id, scenario.now(), &BY).await,
            Ok(false)
        );
    }
    for key in [&own, &platform] {
        assert_eq!(
            store.key_by_hash(&key.hash).await,
            Ok(Some(key.key.clone()))
        );
    }
    assert_eq!(
        store
            .revoke_key(None, own.key.id, scenario.now(), &BY)
            .await,
        Ok(true)
    );
}

pub(crate) async fn the_last_use_is_written_with_the_upkeep(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let used = make(&scenario, Some(&acme()), &[Scope::EventsRead])
        .await
        .key;
    let unused = make(&scenario, Some(&acme()), &[Scope::EventsRead])
        .await
        .key;
    assert_eq!((used.last_used, unused.last_used), (None, None));
    scenario.advance(SECOND_MS);
    scenario.store().touch_key(used.id, scenario.now());
    scenario.advance(SECOND_MS);
    scenario.store().touch_key(used.id, scenario.now());
    let last_used = Some(scenario.now());
    // Of a key that nobody knows nothing remains.
    let unknown = ApiKeyId::new(scenario.now(), scenario.random());
    scenario.store().touch_key(unknown, scenario.now());
    scenario.sweep().await;
    let expected = vec![ApiKey { last_used, ..used }, unused];
    for _ in 0..2 {
        assert_eq!(
            scenario.store().keys(Some(&acme())).await.as_ref(),
            Ok(&expected)
        );
        scenario.crash().await;
    }
}

async fn make(scenario: &Scenario<'_>, owner: Option<&CompanyId>, scopes: &[Scope]) -> NewApiKey {
    let new = NewApiKey {
        key: draft(scenario, owner, scopes),
        hash: hash(scenario),
    };
    scenario
        .store()
        .create_key(new.clone(), &BY)
        .await
        .expect(WORKS);
    new
}

fn draft(scenario: &Scenario<'_>, owner: Option<&CompanyId>, scopes: &[Scope]) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(scenario.now(), scenario.random()),
        name: "for tests".to_owned(),
        company: owner.cloned(),
        scopes: scopes.to_vec(),
        expires: None,
        created: scenario.now(),
        last_used: None,
    }
}

fn hash(scenario: &Scenario<'_>) -> KeyHash {
    ApiKeyToken::generate(scenario.random()).hash()
}
