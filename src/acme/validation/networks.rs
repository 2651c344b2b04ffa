//! Which addresses a validation may connect to: public ones, and what the operator opened, less what the operator closed.
//!
//! Without this, anyone who may place an order could make the server speak to what only the server can reach: its own
//! loopback, a cloud's metadata service, the machines beside it.
//!
//! ```text
//! closed by deny_networks            no, whatever was opened
//! a metadata service                 no, unless that very address was opened (a network around it isn't enough)
//! in allow_networks                  yes
//! internal, reserved, multicast …    no
//! else                               yes
//! ```
//!
//! An IPv6 address that stands for an IPv4 one must pass as itself and as what it stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What the operator opened and closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, and {advice}")]
pub struct RefusedAddress {
    /// What kind of address it is, with its article.
    pub kind: &'static str,
    /// Who could change it, and how.
    advice: &'static str,
}

const OPEN: &str = "validations don't go there unless the operator opens its network (acme.validation.allow_networks)";
const NAME_IT: &str = "validations don't go there unless the operator opens that very address, not a network around it (acme.validation.allow_networks)";
const CLOSED: &str =
    "the operator closed its network to validations (acme.validation.deny_networks)";

/// Where clouds keep their metadata services, and with them credentials of this machine: that of most clouds, of
/// containers and pods at AWS, of Azure, Alibaba, Oracle, Scaleway, Tencent; of AWS, Google and Scaleway over IPv6.
const METADATA: [IpAddr; 13] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042)),
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// The IANA special-purpose registry for IPv4 (RFC 6890), multicast, and what is reserved.
const INTERNAL_V4: [(Ipv4Net, &str); 15] = [
    (v4(0, 0, 0, 0, 8), "an unspecified address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a shared (carrier) address"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
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
const INTERNAL_V6: [(Ipv6Net, &str); 8] = [
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

impl Networks {
    /// Public addresses and those in `allow`, but none in `deny`.
    #[must_use]
    pub fn new(allow: Vec<IpNet>, deny: Vec<IpNet>) -> Self {
        Self { allow, deny }
    }

    /// Whether an address may be connected to.
    ///
    /// # Errors
    /// Says what kind of address it is, and who could open it.
    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        self.check_one(address)?;
        embedded(address)
            .into_iter()
            .try_for_each(|inner| self.check_one(inner.into()))
    }

    fn check_one(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let refuse = |kind, advice| Err(RefusedAddress { kind, advice });
        let contains = |networks: &[IpNet]| networks.iter().any(|it| it.contains(&address));
        if contains(&self.deny) {
            return refuse("in a closed network", CLOSED);
        }
        if METADATA.contains(&address) {
            return if self.allow.contains(&IpNet::from(address)) {
                Ok(())
            } else {
                refuse("a metadata service", NAME_IT)
            };
        }
        match internal(address) {
            Some(kind) if !contains(&self.allow) => refuse(kind, OPEN),
            Some(_) | None => Ok(()),
        }
    }
}

fn internal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => INTERNAL_V4
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, kind)| *kind),
        IpAddr::V6(address) if address.is_unspecified() => Some("an unspecified address"),
        IpAddr::V6(address) if address.is_loopback() => Some("a loopback address"),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address"),
        IpAddr::V6(address) => INTERNAL_V6
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, kind)| *kind)
            .or_else(|| (!GLOBAL_UNICAST_V6.contains(&address)).then_some("a reserved address")),
    }
}

