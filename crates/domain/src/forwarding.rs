//! Forwarding: from where a request came, also through proxies that are trusted to say so.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::actor::ClientAddress;

/// The most proxies between a client and the server. What a longer chain begins with is not read.
pub const PROXIES_MAX: usize = 32;

/// The address of the client behind `peer`, who is at the other end of the connection.
///
/// `forwarded` are the values of `X-Forwarded-For` in the order in which they were sent, each
/// a list with commas. Every proxy adds at the end of the list from whom it has the request.
/// So the list is read from its end, and believed as long as the one who added the next
/// address is one of the `trusted`: the client is the first address from the end that is not
/// trusted. What stands before that was said by the client and may be anything. Where an
/// entry is no address, or all of them are trusted, it is the last one reached.
#[must_use]
pub fn client_behind<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> ClientAddress {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut nearest = peer.to_canonical();
    let entries = forwarded
        .rev()
        .flat_map(|list| list.rsplit(|byte| *byte == b','));
    for entry in entries.take(PROXIES_MAX) {
        if !is_trusted(&nearest) {
            break;
        }
        match parse(entry) {
            Some(address) => nearest = address,
            None => break,
        }
    }
    ClientAddress(nearest)
}

/// An address as proxies write it: alone, or with the port from which the request came.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_ascii();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| {
            let with_port: SocketAddr = text.parse().ok()?;
            Some(with_port.ip())
        }),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> Vec<IpNet> {
        ["10.0.0.0/8", "fd00::/8"]
            .map(|range| range.parse().unwrap())
            .to_vec()
    }

    fn behind(peer: &str, forwarded: &[&str]) -> String {
        let lists = forwarded.iter().map(|list| list.as_bytes());
        let ClientAddress(address) = client_behind(peer.parse().unwrap(), lists, &trusted());
        address.to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        assert_eq!(behind("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(behind("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(behind("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(behind("::ffff:192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(behind("fd00::1", &["2001:db8::7"]), "2001:db8::7");
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        for (forwarded, client) in [
            (&["198.51.100.7, 10.0.0.2"][..], "198.51.100.7"),
            // What the client wrote itself stands before what the proxies saw.
            (&["127.0.0.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            (&["10.0.0.9, 198.51.100.7"], "198.51.100.7"),
            (&["127.0.0.1", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            (&["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(behind("10.0.0.1", forwarded), client, "{forwarded:?}");
        }
    }

    #[test]
    fn addresses_may_have_ports() {
        for (entry, client) in [
            ("198.51.100.7:1234", "198.51.100.7"),
            ("[2001:db8::7]:1234", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("\t198.51.100.7 ", "198.51.100.7"),
        ] {
            assert_eq!(behind("10.0.0.1", &[entry]), client, "{entry}");
        }
    }

    #[test]
    fn what_is_no_address_ends_the_chain_where_it_stands() {
        for entry in [
            "",
            " ",
            "unknown",
            "_hidden",
            "localhost",
            "198.51.100",
            "0x7f.1",
            "[198.51.100.7]",
            "fe80::1%eth0",
            "198.51.100.7:",
            "198.51.100.7:99999",
            "\"198.51.100.7\"",
            "\u{e9}",
        ] {
            assert_eq!(behind("10.0.0.1", &[entry]), "10.0.0.1", "{entry}");
            let list = format!("192.0.2.9, {entry}, 10.0.0.2");
            assert_eq!(behind("10.0.0.1", &[&list]), "10.0.0.2", "{list}");
        }
    }

    #[test]
    fn a_chain_without_end_is_left_unread() {
        let endless = format!("198.51.100.7{}", ",10.0.0.2".repeat(100_000));
        assert_eq!(behind("10.0.0.1", &[&endless]), "10.0.0.2");
    }

    proptest! {
        /// Whatever a client writes, the proxy's own entry behind it counts.
        #[test]
        fn a_client_cannot_choose_its_address(lie in prop::collection::vec(any::<u8>(), 0..200)) {
            let lists = [lie.as_slice(), b"198.51.100.7"];
            let peer = "10.0.0.1".parse().unwrap();
            let found = client_behind(peer, lists.into_iter(), &trusted());
            prop_assert_eq!(found.0.to_string(), "198.51.100.7");
        }
    }
}
