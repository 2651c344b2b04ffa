//! What a certificate is called in renewal information and in an order that replaces it (RFC 9773 section 4.1): the key
//! identifier of its issuer and its serial.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_ca::serial::Serial;

/// Names a certificate: `base64url(keyIdentifier) "." base64url(serial)`, both without padding, the serial as the content
/// octets of its DER INTEGER. A certificate has one such text; other ways to write the same octets are not read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CertificateId {
    key_identifier: Box<[u8]>,
    serial: Serial,
}

impl CertificateId {
    /// The most characters that are looked at. A key identifier of ours has 20 octets; a foreign CA's may have more.
    const LONGEST: usize = 256;

    /// The certificate with a serial, of the issuer with a key identifier.
    #[must_use]
    pub fn new(key_identifier: &[u8], serial: Serial) -> Self {
        Self {
            key_identifier: key_identifier.into(),
            serial,
        }
    }

    /// The keyIdentifier of the certificate's authorityKeyIdentifier (RFC 5280 section 4.2.1.1).
    #[must_use]
    pub fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    /// The certificate's serial.
    #[must_use]
    pub const fn serial(&self) -> Serial {
        self.serial
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut serial = self.serial.significant_octets().to_vec();
        // The sign bit of a positive number is zero (X.690 section 8.3).
        if serial.first().is_some_and(|first| first & 0x80 != 0) {
            serial.insert(0, 0);
        }
        write!(
            f,
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&self.key_identifier),
            URL_SAFE_NO_PAD.encode(serial)
        )
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateId({self})")
    }
}

impl FromStr for CertificateId {
    type Err = InvalidCertificateId;

    fn from_str(text: &str) -> Result<Self, InvalidCertificateId> {
        if text.len() > Self::LONGEST {
            return Err(InvalidCertificateId);
        }
        let decode = |part| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| InvalidCertificateId)
        };
        let (key_identifier, serial) = text.split_once('.').ok_or(InvalidCertificateId)?;
        let (key_identifier, serial) = (decode(key_identifier)?, decode(serial)?);
        let serial = Serial::from_der_integer(&serial).map_err(|_| InvalidCertificateId)?;
        let id = Self::new(&key_identifier, serial);
        if key_identifier.is_empty() || id.to_string() != text {
            return Err(InvalidCertificateId);
        }
        Ok(id)
    }
}

/// Text that names no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a certificate is named by the keyIdentifier of its authority key identifier and by its DER-encoded serial, each in base64url without padding, with a dot between them (RFC 9773 section 4.1)"
)]
pub struct InvalidCertificateId;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9773 section 4.1 and appendix A.
    const EXAMPLE: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

    #[test]
    fn the_example_of_the_rfc_is_read_and_written() {
        let id: CertificateId = EXAMPLE.parse().expect("the RFC's own");
        assert_eq!(
            (hex::encode(id.key_identifier()), id.serial().to_string()),
            (
                "69885b6b87464041e1b37b847ba0ae2cde01c8d4".to_owned(),
                "87654321".to_owned()
            )
        );
        assert_eq!(id.to_string(), EXAMPLE);
    }

    #[test]
    fn a_certificate_has_one_name_and_no_other_spelling_of_it() {
        for (what, text) in [
            ("nothing", String::new()),
            ("one part", "aYhba4dGQEHhs3uEe6CuLN4ByNQ".to_owned()),
            ("no key identifier", ".AIdlQyE".to_owned()),
            ("no serial", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.".to_owned()),
            ("three parts", format!("{EXAMPLE}.AA")),
            ("padding", format!("{EXAMPLE}=")),
            ("a negative serial", "aYhb.h2VDIQ".to_owned()),
            ("a zero too many", "aYhb.AAdlQyE".to_owned()),
            ("the serial zero", "aYhb.AA".to_owned()),
            (
                "21 octets",
                format!("aYhb.{}", URL_SAFE_NO_PAD.encode([1; 21])),
            ),
            ("bits that are left over", "aYhb.AIdlQyF".to_owned()),
            ("the other alphabet", "aY+b.AIdlQyE".to_owned()),
            ("a blank", "aYhb. AIdlQyE".to_owned()),
            (
                "too long",
                format!("{}.AIdlQyE", URL_SAFE_NO_PAD.encode([1; 200])),
            ),
        ] {
            assert_eq!(
                text.parse::<CertificateId>(),
                Err(InvalidCertificateId),
                "{what}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(
            key_identifier in proptest::collection::vec(any::<u8>(), 1..64),
            serial in proptest::collection::vec(any::<u8>(), 1..=20),
        ) {
            prop_assume!(serial.iter().any(|octet| *octet != 0));
            let id = CertificateId::new(&key_identifier, Serial::from_der_integer(&serial).unwrap());
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
