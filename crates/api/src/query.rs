//! Query parameters: read by name, with everything that is wrong gathered for one answer.
//! Parameters that nobody asks for are ignored.

use std::{borrow::Cow, fmt};

use tidings_domain::company::{CompanyId, InvalidCompanyId};

use crate::problem::{FieldError, Problem};

/// The parameters of one request, and what was wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> Query<'a> {
    /// Splits a query as HTML forms write it.
    pub(crate) fn read(query: Option<&'a str>) -> Self {
        let Some(query) = query.filter(|query| !query.is_empty()) else {
            return Self::default();
        };
        Self {
            pairs: url::form_urlencoded::parse(query.as_bytes()).collect(),
            errors: Vec::new(),
        }
    }

    /// Reads a parameter that may be there once.
    pub(crate) fn optional<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        if values.next().is_some() {
            self.refuse(name, "must be given once");
            return None;
        }
        match read(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, &error.to_string());
                None
            }
        }
    }

    /// Every value of a parameter that may be repeated, or hold several separated by commas; none
    /// where it is not there.
    pub(crate) fn list<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        items_max: usize,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let values = self.pairs.iter().filter(|(key, _)| key == name);
        let items: Vec<&str> = values.flat_map(|(_, value)| value.split(',')).collect();
        if items.is_empty() {
            return None;
        }
        if items.len() > items_max {
            self.refuse(name, &format!("must have at most {items_max} values"));
            return None;
        }
        match items.into_iter().map(read).collect::<Result<Vec<T>, E>>() {
            Ok(items) => Some(items),
            Err(error) => {
                self.refuse(name, &error.to_string());
                None
            }
        }
    }

    /// Reads an integer within a range.
    pub(crate) fn integer_in(
        &mut self,
        name: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        self.optional(name, |text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    format!(
                        "must be an integer from {} to {}",
                        range.start(),
                        range.end()
                    )
                })
        })
    }

    /// The company that the caller names.
    pub(crate) fn company(&mut self) -> Option<CompanyId> {
        self.optional("companyId", |text| -> Result<CompanyId, InvalidCompanyId> {
            CompanyId::parse(text)
        })
    }

    /// Notes that a parameter's value is not allowed.
    pub(crate) fn refuse(&mut self, name: &str, detail: &str) {
        self.errors.push(FieldError {
            pointer: format!("/{name}"),
            detail: format!("(query parameter) {detail}").into(),
        });
    }

    /// Whether nothing was wrong.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(self.errors))
        }
    }
}
