//! Target URLs: where a subscription wants its deliveries, read once and dialled as read.
//!
//! Reading follows the WHATWG URL standard, so that every odd spelling of a host (`0x7f.1`,
//! `2130706433`, full-width digits) has become what will be dialled before anybody judges it.
//! This module knows the form of a URL alone: whether its host may be reached is for
//! [`crate::address`], and resolving names is for the delivery side.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use url::{Host, ParseError, Position, Url};

/// The most characters of a target URL, as it is given and as it is dialled.
pub const TARGET_URL_CHARS_MAX: usize = 2048;

/// How strict the installation is about where deliveries go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Environment {
    /// `https` and public addresses alone.
    #[default]
    Production,
    /// `http`, private addresses and `localhost` too.
    Development,
}

/// A word that names no environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be production or development")]
pub struct InvalidEnvironment;

impl Environment {
    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }

    /// Reads the contract's word.
    pub fn parse(word: &str) -> Result<Self, InvalidEnvironment> {
        match word {
            "production" => Ok(Self::Production),
            "development" => Ok(Self::Development),
            _ => Err(InvalidEnvironment),
        }
    }
}

impl FromStr for Environment {
    type Err = InvalidEnvironment;

    fn from_str(word: &str) -> Result<Self, InvalidEnvironment> {
        Self::parse(word)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An absolute `http` or `https` URL without userinfo and fragment, normalised. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetUrl(Arc<Parts>);

/// The URL, and what the parser leaves optional though a target always has it.
#[derive(PartialEq, Eq, Hash)]
struct Parts {
    url: Url,
    /// The whole of it: each attempt's line in the log shares it.
    text: Arc<str>,
    host: Host<String>,
    port: u16,
}

/// Why a text is no target URL, as a sentence that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// More than [`TARGET_URL_CHARS_MAX`], as given or once percent-encoded.
    #[error("must be at most {TARGET_URL_CHARS_MAX} characters, counted after percent-encoding")]
    TooLong,
    /// White space or a control character, which the parser would drop in silence.
    #[error("must have no spaces, line breaks or control characters; write %20 for a space")]
    Whitespace,
    /// No scheme, or nothing that is a URL at all.
    #[error("must be an absolute URL like https://example.com/hooks")]
    NotAbsolute,
    /// Another scheme than `http` and `https`.
    #[error("must begin with https://")]
    Scheme,
    /// `http` in production.
    #[error("must begin with https://; http:// is accepted in the development environment only")]
    NotHttps,
    /// A user name or a password, or the `@` that would follow them.
    #[error("must have no user name, password or @ before the host; use the signature instead")]
    Userinfo,
    /// A fragment, be it empty.
    #[error("must have no fragment; remove the # and what follows it")]
    Fragment,
    /// Nothing where the host should be.
    #[error("must name a host, as in https://example.com/hooks")]
    NoHost,
    /// A host that is neither a name nor an address.
    #[error("must have a valid host: a domain name, an IPv4 address, or an IPv6 address in [ ]")]
    Host,
    /// No number, 0, or more than 65535.
    #[error("must have a port from 1 to 65535, or none")]
    Port,
}

impl TargetUrl {
    /// Reads a URL that a user gave; production wants `https`.
    pub fn parse(text: &str, environment: Environment) -> Result<Self, InvalidTarget> {
        let target = Self::read(text)?;
        match environment {
            Environment::Production if !target.is_https() => Err(InvalidTarget::NotHttps),
            Environment::Production | Environment::Development => Ok(target),
        }
    }

    /// Reads a URL back from a store. `http` is read everywhere, since a store may have been filled
    /// in another environment; [`crate::address::AddressRules::judge_target`] still refuses to
    /// dial it in production.
    pub fn from_stored(text: &str) -> Result<Self, InvalidTarget> {
        Self::read(text)
    }

