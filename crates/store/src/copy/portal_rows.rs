//! Rows of what belongs to the portal, on their way from one database to another; see
//! [`super::Rows`] for the others.

use tidings_domain::figures::ELAPSED_CLASSES;

use crate::Seq;

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Its number, in the order of making.
    pub seq: i64,
    /// Its id.
    pub id: [u8; 16],
    /// How they sign in.
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
    /// When they were made.
    pub created_ms: i64,
    /// When they last signed in.
    pub last_sign_in_ms: Option<i64>,
}

impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UserRow").field(&self.seq).finish()
    }
}

/// A link that is good once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its number, in the order of making.
    pub seq: i64,
    /// How it is found.
    pub hash: [u8; 32],
    /// The word for what it is good for.
    pub purpose: String,
    /// Into which company it leads.
    pub company: Option<String>,
    /// In which role.
    pub role: Option<String>,
    /// When it ends.
    pub expires_ms: i64,
}

/// A session of the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its number, in the order of opening.
    pub seq: i64,
    /// How it is found.
    pub hash: [u8; 32],
    /// The user's id; none for somebody of a company.
    pub user: Option<[u8; 16]>,
    /// The company of somebody who is no user.
    pub company: Option<String>,
    /// Their role.
    pub role: Option<String>,
    /// When it was opened.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number, in the order of the log.
    pub seq: i64,
    /// When.
    pub at_ms: i64,
    /// None for the platform's own affairs.
    pub company: Option<String>,
    /// The word for who it was.
    pub actor_kind: String,
    /// Their id, where they have one.
    pub actor_id: Option<[u8; 16]>,
    /// What they were called, where they have a name.
    pub actor_name: Option<String>,
    /// From which IP address.
    pub address: Option<String>,
    /// The word for what was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// A list as JSON.
    pub changes: String,
}

/// The figures of one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureRow {
    /// The number of the resolution.
    pub resolution: i16,
    /// Where the stretch begins.
    pub start_ms: i64,
    /// Which subscription; 0 for all of them together.
    pub subscription: Seq,
    /// Whose; empty for all companies together.
    pub company: String,
    /// Events published.
    pub published: i64,
    /// Attempts that succeeded.
    pub succeeded: i64,
    /// Attempts that failed.
    pub failed: i64,
    /// Attempts by the classes of how long they took.
    pub elapsed: [i64; ELAPSED_CLASSES],
}

/// A type of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTypeRow {
    /// Its number, in the order of making.
    pub seq: i64,
    /// Its name.
    pub name: String,
    /// A text by and for people.
    pub description: String,
    /// An object as JSON.
    pub sample_payload: Option<String>,
    /// A JSON Schema.
    pub schema: Option<String>,
    /// Whether it should not be used any more.
    pub deprecated: bool,
}
