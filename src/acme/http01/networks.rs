//! Which addresses a validation may connect to: public ones, unless the operator opened more.
//!
//! Without this, anyone who may place an order could make the server speak to what only the server can reach: its own
//! loopback, a cloud's metadata service, the machines beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses that may be connected to.
#[derive(Clone, Debug, Default)]
pub struct AllowedNetworks {
    opened: Vec<IpNet>,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct RefusedAddress {
    /// What kind of address it is, with its article.
    pub kind: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// The IANA special-purpose registry for IPv4 (RFC 6890), multicast, what is reserved, and a metadata service that a
/// cloud put at a public address.
const REFUSED_V4: [(Ipv4Net, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "an unspecified address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a shared (carrier) address"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(168, 63, 129, 16, 32), "a metadata service"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a protocol address"),
    (v4(192, 0, 2, 0, 24), "a documentation address"),
    (v4(192, 88, 99, 0, 24), "a relay address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "a benchmarking address"),
    (v4(198, 51, 100, 0, 24), "a documentation address"),
    (v4(203, 0, 113, 0, 24), "a documentation address"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

/// Outside `2000::/3` nothing of IPv6 is global unicast (RFC 4291 section 2.4), so these only give names; what has
/// none is refused too. Inside, tunnels and documentation.
const REFUSED_V6: [(Ipv6Net, &str); 8] = [
    (v6(0xfe80, 0, 10), "a link-local address"),
    (v6(0xfc00, 0, 7), "a private address"),
    (v6(0xff00, 0, 8), "a multicast address"),
    (v6(0x0064, 0xff9b, 32), "a translated IPv4 address"),
    (v6(0x2001, 0, 23), "a protocol address"),
    (v6(0x2001, 0x0db8, 32), "a documentation address"),
    (v6(0x2002, 0, 16), "a tunnelled IPv4 address"),
    (v6(0x3fff, 0, 20), "a documentation address"),
];

const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000, 0, 3);

impl AllowedNetworks {
    /// Public addresses, and those in `opened`.
    #[must_use]
    pub fn new(opened: Vec<IpNet>) -> Self {
        Self { opened }
    }

    /// Whether an address may be connected to. An IPv4-mapped IPv6 address counts as IPv6: it is refused unless its
    /// own network was opened, so that it can't be a second way to write a refused one.
    ///
    /// # Errors
    /// Says what kind of address it is.
    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        if self.opened.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        match refused(address) {
            Some(kind) => Err(RefusedAddress { kind }),
            None => Ok(()),
        }
    }
}

fn refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => REFUSED_V4
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, kind)| *kind),
        IpAddr::V6(address) if address.is_unspecified() => Some("an unspecified address"),
        IpAddr::V6(address) if address.is_loopback() => Some("a loopback address"),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address"),
        IpAddr::V6(address) => REFUSED_V6
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, kind)| *kind)
            .or_else(|| (!GLOBAL_UNICAST_V6.contains(&address)).then_some("a reserved address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OpenBao and Vault, CVE-2026-5052: validation reached internal addresses.
    #[test]
    fn internal_addresses_are_refused_however_they_are_written() {
        for (address, kind) in [
            ("0.0.0.0", "an unspecified address"),
            ("10.1.2.3", "a private address"),
            ("100.100.100.200", "a shared (carrier) address"),
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.254", "a loopback address"),
            ("168.63.129.16", "a metadata service"),
            ("169.254.169.254", "a link-local address"),
            ("172.31.255.255", "a private address"),
            ("192.0.0.192", "a protocol address"),
            ("192.168.0.1", "a private address"),
            ("255.255.255.255", "a reserved address"),
            ("224.0.0.1", "a multicast address"),
            ("::", "an unspecified address"),
            ("::1", "a loopback address"),
            ("::ffff:127.0.0.1", "an IPv4-mapped address"),
            ("::ffff:8.8.8.8", "an IPv4-mapped address"),
            ("::127.0.0.1", "a reserved address"),
            ("64:ff9b::7f00:1", "a translated IPv4 address"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "a protocol address"),
            ("2002:7f00:1::", "a tunnelled IPv4 address"),
            ("fc00::1", "a private address"),
            ("fd00:ec2::254", "a private address"),
            ("fe80::1", "a link-local address"),
            ("fec0::1", "a reserved address"),
            ("ff02::1", "a multicast address"),
        ] {
            assert_eq!(
                AllowedNetworks::default().check(address.parse().unwrap()),
                Err(RefusedAddress { kind }),
                "{address}"
            );
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(
                AllowedNetworks::default().check(address.parse().unwrap()),
                Ok(()),
                "{address}"
            );
        }
    }

    #[test]
    fn what_the_operator_opened_is_allowed_and_nothing_beside_it() {
        let networks = AllowedNetworks::new(vec!["127.0.0.0/8".parse().unwrap()]);
        assert_eq!(networks.check("127.0.0.5".parse().unwrap()), Ok(()));
        for address in ["10.0.0.1", "::1", "::ffff:127.0.0.5"] {
            assert!(
                networks.check(address.parse().unwrap()).is_err(),
                "{address}"
            );
        }
    }
}
