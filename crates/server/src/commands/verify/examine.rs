//! Examines a webhook's signatures. A pure function: the time is passed in.
//!
//! A signature that does not match is tried again with the usual mistakes (a newline at the end,
//! JSON that was serialised again, the secret without its prefix); one that fits is named as the
//! cause.
//!
//! Source: Standard Webhooks 1.0.0, "Verifying signatures"; the hub signature is the common form
//! of `X-Hub-Signature-256`.

use std::{borrow::Cow, str::FromStr as _};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidings_domain::{secret::Secret, time::UtcMillis};
use zeroize::Zeroizing;

use crate::config::Span;

const MAC_BYTES: usize = 32;
/// Unix seconds beyond this (the year 5138) are milliseconds by mistake.
const SECONDS_MAX: i64 = 100_000_000_000;

/// What came, as it came.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    /// The secret as the receiver has it.
    pub(super) secret: &'a str,
    /// The body as it was received.
    pub(super) body: &'a [u8],
    /// The fields of Standard Webhooks.
    pub(super) standard: Option<StandardClaim<'a>>,
    /// `X-Hub-Signature-256`.
    pub(super) hub: Option<&'a str>,
}

/// The header fields of Standard Webhooks.
#[derive(Debug)]
pub(super) struct StandardClaim<'a> {
    /// `webhook-id`.
    pub(super) id: &'a str,
    /// `webhook-timestamp`.
    pub(super) timestamp: &'a str,
    /// `webhook-signature`.
    pub(super) signature: &'a str,
}

/// What was found about one part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which part: a header field's name, or the secret.
    pub(super) subject: &'static str,
    /// What is with it.
    pub(super) says: String,
    /// Where it is wrong: a hint, possibly empty.
    pub(super) fault: Option<String>,
}

impl Finding {
    /// Whether this part is as it should be.
    pub(super) fn is_right(&self) -> bool {
        self.fault.is_none()
    }

    fn right(subject: &'static str, says: impl Into<String>) -> Self {
        Self {
            subject,
            says: says.into(),
            fault: None,
        }
    }

    fn wrong(subject: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            subject,
            says: says.into(),
            fault: Some(hint.into()),
        }
    }
}

/// Examines every part of a claim at `now`. Timestamps may be `tolerance` away; none for any.
pub(super) fn examine(claim: &Claim<'_>, now: UtcMillis, tolerance: Option<Span>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = examine_secret(claim.secret).into_iter().collect();
    if let Some(standard) = &claim.standard {
        findings.extend(examine_id(standard.id));
        findings.push(examine_timestamp(standard.timestamp, now, tolerance));
        findings.push(examine_standard(claim, standard));
    }
    if let Some(hub) = claim.hub {
        findings.push(examine_hub(claim, hub));
    }
    findings
}

fn examine_secret(secret: &str) -> Option<Finding> {
    let wrong = |says: &str, hint: &str| Some(Finding::wrong("secret", says, hint));
    if secret.starts_with("tdg_") {
        return wrong(
            "is an API key",
            "the signing secret is the whsec_… that creating or rotating the subscription showed",
        );
    }
    match Secret::parse(secret) {
        Ok(_) => None,
        Err(error) => wrong("has not the form of a signing secret", &error.to_string()),
    }
}

fn examine_id(id: &str) -> Option<Finding> {
    (id.is_empty() || id != id.trim()).then(|| {
        Finding::wrong(
            "webhook-id",
            "is empty or has white space around it",
            "pass the header's value as it came",
        )
    })
}

fn examine_timestamp(text: &str, now: UtcMillis, tolerance: Option<Span>) -> Finding {
    let subject = "webhook-timestamp";
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(seconds) = text.parse::<i64>().ok().filter(|_| digits) else {
        return Finding::wrong(
            subject,
            "is malformed",
            "it must be Unix seconds, digits alone",
        );
    };
    if seconds > SECONDS_MAX {
        return Finding::wrong(
            subject,
            "is malformed",
            "these look like milliseconds; it must be Unix seconds",
        );
    }
    let sent = UtcMillis::from_millis(seconds.saturating_mul(1000));
    let age_seconds = now.as_seconds() - seconds;
    let (away, direction) = if age_seconds >= 0 {
        (age_seconds, "ago")
    } else {
        (-age_seconds, "in the future")
    };
    let says = format!("is {sent}, {} {direction}", readable(away));
    match tolerance {
        Some(most) if away > most.as_ms() / 1000 => Finding::wrong(
            subject,
            format!("{says}; at most {most} are accepted"),
            "each attempt has its own timestamp and signature: take them from the same request, \
             and check this machine's clock; --tolerance off accepts any age",
        ),
        _ => Finding::right(subject, says),
    }
}

/// Seconds as a person reads them: `4m10s`.
fn readable(seconds: i64) -> String {
    Span::from_str(&format!("{seconds}s")).map_or_else(|_| "0s".to_owned(), |span| span.to_string())
}

