//! Signing secrets: what a subscription and its receiver share.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::random::Random;

const PREFIX: &str = "whsec_";
const GENERATED_BYTES: usize = 32;
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const PLAIN_CHARS: std::ops::RangeInclusive<usize> = 24..=128;

/// A signing secret as it was shown to the receiver. Wiped from memory when dropped, and shown by
/// neither `Debug` nor `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Why a text is no signing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// `whsec_` promises base64.
    #[error("after whsec_ must come the standard, padded base64 of 24 to 64 bytes")]
    Base64,
    /// Any other secret.
    #[error("must be whsec_ and base64 of 24 to 64 bytes, or 24 to 128 printable ASCII characters")]
    Plain,
}

impl Secret {
    /// A new secret of 32 random bytes.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; GENERATED_BYTES]);
        random.fill(bytes.as_mut());
        Self(Zeroizing::new(format!(
            "{PREFIX}{}",
            STANDARD.encode(bytes.as_ref())
        )))
    }

    /// Takes a secret that a caller brings along.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        if let Some(encoded) = text.strip_prefix(PREFIX) {
            let key = STANDARD.decode(encoded).map(Zeroizing::new);
            if !key.is_ok_and(|key| KEY_BYTES.contains(&key.len())) {
                return Err(InvalidSecret::Base64);
            }
        } else {
            let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !printable || !PLAIN_CHARS.contains(&text.len()) {
                return Err(InvalidSecret::Plain);
            }
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret as the receiver knows it. Callers put it into the one answer that shows it, or
    /// seal it; nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of Standard Webhooks signatures: the decoded bytes after `whsec_`, or the bytes of
    /// the text itself.
    #[must_use]
    pub fn key(&self) -> Zeroizing<Vec<u8>> {
        let decoded = self
            .0
            .strip_prefix(PREFIX)
            .and_then(|text| STANDARD.decode(text).ok());
        Zeroizing::new(decoded.unwrap_or_else(|| self.0.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_generated_secret_is_whsec_and_32_bytes() {
        let secret = Secret::generate(&SeededRandom::new(1));
        assert_eq!(secret.key().len(), 32);
        assert_eq!(Secret::parse(secret.expose()), Ok(secret));
    }

    #[test]
    fn a_plain_secret_is_its_own_key() {
        let text = "twenty-four characters!!";
        assert_eq!(
            Secret::parse(text).unwrap().key().as_slice(),
            text.as_bytes()
        );
    }

    #[test]
    fn refuses_the_weak_and_the_garbled() {
        let encode = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        assert!(Secret::parse(&encode(24)).is_ok() && Secret::parse(&encode(64)).is_ok());
        for text in [
            encode(23),
            encode(65),
            "whsec_".into(),
            "whsec_not base64 at all!!!!!!".into(),
        ] {
            assert_eq!(Secret::parse(&text), Err(InvalidSecret::Base64), "{text}");
        }
        for text in [
            "short".into(),
            "x".repeat(129),
            "ä".repeat(30),
            "tab\tin the middle of it, yes".into(),
        ] {
            assert_eq!(Secret::parse(&text), Err(InvalidSecret::Plain), "{text}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::generate(&SeededRandom::new(1));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
