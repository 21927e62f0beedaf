//! API keys: who calls, for which company, and what they may do.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{company::CompanyId, id::ApiKeyId, random::Random, time::UtcMillis};

const PREFIX: &str = "tdg_";
const KEY_BYTES: usize = 32;
/// What base64url makes of them.
const KEY_CHARS: usize = 43;

/// The most characters of a key's name.
pub const KEY_NAME_CHARS_MAX: usize = 100;

/// The key itself: `tdg_` and 43 base64url characters. Shown once, stored as [`KeyHash`].
#[derive(Clone)]
pub struct ApiKeyToken(Zeroizing<String>);

/// The SHA-256 of a key: what the store keeps. 256 random bits need no salt and no slow hash.
pub type KeyHash = [u8; 32];

/// A text that is no API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be tdg_ and 43 base64url characters")]
pub struct InvalidApiKey;

impl ApiKeyToken {
    /// A new key of 32 random bytes.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random.fill(bytes.as_mut());
        Self(Zeroizing::new(format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode(bytes.as_ref())
        )))
    }

    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKey> {
        // What a key is compared by is its text, so the two bits that its last character has too
        // many may be anything.
        let is_key = text.strip_prefix(PREFIX).is_some_and(|rest| {
            let is_base64url =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            rest.len() == KEY_CHARS && rest.bytes().all(is_base64url)
        });
        if is_key {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(InvalidApiKey)
        }
    }

    /// The key as its holder knows it, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }
}

impl fmt::Debug for ApiKeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyToken(…)")
    }
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read and poll events.
    EventsRead,
    /// Publish.
    EventsWrite,
    /// Read subscriptions and the delivery log.
    WebhooksRead,
    /// Change subscriptions; includes reading them.
    WebhooksWrite,
    /// Everything, and keys.
    Admin,
}

impl Scope {
    /// Every scope, in the contract's order.
    pub const ALL: [Self; 5] = [
        Self::EventsRead,
        Self::EventsWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::Admin,
    ];

    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventsRead => "events:read",
            Self::EventsWrite => "events:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::Admin => "admin",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// Whether holding this scope allows what `wanted` allows.
    #[must_use]
    pub fn includes(self, wanted: Self) -> bool {
        self == wanted
            || self == Self::Admin
            || (self == Self::WebhooksWrite && wanted == Self::WebhooksRead)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A key without the key: who it belongs to and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// `key_…`.
    pub id: ApiKeyId,
    /// A name by and for people.
    pub name: String,
    /// Whose it is; none for the platform's own.
    pub company: Option<CompanyId>,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it ends, if ever.
    pub expires: Option<UtcMillis>,
    /// When it was made.
    pub created: UtcMillis,
    /// When it was last used, to the minute or so.
    pub last_used: Option<UtcMillis>,
}

impl ApiKey {
    /// Whether the key allows what `wanted` allows.
    #[must_use]
    pub fn allows(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.includes(wanted))
    }

    /// Whether the key has ended at `now`.
    #[must_use]
    pub fn is_expired_at(&self, now: UtcMillis) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_key_has_its_form() {
        let key = ApiKeyToken::generate(&SeededRandom::new(3));
        assert_eq!(key.expose().len(), 4 + 43);
        assert_eq!(ApiKeyToken::parse(key.expose()).unwrap().hash(), key.hash());
        assert_eq!(format!("{key:?}"), "ApiKeyToken(…)");
        // 32 bytes leave two bits of the last character over, which may be anything.
        for made_by_hand in [
            format!("tdg_{}", "x".repeat(43)),
            format!("tdg_{}-_", "A1".repeat(20) + "z"),
        ] {
            assert_eq!(
                ApiKeyToken::parse(&made_by_hand).unwrap().expose(),
                made_by_hand
            );
        }
        for text in [
            "",
            "tdg_",
            "tdg_short",
            &key.expose()[4..],
            &format!("{}A", key.expose()),
            &format!("tdg_{}+", "x".repeat(42)),
            &format!("tdg_{}=", "x".repeat(42)),
        ] {
            assert!(ApiKeyToken::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn scopes_include_what_the_contract_says() {
        use Scope::{Admin, EventsRead, EventsWrite, WebhooksRead, WebhooksWrite};
        assert!(WebhooksWrite.includes(WebhooksRead) && !WebhooksRead.includes(WebhooksWrite));
        assert!(Scope::ALL.iter().all(|&scope| Admin.includes(scope)));
        assert!(!EventsWrite.includes(EventsRead) && !WebhooksWrite.includes(Admin));
    }
}
