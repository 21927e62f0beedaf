//! Emails and passwords from forms: recognising a user by them, and taking new ones.

use std::{net::IpAddr, sync::Arc};

use tidings_domain::{email::Email, id::UserId};
use tidings_store::User;
use zeroize::Zeroizing;

use crate::{
    fault::Fault,
    password::{hash_password, verify_password},
    state::Portal,
    texts,
    visit::Fields,
};

/// What a password is compared with where there is no such user, so that the answer takes as long.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm8$4Q9i1iPmkyBvCkFyvnhSJu1rvQ1kHQy9JQ2oXxjyF0E";

/// What is wrong with the fields `email`, `password` and `again`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) email: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) again: Option<String>,
}

impl Problems {
    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The user with this address and password. Tries are counted and throttled.
pub(crate) async fn recognise(
    portal: &Portal,
    email: &Email,
    password: &str,
    address: Option<IpAddr>,
) -> Result<Option<User>, Fault> {
    let now = portal.now();
    let throttle = &portal.throttle;
    throttle
        .check(email, address, now)
        .map_err(Fault::TooMany)?;
    throttle.count(email, address, now);
    let user = portal.store.user_by_email(email).await?;
    let hash = user.as_ref().map_or_else(
        || NOBODYS_HASH.to_owned(),
        |user| user.password_hash.clone(),
    );
    let password = Zeroizing::new(password.to_owned());
    let right = hashing(portal, move || verify_password(&password, &hash)).await?;
    if !right || user.is_none() {
        return Ok(None);
    }
    throttle.forgive(email, address);
    Ok(user)
}

/// A user from the fields `email`, `password` and `again`; or all that is wrong with them.
pub(crate) async fn new_user(
    portal: &Portal,
    fields: &Fields,
) -> Result<Result<User, Problems>, Fault> {
    let t = texts::default();
    let hash = new_password(portal, fields).await?;
    let email = Email::parse(fields.get("email").unwrap_or_default());
    let (email, password_hash) = match (email, hash) {
        (Ok(email), Ok(hash)) => (email, hash),
        (email, hash) => {
            let mut problems = hash.err().unwrap_or_default();
            let invalid = email.err();
            problems.email = invalid.map(|invalid| t.common.field_must(t.entry.email, &invalid));
            return Ok(Err(problems));
        }
    };
    let now = portal.now();
    Ok(Ok(User {
        id: UserId::new(now, portal.random.as_ref()),
        email,
        password_hash,
        created: now,
        last_sign_in: None,
    }))
}

/// The hash of a new password from the fields `password` and `again`; or what is wrong with them.
pub(crate) async fn new_password(
    portal: &Portal,
    fields: &Fields,
) -> Result<Result<String, Problems>, Fault> {
    let t = texts::default();
    let password = Zeroizing::new(fields.raw("password").unwrap_or_default().to_owned());
    let mut problems = Problems::default();
    if fields.raw("again") != Some(password.as_str()) {
        problems.again = Some(t.entry.not_the_same.to_owned());
    }
    let random = Arc::clone(&portal.random);
    let hash = hashing(portal, move || hash_password(&password, random.as_ref())).await?;
    match hash {
        Ok(hash) if problems.is_empty() => return Ok(Ok(hash)),
        Ok(_) => {}
        Err(refused) => {
            problems.password = Some(t.common.field_must(t.entry.password, &refused));
        }
    }
    Ok(Err(problems))
}

/// Runs what hashes a password, few at a time and off the threads that serve.
async fn hashing<T: Send + 'static>(
    portal: &Portal,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let permit = Arc::clone(&portal.hashes).acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|_| Fault::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_hash_is_one_to_compare_with() {
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODYS_HASH).is_ok());
        assert!(!verify_password("anything at all", NOBODYS_HASH));
    }
}
