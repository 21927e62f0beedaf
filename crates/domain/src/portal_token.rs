//! The secrets by which the portal knows a browser: links that are good once, and sessions.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::random::Random;

const TOKEN_BYTES: usize = 32;

/// 32 random bytes as 43 base64url characters: in a link or a cookie. Stored as [`TokenHash`].
#[derive(Clone)]
pub struct PortalToken(Zeroizing<String>);

/// The SHA-256 of a token: what the store keeps. 256 random bits need no salt and no slow hash.
pub type TokenHash = [u8; 32];

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 43 base64url characters")]
pub struct InvalidPortalToken;

impl PortalToken {
    /// A new one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        random.fill(bytes.as_mut());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref())))
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, InvalidPortalToken> {
        match URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new) {
            Ok(bytes) if bytes.len() == TOKEN_BYTES => Ok(Self(Zeroizing::new(text.to_owned()))),
            _ => Err(InvalidPortalToken),
        }
    }

    /// The token as its holder knows it, for the one link or cookie that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }
}

impl fmt::Debug for PortalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortalToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_token_reads_back_and_is_not_printed() {
        let token = PortalToken::generate(&SeededRandom::new(1));
        let read = PortalToken::parse(token.expose()).unwrap();
        assert_eq!(read.hash(), token.hash());
        assert_eq!(format!("{token:?}"), "PortalToken(…)");
        for text in ["", "short", &"A".repeat(44), &"!".repeat(43)] {
            assert!(PortalToken::parse(text).is_err(), "{text}");
        }
    }
}