    fn read(text: &str) -> Result<Self, InvalidTarget> {
        check_length(text)?;
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(InvalidTarget::Whitespace);
        }
        let url = Url::parse(text).map_err(invalid)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidTarget::Scheme);
        }
        if has_userinfo(text) {
            return Err(InvalidTarget::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(InvalidTarget::Fragment);
        }
        let host = url.host().ok_or(InvalidTarget::NoHost)?.to_owned();
        let port = url.port_or_known_default().ok_or(InvalidTarget::Port)?;
        if port == 0 {
            return Err(InvalidTarget::Port);
        }
        check_length(url.as_str())?;
        let text = url.as_str().into();
        Ok(Self(Arc::new(Parts {
            url,
            text,
            host,
            port,
        })))
    }

    /// The normalised URL, as it is dialled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The same, shared with the target.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0.text)
    }

    /// The host: a name in lower-case ASCII, or an address.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        match &self.0.host {
            Host::Domain(name) => Host::Domain(name),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        }
    }

    /// The host, where it is a name to resolve. A trailing dot is kept.
    #[must_use]
    pub fn host_name(&self) -> Option<&str> {
        match &self.0.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// The host, where it is an address.
    #[must_use]
    pub fn literal_address(&self) -> Option<IpAddr> {
        match self.0.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The port to dial: the given one, or the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.url.scheme() == "https"
    }

    /// Path and query as the request line has them (RFC 9112, section 3.2.1); begins with `/`.
    #[must_use]
    pub fn origin_form(&self) -> &str {
        &self.0.url[Position::BeforePath..]
    }

    /// The value of the `Host` header (RFC 9110, section 7.2): IPv6 in brackets, and the port
    /// unless it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.url[Position::BeforeHost..Position::AfterPort]
    }
}

fn check_length(text: &str) -> Result<(), InvalidTarget> {
    match text.chars().nth(TARGET_URL_CHARS_MAX) {
        Some(_) => Err(InvalidTarget::TooLong),
        None => Ok(()),
    }
}

/// Whether the URL as given has an `@` in its authority. The parser forgets an empty userinfo, so
/// the text is looked at: as the standard has it for `http` and `https`, the authority stands
/// after the colon and any number of slashes of either kind, and ends at the next one, `?` or `#`.
fn has_userinfo(text: &str) -> bool {
    const SLASHES: [char; 2] = ['/', '\\'];
    let after_scheme = text.split_once(':').map_or(text, |(_, rest)| rest);
    let authority = after_scheme
        .trim_start_matches(SLASHES)
        .split(['/', '\\', '?', '#'])
        .next();
    authority.is_some_and(|authority| authority.contains('@'))
}

