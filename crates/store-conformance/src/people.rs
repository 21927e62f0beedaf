//! Who may use the portal: users, links that are good once, sessions, and how they end.

use futures_util::future::join_all;
use tidings_domain::{
    actor::{Actor, Who},
    email::Email,
    id::UserId,
    portal_token::{PortalToken, TokenHash},
    visitor::{Role, Visitor},
};
use tidings_store::{
    Link, LinkPurpose, Retention, Session, SessionsOf, User, UserDeleted, UserMade,
};

use crate::{
    Harness,
    scenario::{BY, SECOND_MS, Scenario, WORKS, acme, company},
};

/// How long links and sessions of these cases are good, in milliseconds.
const GOOD_MS: i64 = 60 * SECOND_MS;
/// How many try to use one link at the same time.
const RACERS: usize = 8;

pub(crate) async fn a_user_reads_back(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    scenario.advance(1);
    let ben = scenario.make_user("ben@example.com").await;
    let nobody = email("nobody@example.com");
    for _ in 0..2 {
        let store = scenario.store();
        assert_eq!(store.users().await, Ok(vec![ada.clone(), ben.clone()]));
        assert_eq!(store.user_by_email(&ben.email).await, Ok(Some(ben.clone())));
        assert_eq!(store.user_by_email(&nobody).await, Ok(None));
        scenario.crash().await;
    }
}

pub(crate) async fn an_address_belongs_to_one_user(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    let other = User {
        id: UserId::new(scenario.now(), scenario.random()),
        password_hash: "another".to_owned(),
        ..ada.clone()
    };
    let made = scenario.store().create_user(other.clone(), &BY).await;
    assert_eq!(made, Ok(UserMade::EmailTaken));
    assert_eq!(scenario.store().users().await, Ok(vec![ada.clone()]));
    // Somebody who is gone gives it back.
    scenario.make_user("ben@example.com").await;
    assert_eq!(scenario.delete_user(&ada).await, UserDeleted::Gone);
    let made = scenario.store().create_user(other, &BY).await;
    assert_eq!(made, Ok(UserMade::Made));
}

pub(crate) async fn the_last_user_stays(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    assert_eq!(scenario.delete_user(&ada).await, UserDeleted::Last);
    let ben = scenario.make_user("ben@example.com").await;
    let bens = scenario.open(operator(&ben)).await;
    let adas = scenario.open(operator(&ada)).await;
    assert_eq!(scenario.delete_user(&ben).await, UserDeleted::Gone);
    assert_eq!(scenario.delete_user(&ben).await, UserDeleted::NotFound);
    assert_eq!(scenario.delete_user(&ada).await, UserDeleted::Last);
    for _ in 0..2 {
        assert_eq!(scenario.session(&bens).await, None);
        assert_eq!(scenario.visitor(&adas).await, Some(operator(&ada)));
        let users = scenario.store().users().await.expect(WORKS);
        let ids: Vec<_> = users.iter().map(|user| user.id).collect();
        assert_eq!(ids, [ada.id]);
        scenario.crash().await;
    }
    // Who was removed while signing in is not let in.
    let late = scenario.open(operator(&ben)).await;
    assert_eq!(scenario.session(&late).await, None);
}

pub(crate) async fn a_new_password_ends_every_session(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    let ben = scenario.make_user("ben@example.com").await;
    let adas = [
        scenario.open(operator(&ada)).await,
        scenario.open(operator(&ada)).await,
    ];
    let bens = scenario.open(operator(&ben)).await;
    let set = async |id| {
        let store = scenario.store();
        let hash = "$argon2id$another".to_owned();
        store.set_password(id, hash, scenario.now(), &BY).await
    };
    let unknown = UserId::new(scenario.now(), scenario.random());
    assert_eq!(set(unknown).await, Ok(false));
    assert!(scenario.session(&adas[0]).await.is_some());
    assert_eq!(set(ada.id).await, Ok(true));
    for _ in 0..2 {
        for ended in &adas {
            assert_eq!(scenario.session(ended).await, None);
        }
        assert!(scenario.session(&bens).await.is_some());
        let found = scenario.store().user_by_email(&ada.email).await;
        let found = found.expect(WORKS).expect("she is still there");
        assert_eq!(found.password_hash, "$argon2id$another");
        scenario.crash().await;
    }
}

pub(crate) async fn a_link_is_good_once(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    for role in [Role::Admin, Role::Viewer] {
        let purpose = enter(role);
        let hash = scenario.make_link(purpose.clone()).await;
        let unknown = scenario.token();
        scenario.crash().await;
        for _ in 0..2 {
            let link = scenario.link(&hash).await.expect("looking leaves it good");
            assert_eq!(link.purpose, purpose);
            assert_eq!(link.expires, scenario.later(GOOD_MS));
        }
        assert!(scenario.link(&unknown).await.is_none());
        assert!(scenario.use_link(&unknown).await.is_none());
        let used = scenario.use_link(&hash).await.expect("it is good");
        assert_eq!(
            (used.purpose, used.expires),
            (purpose, scenario.later(GOOD_MS))
        );
        for _ in 0..2 {
            assert!(scenario.link(&hash).await.is_none());
            assert!(scenario.use_link(&hash).await.is_none());
            scenario.crash().await;
        }
    }
}

