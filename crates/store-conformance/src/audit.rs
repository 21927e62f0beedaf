//! The audit log: a line for each change, in the same change, and none where nothing was changed.

use std::net::IpAddr;

use tidings_domain::{
    actor::{Actor, Who},
    api_key::{ApiKey, ApiKeyToken, Scope},
    audit::{Action, AuditEntry, FieldChange},
    breaker::EndpointHealth,
    id::{ApiKeyId, SubscriptionId, UserId},
    time::UtcMillis,
    visitor::Role,
};
use tidings_store::{
    AuditPage, AuditQuery, AuditScope, Deleted, NewApiKey, NewSubscription, Position, Redelivered,
    ReplayScope, Replayed, Rotated, SessionsOf, SubscriptionChange, Updated, User, UserMade,
};

use crate::{
    Harness,
    outcome::DISABLED_NOTICE,
    people::{guest, operator},
    scenario::{BY, DAY_MS, EVERYTHING, SECOND_MS, Scenario, WORKS, acme, company, url},
};

pub(crate) async fn each_change_of_a_subscription_leaves_its_line(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let by = Actor {
        who: Who::Key {
            id: ApiKeyId::new(scenario.now(), scenario.random()),
            name: "deploy".to_owned(),
            platform: true,
        },
        address: Some("203.0.113.9".parse().expect("an address")),
    };
    let made = scenario.new_subscription(&acme(), &["a.*", "b"]);
    let (target, first) = (made.id.to_string(), made.url.to_string());
    let second = "https://other.example/";
    let [created, updated, until] = change_in_every_way(&scenario, made, second, &by).await;
    let now = scenario.now();
    let line = |at, action, changes| AuditEntry {
        at,
        company: Some(acme()),
        actor: by.clone(),
        action,
        target: target.clone(),
        changes,
    };
    let expected = [
        line(
            now,
            Action::SubscriptionDeleted,
            vec![changed("url", Some(second), None)],
        ),
        line(
            now,
            Action::SecretRotated,
            vec![changed(
                "previousSecretExpiresUtc",
                None,
                Some(&until.to_string()),
            )],
        ),
        line(
            now,
            Action::SubscriptionEnabled,
            vec![changed("enabled", Some("false"), Some("true"))],
        ),
        line(
            now,
            Action::SubscriptionDisabled,
            vec![changed("enabled", Some("true"), Some("false"))],
        ),
        line(
            updated,
            Action::SubscriptionUpdated,
            vec![
                changed("url", Some(&first), Some(second)),
                changed("description", None, Some("moved")),
            ],
        ),
        line(
            created,
            Action::SubscriptionCreated,
            vec![
                changed("url", None, Some(&first)),
                changed("eventTypes", None, Some("a.*, b")),
                changed("enabled", None, Some("true")),
            ],
        ),
    ];
    for _ in 0..2 {
        assert_eq!(scenario.lines().await, expected);
        scenario.crash().await;
    }
}

/// Makes a subscription, moves it, disables and enables it, rotates its secret and deletes it. Returns
/// when it was made, when it was moved, and until when the former secret is good.
async fn change_in_every_way(
    scenario: &Scenario<'_>,
    new: NewSubscription,
    to: &str,
    by: &Actor,
) -> [UtcMillis; 3] {
    let (id, created) = (new.id, scenario.now());
    let made = scenario.store().create_subscription(new, by).await;
    made.expect(WORKS);
    scenario.advance(SECOND_MS);
    let change = SubscriptionChange {
        url: Some(url(to)),
        description: Some(Some("moved".to_owned())),
        ..SubscriptionChange::default()
    };
    update(scenario, id, change, by).await;
    let updated = scenario.now();
    scenario.advance(SECOND_MS);
    for enabled in [false, true] {
        let change = SubscriptionChange {
            enabled: Some(enabled),
            ..SubscriptionChange::default()
        };
        update(scenario, id, change, by).await;
    }
    let (store, now, until) = (scenario.store(), scenario.now(), scenario.later(DAY_MS));
    let rotated = store.rotate_secret(None, id, scenario.secret(), now, until, by);
    assert_eq!(rotated.await, Ok(Rotated::Done));
    let deleted = store.delete_subscription(None, id, now, by).await;
    assert_eq!(deleted, Ok(Deleted::Gone));
    [created, updated, until]
}

