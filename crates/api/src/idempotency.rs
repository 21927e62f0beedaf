//! `Idempotency-Key`: publishing again with the same key and request gives the first answer again.
//!
//! The store remembers what was done; this module reads the header field, says what makes two
//! requests the same, and holds the keys of requests that are still running on this node.

use std::collections::HashSet;

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tidings_domain::{company::CompanyId, time::UtcMillis};
use tidings_store::Idempotency;

use crate::{
    problem::{Code, Problem},
    publish::Draft,
};

/// The header field of a request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header field of an answer that was given before.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The most characters of a key, without quotes.
const KEY_CHARS_MAX: usize = 255;
/// How long a key is remembered, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// Which publishing request; a batch of one is not the same as the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `POST /api/v1/events`.
    Single,
    /// `POST /api/v1/events/batch`.
    Batch,
}

/// Reads the key of a request. `"abc"` (as the header draft of the IETF has it) and `abc` are the
/// same key.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refuse = |detail: &'static str| Err(Problem::invalid_field("/Idempotency-Key", detail));
    if values.next().is_some() {
        return refuse("(header field) must be given once");
    }
    let text = value.as_bytes();
    let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    let text = std::str::from_utf8(text).unwrap_or_default().trim_ascii();
    let key = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .map_or_else(|| text.to_owned(), unescaped);
    if printable && (1..=KEY_CHARS_MAX).contains(&key.len()) {
        Ok(Some(key))
    } else {
        refuse("(header field) must be 1 to 255 printable ASCII characters")
    }
}

/// The content of a quoted string (RFC 8941, section 3.3.3): a backslash protects a quote or
/// itself.
fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('\\', Some(&next @ ('"' | '\\'))) => {
                text.push(next);
                chars.next();
            }
            _ => text.push(char),
        }
    }
    text
}

/// What the store is to remember: the key, and a digest of what was asked. White space and the
/// order of the request's own members do not matter; the bytes of payloads and metadata do.
pub(crate) fn promise(
    key: &str,
    kind: Kind,
    company: &CompanyId,
    drafts: &[Draft<'_>],
    now: UtcMillis,
) -> Idempotency {
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut part = |bytes: &[u8]| {
        digest.update(&(bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    part(match kind {
        Kind::Single => b"single",
        Kind::Batch => b"batch",
    });
    part(company.as_str().as_bytes());
    for draft in drafts {
        part(draft.event_type.as_str().as_bytes());
        part(draft.payload.as_str().as_bytes());
        part(draft.metadata.as_str().as_bytes());
        let created = draft.created.map(|time| time.as_millis().to_le_bytes());
        part(created.as_ref().map_or(&[], |bytes| &bytes[..]));
    }
    let mut request_hash = [0; 32];
    request_hash.copy_from_slice(digest.finish().as_ref());
    Idempotency {
        key: key.to_owned(),
        request_hash,
        expires: now.plus_millis(KEPT_MS),
    }
}

/// The keys of requests that are running. Bounded, as running requests are.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashSet<(CompanyId, String)>>);

/// One running request; dropping it lets the key go.
pub(crate) struct Running<'a> {
    in_flight: &'a InFlight,
    entry: (CompanyId, String),
}

impl InFlight {
    /// Marks a key as running; 409 where it is already.
    pub(crate) fn begin(&self, company: &CompanyId, key: &str) -> Result<Running<'_>, Problem> {
        let entry = (company.clone(), key.to_owned());
        if self.0.lock().insert(entry.clone()) {
            Ok(Running {
                in_flight: self,
                entry,
            })
        } else {
            let detail = "a request with this Idempotency-Key is still running";
            Err(Problem::new(Code::IdempotencyKeyInUse, detail).retry_after(1))
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn key(value: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        key_of(&headers).ok().flatten()
    }

    #[test]
    fn quoted_and_bare_keys_are_equal() {
        for (given, read) in [
            (&b"abc"[..], "abc"),
            (b"\"abc\"", "abc"),
            (br#""a\"b\\c""#, r#"a"b\c"#),
            (b"a b", "a b"),
            (b"\"", "\""),
            (b"\"a", "\"a"),
        ] {
            assert_eq!(key(given).as_deref(), Some(read));
        }
        assert_eq!(key(&[b'x'; 255]).map(|key| key.len()), Some(255));
        let quoted = format!("\"{}\"", "x".repeat(255));
        assert_eq!(key(quoted.as_bytes()).map(|key| key.len()), Some(255));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            &b""[..],
            b"\"\"",
            &[b'x'; 256],
            "caf\u{e9}".as_bytes(),
            b"a\tb",
        ] {
            assert_eq!(key(bad), None);
        }
        let mut headers = HeaderMap::new();
        assert!(matches!(key_of(&headers), Ok(None)));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        assert!(key_of(&headers).is_err());
    }

    #[test]
    fn a_running_key_is_held_until_it_is_dropped() {
        let in_flight = InFlight::default();
        let company = CompanyId::parse("a").unwrap();
        let other = CompanyId::parse("b").unwrap();
        let running = in_flight.begin(&company, "k").unwrap();
        assert!(in_flight.begin(&company, "k").is_err());
        assert!(in_flight.begin(&other, "k").is_ok());
        assert!(in_flight.begin(&company, "l").is_ok());
        drop(running);
        assert!(in_flight.begin(&company, "k").is_ok());
    }
}