pub(crate) async fn a_link_ends_in_time(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (used, unused) = (
        scenario.make_link(enter(Role::Admin)).await,
        scenario.make_link(enter(Role::Admin)).await,
    );
    scenario.advance(GOOD_MS - 1);
    assert!(scenario.link(&unused).await.is_some());
    assert!(scenario.use_link(&used).await.is_some());
    scenario.advance(1);
    assert!(scenario.link(&unused).await.is_none());
    assert!(scenario.use_link(&unused).await.is_none());
}

pub(crate) async fn of_many_who_use_a_link_one_gets_it(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    for _ in 0..5 {
        let hash = scenario.make_link(enter(Role::Viewer)).await;
        let tries = (0..RACERS).map(|_| scenario.use_link(&hash));
        let got = join_all(tries).await.into_iter().flatten().count();
        assert_eq!(got, 1);
    }
}

pub(crate) async fn a_setup_link_is_good_as_long_as_there_is_no_user(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let (first, second) = (
        scenario.make_link(LinkPurpose::Setup).await,
        scenario.make_link(LinkPurpose::Setup).await,
    );
    for hash in [&first, &second] {
        let link = scenario.link(hash).await.expect("there is no user");
        assert_eq!(link.purpose, LinkPurpose::Setup);
    }
    assert!(scenario.use_link(&first).await.is_some());
    scenario.make_user("ada@example.com").await;
    assert!(scenario.link(&second).await.is_none());
    assert!(scenario.use_link(&second).await.is_none());
    let others = scenario.make_link(enter(Role::Viewer)).await;
    assert!(scenario.use_link(&others).await.is_some());
}

pub(crate) async fn a_session_reads_back_until_it_ends(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    let visitors = [
        operator(&ada),
        guest("acme", Role::Admin),
        guest("acme", Role::Viewer),
    ];
    let opened = scenario.now();
    let mut hashes = Vec::new();
    for visitor in &visitors {
        hashes.push(scenario.open(visitor.clone()).await);
    }
    let unknown = scenario.token();
    scenario.advance(GOOD_MS - 1);
    for _ in 0..2 {
        for (hash, visitor) in hashes.iter().zip(&visitors) {
            let expected = Session {
                visitor: visitor.clone(),
                created: opened,
                expires: opened.plus_millis(GOOD_MS),
            };
            assert_eq!(scenario.session(hash).await, Some(expected));
        }
        assert_eq!(scenario.session(&unknown).await, None);
        scenario.crash().await;
    }
    // One of them signs out; who signs out twice has no harm.
    for _ in 0..2 {
        assert_eq!(scenario.store().end_session(&hashes[1]).await, Ok(()));
        assert_eq!(scenario.session(&hashes[1]).await, None);
    }
    assert!(scenario.session(&hashes[2]).await.is_some());
    scenario.crash().await;
    assert_eq!(scenario.session(&hashes[1]).await, None);
    scenario.advance(1);
    for hash in &hashes {
        assert_eq!(scenario.session(hash).await, None, "its time is over");
    }
}

pub(crate) async fn all_of_somebodys_sessions_end_at_once(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    let ben = scenario.make_user("ben@example.com").await;
    let expired = scenario.open(guest("acme", Role::Admin)).await;
    scenario.advance(GOOD_MS);
    let of_acme = [
        scenario.open(guest("acme", Role::Admin)).await,
        scenario.open(guest("acme", Role::Viewer)).await,
    ];
    let of_ada = [scenario.open(operator(&ada)).await];
    let others = [
        scenario.open(guest("globex", Role::Admin)).await,
        scenario.open(operator(&ben)).await,
    ];
    let into_acme = scenario.make_link(enter(Role::Admin)).await;
    let into_globex = LinkPurpose::Enter {
        company: company("globex"),
        role: Role::Admin,
    };
    let into_globex = scenario.make_link(into_globex).await;
    assert_eq!(scenario.end_all(&SessionsOf::Company(acme())).await, 2);
    assert!(scenario.link(&into_acme).await.is_none(), "a way back in");
    assert!(scenario.link(&into_globex).await.is_some());
    assert_eq!(scenario.end_all(&SessionsOf::Company(acme())).await, 0);
    assert_eq!(scenario.end_all(&SessionsOf::User(ada.id)).await, 1);
    for _ in 0..2 {
        for ended in of_acme.iter().chain(&of_ada).chain([&expired]) {
            assert_eq!(scenario.session(ended).await, None);
        }
        for other in &others {
            assert!(scenario.session(other).await.is_some());
        }
        scenario.crash().await;
    }
}

