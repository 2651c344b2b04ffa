//! The name constraints that a CA's certificate carries, read.

use std::net::IpAddr;

use ipnet::IpNet;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints as Parsed};

use crate::profile::NameConstraints;

/// What we can hold names to, and whether there is more that we can't.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReadConstraints {
    pub(crate) known: NameConstraints,
    /// There are constraints on URIs.
    pub(crate) uris: bool,
    /// There are constraints on directory names, so on subjects.
    pub(crate) directory_names: bool,
}

impl ReadConstraints {
    /// Reads them; nothing for what can't be read, which must not be taken for no constraint.
    pub(crate) fn read(parsed: &Parsed<'_>) -> Option<Self> {
        let mut read = Self::default();
        for (subtrees, permitted) in [
            (&parsed.permitted_subtrees, true),
            (&parsed.excluded_subtrees, false),
        ] {
            for GeneralSubtree { base } in subtrees.iter().flatten() {
                let known = &mut read.known;
                match base {
                    GeneralName::DNSName(name) => {
                        let list = if permitted {
                            &mut known.permitted_dns
                        } else {
                            &mut known.excluded_dns
                        };
                        list.push(name.parse().ok()?);
                    }
                    GeneralName::IPAddress(octets) => {
                        let list = if permitted {
                            &mut known.permitted_ip
                        } else {
                            &mut known.excluded_ip
                        };
                        list.push(network(octets)?);
                    }
                    GeneralName::URI(_) => read.uris = true,
                    GeneralName::DirectoryName(_) => read.directory_names = true,
                    // Of the kinds of names that we never issue.
                    GeneralName::RFC822Name(_)
                    | GeneralName::OtherName(..)
                    | GeneralName::X400Address(_)
                    | GeneralName::EDIPartyName(_)
                    | GeneralName::RegisteredID(_) => {}
                    GeneralName::Invalid(..) => return None,
                }
            }
        }
        Some(read)
    }
}

/// An address and its mask, of 4 or 16 octets each.
fn network(octets: &[u8]) -> Option<IpNet> {
    let address = |octets: &[u8]| -> Option<IpAddr> {
        <[u8; 4]>::try_from(octets)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
            .ok()
    };
    let (network, mask) = octets.split_at(octets.len() / 2);
    IpNet::with_netmask(address(network)?, address(mask)?).ok()
}