/// The IPv4 addresses that an IPv6 address stands for: who connects to it may reach those. None for `::` and `::1`, which
/// are what they are.
fn embedded(address: IpAddr) -> Vec<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return Vec::new();
    };
    let octets = address.octets();
    let at = |start: usize| Ipv4Addr::from([0, 1, 2, 3].map(|place| octets[start + place]));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // IPv4-compatible, IPv4-mapped (RFC 4291 section 2.5.5) and IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => vec![at(12)],
        // NAT64 by the well-known prefix (RFC 6052 section 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![at(12)],
        // NAT64 by local prefixes (RFC 8215), whose length shows in the zeros at the end (RFC 6052 section 2.2).
        [0x64, 0xff9b, 1, ..] => {
            let of = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
            vec![match octets[11..] {
                [0, 0, 0, 0, 0] => of([6, 7, 9, 10]),
                [_, 0, 0, 0, 0] => of([7, 9, 10, 11]),
                [_, _, 0, 0, 0] => of([9, 10, 11, 12]),
                _ => at(12),
            }]
        }
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![at(2)],
        // Teredo: the server, and the client with its bits turned over (RFC 4380 section 4).
        [0x2001, 0, ..] => vec![at(4), Ipv4Addr::from_bits(!at(12).to_bits())],
        // ISATAP (RFC 5214 section 6.1).
        [.., 0 | 0x200, 0x5efe, _, _] => vec![at(12)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(allow: &[&str], deny: &[&str]) -> Networks {
        let parse = |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect();
        Networks::new(parse(allow), parse(deny))
    }

    fn kind(networks: &Networks, address: &str) -> Option<&'static str> {
        let refused = networks.check(address.parse().unwrap()).err();
        refused.map(|refused| refused.kind)
    }

    // OpenBao and Vault, CVE-2026-5052: validation reached internal addresses.
    #[test]
    fn internal_addresses_are_refused_however_they_are_written() {
        for (address, expected) in [
            ("0.0.0.0", "an unspecified address"),
            ("10.1.2.3", "a private address"),
            ("100.64.0.1", "a shared (carrier) address"),
            ("100.100.100.200", "a metadata service"),
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.254", "a loopback address"),
            ("168.63.129.16", "a metadata service"),
            ("169.254.169.254", "a metadata service"),
            ("169.254.1.1", "a link-local address"),
            ("172.31.255.255", "a private address"),
            ("192.0.0.192", "a metadata service"),
            ("192.0.0.1", "a protocol address"),
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
            ("2a00:1450::5efe:a00:1", "a private address"),
            ("fc00::1", "a private address"),
            ("fd00:ec2::254", "a metadata service"),
            ("fd20:ce::254", "a metadata service"),
            ("fe80::1", "a link-local address"),
            ("fec0::1", "a reserved address"),
            ("ff02::1", "a multicast address"),
        ] {
            assert_eq!(
                kind(&Networks::default(), address),
                Some(expected),
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
            assert_eq!(kind(&Networks::default(), address), None, "{address}");
        }
    }

    #[test]
    fn what_the_operator_opened_is_allowed_and_nothing_beside_it() {
        let networks = networks(&["127.0.0.0/8"], &[]);
        assert_eq!(kind(&networks, "127.0.0.5"), None);
        for address in ["10.0.0.1", "::1", "::ffff:127.0.0.5", "64:ff9b::7f00:1"] {
            assert!(kind(&networks, address).is_some(), "{address}");
        }
    }

    #[test]
    fn what_the_operator_closed_stays_closed_even_where_it_is_open() {
        let networks = networks(
            &["10.0.0.0/8"],
            &["10.66.0.0/16", "8.8.8.0/24", "2a00::/16"],
        );
        for (address, expected) in [
            ("10.1.0.1", None),
            ("10.66.0.1", Some("in a closed network")),
            ("8.8.8.8", Some("in a closed network")),
            ("8.8.4.4", None),
            ("2a00:1450::1", Some("in a closed network")),
        ] {
            assert_eq!(kind(&networks, address), expected, "{address}");
        }
    }

    #[test]
    fn a_metadata_service_is_opened_by_its_own_address_only() {
        for (allow, address, expected) in [
            ("0.0.0.0/0", "169.254.169.254", Some("a metadata service")),
            (
                "169.254.0.0/16",
                "169.254.169.254",
                Some("a metadata service"),
            ),
            (
                "169.254.169.254/31",
                "169.254.169.254",
                Some("a metadata service"),
            ),
            ("169.254.0.0/16", "169.254.1.1", None),
            ("169.254.169.254/32", "169.254.169.254", None),
            ("::/0", "fd00:ec2::254", Some("a metadata service")),
            ("fd00:ec2::254/128", "fd00:ec2::254", None),
            (
                "100.64.0.0/10",
                "100.100.100.200",
                Some("a metadata service"),
            ),
        ] {
            assert_eq!(kind(&networks(&[allow], &[]), address), expected, "{allow}");
        }
    }

    #[test]
    fn an_address_within_an_address_must_be_open_too() {
        for (allow, address, expected) in [
            (&["::/0"][..], "::ffff:10.0.0.1", Some("a private address")),
            (&["::/0"], "::10.0.0.1", Some("a private address")),
            (&["::/0"], "::ffff:0:10.0.0.1", Some("a private address")),
            (
                &["::/0"],
                "64:ff9b::169.254.169.254",
                Some("a metadata service"),
            ),
            (
                &["::/0"],
                "64:ff9b:1:a00:0:100::",
                Some("a private address"),
            ),
            (&["::/0"], "64:ff9b:1:ff0a:0:1::", Some("a private address")),
            (
                &["::/0"],
                "64:ff9b:1:ffff:a:0:100:0",
                Some("a private address"),
            ),
            (&["::/0"], "64:ff9b:1::10.0.0.1", Some("a private address")),
            (&["::/0"], "64:ff9b:1:808:0:808::", None),
            (&["::/0"], "2002:7f00:1::1", Some("a loopback address")),
            // Teredo: 10.0.0.1 as its server, then 10.0.0.1 as its client.
            (
                &["::/0"],
                "2001:0:a00:1:0:0:f7f7:f7f7",
                Some("a private address"),
            ),
            (
                &["::/0"],
                "2001:0:808:808:0:0:f5ff:fffe",
                Some("a private address"),
            ),
            (&["::/0"], "64:ff9b::8.8.8.8", None),
            (&["64:ff9b::/96", "10.0.0.0/8"], "64:ff9b::10.0.0.1", None),
            (
                &["::ffff:10.0.0.1/128"],
                "::ffff:10.0.0.1",
                Some("a private address"),
            ),
            (&["::1/128"], "::1", None),
        ] {
            assert_eq!(kind(&networks(allow, &[]), address), expected, "{address}");
        }
    }

    #[test]
    fn a_refusal_says_who_could_open_it() {
        let refused = Networks::default()
            .check("10.0.0.1".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a private address, and validations don't go there unless the operator opens its network (acme.validation.allow_networks)"
        );
    }
}
