//! Readers of single JSON values: each takes a member as it was sent and gives a domain value, or
//! says what is wrong with it. The rules themselves are the domain's.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tidings_domain::{
    api_key::{KEY_NAME_CHARS_MAX, Scope},
    company::CompanyId,
    event_type::{EventType, EventTypePattern},
    json_object::JsonObject,
    people_text::check_people_text,
    secret::Secret,
    subscription::{DESCRIPTION_CHARS_MAX, EVENT_TYPES_MAX, EventTypes, ManagedBy, MaxPerSecond},
    time::UtcMillis,
};

use crate::{fields::Fault, problem::FieldError};

/// The most patterns that a filter or a subscription is read to before it is refused as a whole.
const ITEMS_READ_MAX: usize = 1000;

/// A string.
pub(crate) fn text(value: &RawValue) -> Result<Cow<'_, str>, Fault> {
    let json = value.get();
    let Some(inner) = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return Err("must be a string".into());
    };
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    // What can still be wrong is half of a surrogate pair.
    serde_json::from_str(json)
        .map(Cow::Owned)
        .map_err(|_| "must be a string of whole Unicode characters".into())
}

/// `true` or `false`.
pub(crate) fn boolean(value: &RawValue) -> Result<bool, Fault> {
    match value.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// An integer within a range, written without fraction and exponent.
pub(crate) fn integer_in(
    range: RangeInclusive<i64>,
) -> impl FnOnce(&RawValue) -> Result<i64, Fault> {
    move |value| {
        let number = value.get().parse().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "must be an integer from {} to {}",
                    range.start(),
                    range.end()
                )
                .into()
            })
    }
}

/// A JSON object, as it was sent.
pub(crate) fn object(value: &RawValue) -> Result<JsonObject<'_>, Fault> {
    JsonObject::from_raw(value).map_err(in_words)
}

/// A company id: a string, or an integer that stands for its decimal digits.
pub(crate) fn company(value: &RawValue) -> Result<CompanyId, Fault> {
    let json = value.get();
    if is_integer(json) {
        let digits = if json == "-0" { "0" } else { json };
        return CompanyId::parse(digits).map_err(in_words);
    }
    if !json.starts_with('"') {
        return Err("must be a string or an integer".into());
    }
    CompanyId::parse(&text(value)?).map_err(in_words)
}

fn is_integer(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// An exact event type.
pub(crate) fn event_type(value: &RawValue) -> Result<EventType, Fault> {
    EventType::parse(&text(value)?).map_err(in_words)
}

/// An instant.
pub(crate) fn instant(value: &RawValue) -> Result<UtcMillis, Fault> {
    UtcMillis::parse(&text(value)?).map_err(in_words)
}

/// A signing secret that the caller brings along.
pub(crate) fn secret(value: &RawValue) -> Result<Secret, Fault> {
    Secret::parse(&text(value)?).map_err(in_words)
}

/// A note for people.
pub(crate) fn description(value: &RawValue) -> Result<String, Fault> {
    people_text(value, DESCRIPTION_CHARS_MAX)
}

/// The name of a key: at least one character.
pub(crate) fn key_name(value: &RawValue) -> Result<String, Fault> {
    let name = people_text(value, KEY_NAME_CHARS_MAX)?;
    if name.trim().is_empty() {
        return Err(format!("must be 1 to {KEY_NAME_CHARS_MAX} characters").into());
    }
    Ok(name)
}

/// Text by and for people.
pub(crate) fn people_text(value: &RawValue, chars_max: usize) -> Result<String, Fault> {
    let text = text(value)?;
    check_people_text(&text, chars_max).map_err(in_words)?;
    Ok(text.into_owned())
}

/// A delivery rate.
pub(crate) fn max_per_second(value: &RawValue) -> Result<MaxPerSecond, Fault> {
    let range = 1..=i64::from(MaxPerSecond::MAX);
    let per_second = integer_in(range)(value)?;
    MaxPerSecond::new(per_second).map_err(in_words)
}

/// Who manages a subscription.
pub(crate) fn managed_by(value: &RawValue) -> Result<ManagedBy, Fault> {
    word(value, ManagedBy::parse, "api, portal, zapier, n8n, make")
}

/// One word of a list.
pub(crate) fn word<T>(
    value: &RawValue,
    parse: impl FnOnce(&str) -> Option<T>,
    words: &str,
) -> Result<T, Fault> {
    let found = text(value).ok().and_then(|text| parse(&text));
    found.ok_or_else(|| format!("must be one of {words}").into())
}

/// The event types of a subscription.
pub(crate) fn event_types(value: &RawValue) -> Result<EventTypes, Fault> {
    let patterns = each(value, |item| {
        EventTypePattern::parse(&text(item)?).map_err(in_words)
    })?;
    EventTypes::new(patterns).map_err(in_words)
}

/// The scopes of a key: at least one, each once, in the order given.
pub(crate) fn scopes(value: &RawValue) -> Result<Vec<Scope>, Fault> {
    let words = "events:read, events:write, webhooks:read, webhooks:write, admin";
    let given = each(value, |item| word(item, Scope::parse, words))?;
    let mut scopes = Vec::with_capacity(Scope::ALL.len());
    for scope in given {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err(format!("must have at least one of {words}").into());
    }
    Ok(scopes)
}

/// Reads every item of an array, and says which ones are wrong.
fn each<T>(
    value: &RawValue,
    read: impl Fn(&RawValue) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let items = array(value, ITEMS_READ_MAX)?;
    if items.len > ITEMS_READ_MAX {
        return Err(format!("must have at most {EVENT_TYPES_MAX} items").into());
    }
    let mut good = Vec::with_capacity(items.items.len());
    let mut errors = Vec::new();
    for (index, item) in items.items.into_iter().enumerate() {
        match read(item) {
            Ok(item) => good.push(item),
            Err(Fault::Value(detail)) => errors.push(FieldError {
                pointer: format!("/{index}"),
                detail,
            }),
            Err(Fault::Within(inner)) => errors.extend(inner),
        }
    }
    if errors.is_empty() {
        Ok(good)
    } else {
        Err(Fault::Within(errors))
    }
}

/// The items of an array, as they were sent, and how many there are.
pub(crate) struct Items<'a> {
    /// At most as many as asked for.
    pub(crate) items: Vec<&'a RawValue>,
    /// How many there are in all.
    pub(crate) len: usize,
}

