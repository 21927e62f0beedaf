//! Where the things that a page of the audit log is about still are, so that it can link to them.

use std::collections::{HashMap, HashSet};

use tidings_domain::{
    audit::{Action, AuditEntry},
    company::CompanyId,
    id::SubscriptionId,
};
use tidings_store::StoreError;

use crate::{keys, paging, state::Portal, users, visit::Visit};

/// Where a thing is, and how people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) name: String,
}

/// What kind of thing a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Subscription,
    Key,
    User,
    Company,
    EventType,
}

/// The things of a page that still exist, by what the lines call them.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts(HashMap<String, Place>);

impl Whereabouts {
    /// Looks up what a page is about: as many short reads as it has lines at the most.
    pub(crate) async fn of(visit: &Visit, entries: &[AuditEntry]) -> Result<Self, StoreError> {
        let portal = &visit.portal;
        let mut found = Self::default();
        let mut companies_with_keys = HashSet::new();
        let mut with_users = false;
        for entry in entries {
            match kind(entry) {
                Kind::Subscription => found.add_subscription(portal, entry).await?,
                Kind::Key => {
                    companies_with_keys.insert(entry.company.clone());
                }
                Kind::User => with_users = visit.visitor.is_operator(),
                Kind::Company if visit.visitor.is_operator() => {
                    let place = Place {
                        path: format!("/portal/c/{}", entry.target),
                        name: entry.target.clone(),
                    };
                    found.0.insert(entry.target.clone(), place);
                }
                Kind::Company | Kind::EventType => {}
            }
        }
        for company in companies_with_keys {
            found.add_keys(portal, company.as_ref()).await?;
        }
        if with_users {
            found.add_users(portal).await?;
        }
        Ok(found)
    }

    /// Where the thing that a line is about is.
    pub(crate) fn find(&self, entry: &AuditEntry) -> Option<&Place> {
        self.0.get(&entry.target)
    }

    async fn add_subscription(
        &mut self,
        portal: &Portal,
        entry: &AuditEntry,
    ) -> Result<(), StoreError> {
        let (Ok(id), Some(company)) = (SubscriptionId::parse(&entry.target), &entry.company) else {
            return Ok(());
        };
        if self.0.contains_key(&entry.target) {
            return Ok(());
        }
        if let Some(subscription) = portal.store.subscription(Some(company), id).await? {
            let place = Place {
                path: format!("/portal/c/{company}/webhooks/{id}"),
                name: subscription.url.to_string(),
            };
            self.0.insert(entry.target.clone(), place);
        }
        Ok(())
    }

    async fn add_keys(
        &mut self,
        portal: &Portal,
        company: Option<&CompanyId>,
    ) -> Result<(), StoreError> {
        let keys = keys::keys_of(portal, company).await?;
        for (index, key) in keys.into_iter().enumerate() {
            let (base, page) = (keys::base(company), paging::page_of(index));
            let place = Place {
                path: format!("{base}?page={page}#{}", key.id),
                name: key.name,
            };
            self.0.insert(key.id.to_string(), place);
        }
        Ok(())
    }

    async fn add_users(&mut self, portal: &Portal) -> Result<(), StoreError> {
        for user in portal.store.users().await? {
            let place = Place {
                path: format!("{}/{}", users::BASE, user.id),
                name: user.email.to_string(),
            };
            self.0.insert(user.id.to_string(), place);
        }
        Ok(())
    }
}

fn kind(entry: &AuditEntry) -> Kind {
    match entry.action {
        Action::SubscriptionCreated
        | Action::SubscriptionUpdated
        | Action::SubscriptionEnabled
        | Action::SubscriptionDisabled
        | Action::SubscriptionDeleted
        | Action::SecretRotated
        | Action::Redelivered
        | Action::Replayed => Kind::Subscription,
        Action::KeyCreated | Action::KeyRevoked => Kind::Key,
        Action::UserCreated | Action::UserDeleted | Action::PasswordChanged | Action::SignedIn => {
            Kind::User
        }
        Action::LinkOpened => Kind::Company,
        Action::SignedOutEverywhere if entry.company.is_some() => Kind::Company,
        Action::SignedOutEverywhere => Kind::User,
        Action::EventTypeSaved | Action::EventTypeDeleted => Kind::EventType,
    }
}
