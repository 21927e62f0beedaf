//! The audit log: who changed what, when, from where.
//!
//! Its lines are written in the transaction of the change itself, so each method that changes
//! something takes an [`Actor`]. The functions here say what such a
//! line holds, alike for every store.

use async_trait::async_trait;
use tidings_domain::{
    actor::Actor,
    api_key::ApiKey,
    audit::{Action, AuditEntry, FieldChange},
    catalog::CatalogType,
    company::CompanyId,
    event_type::EventType,
    id::{EventId, SubscriptionId, UserId},
    subscription::{DisabledReason, Subscription},
    time::UtcMillis,
    visitor::Visitor,
};

use crate::{Position, ReplayWindow, Session, SessionsOf, StoreError, User};

/// Whose lines to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditScope {
    /// One company's.
    Company(CompanyId),
    /// Every company's and the platform's own.
    Everything,
}

/// Which lines to list, newest first.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    /// Whose.
    pub scope: AuditScope,
    /// Only about this id or name.
    pub target: Option<String>,
    /// Only older ones than this place.
    pub before: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// A page of the audit log.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Where to go on; none at the end.
    pub next: Option<Position>,
}

/// Append-only: who changed what.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Writes a line about something that changes nothing else in the store.
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// A page of it. It is kept for ever.
    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError>;
}

/// Writes a line about what has been done and the store does not note by itself. It is done, so a
/// line that cannot be written is no failure: the program's own log has it then.
pub async fn record_what_was_done(log: &(impl AuditLog + ?Sized), line: AuditEntry) {
    let (who, action, target) = (
        line.actor.clone(),
        line.action.as_str(),
        line.target.clone(),
    );
    if let Err(error) = log.record(line).await {
        tracing::error!(%error, ?who, action, target, "a line of the audit log could not be written");
    }
}

/// The line about a subscription that was made.
#[must_use]
pub fn subscription_created(made: &Subscription, by: &Actor) -> AuditEntry {
    let (action, changes) = (
        Action::SubscriptionCreated,
        given(subscription_fields(made)),
    );
    about_subscription(made, made.created, by, action, changes)
}

/// The line about a subscription that was changed, enabled or disabled; none where nothing was.
#[must_use]
pub fn subscription_changed(
    before: &Subscription,
    after: &Subscription,
    now: UtcMillis,
    by: &Actor,
) -> Option<AuditEntry> {
    let changes = changes_between(before, after);
    if changes.is_empty() {
        return None;
    }
    let action = match (before.enabled, after.enabled) {
        (true, false) => Action::SubscriptionDisabled,
        (false, true) => Action::SubscriptionEnabled,
        _ => Action::SubscriptionUpdated,
    };
    Some(about_subscription(after, now, by, action, changes))
}

/// The line about a subscription that the server disables, by a rule.
#[must_use]
pub fn subscription_disabled(
    before: &Subscription,
    reason: DisabledReason,
    now: UtcMillis,
) -> AuditEntry {
    let after = Subscription {
        enabled: false,
        disabled_reason: Some(reason),
        ..before.clone()
    };
    let (action, by) = (Action::SubscriptionDisabled, &Actor::SERVER);
    let changes = changes_between(before, &after);
    about_subscription(before, now, by, action, changes)
}

/// The line about a subscription that was deleted.
#[must_use]
pub fn subscription_deleted(gone: &Subscription, now: UtcMillis, by: &Actor) -> AuditEntry {
    let change = FieldChange {
        field: "url".to_owned(),
        before: Some(gone.url.to_string()),
        after: None,
    };
    about_subscription(gone, now, by, Action::SubscriptionDeleted, vec![change])
}

/// The line about a secret that was rotated; it says nothing of either.
#[must_use]
pub fn secret_rotated(
    subscription: &Subscription,
    previous_until: UtcMillis,
    now: UtcMillis,
    by: &Actor,
) -> AuditEntry {
    let changes = given([("previousSecretExpiresUtc", Some(previous_until.to_string()))]);
    about_subscription(subscription, now, by, Action::SecretRotated, changes)
}

