//! Settings of deliveries: how long, how often, how many at a time, and where they may go.

#![expect(
    clippy::doc_markdown,
    reason = "these doc comments are the text of `--help`, which shows them as they are"
)]

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, str::FromStr};

use clap::Args;
use ipnet::IpNet;
use tidings_domain::{address::AddressRules, target::Environment};

use super::span::{Schedule, Span};

/// The contract's retry schedule, as the flag spells it.
const SCHEDULE: &str = "5s,30s,2m,10m,30m,1h,2h,4h,6h,8h";

/// How deliveries are made.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Deliveries")]
pub(crate) struct DeliveryConfig {
    /// How long an attempt may take in all, from connecting to the end of the answer
    #[arg(
        long,
        env = "TIDINGS_ATTEMPT_TIMEOUT",
        value_name = "TIME",
        default_value = "10s"
    )]
    pub(crate) attempt_timeout: Span,

    /// The delays before each retry, or none
    ///
    /// At most 10, each plus up to 10 % jitter; nothing is retried later than 24 h after the first
    /// attempt. A receiver's Retry-After lengthens a delay.
    ///
    /// Example: 5s,30s,2m,10m,1h
    #[arg(
        long,
        env = "TIDINGS_RETRY_SCHEDULE",
        value_name = "TIMES",
        default_value = SCHEDULE
    )]
    pub(crate) retry_schedule: Schedule,

    /// How many attempts this server may have in flight at a time, in all
    #[arg(
        long,
        env = "TIDINGS_CONCURRENCY",
        value_name = "N",
        default_value = "1024"
    )]
    pub(crate) concurrency: NonZeroUsize,

    /// How many attempts this server may have in flight at a time to one subscription
    #[arg(
        long,
        env = "TIDINGS_CONCURRENCY_PER_SUBSCRIPTION",
        value_name = "N",
        default_value = "16"
    )]
    pub(crate) concurrency_per_subscription: NonZeroUsize,

    /// How long a crashed node's work stays untouched before it is taken over
    #[arg(
        long,
        env = "TIDINGS_NODE_LEASE",
        value_name = "TIME",
        default_value = "15s"
    )]
    pub(crate) node_lease: Span,
}

/// Where deliveries may go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where deliveries may go")]
pub(crate) struct TargetConfig {
    /// production, or development
    ///
    /// Production: https and public addresses alone. Development: http, private addresses and
    /// localhost too, and a name that does not resolve is accepted.
    #[arg(
        long,
        env = "TIDINGS_ENVIRONMENT",
        value_name = "NAME",
        default_value = "production"
    )]
    pub(crate) environment: Environment,

    /// Address ranges that deliveries may go to although they are not public
    ///
    /// Repeatable, or separated by commas. Example: 10.20.0.0/16,fd00:1::/64
    #[arg(
        long,
        env = "TIDINGS_ALLOW_ADDRESS",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub(crate) allow_address: Vec<AddressRange>,

    /// Address ranges that deliveries may never go to; wins over --allow-address
    ///
    /// Repeatable, or separated by commas. Example: 192.0.2.0/24
    #[arg(
        long,
        env = "TIDINGS_BLOCK_ADDRESS",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub(crate) block_address: Vec<AddressRange>,

    /// A PEM file with certificates of authorities to trust beside the system's
    ///
    /// The system's own are read from its store, or from the file that SSL_CERT_FILE names.
    #[arg(long, env = "TIDINGS_EXTRA_ROOT_CA", value_name = "FILE")]
    pub(crate) extra_root_ca: Option<PathBuf>,

    /// The name server to ask instead of the system's
    ///
    /// Example: 9.9.9.9, or 127.0.0.1:5353
    #[arg(long, env = "TIDINGS_DNS_SERVER", value_name = "ADDRESS")]
    pub(crate) dns_server: Option<NameServer>,
}

/// A range of addresses; a single address is the range of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressRange(pub(crate) IpNet);

/// A name server's address; port 53 where none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) SocketAddr);

impl TargetConfig {
    /// The rules that follow from these settings.
    pub(crate) fn rules(&self) -> AddressRules {
        let ranges = |given: &[AddressRange]| given.iter().map(|range| range.0).collect();
        AddressRules::new(
            self.environment,
            ranges(&self.allow_address),
            ranges(&self.block_address),
        )
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
            .map(Self)
            .map_err(|_| "write a range like 10.20.0.0/16 or fd00:1::/64".to_owned())
    }
}

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const DNS_PORT: u16 = 53;
        let text = text.trim();
        text.parse::<SocketAddr>()
            .or_else(|_| {
                text.parse()
                    .map(|address| SocketAddr::new(address, DNS_PORT))
            })
            .map(Self)
            .map_err(|_| "write an address like 9.9.9.9 or 127.0.0.1:5353".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::verdict::RetrySchedule;

    #[test]
    fn the_schedule_is_the_contract_s() {
        let schedule: Schedule = SCHEDULE.parse().unwrap();
        assert_eq!(schedule.0, RetrySchedule::default());
    }

    #[test]
    fn a_single_address_is_a_range() {
        assert_eq!("10.1.2.3".parse::<AddressRange>(), "10.1.2.3/32".parse());
        assert!("10.1.2.3/33".parse::<AddressRange>().is_err());
        assert!("example.com".parse::<AddressRange>().is_err());
    }

    #[test]
    fn a_name_server_listens_on_53() {
        let server: NameServer = "9.9.9.9".parse().unwrap();
        assert_eq!(server.0.to_string(), "9.9.9.9:53");
        assert_eq!("[::1]:5353".parse::<NameServer>().unwrap().0.port(), 5353);
    }
}
