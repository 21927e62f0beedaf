//! Cursors: where a reader stands, opaque to it and good for ever.
//!
//! A cursor carries the listing it belongs to, the company, the order and the filters, under a
//! message authentication code: one that was changed, or is used elsewhere, is noticed. Its content
//! is encrypted, since a place in the log tells how much all companies together have published. The
//! code is what the encryption begins with, so equal cursors have equal text, and different ones
//! never share a key stream: the construction is SIV's (Rogaway and Shrimpton, 2006) with HMAC.

use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

const MAC_BYTES: usize = 16;
/// What the encryption key is derived for, under the cursors' own.
const ENCRYPTION: &[u8] = b"tidings cursors: encryption";
/// The most characters of a cursor that is worth decoding.
const CURSOR_CHARS_MAX: usize = 32 * 1024;

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// What a cursor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which listing: `events`, `subscriptions`, `attempts`.
    pub listing: String,
    /// Whose: a company, or the subscription of a delivery log.
    pub owner: String,
    /// In which order.
    pub order: Order,
    /// The listing's filters in a normal form, so that equal filters have equal text.
    pub filters: Vec<String>,
    /// The place after which to go on: positions beyond it in the listing's order come next.
    pub position: i64,
}

/// A cursor that was changed, cut off, or made by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of this server, or was changed")]
pub struct InvalidCursor;

/// Seals and opens cursors.
pub struct CursorKey {
    mac: hmac::Key,
    cipher: DecryptingKey,
}

impl CursorKey {
    /// A key from the installation's own secret bytes, which must stay the same for cursors to
    /// stay valid.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never panics, as said below")]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        // The two agree on 32 bytes whatever the key is, so this cannot panic.
        let cipher = UnboundCipherKey::new(&AES_256, hmac::sign(&mac, ENCRYPTION).as_ref())
            .and_then(DecryptingKey::ctr)
            .expect("HMAC-SHA256 gives the 32 bytes that AES-256 takes");
        Self { mac, cipher }
    }

    /// Encrypts and decrypts, which are the same in counter mode. None where the library fails.
    fn cross(&self, mac: [u8; MAC_BYTES], content: &mut [u8]) -> Option<()> {
        let begin = DecryptionContext::Iv128(mac.into());
        self.cipher.decrypt(content, begin).ok().map(drop)
    }

    fn mac(&self, content: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&hmac::sign(&self.mac, content).as_ref()[..MAC_BYTES]);
        mac
    }

    /// The cursor's text: base64url without padding.
    #[must_use]
    pub fn seal(&self, cursor: &Cursor) -> String {
        let order = match cursor.order {
            Order::Ascending => "a",
            Order::Descending => "d",
        };
        // serde_json cannot fail on strings and integers.
        let mut content = serde_json::to_vec(&(
            &cursor.listing,
            &cursor.owner,
            order,
            &cursor.filters,
            cursor.position,
        ))
        .unwrap_or_default();
        let mac = self.mac(&content);
        // It cannot fail with a key and a beginning of the right sizes; a cursor that was not
        // encrypted would not open.
        let _ = self.cross(mac, &mut content);
        let mut bytes = mac.to_vec();
        bytes.extend(content);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor back.
    pub fn open(&self, text: &str) -> Result<Cursor, InvalidCursor> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(InvalidCursor);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (mac, content) = bytes
            .split_first_chunk_mut::<MAC_BYTES>()
            .ok_or(InvalidCursor)?;
        self.cross(*mac, content).ok_or(InvalidCursor)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(mac, &self.mac(content))
            .map_err(|_| InvalidCursor)?;
        let (listing, owner, order, filters, position): (String, String, String, _, _) =
            serde_json::from_slice(content).map_err(|_| InvalidCursor)?;
        let order = if order == "d" {
            Order::Descending
        } else {
            Order::Ascending
        };
        Ok(Cursor {
            listing,
            owner,
            order,
            filters,
            position,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_back_and_notices_every_change(
            position: i64, owner in "[a-z]{1,9}", filters: Vec<String>, at: usize, flip in 1..64_u8,
        ) {
            let key = CursorKey::new(&[7; 32]);
            let cursor = Cursor {
                listing: "events".into(), owner, order: Order::Descending, filters, position,
            };
            let text = key.seal(&cursor);
            prop_assert_eq!(key.open(&text), Ok(cursor.clone()));
            let content = URL_SAFE_NO_PAD.decode(&text).unwrap().split_off(MAC_BYTES);
            prop_assert!(!content.starts_with(b"[\"events"), "it can be read");
            prop_assert_eq!(&key.seal(&cursor), &text);
            prop_assert_eq!(CursorKey::new(&[8; 32]).open(&text), Err(InvalidCursor));
            let mut changed = text.clone().into_bytes();
            let at = at % changed.len();
            changed[at] ^= flip;
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert_eq!(key.open(&changed), Err(InvalidCursor));
            }
            prop_assert_eq!(key.open(&text[..at]), Err(InvalidCursor));
        }
    }
}
