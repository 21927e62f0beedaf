//! A secret on its way from the environment to the one who needs it.
//!
//! Reading one never fails and never shows it: what a secret must look like is judged by its
//! taker, whose errors do not repeat it, while the command line's own would.

use std::{convert::Infallible, fmt, str::FromStr};

use zeroize::Zeroizing;

/// A text that nobody prints. Wiped from memory when dropped.
#[derive(Clone)]
pub(crate) struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text itself, without the white space that files and shells leave around it; none where
    /// nothing is left, as a variable that is set to nothing is not set.
    pub(crate) fn expose(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|text| !text.is_empty())
    }
}

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_and_ignores_nothingness() {
        let secret: SecretText = " s3cret\n".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "SecretText(…)");
        assert_eq!(secret.expose(), Some("s3cret"));
        assert_eq!("  ".parse::<SecretText>().unwrap().expose(), None);
    }
}
