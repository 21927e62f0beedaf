//! What the pages of the audit log say.

use tidings_domain::{actor::Who, audit::Action, visitor::Role};

#[derive(Debug)]
pub(crate) struct AuditTexts {
    pub(crate) title: &'static str,
    pub(crate) platform_title: &'static str,
    pub(crate) why: &'static str,
    pub(crate) platform_why: &'static str,
    pub(crate) about: &'static str,
    pub(crate) about_hint: &'static str,
    pub(crate) about_too_long: &'static str,
    pub(crate) show: &'static str,
    pub(crate) show_all: &'static str,
    pub(crate) newest: &'static str,
    pub(crate) when: &'static str,
    pub(crate) who: &'static str,
    pub(crate) from: &'static str,
    pub(crate) what: &'static str,
    pub(crate) target: &'static str,
    pub(crate) changes: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) before: &'static str,
    pub(crate) after: &'static str,
    pub(crate) nothing_yet: &'static str,
    pub(crate) nothing_yet_advice: &'static str,
    pub(crate) nothing_found: &'static str,
    pub(crate) nothing_found_advice: &'static str,
    pub(crate) platform_itself: &'static str,
    /// How the platform's people are called where their names are nobody's business.
    pub(crate) operator: &'static str,
    key: &'static str,
    admin: &'static str,
    viewer: &'static str,
    server: &'static str,
    command: &'static str,
    actions: [&'static str; Action::ALL.len()],
}

pub(super) const ENGLISH: AuditTexts = AuditTexts {
    title: "Audit log",
    platform_title: "Audit log of the platform and all companies",
    why: "Who changed what, when and from where. Lines are kept for ever, and nobody can change them. Only admins see this page.",
    platform_why: "Who changed what, when and from where: the platform's own affairs and every company's. Lines are kept for ever, and nobody can change them.",
    about: "About",
    about_hint: "An id such as sub_…, key_… or usr_…, in full",
    about_too_long: "About must be an id or a name of at most 200 characters.",
    show: "Show",
    show_all: "Show everything",
    newest: "Newest",
    when: "When",
    who: "Who",
    from: "From",
    what: "What",
    target: "On what",
    changes: "Changes",
    nothing: "nothing",
    before: "was",
    after: "is now",
    nothing_yet: "Nothing has been changed yet.",
    nothing_yet_advice: "As soon as somebody makes a webhook or a key, it stands here.",
    nothing_found: "There is no line about this.",
    nothing_found_advice: "Ids must be given in full, as they are shown elsewhere.",
    platform_itself: "the platform",
    operator: "an operator of the platform",
    key: "API key",
    admin: "an admin of the company",
    viewer: "a viewer of the company",
    server: "the server, by its rules",
    command: "a command on the server's machine",
    // In the order of `Action::ALL`.
    actions: [
        "made a webhook",
        "changed a webhook",
        "enabled a webhook",
        "disabled a webhook",
        "deleted a webhook",
        "rotated a signing secret",
        "redelivered an event",
        "replayed events",
        "made an API key",
        "revoked an API key",
        "made a user",
        "deleted a user",
        "changed a password",
        "signed in",
        "came by a link",
        "ended all sessions",
        "saved an event type",
        "deleted an event type",
    ],
};

impl AuditTexts {
    /// Who did something.
    pub(crate) fn who(&self, who: &Who) -> String {
        match who {
            Who::Key { name, .. } => format!("{} “{name}”", self.key),
            Who::Operator { email, .. } => email.clone(),
            Who::Guest(Role::Admin) => self.admin.to_owned(),
            Who::Guest(Role::Viewer) => self.viewer.to_owned(),
            Who::Server => self.server.to_owned(),
            Who::Command => self.command.to_owned(),
        }
    }

    /// What they did.
    pub(crate) fn action(&self, action: Action) -> &'static str {
        let place = Action::ALL.iter().position(|other| *other == action);
        // `ALL` holds every action, and a test reads each back.
        place.map_or("", |place| self.actions[place])
    }
}