/// An array; only the first `items_max` items are kept, so that an array of millions costs no
/// memory.
pub(crate) fn array(value: &RawValue, items_max: usize) -> Result<Items<'_>, Fault> {
    let fault = || Fault::from("must be an array");
    if !value.get().starts_with('[') {
        return Err(fault());
    }
    let mut reader = serde_json::Deserializer::from_str(value.get());
    reader
        .deserialize_seq(ItemsVisitor { items_max })
        .map_err(|_| fault())
}

struct ItemsVisitor {
    items_max: usize,
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.items_max {
            match seq.next_element::<&RawValue>()? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        let mut len = items.len();
        if len == self.items_max {
            while seq.next_element::<IgnoredAny>()?.is_some() {
                len += 1;
            }
        }
        Ok(Items { items, len })
    }
}

/// A domain type's own sentence.
fn in_words(error: impl fmt::Display) -> Fault {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn companies_are_strings_or_integers() {
        let read = |json: &str| company(&raw(json)).ok().map(|id| id.to_string());
        assert_eq!(read(r#""Acme-1_x""#).as_deref(), Some("Acme-1_x"));
        assert_eq!(read(r#""\u0041""#).as_deref(), Some("A"));
        assert_eq!(read("42").as_deref(), Some("42"));
        assert_eq!(read("-7").as_deref(), Some("-7"));
        assert_eq!(read("-0").as_deref(), Some("0"));
        let long = "9".repeat(64);
        assert_eq!(read(&long), Some(long.clone()));
        for bad in [
            "1.0",
            "1e3",
            "true",
            "null",
            "[]",
            r#""""#,
            r#""a b""#,
            &"9".repeat(65),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn integers_have_no_fraction() {
        let read = |json: &str| integer_in(0..=168)(&raw(json)).ok();
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("168"), Some(168));
        for bad in ["-1", "169", "1.0", "1e1", r#""1""#, "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        assert!(text(&raw(r#""\ud83d\ude00""#)).is_ok());
        assert!(text(&raw(r#""\ud83d""#)).is_err());
    }

    #[test]
    fn arrays_keep_no_more_than_asked() {
        let value = raw("[1,2,3,4]");
        let items = array(&value, 2).unwrap();
        assert_eq!((items.items.len(), items.len), (2, 4));
        assert!(array(&raw("{}"), 2).is_err());
    }
}
