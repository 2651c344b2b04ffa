//! The device's key: made here, stored here, never sent. Only its certificate request leaves the device.

use std::{fmt, str::FromStr};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData, SanType};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::identifier::Identifier;

/// The kind of key that the device makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// ECDSA on P-256, which every TLS peer can check.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519 (RFC 8032). Browsers and some TLS libraries can't check it.
    Ed25519,
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
        })
    }
}

impl FromStr for KeyType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "p256" | "p-256" => Ok(Self::P256),
            "p384" | "p-384" => Ok(Self::P384),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err("a key type is p256, p384 or ed25519".to_owned()),
        }
    }
}

/// A private key. It has no `Display`, and its `Debug` shows nothing of it.
pub struct DeviceKey(KeyPair);

impl DeviceKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The cryptographic provider fails, as without a source of randomness.
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let algorithm = match key_type {
            KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyType::Ed25519 => &rcgen::PKCS_ED25519,
        };
        KeyPair::generate_for(algorithm)
            .map(Self)
            .map_err(|_| KeyError::Generate)
    }

    /// Reads a PKCS#8 key from PEM.
    ///
    /// # Errors
    /// `pem` holds no such key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        KeyPair::from_pem(pem).map(Self).map_err(|_| KeyError::Read)
    }

    /// The key as PKCS#8 in PEM: a secret.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// The DER of the public half, as a certificate carries it (RFC 5280 section 4.1.2.7).
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// A certificate request (RFC 2986) in DER that proves possession of this key and asks for exactly the DNS names
    /// and addresses among `identifiers` (RFC 8555 section 7.4). A permanent identifier is not in it: what the
    /// certificate says of the device is the server's to decide.
    ///
    /// # Errors
    /// A DNS name has characters that no certificate can hold.
    pub fn certificate_request(&self, identifiers: &[Identifier]) -> Result<Vec<u8>, KeyError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        for identifier in identifiers {
            match identifier {
                Identifier::Dns(name) => {
                    let name = name
                        .as_str()
                        .try_into()
                        .map_err(|_| KeyError::Name(name.clone()))?;
                    parameters.subject_alt_names.push(SanType::DnsName(name));
                }
                Identifier::Ip(address) => parameters
                    .subject_alt_names
                    .push(SanType::IpAddress(*address)),
                Identifier::PermanentIdentifier(_) => {}
            }
        }
        parameters
            .serialize_request(&self.0)
            .map(|request| request.der().to_vec())
            .map_err(|_| KeyError::Request)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey([secret])")
    }
}

/// What can go wrong with the device's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key could be made.
    #[error("the cryptographic library could not make a key")]
    Generate,
    /// The text holds no private key that can be used.
    #[error("it holds no PKCS#8 private key (p256, p384 or ed25519) in PEM")]
    Read,
    /// A name can't stand in a certificate.
    #[error("{0:?} can't stand in a certificate request")]
    Name(String),
    /// The request could not be signed.
    #[error("the certificate request could not be signed")]
    Request,
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509CertificationRequest};

    const ALL: [KeyType; 3] = [KeyType::P256, KeyType::P384, KeyType::Ed25519];

    #[test]
    fn a_key_of_every_type_is_read_back_and_proves_itself_in_a_request_with_exactly_the_names() {
        for key_type in ALL {
            assert_eq!(key_type.to_string().parse(), Ok(key_type));
            let key = DeviceKey::generate(key_type).unwrap();
            let again = DeviceKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            let request = again
                .certificate_request(&[
                    Identifier::Dns("a.example".into()),
                    Identifier::Ip("192.0.2.1".parse().unwrap()),
                    Identifier::PermanentIdentifier("fra/sensor-42".into()),
                ])
                .unwrap();
            let (_, parsed) = X509CertificationRequest::from_der(&request).unwrap();
            parsed.verify_signature().unwrap();
            let info = &parsed.certification_request_info;
            assert_eq!(info.subject_pki.raw, key.public_key());
            assert_eq!(info.subject.iter().count(), 0);
            let extensions: Vec<_> = parsed.requested_extensions().unwrap().collect();
            let [ParsedExtension::SubjectAlternativeName(names)] = extensions.as_slice() else {
                panic!("{extensions:?}");
            };
            assert_eq!(
                names.general_names,
                [
                    GeneralName::DNSName("a.example"),
                    GeneralName::IPAddress(&[192, 0, 2, 1])
                ]
            );
        }
    }

    #[test]
    fn a_request_for_a_permanent_identifier_alone_asks_for_no_name() {
        let key = DeviceKey::generate(KeyType::P256).unwrap();
        let request = key
            .certificate_request(&[Identifier::PermanentIdentifier("fra/sensor-42".into())])
            .unwrap();
        let (_, parsed) = X509CertificationRequest::from_der(&request).unwrap();
        parsed.verify_signature().unwrap();
        assert!(
            parsed
                .requested_extensions()
                .is_none_or(|mut all| all.next().is_none())
        );
    }

    #[test]
    fn a_private_key_is_not_in_the_debug_output() {
        let key = DeviceKey::generate(KeyType::P256).unwrap();
        assert_eq!(format!("{key:?}"), "DeviceKey([secret])");
    }
}
