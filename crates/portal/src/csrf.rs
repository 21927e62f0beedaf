//! CSRF tokens: what proves that a form came from a page of ours.
//!
//! A form's token is an HMAC of the token in the visitor's cookie. Another site can make a browser
//! send the cookie, but neither read it nor the form (OWASP, Cross-Site Request Forgery
//! Prevention Cheat Sheet, "Signed Double-Submit Cookie").

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tidings_domain::portal_token::PortalToken;

const PURPOSE: &str = "tidings portal form";
/// Before what is sealed, so that no seal is a form's token.
const SEAL_PURPOSE: &str = "tidings portal seal:";

/// The token of forms shown to the holder of a cookie.
pub(crate) fn token_for(cookie: &PortalToken) -> String {
    sign(cookie, PURPOSE)
}

/// Whether a form's token is the one of this cookie.
pub(crate) fn is_valid(cookie: &PortalToken, given: &str) -> bool {
    are_equal(&token_for(cookie), given)
}

/// What proves that we gave out a value of a form, to the holder of a cookie.
pub(crate) fn seal(cookie: &PortalToken, value: &str) -> String {
    sign(cookie, &format!("{SEAL_PURPOSE}{value}"))
}

/// Whether we gave out this value.
pub(crate) fn is_sealed(cookie: &PortalToken, value: &str, given: &str) -> bool {
    are_equal(&seal(cookie, value), given)
}

fn sign(cookie: &PortalToken, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, cookie.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()))
}

fn are_equal(own: &str, given: &str) -> bool {
    constant_time::verify_slices_are_equal(own.as_bytes(), given.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;

    #[test]
    fn a_token_is_good_for_its_cookie_alone() {
        let (own, other) = (
            PortalToken::generate(&SeededRandom::new(1)),
            PortalToken::generate(&SeededRandom::new(2)),
        );
        assert!(is_valid(&own, &token_for(&own)));
        assert!(!is_valid(&own, &token_for(&other)));
        assert!(!is_valid(&own, "") && !is_valid(&own, own.expose()));
    }

    #[test]
    fn a_seal_is_good_for_its_value_and_cookie_alone() {
        let (own, other) = (
            PortalToken::generate(&SeededRandom::new(1)),
            PortalToken::generate(&SeededRandom::new(2)),
        );
        let given = seal(&own, "sub_1");
        assert!(is_sealed(&own, "sub_1", &given));
        assert!(!is_sealed(&own, "sub_2", &given) && !is_sealed(&other, "sub_1", &given));
        assert!(!is_valid(&own, &seal(&own, "")) && !is_sealed(&own, "", &token_for(&own)));
    }
}
