//! Settings of the portal: how people reach it, and who may embed it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;
use tidings_domain::web_origin::WebOrigin;

/// How people reach the portal.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Portal")]
pub(crate) struct PortalConfig {
    /// How people reach the server in a browser: scheme, host and, if need be, port
    /// [default: http and the address it listens on]
    ///
    /// Links into the portal begin with it. Where it is https, the portal's cookies travel over
    /// https alone: give it wherever TLS stands in front. Example: `https://webhooks.example.com`
    #[arg(long, env = "TIDINGS_PUBLIC_URL", value_name = "URL")]
    public_url: Option<WebOrigin>,

    /// Origins whose pages may show the portal in an iframe; none unless given
    ///
    /// Repeatable, or separated by commas: scheme, host and port alone, without path and wildcard.
    /// Browsers keep somebody signed in within a frame of another site only if --public-url is
    /// https. Example: `https://app.example.com`
    #[arg(
        long,
        env = "TIDINGS_PORTAL_FRAME_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub(crate) portal_frame_origin: Vec<WebOrigin>,
}

impl PortalConfig {
    /// How people reach the server that listens on an address.
    pub(crate) fn public_url(&self, listening: SocketAddr) -> WebOrigin {
        match &self.public_url {
            Some(public_url) => public_url.clone(),
            None => of_address(listening),
        }
    }
}

/// What a browser on the same machine goes to.
fn of_address(listening: SocketAddr) -> WebOrigin {
    let address = match listening.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let address = SocketAddr::new(address, listening.port());
    WebOrigin::parse(&format!("http://{address}")).expect("an address and a port are an origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_public_url_it_is_the_address() {
        for (listening, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("192.0.2.1:80", "http://192.0.2.1"),
            ("[::]:8080", "http://[::1]:8080"),
            ("[fe80::1%7]:8080", "http://[fe80::1]:8080"),
        ] {
            let url = of_address(listening.parse().unwrap());
            assert_eq!(url.as_str(), expected, "{listening}");
        }
    }
}
