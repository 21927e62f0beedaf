//! Forms whose fields stand in the address, so that what they show can be shared: filters. A value
//! that breaks its rule is told at its field and never applied.

use std::fmt::Display;

use crate::{texts::Texts, visit::Fields};

/// A field: what was typed, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// As it was typed, or in its normal form.
    pub(crate) typed: String,
    /// A sentence.
    pub(crate) problem: Option<String>,
}

/// Reads the fields of one form and remembers whether all were sound.
pub(crate) struct Reader<'q> {
    query: &'q Fields,
    t: &'static Texts,
    sound: bool,
}

impl<'q> Reader<'q> {
    /// For the pairs of a query.
    pub(crate) fn new(query: &'q Fields, t: &'static Texts) -> Self {
        Self {
            query,
            t,
            sound: true,
        }
    }

    /// A field that people know by a label. What is blank is no value.
    pub(crate) fn field<T, E: Display>(
        &mut self,
        name: &str,
        label: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> (Field, Option<T>) {
        let typed = self.query.get(name).unwrap_or_default().to_owned();
        let mut field = Field {
            typed,
            problem: None,
        };
        if field.typed.is_empty() {
            return (field, None);
        }
        match parse(&field.typed) {
            Ok(value) => (field, Some(value)),
            Err(rule) => {
                self.refuse(&mut field, label, &rule);
                (field, None)
            }
        }
    }

    /// Says of a field that it breaks a rule.
    pub(crate) fn refuse(&mut self, field: &mut Field, label: &str, rule: &dyn Display) {
        field.problem = Some(self.t.common.field_must(label, rule));
        self.sound = false;
    }

    /// Whether no field broke its rule.
    pub(crate) fn is_sound(&self) -> bool {
        self.sound
    }
}

/// A path with these pairs as its query.
pub(crate) fn address(path: &str, pairs: &[(&str, String)]) -> String {
    if pairs.is_empty() {
        return path.to_owned();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;
    use tidings_domain::event_type::EventTypePattern;

    #[test]
    fn a_value_that_breaks_its_rule_is_told_and_kept() {
        let query = Fields::parse(b"type=a..b&other=+");
        let mut reader = Reader::new(&query, texts::default());
        let (field, value) = reader.field("type", "Type", EventTypePattern::parse);
        assert_eq!((field.typed.as_str(), value), ("a..b", None));
        assert!(field.problem.unwrap().starts_with("Type must be "));
        assert!(!reader.is_sound());
        let mut reader = Reader::new(&query, texts::default());
        let (field, value) = reader.field("other", "Other", EventTypePattern::parse);
        assert_eq!((field, value), (Field::default(), None));
        assert!(reader.is_sound());
    }

    #[test]
    fn an_address_is_escaped() {
        let pairs = [("type", "a.*".to_owned()), ("x", "&=\" é".to_owned())];
        assert_eq!(address("/p", &pairs), "/p?type=a.*&x=%26%3D%22+%C3%A9");
        assert_eq!(address("/p", &[]), "/p");
    }
}
