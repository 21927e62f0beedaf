//! What the page about the visitor's own stay says.

#[derive(Debug)]
pub(crate) struct AccountTexts {
    pub(crate) title: &'static str,
    pub(crate) who: &'static str,
    pub(crate) may: &'static str,
    pub(crate) operator_may: &'static str,
    pub(crate) admin_may: &'static str,
    pub(crate) viewer_may: &'static str,
    pub(crate) session_ends: &'static str,
    pub(crate) sessions: &'static str,
    pub(crate) sign_out_everywhere: &'static str,
    pub(crate) sign_out_everywhere_ask: &'static str,
    pub(crate) own_everywhere_what: &'static str,
    pub(crate) company_everywhere_what: &'static str,
    pub(crate) change_password: &'static str,
    pub(crate) change_password_what: &'static str,
    pub(crate) current_password: &'static str,
    pub(crate) current_wrong: &'static str,
}

pub(super) const ENGLISH: AccountTexts = AccountTexts {
    title: "Account",
    who: "Signed in as",
    may: "May",
    operator_may: "do everything, for every company",
    admin_may: "do everything for this company",
    viewer_may: "look at everything of this company",
    session_ends: "Session ends",
    sessions: "Sessions",
    sign_out_everywhere: "Sign out everywhere",
    sign_out_everywhere_ask: "Sign out everywhere…",
    own_everywhere_what: "Ends all of your sessions, on every device, this one included.",
    company_everywhere_what: "Ends the sessions of everybody who came by a link of this company, yours included. Links that nobody has opened yet are good no more.",
    change_password: "Change password",
    change_password_what: "All of your sessions end, and you sign in again with the new password.",
    current_password: "Current password",
    current_wrong: "This is not your current password.",
};
