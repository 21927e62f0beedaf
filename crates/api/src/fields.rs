//! Request bodies as fields: one JSON object is split into its members once, each member is read
//! by one of the readers in [`crate::values`], and everything that is wrong is gathered, so that
//! one answer lists it all.
//!
//! Members stay raw: nothing here builds a tree, so hostile nesting costs no stack, and what a
//! publisher sent as `payload` is kept byte for byte.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::problem::{Code, FieldError, Problem};

/// The most members that an object may have before it is refused as a whole.
const MEMBERS_MAX: usize = 1000;
/// The most errors that one answer lists: more than a batch of the largest size needs, and few
/// enough that a hostile body is not answered with one many times its size.
const ERRORS_MAX: usize = 10_000;
/// Objects of up to so many members are searched for doubles pair by pair.
const PAIRWISE_MAX: usize = 16;

/// What is wrong with one value.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The value itself.
    Value(Cow<'static, str>),
    /// Places inside the value, with pointers that begin there.
    Within(Vec<FieldError>),
}

impl<T: Into<Cow<'static, str>>> From<T> for Fault {
    fn from(detail: T) -> Self {
        Self::Value(detail.into())
    }
}

/// The members of one JSON object that are yet to be read, and what was wrong so far.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    /// Where in the body the object stands; empty for the body itself.
    pointer: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    errors: Vec<FieldError>,
    /// Whether there is an object at all: members of a number are not missing.
    is_object: bool,
}