pub(crate) async fn keys_and_people_leave_theirs(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let own = new_key(&scenario, Some("acme"));
    let platforms = new_key(&scenario, None);
    let store = scenario.store();
    for key in [&own, &platforms] {
        store.create_key(key.clone(), &BY).await.expect(WORKS);
        let revoked = store
            .revoke_key(None, key.key.id, scenario.now(), &BY)
            .await;
        assert_eq!(revoked, Ok(true));
    }
    let ada = scenario.make_user("ada@example.com").await;
    let ben = scenario.make_user("ben@example.com").await;
    scenario.open(operator(&ada)).await;
    scenario.open(guest("acme", Role::Viewer)).await;
    assert_eq!(scenario.end_all(&SessionsOf::User(ada.id)).await, 1);
    assert_eq!(scenario.end_all(&SessionsOf::Company(acme())).await, 1);
    let (store, now) = (scenario.store(), scenario.now());
    let set = store.set_password(ada.id, "another".to_owned(), now, &BY);
    assert_eq!(set.await, Ok(true));
    store.delete_user(ben.id, now, &BY).await.expect(WORKS);
    let (own, platforms) = (own.key.id.to_string(), platforms.key.id.to_string());
    let (ada, ben) = (ada.id.to_string(), ben.id.to_string());
    let expected = [
        (Action::UserDeleted, None, &ben),
        (Action::PasswordChanged, None, &ada),
        (
            Action::SignedOutEverywhere,
            Some(acme()),
            &"acme".to_owned(),
        ),
        (Action::SignedOutEverywhere, None, &ada),
        (Action::LinkOpened, Some(acme()), &"acme".to_owned()),
        (Action::SignedIn, None, &ada),
        (Action::UserCreated, None, &ben),
        (Action::UserCreated, None, &ada),
        (Action::KeyRevoked, None, &platforms),
        (Action::KeyCreated, None, &platforms),
        (Action::KeyRevoked, Some(acme()), &own),
        (Action::KeyCreated, Some(acme()), &own),
    ];
    for _ in 0..2 {
        let lines = scenario.lines().await;
        let found: Vec<_> = lines
            .iter()
            .map(|line| (line.action, line.company.clone(), &line.target))
            .collect();
        assert_eq!(found, expected);
        let told = format!("{lines:?}");
        assert!(!told.contains("argon2") && !told.contains("another"));
        scenario.crash().await;
    }
}

pub(crate) async fn what_changes_nothing_leaves_none(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let gone = scenario.subscribe(&acme(), &["a"]).await;
    scenario.delete(gone).await;
    let ada = scenario.make_user("ada@example.com").await;
    let before = scenario.lines().await.len();
    let (store, now) = (scenario.store(), scenario.now());
    let nobody = SubscriptionId::new(now, scenario.random());
    let (none, off) = (
        SubscriptionChange::default(),
        SubscriptionChange {
            enabled: Some(false),
            ..SubscriptionChange::default()
        },
    );
    let same = SubscriptionChange {
        enabled: Some(true),
        ..SubscriptionChange::default()
    };
    let other = company("other");
    for (asking, id, version, change) in [
        (None, id, None, none),
        (None, id, None, same),
        (None, id, Some(99), off.clone()),
        (Some(&other), id, None, off.clone()),
        (None, gone, None, off.clone()),
        (None, nobody, None, off),
    ] {
        let update = store.update_subscription(asking, id, version, change, now, &BY);
        update.await.expect(WORKS);
    }
    for (asking, id) in [(None, gone), (None, nobody), (Some(&other), id)] {
        let delete = store.delete_subscription(asking, id, now, &BY);
        delete.await.expect(WORKS);
        let rotate = store.rotate_secret(asking, id, scenario.secret(), now, now, &BY);
        assert_eq!(rotate.await, Ok(Rotated::NotFound));
    }
    let key = ApiKeyId::new(now, scenario.random());
    assert_eq!(store.revoke_key(None, key, now, &BY).await, Ok(false));
    let twin = User {
        id: UserId::new(now, scenario.random()),
        ..ada.clone()
    };
    let unknown = twin.id;
    let made = store.create_user(twin, &BY).await;
    assert_eq!(made, Ok(UserMade::EmailTaken));
    let set = store.set_password(unknown, "x".to_owned(), now, &BY);
    assert_eq!(set.await, Ok(false));
    for user in [unknown, ada.id] {
        store.delete_user(user, now, &BY).await.expect(WORKS);
    }
    assert_eq!(scenario.end_all(&SessionsOf::User(ada.id)).await, 0);
    assert_eq!(scenario.end_all(&SessionsOf::Company(acme())).await, 0);
    scenario
        .store()
        .end_session(&scenario.token())
        .await
        .expect(WORKS);
    scenario.sweep().await;
    assert_eq!(scenario.lines().await.len(), before);
}