fn invalid(error: ParseError) -> InvalidTarget {
    match error {
        ParseError::EmptyHost => InvalidTarget::NoHost,
        ParseError::InvalidPort => InvalidTarget::Port,
        ParseError::IdnaError
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address
        | ParseError::InvalidDomainCharacter => InvalidTarget::Host,
        // The parser's list is open-ended; what else it has is about URLs that are none.
        _ => InvalidTarget::NotAbsolute,
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for TargetUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Environment::{Development, Production};
    use proptest::prelude::*;

    fn production(text: &str) -> Result<TargetUrl, InvalidTarget> {
        TargetUrl::parse(text, Production)
    }

    #[test]
    fn a_target_is_taken_apart() {
        // Text, normalised, authority, origin form, port.
        for (text, url, authority, origin_form, port) in [
            (
                "https://Example.COM",
                "https://example.com/",
                "example.com",
                "/",
                443,
            ),
            (
                "HTTPS://a.b:443/c?d=%20",
                "https://a.b/c?d=%20",
                "a.b",
                "/c?d=%20",
                443,
            ),
            (
                "https://a.b:8443?",
                "https://a.b:8443/?",
                "a.b:8443",
                "/?",
                8443,
            ),
            (
                "https://a.b:80/x/../y",
                "https://a.b:80/y",
                "a.b:80",
                "/y",
                80,
            ),
            (
                "https://a.b/ä?ö",
                "https://a.b/%C3%A4?%C3%B6",
                "a.b",
                "/%C3%A4?%C3%B6",
                443,
            ),
            (
                "https://bücher.example",
                "https://xn--bcher-kva.example/",
                "xn--bcher-kva.example",
                "/",
                443,
            ),
            (
                "https://[2606:4700:0::1]:1/",
                "https://[2606:4700::1]:1/",
                "[2606:4700::1]:1",
                "/",
                1,
            ),
            (
                "https://[2606:4700::1]/",
                "https://[2606:4700::1]/",
                "[2606:4700::1]",
                "/",
                443,
            ),
            (
                "https://a.b./@?@:@",
                "https://a.b./@?@:@",
                "a.b.",
                "/@?@:@",
                443,
            ),
        ] {
            let target = production(text).unwrap();
            assert_eq!(target.as_str(), url, "{text}");
            assert_eq!(target.authority(), authority, "{text}");
            assert_eq!(target.origin_form(), origin_form, "{text}");
            assert_eq!(target.port(), port, "{text}");
            assert!(target.is_https(), "{text}");
            assert_eq!(
                target.host_name().is_some(),
                target.literal_address().is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn odd_spellings_of_an_address_become_the_address() {
        let spellings = "127.0.0.1 127.0.0.1. 127.1 127.0.1 0x7f.1 0x7f.1. 0x7F000001 2130706433 \
            0177.0.0.1 017700000001 0x7f.0x0.0x0.0x1 127.0.0.0x1 127.00000.0.1 １２７.０.０.１ \
            127。0。0。1 ①②⑦.1 %31%32%37.0.0.1 127.0.0.%31";
        for host in spellings.split_whitespace() {
            let target = production(&format!("https://{host}:8443/hook")).unwrap();
            assert_eq!(
                target.literal_address(),
                Some([127, 0, 0, 1].into()),
                "{host}"
            );
            assert_eq!(target.as_str(), "https://127.0.0.1:8443/hook", "{host}");
        }
        for (host, normalised) in [
            ("[::FFFF:127.0.0.1]", "[::ffff:7f00:1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("ＬＯＣＡＬＨＯＳＴ", "localhost"),
            ("LocalHost.", "localhost."),
            ("%6cocalhost", "localhost"),
        ] {
            assert_eq!(
                production(&format!("https://{host}")).unwrap().authority(),
                normalised
            );
        }
        for text in [
            "https:\\\\a.b\\c",
            "https:a.b/c",
            "https:///a.b/c",
            "https:/a.b/c",
        ] {
            assert_eq!(
                production(text).unwrap().as_str(),
                "https://a.b/c",
                "{text}"
            );
        }
    }

    /// Reasons, and texts that are refused for them.
    #[rustfmt::skip]
    const REFUSED: &[(InvalidTarget, &[&str])] = &[
        (InvalidTarget::NotAbsolute, &["", "a.b", "/hook", "//a.b/c", "?", "127.0.0.1"]),
        (InvalidTarget::Scheme, &[
            "ftp://a.b", "file:///x", "data:,", "a.b:443/x", "ws://a.b", "httpss://a.b",
        ]),
        (InvalidTarget::NotHttps, &["http://a.b", "HTTP://a.b:443/"]),
        (InvalidTarget::Userinfo, &[
            "https://u@a.b", "https://u:p@a.b", "https://@a.b", "https://:@a.b", "https://:p@a.b",
            "https:@a.b", "https:\\\\@a.b", "https:////@a.b/c", "https://a.b@127.0.0.1/",
            "https://a@b@c.d", "http://@a.b",
        ]),
        (InvalidTarget::Fragment, &[
            "https://a.b#", "https://a.b/#", "https://a.b/c?d#e", "https://a.b#@",
        ]),
        (InvalidTarget::NoHost, &[
            "https://", "https:///", "https:", "https://?x", "https://:443/",
        ]),
        (InvalidTarget::Host, &[
            "https://[::1", "https://[1.2.3.4]", "https://[fe80::1%25eth0]",
            "https://256.256.256.256", "https://1.2.3.4.5", "https://0x100000000", "https://a<b",
            "https://a%00b", "https://a%40b", "https://a＠b", "https://a.0x1",
        ]),
        (InvalidTarget::Port, &[
            "https://a.b:0", "https://a.b:000/", "https://a.b:65536", "https://a.b:x",
            "https://a.b:-1",
        ]),
        (InvalidTarget::Whitespace, &[
            " https://a.b", "https://a.b ", "https://a.b\n", "\thttps://a.b", "ht\ttps://a.b",
            "https://a.\nb", "https://a.b/c d", "https://a.b/\0", "\u{1f}https://a.b",
            "https://a.b/\u{7f}", "https://a.b/\u{85}", "\u{a0}https://a.b",
            "https://a.b\u{3000}", "https:/\t/u@a.b", "https://a.b/\u{2028}",
        ]),
    ];

    #[test]
    fn what_breaks_a_rule_is_refused_with_its_reason() {
        for (reason, texts) in REFUSED {
            for text in *texts {
                assert_eq!(production(text), Err(*reason), "{text:?}");
            }
        }
    }

    #[test]
    fn development_and_stores_have_http() {
        let text = "http://localhost:3000/hook";
        assert_eq!(production(text), Err(InvalidTarget::NotHttps));
        let target = TargetUrl::parse(text, Development).unwrap();
        assert_eq!(TargetUrl::from_stored(text), Ok(target.clone()));
        assert_eq!((target.port(), target.is_https()), (3000, false));
        let target = TargetUrl::parse("http://a.b:80/", Development).unwrap();
        assert_eq!((target.port(), target.authority()), (80, "a.b"));
        assert_eq!(
            TargetUrl::from_stored("ftp://a.b"),
            Err(InvalidTarget::Scheme)
        );
    }

    #[test]
    fn the_limit_counts_characters_before_and_after_encoding() {
        let of_length = |length: usize| format!("https://a.b/{}", "x".repeat(length - 12));
        assert!(production(&of_length(TARGET_URL_CHARS_MAX)).is_ok());
        assert_eq!(
            production(&of_length(TARGET_URL_CHARS_MAX + 1)),
            Err(InvalidTarget::TooLong)
        );
        let encoded = format!("https://a.b/{}", "ä".repeat(400));
        assert_eq!(production(&encoded), Err(InvalidTarget::TooLong));
        assert!(production(&format!("https://a.b/{}", "ä".repeat(339))).is_ok());
    }

    #[test]
    fn environments_read_back() {
        for environment in [Production, Development] {
            assert_eq!(environment.as_str().parse(), Ok(environment));
        }
        assert_eq!(Environment::parse("Production"), Err(InvalidEnvironment));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_reads_back(
            text in prop_oneof![
                any::<String>(),
                r"https?:[/\\]{0,3}\PC{0,40}",
                r"https://[a-zA-Z0-9.@:\[\]%-]{1,20}[/?#\\@a-zäß.%{}|^`']{0,20}",
                r"http://[0-9xa-f.:]{1,15}(:[0-9]{0,5})?(/\PC{0,9})?",
            ],
        ) {
            if let Ok(target) = TargetUrl::parse(&text, Development) {
                let again = TargetUrl::from_stored(target.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&target));
                prop_assert_eq!(again.map(|again| again.to_string()), Ok(target.to_string()));
                prop_assert_eq!(production(&text).is_ok(), target.is_https());
                let scheme = if target.is_https() { "https" } else { "http" };
                let rebuilt = format!("{scheme}://{}{}", target.authority(), target.origin_form());
                prop_assert_eq!(rebuilt, target.as_str());
                prop_assert!(target.origin_form().starts_with('/'));
                prop_assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!target.as_str().contains('#') && !target.authority().contains('@'));
                prop_assert!(target.port() != 0);
            }
        }
    }
}