impl<'a> Form<'a> {
    /// Splits a body. 400 where it is no UTF-8, no JSON, or has a member twice; 422 where it is
    /// no object.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::new(Code::MalformedJson, "the body is not valid UTF-8"))?;
        let first = text.trim_ascii_start().bytes().next();
        if first == Some(b'{') {
            return Self::split(text, String::new());
        }
        if first.is_none() {
            let detail = "the body is empty where a JSON object is needed";
            return Err(Problem::new(Code::MalformedJson, detail));
        }
        // Valid JSON that is no object is a wrong type; anything else is malformed.
        serde_json::from_str::<&RawValue>(text).map_err(|error| malformed(&error))?;
        Err(Problem::invalid_field("", "must be a JSON object"))
    }

    /// As [`Form::read`], where a missing body stands for `{}`.
    pub(crate) fn read_or_empty(body: &'a [u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            Self::read(b"{}")
        } else {
            Self::read(body)
        }
    }

    /// Splits an object inside of the body; `pointer` says where it stands.
    pub(crate) fn within(value: &'a RawValue, pointer: String) -> Result<Self, Problem> {
        if value.get().starts_with('{') {
            return Self::split(value.get(), pointer);
        }
        Ok(Self {
            errors: vec![FieldError {
                pointer: pointer.clone(),
                detail: "must be a JSON object".into(),
            }],
            pointer,
            members: Vec::new(),
            is_object: false,
        })
    }

    fn split(text: &'a str, pointer: String) -> Result<Self, Problem> {
        let Members { members, too_many } =
            serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if let Some(name) = doubled(&members) {
            let detail = format!("the member {pointer}{} is given twice", Step(name));
            return Err(Problem::new(Code::MalformedJson, detail));
        }
        if too_many {
            let detail = format!("must have at most {MEMBERS_MAX} members");
            return Err(Problem::invalid_field(pointer, detail));
        }
        Ok(Self {
            pointer,
            members,
            errors: Vec::new(),
            is_object: true,
        })
    }

    /// Reads a member that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        let Some(value) = self.take(name) else {
            if self.is_object {
                self.refuse(name, "is required");
            }
            return None;
        };
        self.read_value(name, value, read)
    }

    /// Reads a member that may be missing; `null` counts as missing.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        self.present(name, |value| match value.get() {
            "null" => Ok(None),
            _ => read(value).map(Some),
        })
        .flatten()
    }

    /// As [`Form::optional`], where the caller has to know whether a value was refused: none
    /// where it was, some none where there is no value.
    #[expect(
        clippy::option_option,
        reason = "refused, missing and given are three things"
    )]
    pub(crate) fn attempt<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        let refused = self.errors.len();
        let value = self.optional(name, read);
        (self.errors.len() == refused).then_some(value)
    }

    /// Reads a member that may be missing, but not `null`.
    pub(crate) fn present<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.read_value(name, value, read)
    }

    /// Reads a member for which missing and `null` are different things.
    #[expect(
        clippy::option_option,
        reason = "missing, null and given are three things"
    )]
    pub(crate) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        self.present(name, |value| match value.get() {
            "null" => Ok(None),
            _ => read(value).map(Some),
        })
    }

    /// Notes that a member's value is not allowed.
    pub(crate) fn refuse(&mut self, name: &str, detail: impl Into<Cow<'static, str>>) {
        self.errors.push(FieldError {
            pointer: format!("{}{}", self.pointer, Step(name)),
            detail: detail.into(),
        });
    }

    /// Notes that the object itself is not allowed.
    pub(crate) fn refuse_whole(&mut self, detail: impl Into<Cow<'static, str>>) {
        self.errors.push(FieldError {
            pointer: self.pointer.clone(),
            detail: detail.into(),
        });
    }

    /// Takes over what was wrong with an object inside this one.
    pub(crate) fn absorb(&mut self, mut inner: Form<'_>) {
        inner.refuse_unread();
        let room = ERRORS_MAX.saturating_sub(self.errors.len());
        inner.errors.truncate(room);
        self.errors.append(&mut inner.errors);
    }

    /// Whether nothing is wrong so far, members that are no fields of the request included.
    pub(crate) fn is_sound(&mut self) -> bool {
        self.refuse_unread();
        self.errors.is_empty()
    }

    /// Notes what else is wrong; pointers begin at the body.
    pub(crate) fn refuse_all(&mut self, errors: Vec<FieldError>) {
        self.errors.extend(errors);
    }

    /// What was read, if nothing was wrong. `value` is none only where something was.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Problem> {
        self.refuse_unread();
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                self.errors.truncate(ERRORS_MAX);
                Err(Problem::invalid(self.errors))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.swap_remove(index).1)
    }

    fn read_value<T>(
        &mut self,
        name: &str,
        value: &'a RawValue,
        read: impl FnOnce(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        match read(value) {
            Ok(value) => Some(value),
            Err(Fault::Value(detail)) => {
                self.refuse(name, detail);
                None
            }
            Err(Fault::Within(errors)) => {
                self.errors
                    .extend(errors.into_iter().map(|error| FieldError {
                        pointer: format!("{}{}{}", self.pointer, Step(name), error.pointer),
                        detail: error.detail,
                    }));
                None
            }
        }
    }

    fn refuse_unread(&mut self) {
        for (name, _) in std::mem::take(&mut self.members) {
            self.refuse(&name, "is not a field of this request");
        }
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(
        Code::MalformedJson,
        format!("the body is not JSON: {error}"),
    )
}

fn doubled<'m>(members: &'m [(Cow<'_, str>, &RawValue)]) -> Option<&'m str> {
    if members.len() <= PAIRWISE_MAX {
        return members.iter().enumerate().find_map(|(index, (name, _))| {
            let before = &members[..index];
            before
                .iter()
                .any(|(other, _)| other == name)
                .then_some(&**name)
        });
    }
    let mut seen = HashSet::with_capacity(members.len());
    members
        .iter()
        .find_map(|(name, _)| (!seen.insert(&**name)).then_some(&**name))
}

/// One step of a JSON pointer (RFC 6901, section 3).
struct Step<'a>(&'a str);

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        for (index, part) in self.0.split('~').enumerate() {
            if index > 0 {
                f.write_str("~0")?;
            }
            for (index, part) in part.split('/').enumerate() {
                if index > 0 {
                    f.write_str("~1")?;
                }
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

/// The first [`MEMBERS_MAX`] members of an object.
struct Members<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    too_many: bool,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key()? {
                    if members.len() == MEMBERS_MAX {
                        map.next_value::<IgnoredAny>()?;
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(Members {
                            members,
                            too_many: true,
                        });
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Members {
                    members,
                    too_many: false,
                })
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}
