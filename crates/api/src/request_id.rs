//! Request ids: one for each request, the caller's own where it is sane.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use tidings_domain::random::Random;

/// The header field that carries the id, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of an id that is taken from a caller.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Gives out ids: a random number of this process and a count. Cheaper than random bytes for each
/// request, and as unique.
pub(crate) struct RequestIds {
    /// The random number, and a hyphen.
    process: String,
    count: AtomicU64,
}

impl RequestIds {
    /// A fresh series.
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut process = [0; 8];
        random.fill(&mut process);
        Self {
            process: format!("{:016x}-", u64::from_le_bytes(process)),
            count: AtomicU64::new(1),
        }
    }

    /// The id of a request: what the caller sent, if it is 1 to [`REQUEST_ID_CHARS_MAX`] visible
    /// ASCII characters, or a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_sane(given) => given.clone(),
            _ => self.next(),
        }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}{count:x}", self.process);
        // Hexadecimal digits and a hyphen are a valid field value.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(id))
            .unwrap_or(HeaderValue::from_static("unknown"))
    }
}

fn is_sane(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;

    fn id_of(given: &[u8]) -> HeaderValue {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
        RequestIds::new(&SeededRandom::new(1)).of(&headers)
    }

    #[test]
    fn a_sane_id_is_kept_and_another_replaced() {
        assert_eq!(id_of(b"a-1_B.~"), "a-1_B.~");
        assert_eq!(id_of(&[b'x'; 128]).as_bytes(), [b'x'; 128]);
        for bad in [
            &b""[..],
            b"two words",
            b"tab\there",
            "\u{e9}".as_bytes(),
            &[b'x'; 129],
        ] {
            assert_ne!(id_of(bad).as_bytes(), bad);
        }
    }

    #[test]
    fn new_ids_differ() {
        let ids = RequestIds::new(&SeededRandom::new(1));
        let empty = HeaderMap::new();
        assert_ne!(ids.of(&empty), ids.of(&empty));
    }
}
