//! Who may use the portal, on several nodes: what one node changes holds on all of them at once,
//! and what only one may do, one does.

use rustls::RootCertStore;
use tidings_domain::{
    actor::Actor,
    email::Email,
    id::UserId,
    random::SeededRandom,
    visitor::{Role, Visitor},
};
use tidings_store::{
    Link, LinkPurpose, People as _, Session, SessionsOf, User, UserDeleted, UserMade,
};
use tidings_store_postgres::PostgresStore;

use crate::nodes::{Node, WORKS, acme, database, now, sql};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn user(seed: u64, email: &str) -> User {
    User {
        id: UserId::new(now(), &SeededRandom::new(seed)),
        email: Email::parse(email).expect("an address"),
        password_hash: "$argon2id$".to_owned(),
        created: now(),
        last_sign_in: None,
    }
}

fn session(visitor: Visitor) -> Session {
    Session {
        visitor,
        created: now(),
        expires: now().plus_millis(HOUR_MS),
    }
}

fn operator(user: &User) -> Visitor {
    Visitor::Operator {
        id: user.id,
        email: user.email.clone(),
    }
}

async fn two_nodes(url: &str) -> (PostgresStore, PostgresStore) {
    (Node::open(url).await.store, Node::open(url).await.store)
}

#[tokio::test]
async fn a_link_is_good_on_one_node_only() {
    const LINKS: u8 = 30;
    let database = database();
    let (one, other) = two_nodes(database.url()).await;
    for number in 0..LINKS {
        let hash = [number; 32];
        let link = Link {
            purpose: LinkPurpose::Enter {
                company: acme(),
                role: Role::Admin,
            },
            expires: now().plus_millis(HOUR_MS),
        };
        one.create_link(hash, link).await.expect(WORKS);
        let (here, there) = tokio::join!(one.use_link(&hash, now()), other.use_link(&hash, now()));
        let got = [here.expect(WORKS).is_some(), there.expect(WORKS).is_some()];
        assert_eq!(got.iter().filter(|got| **got).count(), 1, "{got:?}");
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_ended_everywhere() {
    let database = database();
    let (one, other) = two_nodes(database.url()).await;
    let ada = user(1, "ada@example.com");
    one.create_user(ada.clone(), &Actor::COMMAND)
        .await
        .expect(WORKS);
    let guest = Visitor::Guest {
        company: acme(),
        role: Role::Viewer,
    };
    let lives = async |store: &PostgresStore, hash: &[u8; 32]| {
        store.session(hash, now()).await.expect(WORKS).is_some()
    };
    let (by_itself, by_all, by_password, of_company) = ([1; 32], [2; 32], [3; 32], [4; 32]);
    for (hash, visitor) in [
        (by_itself, operator(&ada)),
        (by_all, operator(&ada)),
        (of_company, guest),
    ] {
        one.open_session(hash, session(visitor), &Actor::COMMAND)
            .await
            .expect(WORKS);
        assert!(lives(&other, &hash).await);
    }
    other.end_session(&by_itself).await.expect(WORKS);
    assert!(!lives(&one, &by_itself).await && lives(&one, &by_all).await);
    let whose = SessionsOf::User(ada.id);
    let ended = other.end_sessions(&whose, now(), &Actor::COMMAND).await;
    assert_eq!(ended, Ok(1));
    assert!(!lives(&one, &by_all).await);
    let whose = SessionsOf::Company(acme());
    let ended = other.end_sessions(&whose, now(), &Actor::COMMAND).await;
    assert_eq!(ended, Ok(1));
    assert!(!lives(&one, &of_company).await);
    one.open_session(by_password, session(operator(&ada)), &Actor::COMMAND)
        .await
        .expect(WORKS);
    let changed = other.set_password(ada.id, "$2".to_owned(), now(), &Actor::COMMAND);
    assert_eq!(changed.await, Ok(true));
    assert!(!lives(&one, &by_password).await);
}

#[tokio::test]
async fn of_two_who_remove_each_other_one_stays() {
    const ROUNDS: u64 = 20;
    let database = database();
    let (one, other) = two_nodes(database.url()).await;
    for round in 0..ROUNDS {
        let pair = [
            user(2 * round, &format!("ada{round}@example.com")),
            user(2 * round + 1, &format!("bob{round}@example.com")),
        ];
        for user in &pair {
            let made = one.create_user(user.clone(), &Actor::COMMAND).await;
            assert_eq!(made, Ok(UserMade::Made));
        }
        // Whoever stayed before goes first, so that these two are alone.
        for user in one.users().await.expect(WORKS) {
            if !pair.contains(&user) {
                let gone = one.delete_user(user.id, now(), &Actor::COMMAND).await;
                assert_eq!(gone, Ok(UserDeleted::Gone));
            }
        }
        let (here, there) = tokio::join!(
            one.delete_user(pair[0].id, now(), &Actor::COMMAND),
            other.delete_user(pair[1].id, now(), &Actor::COMMAND),
        );
        let mut became = [here.expect(WORKS), there.expect(WORKS)];
        became.sort_by_key(|became| *became == UserDeleted::Last);
        assert_eq!(became, [UserDeleted::Gone, UserDeleted::Last]);
        assert_eq!(one.users().await.expect(WORKS).len(), 1);
    }
}

#[tokio::test]
async fn nobody_is_made_twice_under_one_address() {
    let database = database();
    let (one, other) = two_nodes(database.url()).await;
    let (here, there) = tokio::join!(
        one.create_user(user(1, "ada@example.com"), &Actor::COMMAND),
        other.create_user(user(2, "Ada@Example.com"), &Actor::COMMAND),
    );
    let mut became = [here.expect(WORKS), there.expect(WORKS)];
    became.sort_by_key(|became| *became == UserMade::EmailTaken);
    assert_eq!(became, [UserMade::Made, UserMade::EmailTaken]);
    let lines = sql(&database, "SELECT count(*) FROM audit_log");
    assert_eq!(lines.trim(), "1", "there is a line for the one that was");
}

#[tokio::test]
async fn users_are_made_beside_a_node() {
    let database = database();
    let node = Node::open(database.url()).await;
    let beside = PostgresStore::open_beside(database.url(), RootCertStore::empty())
        .await
        .expect("the database opens");
    let ada = user(1, "ada@example.com");
    let made = beside.create_user(ada.clone(), &Actor::COMMAND).await;
    assert_eq!(made, Ok(UserMade::Made));
    let found = node.store.user_by_email(&ada.email).await.expect(WORKS);
    assert_eq!(found, Some(ada));
}

#[tokio::test]
async fn a_session_of_somebody_who_was_removed_never_is() {
    let database = database();
    let (one, other) = two_nodes(database.url()).await;
    let (ada, bob) = (user(1, "ada@example.com"), user(2, "bob@example.com"));
    for user in [&ada, &bob] {
        one.create_user(user.clone(), &Actor::COMMAND)
            .await
            .expect(WORKS);
    }
    other
        .delete_user(ada.id, now(), &Actor::COMMAND)
        .await
        .expect(WORKS);
    let hash = [1; 32];
    one.open_session(hash, session(operator(&ada)), &Actor::COMMAND)
        .await
        .expect(WORKS);
    assert_eq!(one.session(&hash, now()).await, Ok(None));
    let stays = sql(&database, "SELECT count(*) FROM sessions");
    assert_eq!(stays.trim(), "0");
}
