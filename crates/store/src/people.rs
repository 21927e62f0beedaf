//! Who may use the portal: users, links that are good once, sessions.

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    company::CompanyId,
    email::Email,
    id::UserId,
    portal_token::TokenHash,
    time::UtcMillis,
    visitor::{Role, Visitor},
};

use crate::StoreError;

/// One of the platform's own people.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// `usr_…`.
    pub id: UserId,
    /// How they sign in.
    pub email: Email,
    /// The hash of their password, as a PHC string.
    pub password_hash: String,
    /// Since when.
    pub created: UtcMillis,
    /// When they last signed in.
    pub last_sign_in: Option<UtcMillis>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("User").field(&self.id).finish()
    }
}

/// What became of a user to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserMade {
    /// They may sign in.
    Made,
    /// Somebody else has this address.
    EmailTaken,
}

/// What became of a user to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserDeleted {
    /// They are gone, and so are their sessions.
    Gone,
    /// There is no such user.
    NotFound,
    /// They are the last one, without whom nobody could get in.
    Last,
}

/// What a link is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Opening the portal as somebody of a company.
    Enter {
        /// Whose.
        company: CompanyId,
        /// What they may do there.
        role: Role,
    },
    /// Making the first user, as long as there is none.
    Setup,
}

/// A link that is good once.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it is good for.
    pub purpose: LinkPurpose,
    /// Until when; a session that it opens ends then, too.
    pub expires: UtcMillis,
}

/// Somebody's stay in the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub visitor: Visitor,
    /// Since when.
    pub created: UtcMillis,
    /// Until when.
    pub expires: UtcMillis,
}

/// Whose sessions to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsOf {
    /// One user's.
    User(UserId),
    /// Everybody's who came by a link of this company.
    Company(CompanyId),
}

/// Who may use the portal. A session that was ended is ended on every node at once.
#[async_trait]
pub trait People: Send + Sync + 'static {
    /// Makes a user.
    async fn create_user(&self, user: User, by: &Actor) -> Result<UserMade, StoreError>;

    /// All of them, oldest first.
    async fn users(&self) -> Result<Vec<User>, StoreError>;

    /// The one with this address.
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError>;

    /// Sets a user's password and ends all of their sessions; false where there is no such user.
    async fn set_password(
        &self,
        id: UserId,
        password_hash: String,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError>;

    /// Removes a user and ends all of their sessions. The last one stays.
    async fn delete_user(
        &self,
        id: UserId,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<UserDeleted, StoreError>;

    /// Remembers a link.
    async fn create_link(&self, hash: TokenHash, link: Link) -> Result<(), StoreError>;

    /// What a link is good for, as long as it is good; leaves it so.
    async fn link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError>;

    /// Uses a link up: of all who try, on whichever node, one gets it.
    async fn use_link(&self, hash: &TokenHash, now: UtcMillis) -> Result<Option<Link>, StoreError>;

    /// Opens a session, and notes that a user signed in. The line of the audit log is `SignedIn`
    /// or `LinkOpened`.
    async fn open_session(
        &self,
        hash: TokenHash,
        session: Session,
        by: &Actor,
    ) -> Result<(), StoreError>;

    /// The session with this hash, as long as it lives.
    async fn session(
        &self,
        hash: &TokenHash,
        now: UtcMillis,
    ) -> Result<Option<Session>, StoreError>;

    /// Ends one session.
    async fn end_session(&self, hash: &TokenHash) -> Result<(), StoreError>;

    /// Ends all of somebody's sessions; says how many there were. Links into a company that nobody
    /// has opened yet are good no more.
    async fn end_sessions(
        &self,
        whose: &SessionsOf,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<u64, StoreError>;
}
