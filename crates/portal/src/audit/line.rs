//! A line of the audit log as it is shown.

use tidings_domain::{
    actor::{Actor, Who},
    audit::{AuditEntry, FieldChange},
    visitor::Visitor,
};

use crate::{
    attempt_words::shortened, audit::whereabouts::Whereabouts, moment::Moment, texts::Texts,
};

/// Characters of a value that are shown, so that a page of long descriptions stays small.
const VALUE_CHARS_MAX: usize = 150;

/// A line of the audit log.
pub(crate) struct Line {
    pub(crate) at: Moment,
    /// In whose affairs; none for the platform's own.
    pub(crate) company: Option<String>,
    pub(crate) who: String,
    /// The id of who did it, where there is one and the visitor may know it.
    pub(crate) who_id: Option<String>,
    /// From which address, likewise.
    pub(crate) address: Option<String>,
    pub(crate) what: &'static str,
    /// An id as it is shown, or a name.
    pub(crate) target: String,
    /// What the target is called by people.
    pub(crate) target_name: Option<String>,
    /// Where the target still is.
    pub(crate) link: Option<String>,
    pub(crate) changes: Vec<FieldChange>,
}

impl Line {
    /// A line as a visitor gets to see it.
    pub(crate) fn new(
        entry: AuditEntry,
        visitor: &Visitor,
        whereabouts: &Whereabouts,
        t: &'static Texts,
    ) -> Self {
        let (who, who_id, address) = told(&entry.actor, visitor, t);
        let found = whereabouts.find(&entry);
        Self {
            at: entry.at.into(),
            company: entry.company.map(|company| company.to_string()),
            who,
            who_id,
            address,
            what: t.audit.action(entry.action),
            target: entry.target,
            target_name: found.map(|place| place.name.clone()),
            link: found.map(|place| place.path.clone()),
            changes: entry.changes.into_iter().map(shorten).collect(),
        }
    }
}

/// Who it was, as far as it is the visitor's business: a company's admin learns that one of the
/// platform's people or programs did it, not who and from where.
fn told(
    actor: &Actor,
    visitor: &Visitor,
    t: &'static Texts,
) -> (String, Option<String>, Option<String>) {
    let id = match &actor.who {
        Who::Operator { .. } if !visitor.is_operator() => {
            return (t.audit.operator.to_owned(), None, None);
        }
        Who::Key { platform: true, .. } if !visitor.is_operator() => {
            return (t.audit.platform_itself.to_owned(), None, None);
        }
        Who::Operator { id, .. } => Some(id.to_string()),
        Who::Key { id, .. } => Some(id.to_string()),
        Who::Guest(_) | Who::Server | Who::Command => None,
    };
    let address = actor.address.map(|address| address.to_string());
    (t.audit.who(&actor.who), id, address)
}

fn shorten(change: FieldChange) -> FieldChange {
    let short = |value: String| shortened(&value, VALUE_CHARS_MAX);
    FieldChange {
        field: change.field,
        before: change.before.map(short),
        after: change.after.map(short),
    }
}
