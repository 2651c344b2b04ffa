//! The inventory: which certificates there are, found by what is known of them, page by page.

use std::{fmt, str::FromStr};

use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};

use super::Answer;
use crate::domain::{
    Timestamp,
    certificate::{CertificateRecord, CertificateStatus},
    principal::Principal,
};

/// Looking certificates up by what is known of them. What a page costs does not grow with what there is.
pub trait Inventory: Send + Sync {
    /// A page of the certificates that a query asks for.
    fn inventory(&self, query: InventoryQuery) -> Answer<'_, InventoryPage>;
    /// What came before and after a certificate: of its enrolment, else of its principal, else with its names for the
    /// same account. At most `limit` of each, the nearest first.
    fn kin<'a>(&'a self, of: &'a CertificateRecord, limit: usize) -> Answer<'a, Kin>;
}

/// Which certificates are wanted. The newest come first; with `expiring_before` those that expire first, and with
/// expired ones those that expired last.
#[derive(Debug, Clone)]
pub struct InventoryQuery {
    /// The moment at which a status is looked at.
    pub now: Timestamp,
    /// Those of a principal.
    pub principal: Option<Principal>,
    /// Those with a name, as a record has it: `dns:…`, `ip:…`, `uri:…`.
    pub name: Option<String>,
    /// Those whose serial begins so.
    pub serial: Option<SerialPrefix>,
    /// Those of a profile.
    pub profile: Option<String>,
    /// Those of an issuer.
    pub issuer: Option<IssuerKeyId>,
    /// Those with a status.
    pub status: Option<CertificateStatus>,
    /// Those that expire before a moment.
    pub expiring_before: Option<Timestamp>,
    /// Those issued at a moment or later.
    pub issued_from: Option<Timestamp>,
    /// Those issued before a moment.
    pub issued_until: Option<Timestamp>,
    /// Those that follow where a page ended.
    pub after: Option<InventoryCursor>,
    /// At most so many.
    pub limit: usize,
}

impl InventoryQuery {
    /// Every certificate, as of a moment.
    #[must_use]
    pub fn all(now: Timestamp, limit: usize) -> Self {
        Self {
            now,
            principal: None,
            name: None,
            serial: None,
            profile: None,
            issuer: None,
            status: None,
            expiring_before: None,
            issued_from: None,
            issued_until: None,
            after: None,
            limit,
        }
    }
}

/// A page.
#[derive(Debug, Clone)]
pub struct InventoryPage {
    /// What is on it.
    pub certificates: Vec<CertificateRecord>,
    /// Where the next one begins; nothing when this is the last.
    pub next: Option<InventoryCursor>,
}

/// What came before and after a certificate.
#[derive(Debug, Clone, Default)]
pub struct Kin {
    /// What it replaced, the youngest first.
    pub predecessors: Vec<CertificateRecord>,
    /// What replaced it, the oldest first.
    pub successors: Vec<CertificateRecord>,
}

/// Where a page ended: the moment that the order goes by, and the serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InventoryCursor {
    /// When it was issued, or expires.
    pub moment: Timestamp,
    /// Its serial.
    pub serial: Serial,
}

impl fmt::Display for InventoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.moment.unix_millis(), self.serial)
    }
}

impl FromStr for InventoryCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (moment, serial) = text.split_once('-').ok_or(InvalidCursor)?;
        Ok(Self {
            moment: Timestamp::from_unix_millis(moment.parse().map_err(|_| InvalidCursor)?),
            serial: serial.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor; take the one that the page before gave")]
pub struct InvalidCursor;

/// What a serial begins with, in hexadecimal as it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialPrefix {
    /// The first octets that have it,
    from: Vec<u8>,
    /// and the first that no longer have it; nothing when there are none.
    until: Option<Vec<u8>>,
}

impl SerialPrefix {
    /// The first octets that begin so, and the first that no longer do.
    #[must_use]
    pub fn range(&self) -> (&[u8], Option<&[u8]>) {
        (&self.from, self.until.as_deref())
    }
}

impl FromStr for SerialPrefix {
    type Err = InvalidSerialPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidSerialPrefix> {
        let mut digits: String = text.chars().filter(|c| *c != ':').collect();
        // Of an odd number of digits the last is the upper half of an octet.
        let step: u16 = if digits.len() % 2 == 1 { 16 } else { 1 };
        if step == 16 {
            digits.push('0');
        }
        let from = hex::decode(&digits).map_err(|_| InvalidSerialPrefix)?;
        if from.is_empty() || from.len() > Serial::WIDTH {
            return Err(InvalidSerialPrefix);
        }
        let mut until = from.clone();
        let mut carry = step;
        for octet in until.iter_mut().rev() {
            let sum = u16::from(*octet) + carry;
            *octet = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        Ok(Self {
            from,
            until: (carry == 0).then_some(until),
        })
    }
}

/// Text that no serial begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a serial begins with 1 to 40 hexadecimal digits, for example 3f9a")]
pub struct InvalidSerialPrefix;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_digits_is_a_range_of_octets() {
        type Range = (&'static [u8], Option<&'static [u8]>);
        let table: [(&str, Option<Range>); 7] = [
            ("3f", Some((&[0x3f], Some(&[0x40])))),
            ("3f9", Some((&[0x3f, 0x90], Some(&[0x3f, 0xa0])))),
            ("3F:fF", Some((&[0x3f, 0xff], Some(&[0x40, 0x00])))),
            ("f", Some((&[0xf0], None))),
            ("ffff", Some((&[0xff, 0xff], None))),
            ("", None),
            ("xy", None),
        ];
        for (text, wanted) in table {
            let prefix = text.parse::<SerialPrefix>();
            let range = prefix.as_ref().ok().map(SerialPrefix::range);
            assert_eq!(range, wanted, "{text}");
        }
    }

    #[test]
    fn a_cursor_reads_as_it_prints() {
        let cursor = InventoryCursor {
            moment: Timestamp::from_unix_millis(1_700_000_000_123),
            serial: "0a0b".parse().expect("a serial"),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "5", "-", "5-xy", "x-0a"] {
            assert_eq!(wrong.parse::<InventoryCursor>(), Err(InvalidCursor));
        }
    }
}