pub(crate) async fn the_last_sign_in_is_noted(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let ada = scenario.make_user("ada@example.com").await;
    let ben = scenario.make_user("ben@example.com").await;
    assert_eq!((ada.last_sign_in, ben.last_sign_in), (None, None));
    for _ in 0..2 {
        scenario.advance(SECOND_MS);
        scenario.open(operator(&ada)).await;
        scenario.crash().await;
        let users = scenario.store().users().await.expect(WORKS);
        let noted: Vec<_> = users.iter().map(|user| user.last_sign_in).collect();
        assert_eq!(noted, [Some(scenario.now()), None]);
    }
}

pub(crate) async fn what_expired_is_swept_out(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let made = scenario.now();
    let old = (
        scenario.make_link(enter(Role::Viewer)).await,
        scenario.open(guest("acme", Role::Viewer)).await,
    );
    scenario.advance(GOOD_MS / 2);
    let young = (
        scenario.make_link(enter(Role::Viewer)).await,
        scenario.open(guest("acme", Role::Viewer)).await,
    );
    scenario.advance(GOOD_MS / 2);
    scenario.sweep().await;
    // Asked as of the time when they were good, what is gone shows.
    let there = async |(link, session): &(TokenHash, TokenHash)| {
        let store = scenario.store();
        let link = store.link(link, made).await.expect(WORKS).is_some();
        let session = store.session(session, made).await.expect(WORKS).is_some();
        (link, session)
    };
    assert_eq!(there(&old).await, (false, false));
    assert_eq!(there(&young).await, (true, true));
    let keeps_all = Retention {
        events_ms: None,
        attempts_ms: None,
    };
    let more = scenario.store().tidy(scenario.now(), keeps_all).await;
    assert_eq!(more, Ok(false));
}

impl Scenario<'_> {
    pub(crate) async fn make_user(&self, address: &str) -> User {
        let user = User {
            id: UserId::new(self.now(), self.random()),
            email: email(address),
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
            created: self.now(),
            last_sign_in: None,
        };
        let made = self.store().create_user(user.clone(), &BY).await;
        assert_eq!(made, Ok(UserMade::Made));
        user
    }

    async fn delete_user(&self, user: &User) -> UserDeleted {
        let deleted = self.store().delete_user(user.id, self.now(), &BY).await;
        deleted.expect(WORKS)
    }

    /// The hash of a token like no other.
    pub(crate) fn token(&self) -> TokenHash {
        PortalToken::generate(self.random()).hash()
    }

    async fn make_link(&self, purpose: LinkPurpose) -> TokenHash {
        let hash = self.token();
        let link = Link {
            purpose,
            expires: self.later(GOOD_MS),
        };
        self.store().create_link(hash, link).await.expect(WORKS);
        hash
    }

    async fn link(&self, hash: &TokenHash) -> Option<Link> {
        self.store().link(hash, self.now()).await.expect(WORKS)
    }

    async fn use_link(&self, hash: &TokenHash) -> Option<Link> {
        self.store().use_link(hash, self.now()).await.expect(WORKS)
    }

    /// Opens a session by whom it is for.
    pub(crate) async fn open(&self, visitor: Visitor) -> TokenHash {
        let hash = self.token();
        let by = Actor::visitor(&visitor, None);
        let session = Session {
            visitor,
            created: self.now(),
            expires: self.later(GOOD_MS),
        };
        let opened = self.store().open_session(hash, session, &by).await;
        opened.expect(WORKS);
        hash
    }

    async fn session(&self, hash: &TokenHash) -> Option<Session> {
        self.store().session(hash, self.now()).await.expect(WORKS)
    }

    async fn visitor(&self, hash: &TokenHash) -> Option<Visitor> {
        self.session(hash).await.map(|session| session.visitor)
    }

    pub(crate) async fn end_all(&self, whose: &SessionsOf) -> u64 {
        let by = Actor {
            who: Who::Guest(Role::Admin),
            address: None,
        };
        let ended = self.store().end_sessions(whose, self.now(), &by).await;
        ended.expect(WORKS)
    }
}

fn email(address: &str) -> Email {
    Email::parse(address).expect("an address")
}

fn enter(role: Role) -> LinkPurpose {
    LinkPurpose::Enter {
        company: acme(),
        role,
    }
}

/// A user in front of the browser.
pub(crate) fn operator(user: &User) -> Visitor {
    Visitor::Operator {
        id: user.id,
        email: user.email.clone(),
    }
}

/// Somebody of a company.
pub(crate) fn guest(of: &str, role: Role) -> Visitor {
    Visitor::Guest {
        company: company(of),
        role,
    }
}
