//! The rules for target addresses: which hosts a delivery may reach.
//!
//! A webhook sender dials what its users name, so it must not become their way into the
//! operator's own network. The rules are asked when a subscription is made or changed, for a
//! test, and at every attempt, for the addresses that are about to be dialled. They judge what
//! [`crate::target`] has read; resolving names is for the delivery side, which passes the answer
//! in.
//!
//! An address is judged in this order: the operator's block list refuses it, the operator's allow
//! list accepts it, the table of ranges that are not public refuses it, and the rest is accepted.
//! In development the table refuses only what is no receiver anywhere: the unspecified addresses
//! (`0.0.0.0/8`, `::`), which are another spelling of loopback and would slip past a block of it,
//! multicast, and broadcast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::target::{Environment, TargetUrl};

/// Which addresses and names a delivery may go to.
#[derive(Clone, Debug)]
pub struct AddressRules {
    environment: Environment,
    allow: Vec<IpNet>,
    block: Vec<IpNet>,
}

/// Why a delivery may not go somewhere, as a sentence for the user who wanted it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The address is in a range that is not public.
    #[error("{address} is not a public address ({meaning}, {range})")]
    NotPublic {
        /// The address as it was given.
        address: IpAddr,
        /// What the range is for.
        meaning: &'static str,
        /// The range.
        range: IpNet,
    },
    /// The address is on the operator's block list. The range is not told: it is the operator's.
    #[error("{address} is blocked by the operator of this server")]
    Blocked {
        /// The address as it was given.
        address: IpAddr,
    },
    /// The name belongs to the machine or the local network.
    #[error(
        "{name} is not a public name (localhost, *.localhost, *.local and *.internal are refused)"
    )]
    LocalName {
        /// The name as it was given.
        name: String,
    },
    /// The URL was stored in development and has no encryption.
    #[error("http:// is accepted in the development environment only; use https://")]
    NotHttps,
}

impl AddressRules {
    /// The rules of an environment with the operator's own ranges. `block` wins over `allow`, and
    /// `allow` over the table. A range that is written in IPv4-mapped form means its IPv4 range.
    #[must_use]
    pub fn new(environment: Environment, allow: Vec<IpNet>, block: Vec<IpNet>) -> Self {
        let canonical = |ranges: Vec<IpNet>| ranges.into_iter().map(canonical_range).collect();
        Self {
            environment,
            allow: canonical(allow),
            block: canonical(block),
        }
    }

    /// The environment that these are the rules of.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Judges a target by itself, before anything is resolved: its scheme, and its name or literal
    /// address. The addresses of a name are judged by [`AddressRules::judge_resolved`].
    pub fn judge_target(&self, target: &TargetUrl) -> Result<(), Refusal> {
        if self.environment == Environment::Production && !target.is_https() {
            return Err(Refusal::NotHttps);
        }
        if let Some(name) = target.host_name() {
            self.judge_name(name)?;
        }
        target
            .literal_address()
            .map_or(Ok(()), |address| self.judge_address(address))
    }

    /// Judges all that a name resolved to, and refuses where **any** address is refused: a name
    /// with one foot inside is an attempt to get in. No addresses are no reason to refuse; that
    /// the name did not resolve is the resolver's to say.
    pub fn judge_resolved(&self, addresses: &[IpAddr]) -> Result<(), Refusal> {
        addresses
            .iter()
            .try_for_each(|&address| self.judge_address(address))
    }

    /// Judges one address. IPv4-mapped IPv6 is judged as the IPv4 that it is.
    pub fn judge_address(&self, address: IpAddr) -> Result<(), Refusal> {
        let dialled = address.to_canonical();
        if self.is_blocked(dialled) {
            return Err(Refusal::Blocked { address });
        }
        if contains(&self.allow, dialled) {
            return Ok(());
        }
        match special_range(dialled) {
            Some(special) if special.is_refused_in(self.environment) => Err(Refusal::NotPublic {
                address,
                meaning: special.meaning,
                range: special.range,
            }),
            _ => Ok(()),
        }
    }

    /// Judges a host name, in any case and with or without a trailing dot. In production the local
    /// names are refused even where the allow list has their addresses: what such a name means
    /// depends on the machine, so an operator who wants a delivery there gives it another name.
    pub fn judge_name(&self, name: &str) -> Result<(), Refusal> {
        match self.environment {
            Environment::Production if is_local_name(name) => Err(Refusal::LocalName {
                name: name.to_owned(),
            }),
            Environment::Production | Environment::Development => Ok(()),
        }
    }

