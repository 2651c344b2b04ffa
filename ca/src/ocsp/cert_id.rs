//! CertID: how a request names a certificate, by hashes of its issuer's name and key, and its serial (RFC 6960 section
//! 4.1.1).

use aws_lc_rs::digest;

use super::tag;
use crate::{
    certificate::IssuerCertificate,
    der::{self, reader::Reader},
    serial::Serial,
};

/// The hash that a CertID is made with. It protects nothing: it is a way to name an issuer, so SHA-1 is good enough,
/// and what most clients send (RFC 5019 section 2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl HashAlgorithm {
    /// Every algorithm that we know an issuer by.
    pub const ALL: [Self; 2] = [Self::Sha1, Self::Sha256];

    fn oid(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
            Self::Sha256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
        }
    }

    pub(super) fn hash(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        };
        digest::digest(algorithm, octets).as_ref().to_vec()
    }
}

/// A certificate as a request names it. An answer repeats it to the byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertId {
    encoded: Vec<u8>,
    algorithm: Option<HashAlgorithm>,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
    serial: Option<Serial>,
}

impl CertId {
    /// What a client writes to ask about a certificate.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, issuer: &IssuerCertificate, serial: Serial) -> Self {
        let hashes = IssuerHashes::of(issuer);
        let (name, key) = hashes.with(algorithm);
        let octets = serial.significant_octets();
        let sign: &[u8] = if octets[0] & 0x80 == 0 { &[] } else { &[0] };
        let encoded = der::encode(
            tag::SEQUENCE,
            &[
                &der::encode(
                    tag::SEQUENCE,
                    &[
                        &der::encode(tag::OBJECT_IDENTIFIER, &[algorithm.oid()]),
                        &[tag::NULL, 0],
                    ],
                ),
                &der::encode(tag::OCTET_STRING, &[name]),
                &der::encode(tag::OCTET_STRING, &[key]),
                &der::encode(tag::INTEGER, &[sign, octets]),
            ],
        );
        Self {
            encoded,
            algorithm: Some(algorithm),
            issuer_name_hash: name.to_vec(),
            issuer_key_hash: key.to_vec(),
            serial: Some(serial),
        }
    }

    /// Reads the next CertID.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let element = reader.expect(tag::SEQUENCE)?;
        let mut fields = Reader::new(element.contents);
        let mut identifier = fields.within(tag::SEQUENCE)?;
        let oid = identifier.expect(tag::OBJECT_IDENTIFIER)?.contents;
        // NULL, or nothing (RFC 5754 section 2); no hash has other parameters.
        let parameters = identifier.optional(tag::NULL)?;
        if parameters.is_some_and(|null| !null.contents.is_empty()) {
            return None;
        }
        identifier.end()?;
        let name = fields.expect(tag::OCTET_STRING)?.contents;
        let key = fields.expect(tag::OCTET_STRING)?.contents;
        let serial = integer(fields.expect(tag::INTEGER)?.contents)?;
        fields.end()?;
        Some(Self {
            encoded: element.encoded.to_vec(),
            algorithm: HashAlgorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.oid() == oid),
            issuer_name_hash: name.to_vec(),
            issuer_key_hash: key.to_vec(),
            serial,
        })
    }

    /// Which certificate of the issuer; nothing for a number that no certificate of ours can have: zero, negative, or of
    /// more than 20 octets.
    #[must_use]
    pub fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// Its DER, as it came.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.encoded
    }
}

/// A DER INTEGER as a serial: `None` where it is no DER, `Some(None)` where it is none that a certificate may have.
fn integer(contents: &[u8]) -> Option<Option<Serial>> {
    match contents {
        [] => None,
        // The shortest form: the first nine bits are neither all zero nor all one (X.690 section 8.3.2).
        [0, second, ..] if second & 0x80 == 0 => None,
        [0xff, second, ..] if second & 0x80 != 0 => None,
        [first, ..] if first & 0x80 != 0 => Some(None),
        octets => Some(Serial::from_der_integer(octets).ok()),
    }
}

/// The hashes by which requests name one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerHashes {
    name: [Vec<u8>; HashAlgorithm::ALL.len()],
    key: [Vec<u8>; HashAlgorithm::ALL.len()],
}

impl IssuerHashes {
    /// Of the issuer's name and key, as its certificate has them.
    #[must_use]
    pub fn of(issuer: &IssuerCertificate) -> Self {
        let key = rcgen::PublicKeyData::der_bytes(issuer.public_key());
        Self {
            name: HashAlgorithm::ALL.map(|algorithm| algorithm.hash(&issuer.subject)),
            key: HashAlgorithm::ALL.map(|algorithm| algorithm.hash(key)),
        }
    }

    /// Whether a request means this issuer.
    #[must_use]
    pub fn names(&self, id: &CertId) -> bool {
        id.algorithm.is_some_and(|algorithm| {
            self.with(algorithm) == (&id.issuer_name_hash, &id.issuer_key_hash)
        })
    }

    fn with(&self, algorithm: HashAlgorithm) -> (&[u8], &[u8]) {
        let index = match algorithm {
            HashAlgorithm::Sha1 => 0,
            HashAlgorithm::Sha256 => 1,
        };
        (&self.name[index], &self.key[index])
    }
}
