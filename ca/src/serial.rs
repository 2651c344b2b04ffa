//! Serial numbers: what identifies a certificate within its issuer.
//!
//! RFC 5280 section 4.1.2.2: a positive integer of at most 20 octets, unique for the issuer.

use std::{fmt, str::FromStr};

use aws_lc_rs::rand;

/// A certificate's serial number: a positive integer of at most 20 octets (RFC 5280 section 4.1.2.2).
///
/// It is kept as a big-endian number of fixed width, so that comparing, hashing and copying cost little and two
/// encodings of the same number are the same serial. It prints as lower-case hexadecimal, two digits an octet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; Self::WIDTH]);

impl Serial {
    /// The most octets that a serial may have.
    pub const WIDTH: usize = 20;

    /// 128 random bits: what every certificate of ours carries.
    ///
    /// # Errors
    /// [`NoRandomness`] when the provider's generator fails; nothing may be issued then.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut octets = [0; 16];
        loop {
            rand::fill(&mut octets).map_err(|_| NoRandomness)?;
            if let Ok(serial) = Self::from_der_integer(&octets) {
                return Ok(serial);
            }
        }
    }

    /// Reads the content octets of a DER INTEGER, or any big-endian number; leading zero octets do not count.
    ///
    /// # Errors
    /// [`InvalidSerial`] for zero and for more than 20 octets. The sign bit is not looked at: relying parties see
    /// serials as octets, and a list must name the very same number as the certificate.
    pub fn from_der_integer(octets: &[u8]) -> Result<Self, InvalidSerial> {
        let start = octets
            .iter()
            .position(|octet| *octet != 0)
            .ok_or(InvalidSerial::Zero)?;
        let significant = octets.get(start..).unwrap_or_default();
        let mut serial = [0; Self::WIDTH];
        let offset = Self::WIDTH
            .checked_sub(significant.len())
            .ok_or(InvalidSerial::TooLong(significant.len()))?;
        serial[offset..].copy_from_slice(significant);
        Ok(Self(serial))
    }

    /// Which of `shards` parts it falls into: random serials fall into all of them alike.
    #[must_use]
    pub fn shard(&self, shards: u32) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d]) % shards.max(1)
    }

    /// The number's octets without leading zeros, big-endian.
    #[must_use]
    pub fn significant_octets(&self) -> &[u8] {
        let start = self
            .0
            .iter()
            .position(|octet| *octet != 0)
            .unwrap_or(Self::WIDTH - 1);
        &self.0[start..]
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.significant_octets()))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = InvalidSerial;

    /// Reads hexadecimal, in either case, with or without the colons that openssl prints.
    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let padded = if digits.len() % 2 == 1 {
            format!("0{digits}")
        } else {
            digits
        };
        let octets = hex::decode(padded).map_err(|_| InvalidSerial::NotHexadecimal)?;
        Self::from_der_integer(&octets)
    }
}

/// Why octets or text are no serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSerial {
    /// RFC 5280 wants a positive number.
    #[error("a serial number must not be zero or empty")]
    Zero,
    /// More significant octets than RFC 5280 allows.
    #[error("a serial number has at most 20 octets, this one has {0}")]
    TooLong(usize),
    /// The text is no hexadecimal number.
    #[error("a serial number is written in hexadecimal, for example 3f9a04…")]
    NotHexadecimal,
}

/// The provider's random generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct NoRandomness;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_serial_has_128_bits_and_is_never_repeated() {
        let serials: std::collections::HashSet<_> = (0..1000)
            .map(|_| Serial::random().expect("randomness"))
            .collect();
        assert_eq!(serials.len(), 1000);
        let high_bits = serials
            .iter()
            .filter(|s| s.significant_octets().len() == 16 && s.significant_octets()[0] & 0x80 != 0)
            .count();
        assert!(
            (300..700).contains(&high_bits),
            "the top bit must be random too"
        );
    }

    #[test]
    fn text_and_octets_round_trip() {
        let serial: Serial = "0A:0b:0C".parse().expect("colons and both cases");
        assert_eq!(serial.to_string(), "0a0b0c");
        assert_eq!(serial.significant_octets(), [10, 11, 12]);
        assert_eq!(Serial::from_der_integer(&[0, 0x80]), "80".parse());
        assert_eq!("00".parse::<Serial>(), Err(InvalidSerial::Zero));
        assert_eq!(
            Serial::from_der_integer(&[1; 21]),
            Err(InvalidSerial::TooLong(21))
        );
        assert_eq!("xy".parse::<Serial>(), Err(InvalidSerial::NotHexadecimal));
    }
}