pub(crate) async fn what_the_server_does_by_itself_is_told(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let node = scenario.node().await;
    let gone = scenario.subscribe(&acme(), &["a"]).await;
    scenario.publish(&acme(), "a").await;
    let delivery = scenario.claim_one(&node).await;
    scenario.record(scenario.gone(&delivery)).await;
    drop(delivery);
    let failing = scenario.subscribe(&acme(), &["b"]).await;
    let notice = scenario.event(&acme(), DISABLED_NOTICE);
    let epoch = scenario.endpoint(failing).epoch;
    let store = scenario.store();
    // Noting how an endpoint does changes no subscription.
    let health = EndpointHealth {
        failing_since: Some(scenario.now()),
        ..EndpointHealth::default()
    };
    store
        .note_health(failing, epoch, health)
        .await
        .expect(WORKS);
    for _ in 0..2 {
        let disable = store.disable_failing(failing, epoch, notice.clone());
        disable.await.expect(WORKS);
    }
    scenario.crash().await;
    let lines = scenario.lines().await;
    let of = |id: SubscriptionId| {
        let target = id.to_string();
        let mut lines = lines.iter().filter(move |line| {
            line.target == target && line.action != Action::SubscriptionCreated
        });
        let line = lines.next().expect("the end is told");
        assert!(lines.next().is_none(), "and told once");
        line
    };
    for (id, reason) in [(gone, "gone"), (failing, "failing")] {
        let line = of(id);
        assert_eq!(line.action, Action::SubscriptionDisabled);
        assert_eq!(line.actor, Actor::SERVER);
        assert_eq!(line.company, Some(acme()));
        let expected = [
            changed("enabled", Some("true"), Some("false")),
            changed("disabledReason", None, Some(reason)),
        ];
        assert_eq!(line.changes, expected);
    }
}

pub(crate) async fn delivering_again_is_told_by_who_asks_for_it(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let event = scenario.publish(&acme(), "a").await;
    let id = scenario.subscribe(&acme(), &["a"]).await;
    let before = scenario.lines().await;
    assert_eq!(scenario.redeliver(&event, id).await, Redelivered::Queued);
    let replayed = scenario.replay(id, ReplayScope::All).await;
    assert_eq!(replayed, Replayed::Queued(0));
    assert_eq!(scenario.lines().await, before, "the store writes none");
    let line = AuditEntry {
        at: scenario.now(),
        company: Some(acme()),
        actor: BY,
        action: Action::Redelivered,
        target: event.id().to_string(),
        changes: Vec::new(),
    };
    scenario.store().record(line.clone()).await.expect(WORKS);
    assert_eq!(scenario.lines().await[0], line);
}

pub(crate) async fn a_line_reads_back(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let odd = "\u{0} ' \" \\ é 漢 \u{10ffff}\n";
    let who = [
        Who::Key {
            id: ApiKeyId::new(scenario.now(), scenario.random()),
            name: odd.to_owned(),
            platform: false,
        },
        Who::Operator {
            id: UserId::new(scenario.now(), scenario.random()),
            email: "ada@example.com".to_owned(),
        },
        Who::Guest(Role::Admin),
        Who::Guest(Role::Viewer),
        Who::Server,
        Who::Command,
    ];
    let addresses: [Option<&str>; 3] = [None, Some("198.51.100.7"), Some("2001:db8::7")];
    let mut expected = Vec::new();
    for (n, action) in Action::ALL.into_iter().enumerate() {
        let address = addresses[n % addresses.len()];
        let line = AuditEntry {
            at: scenario.now(),
            company: (n % 2 == 0).then(acme),
            actor: Actor {
                who: who[n % who.len()].clone(),
                address: address.map(|text| text.parse::<IpAddr>().expect("an address")),
            },
            action,
            target: format!("{odd}{n}"),
            changes: (0..n % 4)
                .map(|n| changed(odd, (n > 0).then_some(odd), (n != 1).then_some("")))
                .collect(),
        };
        scenario.store().record(line.clone()).await.expect(WORKS);
        expected.push(line);
        scenario.advance(1);
    }
    expected.reverse();
    for _ in 0..2 {
        assert_eq!(scenario.lines().await, expected);
        scenario.crash().await;
    }
}

