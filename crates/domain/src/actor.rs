//! Actors: by whom, and from where, something was changed.

use std::net::IpAddr;

use crate::{api_key::ApiKey, id::ApiKeyId, id::UserId, visitor::Role, visitor::Visitor};

/// Where a request came from, as the listener found out: the peer, or what a trusted proxy says of
/// it. Travels with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// By whom, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// By whom.
    pub who: Who,
    /// From which address; none where it did not come over the network.
    pub address: Option<IpAddr>,
}

/// By whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A program with an API key.
    Key {
        /// `key_…`.
        id: ApiKeyId,
        /// What the key was called at that time.
        name: String,
        /// Whether it is one of the platform's own, which belong to no company.
        platform: bool,
    },
    /// One of the platform's own people, in the portal.
    Operator {
        /// `usr_…`.
        id: UserId,
        /// What they were called at that time.
        email: String,
    },
    /// Somebody of the company, in the portal.
    Guest(Role),
    /// The server itself, by a rule.
    Server,
    /// A command on the machine.
    Command,
}

impl Actor {
    /// The server itself.
    pub const SERVER: Self = Self {
        who: Who::Server,
        address: None,
    };
    /// A command on the machine.
    pub const COMMAND: Self = Self {
        who: Who::Command,
        address: None,
    };

    /// A program with an API key.
    #[must_use]
    pub fn key(key: &ApiKey, address: Option<IpAddr>) -> Self {
        let who = Who::Key {
            id: key.id,
            name: key.name.clone(),
            platform: key.company.is_none(),
        };
        Self { who, address }
    }

    /// A visitor of the portal.
    #[must_use]
    pub fn visitor(visitor: &Visitor, address: Option<IpAddr>) -> Self {
        let who = match visitor {
            Visitor::Operator { id, email } => Who::Operator {
                id: *id,
                email: email.to_string(),
            },
            Visitor::Guest { role, .. } => Who::Guest(*role),
        };
        Self { who, address }
    }
}

impl Who {
    /// The word by which a store keeps the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key { platform: true, .. } => "platform-key",
            Self::Key { .. } => "key",
            Self::Operator { .. } => "operator",
            Self::Guest(Role::Admin) => "admin",
            Self::Guest(Role::Viewer) => "viewer",
            Self::Server => "server",
            Self::Command => "command",
        }
    }

    /// The 16 bytes of the id, where it has one.
    #[must_use]
    pub fn id_bytes(&self) -> Option<&[u8; 16]> {
        match self {
            Self::Key { id, .. } => Some(id.as_bytes()),
            Self::Operator { id, .. } => Some(id.as_bytes()),
            Self::Guest(_) | Self::Server | Self::Command => None,
        }
    }

    /// The name at that time, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Key { name, .. } => Some(name),
            Self::Operator { email, .. } => Some(email),
            Self::Guest(_) | Self::Server | Self::Command => None,
        }
    }

    /// Put together again from what a store keeps; none where that is nobody.
    #[must_use]
    pub fn from_parts(kind: &str, id: Option<[u8; 16]>, name: Option<String>) -> Option<Self> {
        Some(match kind {
            "key" | "platform-key" => Self::Key {
                id: ApiKeyId::from_bytes(id?),
                name: name?,
                platform: kind == "platform-key",
            },
            "operator" => Self::Operator {
                id: UserId::from_bytes(id?),
                email: name?,
            },
            "admin" => Self::Guest(Role::Admin),
            "viewer" => Self::Guest(Role::Viewer),
            "server" => Self::Server,
            "command" => Self::Command,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_put_together_again() {
        for who in [
            Who::Key {
                id: ApiKeyId::from_bytes([1; 16]),
                name: "ci".to_owned(),
                platform: false,
            },
            Who::Key {
                id: ApiKeyId::from_bytes([1; 16]),
                name: "ci".to_owned(),
                platform: true,
            },
            Who::Operator {
                id: UserId::from_bytes([2; 16]),
                email: "ada@example.com".to_owned(),
            },
            Who::Guest(Role::Admin),
            Who::Guest(Role::Viewer),
            Who::Server,
            Who::Command,
        ] {
            let name = who.name().map(str::to_owned);
            let again = Who::from_parts(who.kind(), who.id_bytes().copied(), name);
            assert_eq!(again, Some(who));
        }
        assert_eq!(Who::from_parts("nobody", None, None), None);
        assert_eq!(Who::from_parts("key", None, None), None);
        assert_eq!(Who::from_parts("platform-key", None, None), None);
    }
}
