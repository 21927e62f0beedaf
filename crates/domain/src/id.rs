//! Ids: TypeIDs (a prefix and 26 characters of Crockford base 32) over UUIDv7.
//!
//! Source: the TypeID specification 0.3.0 and RFC 9562 section 5.7.

use std::fmt;

use uuid::{Builder, Uuid};

use crate::{random::Random, time::UtcMillis};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_CHARS: usize = 26;

/// Why a text is no id of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an id like {prefix}_01h455vb4pex5vsknk084sn02q")]
pub struct InvalidId {
    prefix: &'static str,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id made at `now`.
            #[must_use]
            pub fn new(now: UtcMillis, random: &dyn Random) -> Self {
                Self(uuid_v7(now, random))
            }

            /// The id as it is shown, read back.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { prefix: $prefix };
                let suffix = text
                    .strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .ok_or(invalid.clone())?;
                decode(suffix).map(|value| Self(Uuid::from_u128(value))).ok_or(invalid)
            }

            /// The id from the 16 bytes that a store keeps.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes that a store keeps.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The time inside the id.
            #[must_use]
            pub fn time(&self) -> UtcMillis {
                // The upper 48 bits of a UUIDv7 are its milliseconds.
                let millis = self.0.as_u128() >> 80;
                UtcMillis::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(encode(self.0.as_u128(), &mut [0; SUFFIX_CHARS]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

typed_id!(
    /// An event: `evt_…`.
    EventId, "evt"
);
typed_id!(
    /// A subscription: `sub_…`.
    SubscriptionId, "sub"
);
typed_id!(
    /// An attempt: `att_…`.
    AttemptId, "att"
);
typed_id!(
    /// An API key: `key_…`. Not the key itself.
    ApiKeyId, "key"
);
typed_id!(
    /// A user of the portal: `usr_…`.
    UserId, "usr"
);

fn uuid_v7(now: UtcMillis, random: &dyn Random) -> Uuid {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

fn encode(value: u128, text: &mut [u8; SUFFIX_CHARS]) -> &str {
    let mut rest = value;
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    // The alphabet is ASCII, so this cannot fail; an empty id would be seen at once.
    std::str::from_utf8(text).unwrap_or_default()
}

fn decode(suffix: &str) -> Option<u128> {
    // 26 characters hold 130 bits: the first one must not use its upper two.
    if suffix.len() != SUFFIX_CHARS || !(b'0'..=b'7').contains(&suffix.as_bytes()[0]) {
        return None;
    }
    suffix.bytes().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
        Some((value << 5) | digit as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use proptest::prelude::*;

    /// From the `valid.yml` of the TypeID specification.
    #[test]
    fn agrees_with_the_specification() {
        let mut text = [0; SUFFIX_CHARS];
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        assert_eq!(
            encode(uuid.as_u128(), &mut text),
            "01h455vb4pex5vsknk084sn02q"
        );
        assert_eq!(encode(u128::MAX, &mut text), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(decode("01h455vb4pex5vsknk084sn02q"), Some(uuid.as_u128()));
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in [
            "",
            "evt_",
            "sub_01h455vb4pex5vsknk084sn02q",
            "evt_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "evt_01H455VB4PEX5VSKNK084SN02Q",
            "evt_01h455vb4pex5vsknk084sn02",
            "evt-01h455vb4pex5vsknk084sn02q",
            "evt_01h455vb4pex5vsknk084sn02é",
        ] {
            assert!(EventId::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_id_reads_back_and_keeps_its_time(seed: u64, millis in 0..253_402_128_000_000_i64) {
            let now = UtcMillis::from_millis(millis);
            let id = EventId::new(now, &SeededRandom::new(seed));
            prop_assert_eq!(EventId::parse(&id.to_string()), Ok(id));
            prop_assert_eq!(id.time(), now);
            prop_assert_eq!(EventId::from_bytes(*id.as_bytes()), id);
        }
    }
}