fn examine_standard(claim: &Claim<'_>, standard: &StandardClaim<'_>) -> Finding {
    let subject = "webhook-signature";
    let received = match standard_macs(standard.signature) {
        Ok(received) => received,
        Err(hint) => return Finding::wrong(subject, "is malformed", hint),
    };
    let prefix = format!("{}.{}.", standard.id, standard.timestamp);
    let matches = |key: &[u8], body: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let content = [prefix.as_bytes(), body].concat();
        received
            .iter()
            .any(|mac| hmac::verify(&key, &content, mac).is_ok())
    };
    let text_key = Zeroizing::new(claim.secret.as_bytes().to_vec());
    let right_key = Secret::parse(claim.secret).map_or(text_key.clone(), |secret| secret.key());
    let others = [
        (
            decoded(claim.secret),
            "the secret's whsec_ is missing: the prefix is a part of it",
        ),
        (
            Some(text_key),
            "it was made with the text of the secret; the key is the base64 behind whsec_, decoded",
        ),
    ];
    judge(subject, claim.body, &right_key, &others, matches)
}

fn examine_hub(claim: &Claim<'_>, header: &str) -> Finding {
    let subject = "X-Hub-Signature-256";
    let Some(hex) = header.strip_prefix("sha256=") else {
        let hint = if header.starts_with("v1,") {
            "this is a webhook-signature; pass it with --signature, --id and --timestamp"
        } else {
            "it must be sha256= and 64 hexadecimal digits"
        };
        return Finding::wrong(subject, "is malformed", hint);
    };
    let Some(mac) = hex_bytes(hex) else {
        let hint = "behind sha256= must come 64 hexadecimal digits";
        return Finding::wrong(subject, "is malformed", hint);
    };
    let matches = |key: &[u8], body: &[u8]| {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), body, &mac).is_ok()
    };
    let others = [
        (
            Some(Zeroizing::new(
                format!("whsec_{}", claim.secret).into_bytes(),
            )),
            "the secret's whsec_ is missing: the prefix is a part of it",
        ),
        (
            decoded(claim.secret),
            "it was made with the decoded secret; this header's key is the text of the secret",
        ),
    ];
    judge(
        subject,
        claim.body,
        claim.secret.as_bytes(),
        &others,
        matches,
    )
}

/// Tries the right key and body, then the usual mistakes.
fn judge(
    subject: &'static str,
    body: &[u8],
    key: &[u8],
    other_keys: &[(Option<Zeroizing<Vec<u8>>>, &str)],
    matches: impl Fn(&[u8], &[u8]) -> bool,
) -> Finding {
    if matches(key, body) {
        return Finding::right(subject, "was made with this secret over this body");
    }
    let says = "does not match this secret and body";
    for (other, hint) in other_bodies(body) {
        if matches(key, &other) {
            return Finding::wrong(subject, says, hint);
        }
    }
    for (other, hint) in other_keys {
        if other.as_ref().is_some_and(|other| matches(other, body)) {
            return Finding::wrong(subject, says, *hint);
        }
    }
    Finding::wrong(
        subject,
        says,
        "either the secret is another subscription's or was rotated, or the body (for \
         webhook-signature also id and timestamp) is not the one received: use the raw bytes, \
         before any JSON parser or framework touches them",
    )
}

/// What the body may have been before somebody changed it on the way here.
fn other_bodies(body: &[u8]) -> Vec<(Cow<'_, [u8]>, &'static str)> {
    let mut others: Vec<(Cow<'_, [u8]>, &str)> = Vec::new();
    let ended = body.strip_suffix(b"\n");
    if let Some(cut) = ended {
        let cut = cut.strip_suffix(b"\r").unwrap_or(cut);
        let hint = "the body has a newline at its end that was not sent; printf %s adds none";
        others.push((cut.into(), hint));
    } else {
        let hint = "the newline at the body's end was lost";
        others.push(([body, b"\n"].concat().into(), hint));
    }
    others.push((
        without_json_whitespace(body).into(),
        "the body was parsed and serialised again: it matches without the white space; use the \
         bytes as they were received",
    ));
    others
}

/// The text without the white space between its JSON tokens.
fn without_json_whitespace(json: &[u8]) -> Vec<u8> {
    let (mut in_text, mut escaped) = (false, false);
    json.iter()
        .copied()
        .filter(|byte| {
            if in_text {
                (in_text, escaped) = match byte {
                    b'"' if !escaped => (false, false),
                    b'\\' if !escaped => (true, true),
                    _ => (true, false),
                };
                return true;
            }
            in_text = *byte == b'"';
            !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
        })
        .collect()
}

/// The signatures of version 1 in a header; an error is a hint.
fn standard_macs(header: &str) -> Result<Vec<[u8; MAC_BYTES]>, &'static str> {
    if header.starts_with("sha256=") {
        return Err("this is an X-Hub-Signature-256; pass it with --hub-signature");
    }
    let versioned: Vec<_> = header
        .split_ascii_whitespace()
        .map(|part| part.split_once(','))
        .collect();
    if versioned.is_empty() || versioned.iter().any(Option::is_none) {
        return Err("it must be v1,BASE64; several are separated by spaces");
    }
    let macs: Vec<_> = versioned
        .into_iter()
        .flatten()
        .filter(|(version, _)| *version == "v1")
        .map(|(_, text)| STANDARD.decode(text).ok()?.try_into().ok())
        .collect();
    if macs.is_empty() {
        return Err("it has no signature of version v1");
    }
    macs.into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or("behind v1, must come the base64 of 32 bytes; was it cut off?")
}

