//! A JSON object kept byte for byte: what publishers put into `payload` and `metadata`.

use serde_json::value::RawValue;

/// The deepest nesting that is accepted; the object itself is level 1.
pub const NESTING_MAX: usize = 100;

/// A borrowed JSON object whose syntax and depth have been checked; the bytes are the publisher's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonObject<'a>(&'a str);

/// Why a JSON value is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJsonObject {
    /// An array, a string, a number, `true`, `false` or `null`.
    #[error("must be a JSON object")]
    NotAnObject,
    /// Nested beyond [`NESTING_MAX`].
    #[error("must be nested at most {NESTING_MAX} deep")]
    TooDeep,
}

impl JsonObject<'static> {
    /// `{}`.
    pub const EMPTY: Self = Self("{}");

    /// An object of this crate's own making; a test reads each.
    pub(crate) const fn trusted(text: &'static str) -> Self {
        Self(text)
    }
}

impl<'a> JsonObject<'a> {
    /// Takes a value whose JSON syntax has been checked already, which a [`RawValue`] stands for.
    pub fn from_raw(raw: &'a RawValue) -> Result<Self, InvalidJsonObject> {
        let text = raw.get().trim_ascii();
        if !text.starts_with('{') {
            return Err(InvalidJsonObject::NotAnObject);
        }
        if nests_deeper_than(text.as_bytes(), NESTING_MAX) {
            return Err(InvalidJsonObject::TooDeep);
        }
        Ok(Self(text))
    }

    /// The bytes as they were published.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Whether brackets nest deeper than `max` in a text that is valid JSON. Needs no stack, so hostile
/// depth costs nothing.
#[must_use]
pub fn nests_deeper_than(json: &[u8], max: usize) -> bool {
    // Most texts have too few brackets, wherever they stand, and those are counted quickly.
    let count = |bracket| memchr::memchr_iter(bracket, json).count();
    count(b'{') + count(b'[') > max && depth_exceeds(json, max)
}

/// The same, byte by byte.
fn depth_exceeds(json: &[u8], max: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn keeps_the_bytes() {
        let text = r#"{"b": 99.00, "a":123456789012345678901234567890,"é":"\u00e9\/"}"#;
        assert_eq!(JsonObject::from_raw(&raw(text)).unwrap().as_str(), text);
    }

    #[test]
    fn wants_an_object() {
        for text in ["[]", "1", "null", "\"{}\""] {
            assert_eq!(
                JsonObject::from_raw(&raw(text)),
                Err(InvalidJsonObject::NotAnObject)
            );
        }
    }

    #[test]
    fn bounds_the_nesting() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(JsonObject::from_raw(&raw(&nested(NESTING_MAX))).is_ok());
        assert_eq!(
            JsonObject::from_raw(&raw(&nested(NESTING_MAX + 1))),
            Err(InvalidJsonObject::TooDeep)
        );
        // Brackets inside strings do not count, escaped quotes do not end a string.
        assert!(!nests_deeper_than(br#"{"a":"[[[[\"[[[["}"#, 1));
        // Many side by side are not deep.
        assert!(!nests_deeper_than(br#"{"a":[{},{},{},{}]}"#, 3));
        assert!(nests_deeper_than(br#"{"a":[{},{},{},{}]}"#, 2));
    }
}
