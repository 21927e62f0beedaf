//! Signatures over an attempt: Standard Webhooks 1.0.0 and `X-Hub-Signature-256`.
//!
//! Source: the Standard Webhooks specification 1.0.0, "Signature scheme"; the hub signature is
//! the form that WebSub (W3C 2018, section 8) and GitHub made common.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{id::EventId, secret::Secret, time::UtcMillis};

const MAC_BYTES: usize = 32;

/// The keys of one subscription, prepared: the newest secret, and during an overlap the one
/// before it.
#[derive(Clone)]
pub struct Signer {
    standard: Vec<hmac::Key>,
    hub: hmac::Key,
}

/// The signatures of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// Over the body alone, with the newest secret.
    hub: [u8; MAC_BYTES],
    /// Over `{id}.{timestamp}.{body}`, one for each valid secret, the newest first.
    standard: Vec<[u8; MAC_BYTES]>,
}

impl Signer {
    /// Prepares the keys of `newest` and, while it is still valid, `previous`.
    #[must_use]
    pub fn new(newest: &Secret, previous: Option<&Secret>) -> Self {
        let standard = std::iter::once(newest)
            .chain(previous)
            .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, &secret.key()))
            .collect();
        Self {
            standard,
            hub: hmac::Key::new(hmac::HMAC_SHA256, newest.expose().as_bytes()),
        }
    }

    /// Signs one attempt. `timestamp` is the attempt's time, in whole seconds on the wire.
    #[must_use]
    pub fn sign(&self, id: EventId, timestamp: UtcMillis, body: &Bytes) -> Signatures {
        let prefix = format!("{id}.{}.", timestamp.as_seconds());
        let standard = self
            .standard
            .iter()
            .map(|key| {
                let mut context = hmac::Context::with_key(key);
                context.update(prefix.as_bytes());
                context.update(body);
                mac(&context.sign())
            })
            .collect();
        Signatures {
            hub: mac(&hmac::sign(&self.hub, body)),
            standard,
        }
    }
}

impl Signatures {
    /// The value of `webhook-signature`: `v1,` and base64, space-separated.
    #[must_use]
    pub fn standard_header(&self) -> String {
        let mut header = String::with_capacity(self.standard.len() * 48);
        self.write_standard_header(&mut header);
        header
    }

    /// Adds the value of `webhook-signature` to `text`.
    pub fn write_standard_header(&self, text: &mut String) {
        for (place, signature) in self.standard.iter().enumerate() {
            text.push_str(if place == 0 { "v1," } else { " v1," });
            STANDARD.encode_string(signature, text);
        }
    }

    /// The value of `X-Hub-Signature-256`: `sha256=` and lower-case hex.
    #[must_use]
    pub fn hub_header(&self) -> String {
        let mut header = String::with_capacity(7 + 2 * MAC_BYTES);
        self.write_hub_header(&mut header);
        header
    }

    /// Adds the value of `X-Hub-Signature-256` to `text`.
    pub fn write_hub_header(&self, text: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        text.push_str("sha256=");
        for byte in self.hub {
            text.push(DIGITS[usize::from(byte >> 4)].into());
            text.push(DIGITS[usize::from(byte & 15)].into());
        }
    }

    /// The bytes that a store keeps: the hub signature, then the others.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.hub.to_vec();
        bytes.extend(self.standard.iter().flatten());
        bytes
    }

    /// Reads what [`Signatures::to_bytes`] wrote; none where the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (macs, rest) = bytes.as_chunks::<MAC_BYTES>();
        let (hub, standard) = macs.split_first()?;
        rest.is_empty().then(|| Self {
            hub: *hub,
            standard: standard.to_vec(),
        })
    }
}

fn mac(tag: &hmac::Tag) -> [u8; MAC_BYTES] {
    let mut bytes = [0; MAC_BYTES];
    // A SHA-256 tag has these 32 bytes, whatever the key.
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use proptest::prelude::*;

    fn event_id() -> EventId {
        EventId::parse("evt_01h455vb4pex5vsknk084sn02q").unwrap()
    }

    /// Computed with OpenSSL: `printf '%s' BODY | openssl dgst -sha256 -hmac SECRET`.
    #[test]
    fn the_hub_signature_is_over_the_body_alone() {
        let secret = Secret::parse("twenty-four characters!!").unwrap();
        let signatures = Signer::new(&secret, None).sign(
            event_id(),
            UtcMillis::from_millis(1_700_000_000_000),
            &Bytes::from_static(b"{}"),
        );
        assert_eq!(
            signatures.hub_header(),
            "sha256=b0f9eebee521af5dd7e3473f28add1f714a78403c4a4366a66102c10e8deed2a"
        );
    }

    proptest! {
        /// The reference library of Standard Webhooks signs alike, with the newest and the
        /// previous secret.
        #[test]
        fn agrees_with_the_reference_library(seed: u64, seconds in 0..4_000_000_000_i64, body: String) {
            let random = SeededRandom::new(seed);
            let (newest, previous) = (Secret::generate(&random), Secret::generate(&random));
            let now = UtcMillis::from_millis(seconds * 1000 + 999);
            let body = Bytes::from(body);
            let signatures = Signer::new(&newest, Some(&previous)).sign(event_id(), now, &body);
            let expected: Vec<String> = [&newest, &previous]
                .into_iter()
                .map(|secret| {
                    let webhook = standardwebhooks::Webhook::new(secret.expose()).unwrap();
                    webhook.sign(&event_id().to_string(), seconds, &body).unwrap()
                })
                .collect();
            prop_assert_eq!(signatures.standard_header(), expected.join(" "));
            prop_assert_eq!(Signatures::from_bytes(&signatures.to_bytes()), Some(signatures));
        }
    }
}
