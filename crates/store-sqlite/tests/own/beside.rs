//! Users and keys that a command makes beside a running server.

use std::sync::Arc;

use tidings_domain::{
    actor::Actor,
    audit::Action,
    email::Email,
    id::UserId,
    portal_token::PortalToken,
    visitor::{Role, Visitor},
};
use tidings_store::{
    AuditLog as _, AuditQuery, AuditScope, Link, LinkPurpose, People, Session, SessionsOf, User,
    UserDeleted, UserMade,
};
use tidings_store_sqlite::SqliteStore;

use crate::directory::Directory;
use crate::stage::{Stage, acme, now};

fn user(stage: &Stage, address: &str) -> User {
    User {
        id: UserId::new(now(), &*stage.random),
        email: Email::parse(address).expect("an address"),
        password_hash: "$argon2id$".to_owned(),
        created: now(),
        last_sign_in: None,
    }
}

async fn actions(store: &SqliteStore) -> Vec<Action> {
    let query = AuditQuery {
        scope: AuditScope::Everything,
        target: None,
        before: None,
        limit: 100,
    };
    let page = store.audit(query).await.expect("it reads");
    page.entries.iter().map(|line| line.action).collect()
}

#[tokio::test]
async fn users_made_beside_a_server_are_there_at_once() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let beside = SqliteStore::open_beside(&directory.database()).unwrap();
    let (ada, ben) = (
        user(&stage, "ada@example.com"),
        user(&stage, "ben@example.com"),
    );
    for made in [&ada, &ben] {
        let made = beside.create_user(made.clone(), &Actor::COMMAND).await;
        assert_eq!(made, Ok(UserMade::Made));
    }
    let twice = beside.create_user(ada.clone(), &Actor::COMMAND).await;
    assert_eq!(twice, Ok(UserMade::EmailTaken));
    let both: [&dyn People; 2] = [&stage.store, &beside];
    for people in both {
        assert_eq!(people.users().await, Ok(vec![ada.clone(), ben.clone()]));
        assert_eq!(
            people.user_by_email(&ben.email).await,
            Ok(Some(ben.clone()))
        );
    }
    // A new password ends the sessions of the server.
    let hash = PortalToken::generate(&*stage.random).hash();
    let session = Session {
        visitor: Visitor::Operator {
            id: ada.id,
            email: ada.email.clone(),
        },
        created: now(),
        expires: now().plus_millis(1000),
    };
    let by = Actor::visitor(&session.visitor, None);
    stage.store.open_session(hash, session, &by).await.unwrap();
    assert!(beside.session(&hash, now()).await.unwrap().is_some());
    let set = beside.set_password(ada.id, "another".to_owned(), now(), &Actor::COMMAND);
    assert_eq!(set.await, Ok(true));
    assert_eq!(stage.store.session(&hash, now()).await, Ok(None));
    let deleted = beside.delete_user(ben.id, now(), &Actor::COMMAND).await;
    assert_eq!(deleted, Ok(UserDeleted::Gone));
    let deleted = beside.delete_user(ada.id, now(), &Actor::COMMAND).await;
    assert_eq!(deleted, Ok(UserDeleted::Last));
    let expected = [
        Action::UserDeleted,
        Action::PasswordChanged,
        Action::SignedIn,
        Action::UserCreated,
        Action::UserCreated,
    ];
    assert_eq!(actions(&stage.store).await, expected);
}

#[tokio::test]
async fn a_link_made_beside_a_server_is_good_once_for_both() {
    let directory = Directory::new();
    let stage = Stage::open(&directory.database());
    let beside = SqliteStore::open_beside(&directory.database()).unwrap();
    let both: [Arc<dyn People>; 2] = [Arc::new(stage.store.clone()), Arc::new(beside)];
    for (maker, user) in [(0, 1), (1, 0)] {
        let hash = PortalToken::generate(&*stage.random).hash();
        let link = Link {
            purpose: LinkPurpose::Setup,
            expires: now().plus_millis(1000),
        };
        both[maker].create_link(hash, link).await.unwrap();
        assert!(both[user].link(&hash, now()).await.unwrap().is_some());
        assert!(both[user].use_link(&hash, now()).await.unwrap().is_some());
        assert!(both[maker].use_link(&hash, now()).await.unwrap().is_none());
        let session = Session {
            visitor: Visitor::Guest {
                company: acme(),
                role: Role::Admin,
            },
            created: now(),
            expires: now().plus_millis(1000),
        };
        let by = Actor::COMMAND;
        both[maker].open_session(hash, session, &by).await.unwrap();
        both[user].end_session(&hash).await.unwrap();
        assert_eq!(both[maker].session(&hash, now()).await, Ok(None));
        let of_acme = SessionsOf::Company(acme());
        assert_eq!(both[user].end_sessions(&of_acme, now(), &by).await, Ok(0));
    }
}
