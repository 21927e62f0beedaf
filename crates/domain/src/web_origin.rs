//! Origins of the web: scheme, host and port, and nothing more (RFC 6454). The portal is reached
//! at one, and others may embed it.

use std::{fmt, str::FromStr, sync::Arc};

use url::{Host, Url};

/// The most characters of an origin as it is given: those of a DNS name, scheme and port.
pub const ORIGIN_CHARS_MAX: usize = 300;

/// `https://hooks.example.com`, or `http` and a port, as browsers write it: in lower case, without
/// the scheme's own port and without a slash at the end. Cheap to clone.
///
/// It may stand in a header field as it is: it holds letters, digits and `-._:/[]` alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebOrigin(Arc<str>);

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a scheme, a host and if need be a port, like https://hooks.example.com")]
pub struct InvalidWebOrigin;

impl WebOrigin {
    /// Reads an origin. One slash may stand behind it, as browsers show it; a path, a query, a
    /// fragment, a user name or a wildcard may not.
    pub fn parse(text: &str) -> Result<Self, InvalidWebOrigin> {
        let text = text.trim();
        // The parser drops line breaks and tabs, reads backslashes as slashes, and takes an empty
        // user name for none. What needs such mending was a mistake.
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\\@".contains(&byte));
        if !plain || text.len() > ORIGIN_CHARS_MAX {
            return Err(InvalidWebOrigin);
        }
        let url = Url::parse(text).map_err(|_| InvalidWebOrigin)?;
        let scheme_fits = matches!(url.scheme(), "http" | "https");
        let has_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        let host_fits = match url.host() {
            // The standard lets a name have characters that mean something in a policy.
            Some(Host::Domain(name)) => name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        };
        if scheme_fits && host_fits && !has_more {
            Ok(Self(url.origin().ascii_serialization().into()))
        } else {
            Err(InvalidWebOrigin)
        }
    }

    /// The origin as text, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is exchanged with it is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for WebOrigin {
    type Err = InvalidWebOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidWebOrigin> {
        Self::parse(text)
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for (text, origin) in [
            ("https://hooks.example.com", "https://hooks.example.com"),
            (
                "https://Hooks.Example.com:443/",
                "https://hooks.example.com",
            ),
            (" http://localhost:8080 ", "http://localhost:8080"),
            ("http://127.1:80", "http://127.0.0.1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            let read = WebOrigin::parse(text).unwrap();
            assert_eq!(read.as_str(), origin, "{text}");
            assert_eq!(read.is_https(), origin.starts_with("https"), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        let long = format!("https://{}", "a".repeat(ORIGIN_CHARS_MAX));
        for text in [
            "",
            "example.com",
            "example.com:8080",
            "//example.com",
            "https://",
            "https://example.com/portal",
            "https://example.com/?",
            "https://example.com#",
            "https://user@example.com",
            "https://@example.com",
            "https://:@example.com",
            "https://*.example.com",
            "*",
            "null",
            "ftp://example.com",
            "file:///etc",
            "javascript:alert(1)",
            "https://example.com;sandbox",
            "https://example.com,https://evil.example",
            "https://example.com'",
            "https://exa\nmple.com",
            "https://example.com https://evil.example",
            "https:\\\\example.com",
            "https://example.com:0x50",
            "https://example.com:99999",
            &long,
        ] {
            assert_eq!(WebOrigin::parse(text), Err(InvalidWebOrigin), "{text}");
        }
    }
}
