//! Visitors of the portal: who sits in front of the browser, and what they may do.

use crate::{company::CompanyId, email::Email, id::UserId};

/// What somebody who came by a company's link may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything of the company.
    Admin,
    /// Look, and change nothing.
    Viewer,
}

impl Role {
    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Admin, Self::Viewer]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// Who sits in front of the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// One of the platform's own people, signed in with a password: may do everything, for every
    /// company.
    Operator {
        /// `usr_…`.
        id: UserId,
        /// How they are called.
        email: Email,
    },
    /// Somebody of a company, who came by a link that the platform asked for.
    Guest {
        /// Whose.
        company: CompanyId,
        /// What they may do there.
        role: Role,
    },
}

impl Visitor {
    /// Whether they may see what is this company's.
    #[must_use]
    pub fn may_see(&self, company: &CompanyId) -> bool {
        match self {
            Self::Operator { .. } => true,
            Self::Guest { company: own, .. } => own == company,
        }
    }

    /// Whether they may change what is this company's.
    #[must_use]
    pub fn may_change(&self, company: &CompanyId) -> bool {
        match self {
            Self::Operator { .. } => true,
            Self::Guest { company: own, role } => own == company && *role == Role::Admin,
        }
    }

    /// Whether they are one of the platform's own people.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        matches!(self, Self::Operator { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_stays_at_home_and_a_viewer_changes_nothing() {
        let (own, other) = (
            CompanyId::parse("acme").unwrap(),
            CompanyId::parse("globex").unwrap(),
        );
        let guest = |role| Visitor::Guest {
            company: own.clone(),
            role,
        };
        assert!(guest(Role::Admin).may_change(&own) && guest(Role::Viewer).may_see(&own));
        assert!(!guest(Role::Viewer).may_change(&own));
        for role in [Role::Admin, Role::Viewer] {
            assert!(!guest(role).may_see(&other) && !guest(role).may_change(&other));
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
    }
}