/// The line about a delivery that was asked for once more.
#[must_use]
pub fn redelivered(
    company: Option<CompanyId>,
    subscription: SubscriptionId,
    event: EventId,
    now: UtcMillis,
    by: &Actor,
) -> AuditEntry {
    let changes = given([("eventId", Some(event.to_string()))]);
    line(
        company,
        now,
        by,
        Action::Redelivered,
        &subscription,
        changes,
    )
}

/// The line about a window of events that was asked for once more, and how many deliveries that
/// made.
#[must_use]
pub fn replayed(
    company: Option<CompanyId>,
    subscription: SubscriptionId,
    window: ReplayWindow,
    deliveries: u64,
    now: UtcMillis,
    by: &Actor,
) -> AuditEntry {
    let fields = [
        ("sinceUtc", Some(window.since.to_string())),
        ("untilUtc", window.until.map(|until| until.to_string())),
        ("only", Some(window.scope.as_str().to_owned())),
        ("replayed", Some(deliveries.to_string())),
    ];
    let changes = given(fields);
    line(company, now, by, Action::Replayed, &subscription, changes)
}

/// The line about a key that was made.
#[must_use]
pub fn key_created(key: &ApiKey, by: &Actor) -> AuditEntry {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let fields = [
        ("name", Some(key.name.clone())),
        ("scopes", Some(scopes.join(", "))),
        ("expiresUtc", key.expires.map(|time| time.to_string())),
    ];
    let company = key.company.clone();
    let action = Action::KeyCreated;
    line(company, key.created, by, action, &key.id, given(fields))
}

/// The line about a key that was revoked.
#[must_use]
pub fn key_revoked(key: &ApiKey, now: UtcMillis, by: &Actor) -> AuditEntry {
    let change = FieldChange {
        field: "name".to_owned(),
        before: Some(key.name.clone()),
        after: None,
    };
    let company = key.company.clone();
    let action = Action::KeyRevoked;
    line(company, now, by, action, &key.id, vec![change])
}

/// The line about a user that was made.
#[must_use]
pub fn user_created(user: &User, by: &Actor) -> AuditEntry {
    let changes = given([("email", Some(user.email.to_string()))]);
    about_user(user.id, user.created, by, Action::UserCreated, changes)
}

/// The line about a user that was removed.
#[must_use]
pub fn user_deleted(user: &User, now: UtcMillis, by: &Actor) -> AuditEntry {
    let change = FieldChange {
        field: "email".to_owned(),
        before: Some(user.email.to_string()),
        after: None,
    };
    about_user(user.id, now, by, Action::UserDeleted, vec![change])
}

/// The line about a password that was changed; it says nothing of either.
#[must_use]
pub fn password_changed(user: UserId, now: UtcMillis, by: &Actor) -> AuditEntry {
    about_user(user, now, by, Action::PasswordChanged, Vec::new())
}

/// The line about a session that was opened: a user signed in, or somebody came by a link.
#[must_use]
pub fn session_opened(session: &Session, by: &Actor) -> AuditEntry {
    match &session.visitor {
        Visitor::Operator { id, .. } => {
            about_user(*id, session.created, by, Action::SignedIn, Vec::new())
        }
        Visitor::Guest { company, role } => {
            let changes = given([("role", Some(role.as_str().to_owned()))]);
            let action = Action::LinkOpened;
            line(
                Some(company.clone()),
                session.created,
                by,
                action,
                company,
                changes,
            )
        }
    }
}

/// The line about somebody's sessions that were all ended.
#[must_use]
pub fn signed_out(whose: &SessionsOf, now: UtcMillis, by: &Actor) -> AuditEntry {
    let action = Action::SignedOutEverywhere;
    match whose {
        SessionsOf::User(id) => about_user(*id, now, by, action, Vec::new()),
        SessionsOf::Company(company) => {
            line(Some(company.clone()), now, by, action, company, Vec::new())
        }
    }
}