    /// A blocked IPv4 range is blocked as well where a gateway would translate to it.
    fn is_blocked(&self, address: IpAddr) -> bool {
        contains(&self.block, address)
            || translated(address).is_some_and(|inner| contains(&self.block, inner.into()))
    }
}

/// A range that is not public.
struct SpecialRange {
    range: IpNet,
    meaning: &'static str,
    /// No receiver is there, whatever the environment.
    never: bool,
}

/// Every range that is not public, first match first; see the IANA registries of special-purpose
/// addresses (RFC 6890). IPv6 is refused outside of [`GLOBAL_UNICAST`] as well: the rows that lie
/// there only give it a better name.
#[rustfmt::skip]
const SPECIAL_RANGES: &[SpecialRange] = &[
    v4([0, 0, 0, 0], 8, "this network").never(),              // RFC 791, section 3.2
    v4([10, 0, 0, 0], 8, "private"),                          // RFC 1918
    v4([100, 64, 0, 0], 10, "carrier-grade NAT"),             // RFC 6598
    v4([127, 0, 0, 0], 8, "loopback"),                        // RFC 1122, section 3.2.1.3
    v4([168, 63, 129, 16], 32, "cloud platform service"),     // Azure: DNS, health probes, agent
    v4([169, 254, 0, 0], 16, "link-local"),                   // RFC 3927; cloud metadata
    v4([172, 16, 0, 0], 12, "private"),                       // RFC 1918
    v4([192, 0, 0, 0], 24, "protocol assignments"),           // RFC 6890, section 2.1
    v4([192, 0, 2, 0], 24, "documentation"),                  // RFC 5737
    v4([192, 88, 99, 0], 24, "6to4 relay"),                   // RFC 7526
    v4([192, 168, 0, 0], 16, "private"),                      // RFC 1918
    v4([198, 18, 0, 0], 15, "benchmarking"),                  // RFC 2544
    v4([198, 51, 100, 0], 24, "documentation"),               // RFC 5737
    v4([203, 0, 113, 0], 24, "documentation"),                // RFC 5737
    v4([224, 0, 0, 0], 4, "multicast").never(),               // RFC 5771
    v4([255, 255, 255, 255], 32, "broadcast").never(),        // RFC 8190
    v4([240, 0, 0, 0], 4, "reserved"),                        // RFC 1112, section 4
    v6_at(Ipv6Addr::UNSPECIFIED, 128, "unspecified").never(), // RFC 4291, section 2.5.2
    v6_at(Ipv6Addr::LOCALHOST, 128, "loopback"),              // RFC 4291, section 2.5.3
    v6([0x64, 0xff9b, 0, 0], 96, "NAT64"),                    // RFC 6052: leads to any IPv4
    v6([0x64, 0xff9b, 1, 0], 48, "local NAT64"),              // RFC 8215
    v6([0x2001, 0, 0, 0], 23, "protocol assignments"),        // RFC 2928; Teredo, RFC 4380
    v6([0x2001, 0xdb8, 0, 0], 32, "documentation"),           // RFC 3849
    v6([0x2002, 0, 0, 0], 16, "6to4"),                        // RFC 3056: leads to any IPv4
    v6([0x3fff, 0, 0, 0], 20, "documentation"),               // RFC 9637
    v6([0xfc00, 0, 0, 0], 7, "private"),                      // RFC 4193
    v6([0xfe80, 0, 0, 0], 10, "link-local"),                  // RFC 4291, section 2.5.6
    v6([0xff00, 0, 0, 0], 8, "multicast").never(),            // RFC 4291, section 2.7
];

/// The only part of IPv6 from which public addresses are given out (RFC 4291, section 2.4, and
/// the IANA registry of IPv6 address space).
const GLOBAL_UNICAST: SpecialRange = v6([0x2000, 0, 0, 0], 3, "outside of global unicast");

const fn v4([a, b, c, d]: [u8; 4], prefix_bits: u8, meaning: &'static str) -> SpecialRange {
    let range = Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_bits);
    SpecialRange {
        range: IpNet::V4(range),
        meaning,
        never: false,
    }
}

/// An IPv6 range by the upper half of its first address; the lower half is zero.
const fn v6(upper: [u16; 4], prefix_bits: u8, meaning: &'static str) -> SpecialRange {
    let [a, b, c, d] = upper;
    v6_at(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix_bits, meaning)
}

const fn v6_at(first: Ipv6Addr, prefix_bits: u8, meaning: &'static str) -> SpecialRange {
    let range = Ipv6Net::new_assert(first, prefix_bits);
    SpecialRange {
        range: IpNet::V6(range),
        meaning,
        never: false,
    }
}

