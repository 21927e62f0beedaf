//! Company ids: the names of the tenants.

use std::{fmt, sync::Arc};

/// The most characters of a company id.
pub const COMPANY_ID_CHARS_MAX: usize = 64;

/// A tenant's name: 1 to 64 of `A-Z a-z 0-9 _ -`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompanyId(Arc<str>);

/// Why a text is no company id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of A-Z a-z 0-9 _ -")]
pub struct InvalidCompanyId;

impl CompanyId {
    /// Reads a company id; letters keep their case.
    pub fn parse(text: &str) -> Result<Self, InvalidCompanyId> {
        let valid = (1..=COMPANY_ID_CHARS_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCompanyId)
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for CompanyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CompanyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CompanyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for CompanyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        for text in ["a", "42", "Acme_Corp-1", &"x".repeat(64)] {
            assert_eq!(CompanyId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "ä", "a.b", "-\n", &"x".repeat(65)] {
            assert_eq!(CompanyId::parse(text), Err(InvalidCompanyId), "{text}");
        }
    }
}
