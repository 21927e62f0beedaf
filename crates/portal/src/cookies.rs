//! Cookies: how a browser keeps its token.
//!
//! Sources: RFC 6265bis (`__Host-` prefix, `SameSite`) and CHIPS (`Partitioned`).

use http::{HeaderMap, HeaderValue, header};
use tidings_domain::portal_token::PortalToken;

/// What kind of token a cookie holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jar {
    /// A session.
    Session,
    /// What binds the form for signing in to the browser that was given it.
    Form,
}

/// How cookies are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CookieRules {
    /// Only over `https`.
    pub(crate) secure: bool,
    /// Whether the portal may be shown in a frame of another site.
    pub(crate) framed: bool,
}

impl CookieRules {
    fn name(self, jar: Jar) -> &'static str {
        match (self.secure, jar) {
            (true, Jar::Session) => "__Host-tidings_session",
            (true, Jar::Form) => "__Host-tidings_form",
            (false, Jar::Session) => "tidings_session",
            (false, Jar::Form) => "tidings_form",
        }
    }

    /// What `Set-Cookie` says for a token. `guest` is somebody of a company, whose portal may
    /// be in a frame.
    pub(crate) fn keep(
        self,
        jar: Jar,
        token: &PortalToken,
        seconds: i64,
        guest: bool,
    ) -> HeaderValue {
        self.set(jar, token.expose(), seconds, guest)
    }

    /// What `Set-Cookie` says to forget both ways in which a token may be kept.
    pub(crate) fn forget(self, jar: Jar) -> Vec<HeaderValue> {
        let mut values = vec![self.set(jar, "", 0, false)];
        if self.framed && self.secure {
            values.push(self.set(jar, "", 0, true));
        }
        values
    }

    /// What `Set-Cookie` says to forget the other way in which a token may be kept, where there is
    /// one: a browser that has both sends both, and the older one first.
    pub(crate) fn forget_other(self, jar: Jar, guest: bool) -> Option<HeaderValue> {
        (self.framed && self.secure).then(|| self.set(jar, "", 0, !guest))
    }

    fn set(self, jar: Jar, value: &str, seconds: i64, guest: bool) -> HeaderValue {
        let name = self.name(jar);
        let secure = if self.secure { "; Secure" } else { "" };
        // A frame of another site sends no cookie that is `Lax`; a partitioned one is of use in
        // that site's frames alone. The first page comes by a link from elsewhere: not `Strict`.
        let site = if guest && self.framed && self.secure {
            "SameSite=None; Partitioned"
        } else {
            "SameSite=Lax"
        };
        let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; {site}{secure}");
        // Names, base64url and numbers are a valid field value.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// The token that a request brings.
    pub(crate) fn read(self, jar: Jar, headers: &HeaderMap) -> Option<PortalToken> {
        let name = self.name(jar);
        let fields = headers.get_all(header::COOKIE).iter();
        let mut pairs = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(key, value)| {
            (key == name)
                .then(|| PortalToken::parse(value).ok())
                .flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;

    const PLAIN: CookieRules = CookieRules {
        secure: false,
        framed: true,
    };
    const SECURE: CookieRules = CookieRules {
        secure: true,
        framed: true,
    };

    #[test]
    fn a_token_comes_back() {
        let token = PortalToken::generate(&SeededRandom::new(7));
        for rules in [PLAIN, SECURE] {
            let kept = rules.keep(Jar::Session, &token, 60, false);
            let pair = kept.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_static("other=1; x"));
            headers.append(header::COOKIE, HeaderValue::from_str(&pair).unwrap());
            let read = rules.read(Jar::Session, &headers).unwrap();
            assert_eq!(read.expose(), token.expose());
            assert!(rules.read(Jar::Form, &headers).is_none());
        }
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
        let token = PortalToken::generate(&SeededRandom::new(7));
        let text = |rules: CookieRules, guest| {
            let value = rules.keep(Jar::Session, &token, 60, guest);
            value.to_str().unwrap().to_owned()
        };
        for text in [text(PLAIN, true), text(SECURE, false)] {
            assert!(
                text.contains("HttpOnly") && text.contains("SameSite=Lax"),
                "{text}"
            );
        }
        let framed = text(SECURE, true);
        assert!(
            framed.starts_with("__Host-") && framed.contains("; Secure"),
            "{framed}"
        );
        assert!(framed.contains("SameSite=None; Partitioned"), "{framed}");
        let other = SECURE.forget_other(Jar::Session, true).unwrap();
        let other = other.to_str().unwrap();
        assert!(
            other.contains("Max-Age=0") && other.contains("SameSite=Lax"),
            "{other}"
        );
        assert!(PLAIN.forget_other(Jar::Session, true).is_none());
    }
}