impl SpecialRange {
    const fn never(self) -> Self {
        Self {
            never: true,
            ..self
        }
    }

    fn is_refused_in(&self, environment: Environment) -> bool {
        self.never || environment == Environment::Production
    }
}

/// What makes an address not public; none for a public one. Expects a canonical address.
fn special_range(address: IpAddr) -> Option<&'static SpecialRange> {
    const OUTSIDE: &SpecialRange = &GLOBAL_UNICAST;
    let listed = SPECIAL_RANGES
        .iter()
        .find(|special| special.range.contains(&address));
    let is_outside = address.is_ipv6() && !OUTSIDE.range.contains(&address);
    listed.or(is_outside.then_some(OUTSIDE))
}

/// The IPv4 address that NAT64 (RFC 6052) or 6to4 (RFC 3056) makes of an IPv6 address.
fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

fn contains(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// Turns a range of IPv4-mapped addresses into its IPv4 range, since addresses are judged so.
fn canonical_range(range: IpNet) -> IpNet {
    const MAPPED_PREFIX_BITS: u8 = 96;
    let prefix_bits = range.prefix_len().checked_sub(MAPPED_PREFIX_BITS);
    match (range.addr().to_canonical(), prefix_bits) {
        (IpAddr::V4(address), Some(prefix_bits)) if range.addr().is_ipv6() => {
            Ipv4Net::new(address, prefix_bits).map_or(range, IpNet::V4)
        }
        _ => range,
    }
}

/// `localhost` and below it (RFC 6761, section 6.3), `*.local` (RFC 6762) and `*.internal` (the
/// top-level domain that ICANN reserved for private use in 2024).
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name
            .rsplit_once('.')
            .is_some_and(|(_, top)| matches!(top, "localhost" | "local" | "internal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Environment::{Development, Production};
    use proptest::prelude::*;

    fn rules(environment: Environment) -> AddressRules {
        AddressRules::new(environment, Vec::new(), Vec::new())
    }

    fn ranges(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The words of a list, as `for` wants them.
    fn words(list: &str) -> impl Iterator<Item = &str> {
        list.split_whitespace()
    }

    /// The contract's list, written a second time so that a slip in the table shows: the first and
    /// last address of each range, and whether the neighbour before and after it is public.
    #[rustfmt::skip]
    const EDGES: &[(bool, &str, &str, bool)] = &[
        (false, "0.0.0.0", "0.255.255.255", true),
        (true, "10.0.0.0", "10.255.255.255", true),
        (true, "100.64.0.0", "100.127.255.255", true),
        (true, "127.0.0.0", "127.255.255.255", true),
        (true, "168.63.129.16", "168.63.129.16", true),
        (true, "169.254.0.0", "169.254.255.255", true),
        (true, "172.16.0.0", "172.31.255.255", true),
        (true, "192.0.0.0", "192.0.0.255", true),
        (true, "192.0.2.0", "192.0.2.255", true),
        (true, "192.88.99.0", "192.88.99.255", true),
        (true, "192.168.0.0", "192.168.255.255", true),
        (true, "198.18.0.0", "198.19.255.255", true),
        (true, "198.51.100.0", "198.51.100.255", true),
        (true, "203.0.113.0", "203.0.113.255", true),
        (true, "224.0.0.0", "239.255.255.255", false),
        (false, "240.0.0.0", "255.255.255.255", false),
        (false, "::", "::1", false),
        (false, "::2", "::fffe:ffff:ffff", false),
        (false, "64:ff9b::", "64:ff9b::ffff:ffff", false),
        (false, "64:ff9b::8.8.8.8", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false),
        (false, "::1:0:0:0", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (true, "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (true, "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (true, "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (true, "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (true, "4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        (false, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        (false, "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        (false, "fec0::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ];

    #[test]
    fn every_range_is_refused_from_its_first_address_to_its_last() {
        let rules = rules(Production);
        for &(before, first, last, after) in EDGES {
            let [first, last] = [first, last].map(address);
            for inside in [first, last] {
                assert!(rules.judge_address(inside).is_err(), "{inside}");
            }
            for (outside, is_public) in [(shifted(first, -1), before), (shifted(last, 1), after)] {
                assert_eq!(rules.judge_address(outside).is_ok(), is_public, "{outside}");
            }
        }
    }

    /// The address `by` places further on; round the corner from last to first.
    fn shifted(address: IpAddr, by: i8) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                Ipv4Addr::from_bits(v4.to_bits().wrapping_add_signed(by.into())).into()
            }
            IpAddr::V6(v6) => {
                Ipv6Addr::from_bits(v6.to_bits().wrapping_add_signed(by.into())).into()
            }
        }
    }

    #[test]
    fn no_row_has_bits_below_its_prefix() {
        for special in SPECIAL_RANGES {
            assert_eq!(special.range, special.range.trunc());
        }
    }

    #[test]
    fn a_refusal_says_which_range_and_why() {
        for (text, sentence) in [
            (
                "127.0.0.1",
                "127.0.0.1 is not a public address (loopback, 127.0.0.0/8)",
            ),
            (
                "::ffff:10.1.2.3",
                "::ffff:10.1.2.3 is not a public address (private, 10.0.0.0/8)",
            ),
            (
                "255.255.255.255",
                "255.255.255.255 is not a public address (broadcast, 255.255.255.255/32)",
            ),
            (
                "64:ff9b::808:808",
                "64:ff9b::808:808 is not a public address (NAT64, 64:ff9b::/96)",
            ),
            ("::1", "::1 is not a public address (loopback, ::1/128)"),
            (
                "fe80::1",
                "fe80::1 is not a public address (link-local, fe80::/10)",
            ),
            (
                "64:ff9b:1::1",
                "64:ff9b:1::1 is not a public address (local NAT64, 64:ff9b:1::/48)",
            ),
            (
                "fd00::1",
                "fd00::1 is not a public address (private, fc00::/7)",
            ),
            (
                "fec0::1",
                "fec0::1 is not a public address (outside of global unicast, 2000::/3)",
            ),
        ] {
            let refusal = rules(Production).judge_address(address(text)).unwrap_err();
            assert_eq!(refusal.to_string(), sentence);
        }
        let refusal = rules(Production).judge_name("Db.Internal.").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Db.Internal. is not a public name \
             (localhost, *.localhost, *.local and *.internal are refused)"
        );
    }

    #[test]
    fn development_refuses_only_what_is_no_receiver() {
        let rules = rules(Development);
        for text in
            words("127.0.0.1 10.0.0.1 169.254.169.254 240.0.0.1 ::1 fd00::1 fec0::1 64:ff9b::1")
        {
            assert_eq!(rules.judge_address(address(text)), Ok(()), "{text}");
        }
        for text in words("0.0.0.0 0.1.2.3 224.0.0.1 255.255.255.255 :: ::ffff:0:0 ff02::1") {
            assert!(rules.judge_address(address(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn block_wins_over_allow_and_allow_over_the_table() {
        for environment in [Production, Development] {
            let rules = AddressRules::new(
                environment,
                ranges(&[
                    "10.0.0.0/8",
                    "::ffff:192.168.7.0/120",
                    "64:ff9b::/96",
                    "fd00::/8",
                ]),
                ranges(&["10.1.0.0/16", "::ffff:8.8.8.0/120", "2606:4700::/32"]),
            );
            for text in
                words("10.2.0.1 ::ffff:10.2.0.1 192.168.7.1 64:ff9b::1.1.1.1 fd00::1 1.1.1.1")
            {
                assert_eq!(rules.judge_address(address(text)), Ok(()), "{text}");
            }
            for text in
                words("10.1.0.1 ::ffff:10.1.0.1 8.8.8.8 2606:4700::1 64:ff9b::10.1.0.1 2002:a01::1")
            {
                let refusal = rules.judge_address(address(text)).unwrap_err();
                assert_eq!(
                    refusal,
                    Refusal::Blocked {
                        address: address(text)
                    }
                );
            }
            let outside_of_allowed = rules.judge_address(address("192.168.8.1"));
            assert_eq!(outside_of_allowed.is_ok(), environment == Development);
        }
    }

    #[test]
    fn local_names_are_refused_in_production_even_beside_an_allow_list() {
        let everything = AddressRules::new(Production, ranges(&["0.0.0.0/0", "::/0"]), Vec::new());
        for name in words(
            "localhost LOCALHOST localhost. localhost.. a.localhost a.b.LocalHost. \
             printer.local metadata.google.internal metadata.google.internal. .local",
        ) {
            assert!(everything.judge_name(name).is_err(), "{name}");
            assert_eq!(rules(Development).judge_name(name), Ok(()), "{name}");
        }
        for name in words(
            "example.com localhost.example.com notlocalhost a.notlocal internal.example xlocal. .",
        ) {
            assert_eq!(everything.judge_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_target_is_judged_by_what_will_be_dialled() {
        for host in words(
            "0x7f.1 2130706433 127.1 １２７.０.０.１ 127.0.0.1. [::ffff:7f00:1] [::1] 0 \
             0xa9fea9fe [64:ff9b::7f00:1] ⓛⓞcalhost LOCALHOST. a。local \
             metadata.google.internal",
        ) {
            let target = TargetUrl::parse(&format!("https://{host}/"), Production).unwrap();
            assert!(rules(Production).judge_target(&target).is_err(), "{host}");
        }
        for host in words("example.com 1.1.1.1 [2606:4700::1111] 0x1010101 [::ffff:1.1.1.1]") {
            let target = TargetUrl::parse(&format!("https://{host}/"), Production).unwrap();
            assert_eq!(rules(Production).judge_target(&target), Ok(()), "{host}");
        }
    }

    #[test]
    fn http_that_was_stored_in_development_is_not_dialled_in_production() {
        let target = TargetUrl::from_stored("http://example.com/").unwrap();
        assert_eq!(
            rules(Production).judge_target(&target),
            Err(Refusal::NotHttps)
        );
        assert_eq!(rules(Development).judge_target(&target), Ok(()));
    }

    #[test]
    fn one_refused_address_refuses_the_name() {
        let [public, inside] = ["1.1.1.1", "10.0.0.1"].map(address);
        let rules = rules(Production);
        assert_eq!(rules.judge_resolved(&[public, public]), Ok(()));
        for addresses in [[public, inside], [inside, public]] {
            assert_eq!(
                rules.judge_resolved(&addresses),
                rules.judge_address(inside)
            );
        }
        assert_eq!(rules.judge_resolved(&[]), Ok(()));
    }

    fn any_rules() -> impl Strategy<Value = AddressRules> {
        let range = (any::<IpAddr>(), 0..=128_u8).prop_map(|(address, bits)| {
            let bits_max = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, bits.min(bits_max)).unwrap()
        });
        let list = proptest::collection::vec(range, 0..3);
        (any::<bool>(), list.clone(), list).prop_map(|(production, allow, block)| {
            AddressRules::new(
                if production { Production } else { Development },
                allow,
                block,
            )
        })
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_judged_as_its_ipv4(rules in any_rules(), inner: Ipv4Addr) {
            let plain = rules.judge_address(inner.into());
            let mapped = rules.judge_address(inner.to_ipv6_mapped().into());
            prop_assert_eq!(plain.is_ok(), mapped.is_ok());
        }

        #[test]
        fn a_blocked_ipv4_is_blocked_behind_a_gateway(inner: Ipv4Addr, bits in 0..=32_u8) {
            let range = IpNet::new(inner.into(), bits).unwrap();
            let rules = AddressRules::new(Development, ranges(&["::/0", "0.0.0.0/0"]), vec![range]);
            let [a, b] = [inner.to_bits() >> 16, inner.to_bits() & 0xffff];
            for text in [format!("64:ff9b::{inner}"), format!("2002:{a:x}:{b:x}::1")] {
                prop_assert!(rules.judge_address(address(&text)).is_err());
            }
        }

        #[test]
        fn production_is_the_stricter_one(any: IpAddr) {
            if rules(Production).judge_address(any).is_ok() {
                prop_assert_eq!(rules(Development).judge_address(any), Ok(()));
            }
        }

        #[test]
        fn only_global_unicast_ipv6_is_public(any: Ipv6Addr) {
            if rules(Production).judge_address(any.into()).is_ok() {
                prop_assert!(any.segments()[0] >> 13 == 1 || any.to_ipv4_mapped().is_some());
            }
        }

        #[test]
        fn names_are_judged_alike_in_any_case_and_with_a_dot(
            name in r"(\PC{0,9}\.)?(localhost|local|internal|com|\PC{0,9})",
        ) {
            let judge = |name: &str| rules(Production).judge_name(name).is_ok();
            prop_assert_eq!(judge(&name), judge(&name.to_ascii_uppercase()));
            prop_assert_eq!(judge(&name), judge(&format!("{name}.")));
        }

        #[test]
        fn a_literal_in_a_url_is_judged_as_the_address(any: IpAddr) {
            let host = match any {
                IpAddr::V4(any) => any.to_string(),
                IpAddr::V6(any) => format!("[{any}]"),
            };
            let target = TargetUrl::parse(&format!("https://{host}/"), Production).unwrap();
            let rules = rules(Production);
            prop_assert_eq!(rules.judge_target(&target), rules.judge_address(any));
        }
    }
}
