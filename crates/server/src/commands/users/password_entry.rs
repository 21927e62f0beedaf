//! Entering a password: twice at a terminal that does not show it, or once on standard input.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use clap::Args;
use tidings_domain::{email::Email, random::Random};
use tidings_portal::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, hash_password};
use zeroize::Zeroizing;

/// The most bytes of the line end behind a password.
const LINE_END_BYTES_MAX: usize = 2;

/// Where the password comes from.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct PasswordEntry {
    /// Read the password from standard input instead of asking for it at the terminal
    ///
    /// One line, of which the line end is no part. There is no flag for the password itself, as
    /// others on the machine can see flags.
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordEntry {
    /// Reads a new password of `email` and gives its hash, as the store keeps it.
    pub(super) fn read_and_hash(
        self,
        email: &Email,
        random: &dyn Random,
    ) -> anyhow::Result<String> {
        let password = if self.password_stdin {
            from_input()?
        } else {
            from_terminal(email)?
        };
        hash_password(&password, random)
            .map_err(|refused| anyhow::anyhow!("the password {refused}"))
    }
}

fn from_input() -> anyhow::Result<Zeroizing<String>> {
    // One byte more than is allowed is enough to see that it is too much.
    let bytes_max = PASSWORD_BYTES_MAX + LINE_END_BYTES_MAX + 1;
    let mut text = Zeroizing::new(String::with_capacity(bytes_max));
    let mut input = std::io::stdin().lock().take(bytes_max as u64);
    input
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\r']) {
        bail!("the password on standard input must be one line");
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn from_terminal(email: &Email) -> anyhow::Result<Zeroizing<String>> {
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .context("there is no terminal to ask for the password at; use --password-stdin")
    };
    let first = ask(format!(
        "New password of {email}, at least {PASSWORD_CHARS_MIN} characters: "
    ))?;
    let again = ask("And once more: ".to_owned())?;
    if *first != *again {
        bail!("the two are not the same; nothing was changed");
    }
    Ok(first)
}
