//! What the pages for getting in say.

#[derive(Debug)]
pub(crate) struct EntryTexts {
    pub(crate) sign_in: &'static str,
    pub(crate) for_operators: &'static str,
    pub(crate) for_guests: &'static str,
    pub(crate) email: &'static str,
    pub(crate) password: &'static str,
    pub(crate) again: &'static str,
    pub(crate) wrong_password: &'static str,
    pub(crate) not_the_same: &'static str,
    pub(crate) set_up: &'static str,
    pub(crate) set_up_why: &'static str,
    pub(crate) create_user: &'static str,
    pub(crate) password_hint: &'static str,
}

pub(super) const ENGLISH: EntryTexts = EntryTexts {
    sign_in: "Sign in",
    for_operators: "For the platform's operators.",
    for_guests: "You look after one company's webhooks? Then open this page from your product's settings: it lets you in without a password.",
    email: "Email",
    password: "Password",
    again: "Password, once more",
    wrong_password: "There is no user with this email and password.",
    not_the_same: "The two passwords are not the same.",
    set_up: "Make the first user",
    set_up_why: "Nobody can sign in yet. This link is good once: make the operator who can, and who can let others in.",
    create_user: "Create user",
    password_hint: "At least 12 characters; a sentence is easier to remember than a riddle.",
};
