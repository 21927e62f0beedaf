//! What every page says: navigation, buttons, words of the trade.

use std::fmt::Display;

use tidings_domain::visitor::Role;

#[derive(Debug)]
pub(crate) struct EveryPageTexts {
    pub(crate) product: &'static str,
    pub(crate) skip: &'static str,
    pub(crate) menu: &'static str,
    pub(crate) overview: &'static str,
    pub(crate) webhooks: &'static str,
    pub(crate) log: &'static str,
    pub(crate) events: &'static str,
    pub(crate) keys: &'static str,
    pub(crate) audit: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) users: &'static str,
    pub(crate) sign_out: &'static str,
    pub(crate) company: &'static str,
    pub(crate) open_company: &'static str,
    pub(crate) viewer_note: &'static str,
    pub(crate) copy: &'static str,
    pub(crate) copied: &'static str,
    pub(crate) cancel: &'static str,
    pub(crate) save: &'static str,
    pub(crate) older: &'static str,
    pub(crate) newer: &'static str,
    pub(crate) none: &'static str,
    pub(crate) pages: &'static str,
    pub(crate) mistakes: &'static str,
    pub(crate) docs: &'static str,
    admin: &'static str,
    viewer: &'static str,
    must: &'static str,
    pub(super) notices: &'static [(&'static str, &'static str)],
}

pub(super) const ENGLISH: EveryPageTexts = EveryPageTexts {
    product: "Tidings",
    skip: "Skip to content",
    menu: "Menu",
    overview: "Overview",
    webhooks: "Webhooks",
    log: "Delivery log",
    events: "Events",
    keys: "API keys",
    audit: "Audit log",
    platform: "Platform",
    users: "Users",
    sign_out: "Sign out",
    company: "Company",
    open_company: "Open company",
    viewer_note: "You can look at everything here and change nothing.",
    copy: "Copy",
    copied: "Copied",
    cancel: "Cancel",
    save: "Save",
    older: "Older",
    newer: "Newer",
    none: "none",
    pages: "Pages",
    mistakes: "Nothing was changed yet. Mend what is marked below.",
    docs: "API documentation",
    admin: "admin",
    viewer: "viewer",
    must: " ",
    notices: &[
        ("signed-out", "You are signed out."),
        ("signed-out-everywhere", "All sessions were ended."),
        (
            "password-changed",
            "The password is changed. Sign in with the new one.",
        ),
        (
            "password-set",
            "The password is set. Their sessions were ended.",
        ),
        ("user-created", "The user can sign in now."),
        (
            "user-deleted",
            "The user is gone, and so are their sessions.",
        ),
        (
            "webhook-created",
            "The webhook is there. Events from now on go to it.",
        ),
        (
            "webhook-saved",
            "The change is saved and holds from now on.",
        ),
        (
            "webhook-enabled",
            "The webhook is enabled. Events from now on go to it; Replay brings what it missed.",
        ),
        (
            "webhook-disabled",
            "The webhook is disabled. Nothing more is sent to it.",
        ),
        ("webhook-deleted", "The webhook is deleted."),
        (
            "webhook-not-rotated",
            "The secret was rotated before, so nothing was changed this time. If the new one got lost, rotate it once more.",
        ),
        ("redelivered", "The event is being sent once more."),
        (
            "key-made",
            "The key was made before, so no second one was made. If you did not copy it, revoke it and make another: it is not shown again.",
        ),
        (
            "key-revoked",
            "The key is revoked. It is refused from now on.",
        ),
    ],
};

impl EveryPageTexts {
    /// The word for a role.
    pub(crate) fn role(&self, role: Role) -> &'static str {
        match role {
            Role::Admin => self.admin,
            Role::Viewer => self.viewer,
        }
    }

    /// What is wrong with a field, from the rule that it breaks: "URL must be …".
    pub(crate) fn field_must(&self, field: &str, rule: &dyn Display) -> String {
        format!("{field}{}{rule}.", self.must)
    }
}
