//! What the portal says when something goes wrong: what happened, and what to do.

type Told = (&'static str, &'static str);

#[derive(Debug)]
pub(crate) struct FaultTexts {
    pub(crate) not_found: Told,
    pub(crate) method_not_allowed: Told,
    pub(crate) read_only: Told,
    pub(crate) admins_only: Told,
    /// What happened; what to do depends on who manages it.
    pub(crate) managed_elsewhere: &'static str,
    pub(crate) forged: Told,
    pub(crate) link_gone: Told,
    pub(crate) too_large: Told,
    pub(crate) malformed: Told,
    pub(crate) too_many: Told,
    pub(crate) signed_out: Told,
    pub(crate) busy: Told,
    pub(crate) unavailable: Told,
    pub(crate) internal: Told,
    pub(crate) home: &'static str,
}

pub(super) const ENGLISH: FaultTexts = FaultTexts {
    not_found: (
        "There is nothing here",
        "The address leads nowhere, or to something that is not yours to see.",
    ),
    method_not_allowed: (
        "This page takes no such request",
        "Open it from the menu instead.",
    ),
    read_only: (
        "You can look, but not change",
        "Your link was made for a viewer. Ask your product for one for an admin.",
    ),
    admins_only: (
        "This is for admins",
        "Your link was made for a viewer, who does not get to see who changed what. Ask your product for a link for an admin.",
    ),
    managed_elsewhere: "This webhook is not changed here",
    forged: (
        "This form is not from here, or too old",
        "Nothing was changed. Open the page again and repeat what you did.",
    ),
    link_gone: (
        "This link has been used or has expired",
        "Links are good once and for a short time. Open the portal from your product again.",
    ),
    too_large: (
        "This is too large",
        "Nothing was changed. Shorten what you sent.",
    ),
    malformed: (
        "This request cannot be read",
        "Nothing was changed. Open the page again from the menu.",
    ),
    too_many: (
        "Too many tries",
        "Wait a quarter of an hour, then try again.",
    ),
    signed_out: (
        "You are signed out",
        "Nothing was changed. Sign in, or open the portal from your product again.",
    ),
    busy: (
        "Too busy right now",
        "Nothing was changed. Try again in a few seconds.",
    ),
    unavailable: (
        "The database is out of reach",
        "Nothing was changed. Try again in a few seconds; events are still accepted as soon as it is back.",
    ),
    internal: (
        "Something broke",
        "It is written in the server's log. Try again; if it stays, tell the operators.",
    ),
    home: "To the start page",
};
