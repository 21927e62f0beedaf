//! The audit log's lines: who changed what, when, from where. Never a secret.

use crate::{actor::Actor, company::CompanyId, time::UtcMillis};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A subscription was made.
    SubscriptionCreated,
    /// A subscription was changed.
    SubscriptionUpdated,
    /// A subscription was enabled.
    SubscriptionEnabled,
    /// A subscription was disabled.
    SubscriptionDisabled,
    /// A subscription was deleted.
    SubscriptionDeleted,
    /// A subscription got another signing secret.
    SecretRotated,
    /// A delivery was asked for once more.
    Redelivered,
    /// A window of events was asked for once more.
    Replayed,
    /// An API key was made.
    KeyCreated,
    /// An API key was revoked.
    KeyRevoked,
    /// A user was made.
    UserCreated,
    /// A user was removed.
    UserDeleted,
    /// A user got another password.
    PasswordChanged,
    /// Somebody signed in with a password.
    SignedIn,
    /// Somebody came by a link.
    LinkOpened,
    /// All sessions of somebody were ended.
    SignedOutEverywhere,
    /// An event type of the catalog was made or changed.
    EventTypeSaved,
    /// An event type of the catalog was removed.
    EventTypeDeleted,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 18] = [
        Self::SubscriptionCreated,
        Self::SubscriptionUpdated,
        Self::SubscriptionEnabled,
        Self::SubscriptionDisabled,
        Self::SubscriptionDeleted,
        Self::SecretRotated,
        Self::Redelivered,
        Self::Replayed,
        Self::KeyCreated,
        Self::KeyRevoked,
        Self::UserCreated,
        Self::UserDeleted,
        Self::PasswordChanged,
        Self::SignedIn,
        Self::LinkOpened,
        Self::SignedOutEverywhere,
        Self::EventTypeSaved,
        Self::EventTypeDeleted,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SubscriptionCreated => "subscription.created",
            Self::SubscriptionUpdated => "subscription.updated",
            Self::SubscriptionEnabled => "subscription.enabled",
            Self::SubscriptionDisabled => "subscription.disabled",
            Self::SubscriptionDeleted => "subscription.deleted",
            Self::SecretRotated => "subscription.secret_rotated",
            Self::Redelivered => "delivery.redelivered",
            Self::Replayed => "subscription.replayed",
            Self::KeyCreated => "key.created",
            Self::KeyRevoked => "key.revoked",
            Self::UserCreated => "user.created",
            Self::UserDeleted => "user.deleted",
            Self::PasswordChanged => "user.password_changed",
            Self::SignedIn => "session.signed_in",
            Self::LinkOpened => "session.link_opened",
            Self::SignedOutEverywhere => "session.signed_out_everywhere",
            Self::EventTypeSaved => "event_type.saved",
            Self::EventTypeDeleted => "event_type.deleted",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// What one field was and is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldChange {
    /// The field, as the API calls it.
    pub field: String,
    /// What it was; none where it was nothing.
    pub before: Option<String>,
    /// What it is; none where it is nothing.
    pub after: Option<String>,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: UtcMillis,
    /// In whose affairs; none for the platform's own.
    pub company: Option<CompanyId>,
    /// By whom and from where.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To what: an id as it is shown, or a name.
    pub target: String,
    /// Which fields changed.
    pub changes: Vec<FieldChange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
    }
}
