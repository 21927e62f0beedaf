//! Settings of the HTTP API: where it listens, who may call, and how much.

use std::{net::SocketAddr, num::NonZeroU32, str::FromStr};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use tidings_api::CatalogEnforcement;
use tidings_domain::api_key::ApiKeyToken;

use super::{delivery::AddressRange, secret_text::SecretText};

/// Where the server listens and what it takes on.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP API")]
pub(crate) struct HttpConfig {
    /// The address and port of the API
    ///
    /// 0.0.0.0:8080 listens on every address of the machine; put TLS in front of it. Port 0 takes
    /// any free one, which the first line of the log tells.
    #[arg(
        long,
        env = "TIDINGS_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        value_parser = parse_address
    )]
    pub(crate) listen: SocketAddr,

    /// Serve /metrics at an address and port of its own, and no longer with the API
    #[arg(
        long,
        env = "TIDINGS_METRICS_LISTEN",
        value_name = "ADDRESS:PORT",
        value_parser = parse_address
    )]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Address ranges of proxies that are believed about where a request came from
    ///
    /// Repeatable, or separated by commas. Of a request from one of them, the audit log and the
    /// throttling of sign-ins go by X-Forwarded-For: by its last address that is in none of these
    /// ranges, as what stands before that may be a lie. Example: 10.0.0.0/8
    #[arg(
        long,
        env = "TIDINGS_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub(crate) trusted_proxy: Vec<AddressRange>,

    /// A platform admin key to accept from the start, for automation: tdg_ and 43 characters
    ///
    /// Prefer the environment variable: others on the machine can see flags. `tidings keys create`
    /// makes keys that can be revoked.
    #[arg(
        long,
        env = "TIDINGS_BOOTSTRAP_KEY",
        value_name = "KEY",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub(crate) bootstrap_key: Option<SecretText>,

    /// The largest body of a published event, in bytes
    #[arg(
        long,
        env = "TIDINGS_MAX_EVENT_BYTES",
        value_name = "BYTES",
        default_value = "262144"
    )]
    pub(crate) max_event_bytes: EventBytes,

    /// Requests per minute that each API key may make, by class; off unless given
    ///
    /// The classes are read, publish and write (every other change: of subscriptions, keys and event
    /// types, tests, replays, links into the portal); one that is not named is not limited. Each
    /// server counts for itself. Example: read=600,write=120,publish=6000
    #[arg(long, env = "TIDINGS_RATE_LIMIT", value_name = "CLASS=N,…")]
    pub(crate) rate_limit: Option<RateLimitConfig>,

    /// What becomes of a payload that breaks the schema of its type in the catalog
    ///
    /// off: it is published as any other; warn: so it is, and the log and /metrics tell; reject: it
    /// is refused with 422 that lists each violation. A type without a schema, or in no catalog,
    /// is published always.
    #[arg(
        long,
        env = "TIDINGS_CATALOG_ENFORCE",
        value_name = "MODE",
        value_enum,
        default_value = "off"
    )]
    pub(crate) catalog_enforce: CatalogMode,
}

/// What becomes of a payload that breaks the schema of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CatalogMode {
    /// Nothing; it is not looked at
    Off,
    /// It is told
    Warn,
    /// It is refused
    Reject,
}

impl From<CatalogMode> for CatalogEnforcement {
    fn from(mode: CatalogMode) -> Self {
        match mode {
            CatalogMode::Off => Self::Off,
            CatalogMode::Warn => Self::Warn,
            CatalogMode::Reject => Self::Reject,
        }
    }
}

/// The largest body of a published event, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventBytes(pub(crate) usize);

/// Requests per minute and key; none for a class without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateLimitConfig {
    /// GET requests.
    pub(crate) read: Option<NonZeroU32>,
    /// Changes.
    pub(crate) write: Option<NonZeroU32>,
    /// Publishing; a batch counts once.
    pub(crate) publish: Option<NonZeroU32>,
}

impl HttpConfig {
    /// The proxies that are believed.
    pub(crate) fn trusted_proxies(&self) -> Vec<IpNet> {
        self.trusted_proxy.iter().map(|range| range.0).collect()
    }

    /// The bootstrap key, checked. Its error does not repeat it.
    pub(crate) fn bootstrap_key(&self) -> anyhow::Result<Option<ApiKeyToken>> {
        self.bootstrap_key
            .as_ref()
            .and_then(SecretText::expose)
            .map(ApiKeyToken::parse)
            .transpose()
            .context(
                "TIDINGS_BOOTSTRAP_KEY is no API key; make one with: \
                 echo \"tdg_$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')\"",
            )
    }
}

/// Reads an address to listen on; `localhost` is the IPv4 loopback address.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric
        .parse()
        .map_err(|_| "write an address and a port, like 127.0.0.1:8080 or [::]:8080".to_owned())
}

impl FromStr for EventBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// A body that no event fits into would refuse everything.
        const LEAST: usize = 1024;
        /// Bodies are held in memory, many at a time: 16 MiB.
        const MOST: usize = 16 << 20;
        match text.parse() {
            Ok(bytes) if (LEAST..=MOST).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(format!("must be from {LEAST} to {MOST}")),
        }
    }
}

impl FromStr for RateLimitConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for part in text.split(',') {
            let (class, number) = part
                .split_once('=')
                .ok_or("write it like read=600,write=60,publish=6000")?;
            let number = number.trim().parse().map_err(|_| {
                format!(
                    "{} needs a number of requests per minute, from 1",
                    class.trim()
                )
            })?;
            let limit = match class.trim() {
                "read" => &mut limits.read,
                "write" => &mut limits.write,
                "publish" => &mut limits.publish,
                other => return Err(format!("{other} is none of read, write and publish")),
            };
            if limit.replace(number).is_some() {
                return Err(format!("{} is given twice", class.trim()));
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limits_are_read_by_class() {
        let limits: RateLimitConfig = "read=600, publish=6000".parse().unwrap();
        assert_eq!(limits.read, NonZeroU32::new(600));
        assert_eq!(limits.write, None);
        assert_eq!(limits.publish, NonZeroU32::new(6000));
        for text in ["", "read", "read=0", "read=x", "poll=1", "read=1,read=2"] {
            assert!(text.parse::<RateLimitConfig>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_numbers_or_localhost() {
        let shown = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(shown("localhost:80"), Ok("127.0.0.1:80".to_owned()));
        assert_eq!(shown("[::]:8080"), Ok("[::]:8080".to_owned()));
        for text in [
            "",
            "8080",
            ":8080",
            "127.0.0.1",
            "example.com:80",
            "localhost",
        ] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn event_bytes_are_bounded() {
        assert_eq!("262144".parse::<EventBytes>().unwrap().0, 262_144);
        assert!("10".parse::<EventBytes>().is_err() && "1000000000".parse::<EventBytes>().is_err());
    }
}