/// The line about a type of the catalog that was made or replaced.
#[must_use]
pub fn event_type_saved(
    before: Option<&CatalogType>,
    after: &CatalogType,
    now: UtcMillis,
    by: &Actor,
) -> AuditEntry {
    let was = before.map(event_type_fields);
    let fields = event_type_fields(after).into_iter().enumerate();
    let changes = fields.filter_map(|(place, (field, after))| {
        let before = was.as_ref().and_then(|was| was[place].1.clone());
        (before != after).then(|| FieldChange {
            field: field.to_owned(),
            before,
            after,
        })
    });
    about_event_type(
        &after.name,
        now,
        by,
        Action::EventTypeSaved,
        changes.collect(),
    )
}

/// The line about a type of the catalog that was removed.
#[must_use]
pub fn event_type_deleted(name: &EventType, now: UtcMillis, by: &Actor) -> AuditEntry {
    about_event_type(name, now, by, Action::EventTypeDeleted, Vec::new())
}

/// What of a type an audit line tells, always in this order. Documents are told by their size.
fn event_type_fields(of: &CatalogType) -> [(&'static str, Option<String>); 4] {
    let size = |document: &Option<String>| {
        let document = document.as_ref();
        document.map(|document| format!("{} bytes", document.len()))
    };
    [
        ("description", Some(of.description.clone())),
        ("samplePayload", size(&of.sample_payload)),
        ("schema", size(&of.schema)),
        ("deprecated", Some(of.deprecated.to_string())),
    ]
}

/// The catalog is the platform's own affair.
fn about_event_type(
    name: &EventType,
    at: UtcMillis,
    by: &Actor,
    action: Action,
    changes: Vec<FieldChange>,
) -> AuditEntry {
    line(None, at, by, action, name, changes)
}

/// What of a subscription an audit line tells, always in this order.
fn subscription_fields(of: &Subscription) -> [(&'static str, Option<String>); 6] {
    let patterns = of.event_types.patterns().iter();
    let types: Vec<String> = patterns.map(ToString::to_string).collect();
    [
        ("url", Some(of.url.to_string())),
        ("eventTypes", Some(types.join(", "))),
        ("description", of.description.clone()),
        ("enabled", Some(of.enabled.to_string())),
        (
            "disabledReason",
            of.disabled_reason.map(|reason| reason.as_str().to_owned()),
        ),
        (
            "maxPerSecond",
            of.max_per_second.map(|rate| rate.get().to_string()),
        ),
    ]
}

fn changes_between(before: &Subscription, after: &Subscription) -> Vec<FieldChange> {
    let pairs = subscription_fields(before)
        .into_iter()
        .zip(subscription_fields(after));
    pairs
        .filter(|((_, was), (_, is))| was != is)
        .map(|((field, was), (_, is))| FieldChange {
            field: field.to_owned(),
            before: was,
            after: is,
        })
        .collect()
}

fn about_subscription(
    subscription: &Subscription,
    at: UtcMillis,
    by: &Actor,
    action: Action,
    changes: Vec<FieldChange>,
) -> AuditEntry {
    let company = Some(subscription.company.clone());
    line(company, at, by, action, &subscription.id, changes)
}

/// Users are the platform's own affair.
fn about_user(
    user: UserId,
    at: UtcMillis,
    by: &Actor,
    action: Action,
    changes: Vec<FieldChange>,
) -> AuditEntry {
    line(None, at, by, action, &user, changes)
}

/// A line: every function above says what its own holds.
fn line(
    company: Option<CompanyId>,
    at: UtcMillis,
    by: &Actor,
    action: Action,
    target: &impl ToString,
    changes: Vec<FieldChange>,
) -> AuditEntry {
    AuditEntry {
        at,
        company,
        actor: by.clone(),
        action,
        target: target.to_string(),
        changes,
    }
}

/// Fields of something new; those that it has not are left out.
fn given<const N: usize>(fields: [(&str, Option<String>); N]) -> Vec<FieldChange> {
    let fields = fields.into_iter().filter(|(_, after)| after.is_some());
    fields
        .map(|(field, after)| FieldChange {
            field: field.to_owned(),
            before: None,
            after,
        })
        .collect()
}
