//! Sealing: signing secrets at rest are encrypted with AES-256-GCM under the installation's key.
//!
//! Source: NIST SP 800-38D; 96-bit random nonces, far below its 2^32 seals under one key.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use tidings_domain::random::Random;
use zeroize::Zeroizing;

/// The installation's key: 32 bytes that nothing else knows.
#[derive(Clone)]
pub struct EncryptionKey(Zeroizing<[u8; 32]>);

/// Why a sealed value does not open: another key, another owner, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open with this encryption key")]
pub struct SealingError;

/// A sealed value: nonce, ciphertext, tag.
pub type Sealed = Vec<u8>;

/// Seals and opens values under one key. Cloning shares it.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
    random: Arc<dyn Random>,
}

impl EncryptionKey {
    /// Takes the 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Another 32 bytes for another purpose (cursors, for one), from which the key does not
    /// follow.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        let mut bytes = [0; 32];
        // An HMAC-SHA256 tag has these 32 bytes.
        bytes.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
        bytes
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

impl Sealer {
    /// A sealer under `key`, with nonces from `random`.
    #[must_use]
    pub fn new(key: &EncryptionKey, random: Arc<dyn Random>) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key.0.as_ref());
        // The only error is a wrong length, and the type has the right one.
        let key = LessSafeKey::new(unbound.expect("AES-256 takes 32 bytes"));
        Self {
            key: Arc::new(key),
            random,
        }
    }

    /// Seals `plain` for `owner`: it opens for the same owner only.
    #[must_use]
    pub fn seal(&self, owner: &[u8], plain: &str) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        let mut sealed = nonce.to_vec();
        let mut text = Zeroizing::new(plain.as_bytes().to_vec());
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner),
                &mut text,
            )
            .expect("a text far below the cipher's limit of 64 GiB");
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`Sealer::seal`] made for the same owner.
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Result<Zeroizing<String>, SealingError> {
        let (nonce, text) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealingError)?;
        let mut text = Zeroizing::new(text.to_vec());
        let plain = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(owner),
                &mut text,
            )
            .map_err(|_| SealingError)?;
        let plain = std::str::from_utf8(plain).map_err(|_| SealingError)?;
        Ok(Zeroizing::new(plain.to_owned()))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;

    #[test]
    fn opens_for_its_owner_and_key_only() {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let sealer = Sealer::new(&EncryptionKey::new([1; 32]), Arc::clone(&random));
        let locked = sealer.seal(b"owner", "secret");
        assert!(!locked.windows(6).any(|part| part == b"secret"));
        assert_eq!(sealer.open(b"owner", &locked).unwrap().as_str(), "secret");
        assert_eq!(sealer.open(b"other", &locked), Err(SealingError));
        assert_eq!(sealer.open(b"owner", &locked[1..]), Err(SealingError));
        assert_eq!(sealer.open(b"owner", b""), Err(SealingError));
        let other = Sealer::new(&EncryptionKey::new([2; 32]), random);
        assert_eq!(other.open(b"owner", &locked), Err(SealingError));
        assert_ne!(sealer.seal(b"owner", "secret"), locked, "nonces differ");
    }
}