/// The bytes behind the base64 of a secret, with or without its prefix.
fn decoded(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

fn hex_bytes(hex: &str) -> Option<[u8; MAC_BYTES]> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        })
        .collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tidings_domain::{id::EventId, random::SeededRandom, signing::Signer};

    const ID: &str = "evt_01h455vb4pex5vsknk084sn02q";
    const BODY: &[u8] = br#"{"a":"b \" c","d":99.00}"#;

    fn now() -> UtcMillis {
        UtcMillis::from_millis(1_700_000_000_000)
    }

    fn secret() -> Secret {
        Secret::generate(&SeededRandom::new(5))
    }

    fn signed(secret: &Secret) -> (String, String) {
        let signatures = Signer::new(secret, None).sign(
            EventId::parse(ID).unwrap(),
            now(),
            &Bytes::from_static(BODY),
        );
        (signatures.standard_header(), signatures.hub_header())
    }

    /// The findings about both signatures of a body and secret as a receiver has them.
    fn faults(secret_text: &str, body: &[u8], signed_with: &Secret) -> Vec<Option<String>> {
        let (standard, hub) = signed(signed_with);
        let claim = Claim {
            secret: secret_text,
            body,
            standard: Some(StandardClaim {
                id: ID,
                timestamp: "1700000000",
                signature: &standard,
            }),
            hub: Some(&hub),
        };
        let findings = examine(&claim, now(), "5m".parse().ok());
        findings
            .into_iter()
            .filter(|finding| finding.subject.to_lowercase().contains("signature"))
            .map(|finding| finding.fault)
            .collect()
    }

    fn both_say(faults: &[Option<String>], hint: &str) {
        assert_eq!(faults.len(), 2);
        for fault in faults {
            let fault = fault.as_ref().expect("it is wrong");
            assert!(fault.contains(hint), "{fault}");
        }
    }

    #[test]
    fn a_right_one_is_right() {
        assert_eq!(faults(secret().expose(), BODY, &secret()), [None, None]);
        let plain = Secret::parse("twenty-four characters!!").unwrap();
        assert_eq!(faults(plain.expose(), BODY, &plain), [None, None]);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let text = secret().expose().to_owned();
        let newline = [BODY, b"\n"].concat();
        both_say(&faults(&text, &newline, &secret()), "newline");
        let pretty = b"{ \"a\": \"b \\\" c\",\n  \"d\": 99.00 }";
        both_say(&faults(&text, pretty, &secret()), "serialised again");
        both_say(
            &faults(&text["whsec_".len()..], BODY, &secret()),
            "whsec_ is missing",
        );
        let other = Secret::generate(&SeededRandom::new(6));
        both_say(
            &faults(other.expose(), BODY, &secret()),
            "another subscription",
        );
        both_say(&faults(&text, b"{}", &secret()), "raw bytes");
    }

    #[test]
    fn malformed_headers_are_named() {
        let (standard, hub) = signed(&secret());
        for (header, hint) in [
            (hub.as_str(), "--hub-signature"),
            ("", "v1,BASE64"),
            ("K5oZfzN95Z9UVu1Esf", "v1,BASE64"),
            ("v2,AAAA", "no signature of version v1"),
            (&standard[..20], "cut off"),
        ] {
            assert!(
                standard_macs(header).unwrap_err().contains(hint),
                "{header}"
            );
        }
        assert_eq!(
            standard_macs(&format!("v1a,x {standard} {standard}"))
                .unwrap()
                .len(),
            2
        );
        assert!(hex_bytes(&hub[7..]).is_some() && hex_bytes(&hub[8..]).is_none());
        assert!(hex_bytes(&"zz".repeat(32)).is_none());
    }

    #[test]
    fn timestamps_are_bounded_both_ways() {
        let check = |text: &str, tolerance: Option<&str>| {
            let tolerance = tolerance.map(|text| text.parse().unwrap());
            examine_timestamp(text, now(), tolerance)
        };
        assert!(check("1699999700", Some("5m")).is_right());
        let old = check("1699999699", Some("5m"));
        assert!(
            !old.is_right() && old.says.contains("5m1s ago"),
            "{}",
            old.says
        );
        let ahead = check("1700000301", Some("5m"));
        assert!(!ahead.is_right() && ahead.says.contains("in the future"));
        assert!(
            check("1000000000", None).is_right(),
            "the check can be turned off"
        );
        let millis = check("1700000000000", Some("5m"));
        assert!(millis.fault.unwrap().contains("milliseconds"));
        assert!(!check("yesterday", None).is_right() && !check("", None).is_right());
    }

    #[test]
    fn a_secret_that_is_none_is_named() {
        assert!(examine_secret("tdg_abc").unwrap().says.contains("API key"));
        assert!(examine_secret("short").is_some());
        assert!(examine_secret(secret().expose()).is_none());
    }
}
