//! Cursors: where a reader stands, opaque to it and good for ever.
//!
//! A cursor carries the listing it belongs to, the company, the order and the filters, under a
//! message authentication code: one that was changed, or is used elsewhere, is noticed.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

const MAC_BYTES: usize = 16;
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
    /// Whose.
    pub company: String,
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
pub struct CursorKey(hmac::Key);

impl CursorKey {
    /// A key from the installation's own secret bytes, which must stay the same for cursors to
    /// stay valid.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The cursor's text: base64url without padding.
    #[must_use]
    pub fn seal(&self, cursor: &Cursor) -> String {
        let order = match cursor.order {
            Order::Ascending => "a",
            Order::Descending => "d",
        };
        // serde_json cannot fail on strings and integers.
        let content = serde_json::to_vec(&(
            &cursor.listing,
            &cursor.company,
            order,
            &cursor.filters,
            cursor.position,
        ))
        .unwrap_or_default();
        let mut bytes = hmac::sign(&self.0, &content).as_ref()[..MAC_BYTES].to_vec();
        bytes.extend(content);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor back.
    pub fn open(&self, text: &str) -> Result<Cursor, InvalidCursor> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (mac, content) = bytes.split_at_checked(MAC_BYTES).ok_or(InvalidCursor)?;
        let expected = hmac::sign(&self.0, content);
        aws_lc_rs::constant_time::verify_slices_are_equal(mac, &expected.as_ref()[..MAC_BYTES])
            .map_err(|_| InvalidCursor)?;
        let (listing, company, order, filters, position): (String, String, String, _, _) =
            serde_json::from_slice(content).map_err(|_| InvalidCursor)?;
        let order = if order == "d" {
            Order::Descending
        } else {
            Order::Ascending
        };
        Ok(Cursor {
            listing,
            company,
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
            position: i64, company in "[a-z]{1,9}", filters: Vec<String>, at: usize, flip in 1..64_u8,
        ) {
            let key = CursorKey::new(&[7; 32]);
            let cursor = Cursor {
                listing: "events".into(), company, order: Order::Descending, filters, position,
            };
            let text = key.seal(&cursor);
            prop_assert_eq!(key.open(&text), Ok(cursor));
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