pub(crate) async fn the_log_is_paged_and_belongs_to_its_company(harness: &dyn Harness) {
    const LINES: usize = 30;
    let scenario = Scenario::new(harness).await;
    let mut all = Vec::new();
    for n in 0..LINES {
        let owner = [Some(acme()), Some(company("other")), None][n % 3].clone();
        let line = AuditEntry {
            at: scenario.now(),
            company: owner,
            actor: BY,
            action: Action::EventTypeSaved,
            target: format!("target-{}", n % 4),
            changes: vec![changed("n", None, Some(&n.to_string()))],
        };
        scenario.store().record(line.clone()).await.expect(WORKS);
        all.insert(0, line);
    }
    let scopes = [
        AuditScope::Everything,
        AuditScope::Company(acme()),
        AuditScope::Company(company("other")),
        AuditScope::Company(company("nobody")),
    ];
    for scope in scopes {
        for target in [None, Some("target-1"), Some("target-9")] {
            let theirs = |line: &&AuditEntry| match &scope {
                AuditScope::Everything => true,
                AuditScope::Company(company) => line.company.as_ref() == Some(company),
            };
            let about = |line: &&AuditEntry| target.is_none_or(|target| line.target == target);
            let expected: Vec<_> = all.iter().filter(theirs).filter(about).cloned().collect();
            for limit in [1, 3, expected.len().max(1), EVERYTHING] {
                let found = follow(&scenario, &scope, target, limit).await;
                assert_eq!(found, expected, "{scope:?} {target:?} by {limit}");
            }
        }
    }
}

/// All of it, page after page.
async fn follow(
    scenario: &Scenario<'_>,
    scope: &AuditScope,
    target: Option<&str>,
    limit: usize,
) -> Vec<AuditEntry> {
    let mut found = Vec::new();
    let mut before: Option<Position> = None;
    loop {
        let query = AuditQuery {
            scope: scope.clone(),
            target: target.map(str::to_owned),
            before,
            limit,
        };
        let page: AuditPage = scenario.store().audit(query).await.expect(WORKS);
        assert!(page.entries.len() <= limit);
        assert!(page.next.is_none() || page.entries.len() == limit);
        found.extend(page.entries);
        match page.next {
            Some(next) => before = Some(next),
            None => return found,
        }
    }
}

impl Scenario<'_> {
    /// The whole audit log, newest first.
    pub(crate) async fn lines(&self) -> Vec<AuditEntry> {
        follow(self, &AuditScope::Everything, None, EVERYTHING).await
    }
}

async fn update(
    scenario: &Scenario<'_>,
    id: SubscriptionId,
    change: SubscriptionChange,
    by: &Actor,
) {
    let (store, now) = (scenario.store(), scenario.now());
    let updated = store.update_subscription(None, id, None, change, now, by);
    assert!(matches!(updated.await, Ok(Updated::Changed(_))));
}

fn changed(field: &str, before: Option<&str>, after: Option<&str>) -> FieldChange {
    FieldChange {
        field: field.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    }
}

fn new_key(scenario: &Scenario<'_>, owner: Option<&str>) -> NewApiKey {
    NewApiKey {
        key: ApiKey {
            id: ApiKeyId::new(scenario.now(), scenario.random()),
            name: "for tests".to_owned(),
            company: owner.map(company),
            scopes: vec![Scope::Admin],
            expires: None,
            created: scenario.now(),
            last_used: None,
        },
        hash: ApiKeyToken::generate(scenario.random()).hash(),
    }
}
