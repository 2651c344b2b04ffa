//! Object identifiers (X.660): dotted text, and the octets of DER.

use std::{fmt, str::FromStr};

use crate::der::{self, tag};

/// An object identifier, for example `1.3.6.1.5.5.7.3.2`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<u64>);

impl Oid {
    /// Its numbers.
    #[must_use]
    pub fn arcs(&self) -> &[u64] {
        &self.0
    }

    /// Reads the contents of an OBJECT IDENTIFIER: shortest form, at most 32 numbers of 63 bits (X.690 section 8.19).
    pub(crate) fn from_der_contents(contents: &[u8]) -> Option<Self> {
        if contents.last()? & 0x80 != 0 {
            return None;
        }
        let mut arcs: Vec<u64> = Vec::new();
        let mut arc = 0_u64;
        let mut is_first = true;
        for octet in contents {
            if (is_first && *octet == 0x80) || arc >> 56 != 0 {
                return None;
            }
            arc = arc << 7 | u64::from(octet & 0x7f);
            is_first = octet & 0x80 == 0;
            if is_first {
                match (arcs.is_empty(), arc) {
                    (true, 0..80) => arcs.extend([arc / 40, arc % 40]),
                    (true, 80..) => arcs.extend([2, arc - 80]),
                    (false, _) => arcs.push(arc),
                }
                arc = 0;
            }
        }
        // What can't be written as text can't be compared with what is.
        let read = Self(arcs);
        read.to_string().parse().ok().filter(|text| *text == read)
    }

    /// Its DER (X.690 section 8.19).
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let first = self.0[0] * 40 + self.0[1];
        let mut contents = Vec::new();
        for arc in std::iter::once(first).chain(self.0[2..].iter().copied()) {
            let groups = (64 - arc.leading_zeros()).div_ceil(7).max(1);
            for group in (0..groups).rev() {
                let more = if group == 0 { 0 } else { 0x80 };
                contents.push(more | (arc >> (7 * group) & 0x7f) as u8);
            }
        }
        der::encode(tag::OBJECT_IDENTIFIER, &[&contents])
    }
}

impl FromStr for Oid {
    type Err = InvalidOid;

    fn from_str(text: &str) -> Result<Self, InvalidOid> {
        let invalid = || InvalidOid(text.chars().take(100).collect());
        let arcs = text
            .split('.')
            .map(|arc| {
                let plain = !arc.is_empty()
                    && arc.bytes().all(|b| b.is_ascii_digit())
                    && (arc == "0" || !arc.starts_with('0'));
                arc.parse().ok().filter(|_| plain).ok_or_else(invalid)
            })
            .collect::<Result<Vec<u64>, _>>()?;
        match arcs[..] {
            [0 | 1, 0..40, ..] | [2, 0..1_000_000, ..] if (2..=32).contains(&arcs.len()) => {
                Ok(Self(arcs))
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arc) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

/// Text that is no object identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no object identifier; write it as numbers with dots, for example 1.3.6.1.4.1.311.20.2.2"
)]
pub struct InvalidOid(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_strictly_and_written_as_der() {
        for (text, der) in [
            ("1.3.6.1.5.5.7.3.2", Some("06082b06010505070302")),
            ("1.2.840.113549.1.1.11", Some("06092a864886f70d01010b")),
            ("2.5.29.37.0", Some("0604551d2500")),
            ("2.999.0", Some("0603883700")),
            ("1.3", Some("06012b")),
            ("1", None),
            ("1.40", None),
            ("3.1", None),
            ("1.3.", None),
            ("1.03", None),
            ("1.3.x", None),
            ("", None),
        ] {
            let read = text.parse::<Oid>().ok();
            assert_eq!(
                read.as_ref()
                    .map(|oid| hex::encode(oid.to_der()))
                    .as_deref(),
                der,
                "{text:?}"
            );
            if let Some(oid) = read {
                assert_eq!(oid.to_string(), text);
                assert_eq!(Oid::from_der_contents(&oid.to_der()[2..]), Some(oid));
            }
        }
    }
    #[test]
    fn contents_that_are_no_identifier_are_refused() {
        for contents in [
            &[][..],
            &[0x80],
            &[0x2a, 0x80, 0x01],
            &[0x2a, 0x86],
            &[
                0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ],
            &[0x2a; 40],
        ] {
            assert_eq!(Oid::from_der_contents(contents), None, "{contents:02x?}");
        }
    }
}
