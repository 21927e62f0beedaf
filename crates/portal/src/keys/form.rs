//! The form for a new key: what was typed, what it means, and what is wrong with it.

use jiff::{civil::Date, tz::TimeZone};
use tidings_domain::{
    api_key::{KEY_NAME_CHARS_MAX, Scope},
    people_text::check_people_text,
    time::UtcMillis,
};

use crate::{texts::Texts, visit::Fields};

/// The choice that the form begins with.
const EXPIRY_AT_FIRST: &str = "90";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What was typed, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct KeyForm {
    /// The name as it was typed.
    pub(crate) name: String,
    /// What was ticked, each once.
    pub(crate) scopes: Vec<Scope>,
    /// The chosen end, by its word.
    pub(crate) expiry: String,
    /// The last day as it was typed.
    pub(crate) until: String,
    /// When the key ends, if ever.
    pub(crate) expires: Option<UtcMillis>,
    /// What is wrong.
    pub(crate) problems: Problems,
}

/// What is wrong with each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) name: Option<String>,
    pub(crate) scopes: Option<&'static str>,
    pub(crate) expiry: Option<&'static str>,
    pub(crate) until: Option<&'static str>,
}

impl Problems {
    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for KeyForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            scopes: Vec::new(),
            expiry: EXPIRY_AT_FIRST.to_owned(),
            until: String::new(),
            expires: None,
            problems: Problems::default(),
        }
    }
}

impl KeyForm {
    /// Reads what was sent.
    pub(crate) fn read(fields: &Fields, t: &'static Texts, now: UtcMillis) -> Self {
        let mut form = Self {
            name: fields.get("name").unwrap_or_default().to_owned(),
            expiry: fields.get("expiry").unwrap_or(EXPIRY_AT_FIRST).to_owned(),
            until: fields.get("until").unwrap_or_default().to_owned(),
            ..Self::default()
        };
        if form.name.is_empty() {
            form.problems.name = Some(t.keys.name_missing.to_owned());
        } else if let Err(invalid) = check_people_text(&form.name, KEY_NAME_CHARS_MAX) {
            form.problems.name = Some(t.common.field_must(t.keys.name, &invalid));
        }
        let t = &t.keys;
        form.scopes = Scope::ALL.to_vec();
        form.scopes
            .retain(|scope| fields.all("scope").any(|word| word == scope.as_str()));
        if form.scopes.is_empty() {
            form.problems.scopes = Some(t.scopes_none);
        }
        match form.expiry.as_str() {
            "never" => {}
            "date" => match end_of_day(&form.until) {
                Some(end) if end > now => form.expires = Some(end),
                Some(_) => form.problems.until = Some(t.until_past),
                None => form.problems.until = Some(t.until_malformed),
            },
            word => {
                // The words of the other choices are numbers of days.
                let is_choice = t.expiries.iter().any(|(choice, _)| *choice == word);
                match word.parse::<i64>() {
                    Ok(days) if is_choice => form.expires = Some(now.plus_millis(days * DAY_MS)),
                    _ => form.problems.expiry = Some(t.expiry_choice),
                }
            }
        }
        form
    }

    /// Whether a scope was ticked.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.scopes.iter().any(|scope| scope.as_str() == word)
    }

    /// Every scope, for the form's boxes.
    #[expect(clippy::unused_self, reason = "templates reach it by the form alone")]
    pub(crate) fn choices(&self) -> [Scope; 5] {
        Scope::ALL
    }
}

/// The moment at which a day is over, in UTC.
fn end_of_day(text: &str) -> Option<UtcMillis> {
    // A date alone: jiff would also read one with a time and drop that.
    if text.len() != "2027-01-31".len() {
        return None;
    }
    let date: Date = text.parse().ok()?;
    let next = date.tomorrow().ok()?;
    let midnight = TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()?;
    Some(UtcMillis::from_millis(midnight.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;

    fn read(form: &str) -> KeyForm {
        let now = UtcMillis::parse("2026-11-26T10:00:00.000Z").unwrap();
        KeyForm::read(&Fields::parse(form.as_bytes()), texts::default(), now)
    }

    #[test]
    fn a_form_means_what_it_says() {
        let form = read("name=+ci+&scope=events:write&scope=admin&scope=admin&expiry=30");
        assert!(form.problems.is_empty(), "{form:?}");
        assert_eq!(form.name, "ci");
        assert_eq!(form.scopes, [Scope::EventsWrite, Scope::Admin]);
        let end = form.expires.unwrap().to_string();
        assert_eq!(end, "2026-12-26T10:00:00.000Z");
        let form = read("name=ci&scope=admin&expiry=never&until=nonsense");
        assert!(form.problems.is_empty() && form.expires.is_none());
    }

    #[test]
    fn a_key_ends_with_its_last_day() {
        let form = read("name=ci&scope=admin&expiry=date&until=2026-11-26");
        let end = form.expires.unwrap().to_string();
        assert_eq!(end, "2026-11-27T00:00:00.000Z");
    }

    #[test]
    fn every_mistake_is_told() {
        let form = read("name=&expiry=date&until=2026-11-25");
        let t = &texts::default().keys;
        assert_eq!(
            form.problems,
            Problems {
                name: Some(t.name_missing.to_owned()),
                scopes: Some(t.scopes_none),
                expiry: None,
                until: Some(t.until_past),
            }
        );
        for until in [
            "",
            "tomorrow",
            "2026-02-30",
            "2026-11-27T00:00:00Z",
            "9999-12-31",
        ] {
            let form = read(&format!("name=a&scope=admin&expiry=date&until={until}"));
            assert_eq!(form.problems.until, Some(t.until_malformed), "{until}");
        }
        for expiry in ["31", "-30", "soon"] {
            let form = read(&format!("name=a&scope=admin&expiry={expiry}"));
            assert_eq!(form.problems.expiry, Some(t.expiry_choice), "{expiry}");
        }
        let long = "ä".repeat(KEY_NAME_CHARS_MAX + 1);
        assert!(read(&format!("name={long}")).problems.name.is_some());
        let longest = "ä".repeat(KEY_NAME_CHARS_MAX);
        assert!(read(&format!("name={longest}")).problems.name.is_none());
        assert!(read("name=a%00b").problems.name.is_some());
        assert_eq!(
            read("name=a&scope=root").problems.scopes,
            Some(t.scopes_none)
        );
    }
}
