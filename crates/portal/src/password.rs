//! Passwords: argon2id, as PHC strings.
//!
//! Parameters: OWASP, Password Storage Cheat Sheet (19 MiB, two passes, one lane). Lengths:
//! NIST SP 800-63B, section 5.1.1.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tidings_domain::random::Random;

/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// The most bytes of a password, so that hashing one costs what it should.
pub const PASSWORD_BYTES_MAX: usize = 1024;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Why a text is no password to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// Too easy to guess.
    #[error("must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Too long to hash.
    #[error("must have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The library would not, which its fixed parameters rule out.
    #[error("could not be hashed")]
    NotHashed,
}

/// Hashes a new password with a salt of its own. Takes tens of milliseconds and 19 MiB.
pub fn hash_password(password: &str, random: &dyn Random) -> Result<String, PasswordRefused> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordRefused::TooShort);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordRefused::TooLong);
    }
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    let argon2 = hasher().ok_or(PasswordRefused::NotHashed)?;
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|_| PasswordRefused::NotHashed)
}

/// Whether a password is the one behind a hash. Takes as long for any that is allowed.
pub(crate) fn verify_password(password: &str, hash: &str) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let (Some(argon2), Ok(hash)) = (hasher(), PasswordHash::new(hash)) else {
        return false;
    };
    argon2.verify_password(password.as_bytes(), &hash).is_ok()
}

fn hasher() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;

    #[test]
    fn a_password_is_recognised_and_another_is_not() {
        let random = SeededRandom::new(1);
        let hash = hash_password("correct horse battery", &random).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(verify_password("correct horse battery", &hash));
        assert!(!verify_password("correct horse batterY", &hash));
        assert!(!verify_password("correct horse battery", "no hash"));
        let again = hash_password("correct horse battery", &random).unwrap();
        assert_ne!(hash, again, "a salt of its own");
    }

    #[test]
    fn lengths_are_bounded() {
        let random = SeededRandom::new(1);
        assert_eq!(
            hash_password("short", &random),
            Err(PasswordRefused::TooShort)
        );
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert_eq!(hash_password(&long, &random), Err(PasswordRefused::TooLong));
    }
}
