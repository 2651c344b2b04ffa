//! Keys: what signs, and what a certificate is about. It is not about where a key is kept.
//!
//! Three algorithms: ECDSA on P-256 and on P-384 (RFC 5480), and Ed25519 (RFC 8410). A private key at rest is PKCS#8
//! (RFC 5958), encrypted with a passphrase by scrypt (RFC 7914) when there is one.

use std::{fmt, future::Future, pin::Pin, str::FromStr};

use aws_lc_rs::digest;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};
use zeroize::Zeroizing;

/// A key's algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256, signing with SHA-256.
    P256,
    /// ECDSA on P-384, signing with SHA-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl KeyAlgorithm {
    /// Every algorithm that there is.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::Ed25519];

    /// Those that are certified unless a profile says otherwise.
    pub const DEFAULT: [Self; 3] = Self::ALL;

    /// Whether it is RSA.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        match self {
            Self::P256 | Self::P384 | Self::Ed25519 => false,
        }
    }

    /// Whether it is ECDSA.
    #[must_use]
    pub fn is_ec(self) -> bool {
        match self {
            Self::P256 | Self::P384 => true,
            Self::Ed25519 => false,
        }
    }

    /// The name in configuration and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The DER AlgorithmIdentifier of the signatures that keys of ours make (RFC 5758 section 3.2, RFC 8410 section 3).
    #[must_use]
    pub fn signature_algorithm_identifier(self) -> &'static [u8] {
        match self {
            Self::P256 => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
            ],
            Self::P384 => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03,
            ],
            Self::Ed25519 => &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
        }
    }

    pub(crate) fn rcgen(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| KeyError::UnknownAlgorithm(text.to_owned()))
    }
}

/// A public key whose SubjectPublicKeyInfo was checked against the key policy.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    subject_public_key_info: Vec<u8>,
    /// Where the key's own bits begin in `subject_public_key_info`; they end with it.
    bits_at: usize,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) and holds it to the key policy: one of
    /// [`KeyAlgorithm`], a named curve, an uncompressed point.
    ///
    /// Whether the point lies on the curve is found out when a signature is verified, which proof of possession does.
    ///
    /// # Errors
    /// [`KeyError::NotAllowed`] for other algorithms and parameters, [`KeyError::Malformed`] for anything else.
    pub fn from_subject_public_key_info(der: &[u8]) -> Result<Self, KeyError> {
        let (rest, info) = SubjectPublicKeyInfo::from_der(der)
            .map_err(|_| KeyError::Malformed("it is no SubjectPublicKeyInfo"))?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed("data follows the SubjectPublicKeyInfo"));
        }
        let oid = info.algorithm.algorithm.to_id_string();
        let curve = info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.as_oid().ok())
            .map(|curve| curve.to_id_string());
        let algorithm = match (oid.as_str(), curve.as_deref()) {
            ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => KeyAlgorithm::P256,
            ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => KeyAlgorithm::P384,
            ("1.3.101.112", None) if info.algorithm.parameters.is_none() => KeyAlgorithm::Ed25519,
            ("1.2.840.113549.1.1.1", _) => return Err(KeyError::NotAllowed("an RSA key")),
            ("1.2.840.10045.2.1", _) => {
                return Err(KeyError::NotAllowed("an EC key on another curve"));
            }
            _ => return Err(KeyError::NotAllowed("a key of another kind")),
        };
        let bits: &[u8] = &info.subject_public_key.data;
        let right_size = match algorithm {
            KeyAlgorithm::P256 => bits.len() == 65 && bits[0] == 4,
            KeyAlgorithm::P384 => bits.len() == 97 && bits[0] == 4,
            KeyAlgorithm::Ed25519 => bits.len() == 32,
        };
        if !right_size || info.subject_public_key.unused_bits != 0 {
            return Err(KeyError::Malformed(
                "the key's bits are no uncompressed point of its curve",
            ));
        }
        Ok(Self {
            algorithm,
            bits_at: der.len() - bits.len(),
            subject_public_key_info: der.to_vec(),
        })
    }

    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The DER SubjectPublicKeyInfo, to the byte as it came.
    #[must_use]
    pub fn subject_public_key_info(&self) -> &[u8] {
        &self.subject_public_key_info
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what a key is known by in the store.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.subject_public_key_info)
    }

    /// The key identifier for SKI and AKI: the leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093 section 2,
    /// method 1).
    #[must_use]
    pub fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        identifier.copy_from_slice(&sha256(self.bits())[..20]);
        identifier
    }

    /// Verifies `signature` over `message`, made with one of the hashes that the key's algorithm goes with.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] when it isn't this key's, [`KeyError::NotAllowed`] for another algorithm.
    pub fn verify(
        &self,
        signature_algorithm_oid: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        use aws_lc_rs::signature as s;
        // The key decides what algorithms are possible, never the signature's own identifier alone.
        let verifier: &dyn s::VerificationAlgorithm =
            match (self.algorithm, signature_algorithm_oid) {
                (KeyAlgorithm::P256, "1.2.840.10045.4.3.2") => &s::ECDSA_P256_SHA256_ASN1,
                (KeyAlgorithm::P256, "1.2.840.10045.4.3.3") => &s::ECDSA_P256_SHA384_ASN1,
                (KeyAlgorithm::P256, "1.2.840.10045.4.3.4") => &s::ECDSA_P256_SHA512_ASN1,
                (KeyAlgorithm::P384, "1.2.840.10045.4.3.2") => &s::ECDSA_P384_SHA256_ASN1,
                (KeyAlgorithm::P384, "1.2.840.10045.4.3.3") => &s::ECDSA_P384_SHA384_ASN1,
                (KeyAlgorithm::P384, "1.2.840.10045.4.3.4") => &s::ECDSA_P384_SHA512_ASN1,
                (KeyAlgorithm::Ed25519, "1.3.101.112") => &s::ED25519,
                (KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::Ed25519, _) => {
                    return Err(KeyError::NotAllowed(
                        "a signature algorithm that doesn't belong to the key",
                    ));
                }
            };
        s::UnparsedPublicKey::new(verifier, self.bits())
            .verify(message, signature)
            .map_err(|_| KeyError::BadSignature)
    }

    /// Verifies a signature that the key's [`Signer`] made.
    pub(crate) fn verify_own(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let oid = match self.algorithm {
            KeyAlgorithm::P256 => "1.2.840.10045.4.3.2",
            KeyAlgorithm::P384 => "1.2.840.10045.4.3.3",
            KeyAlgorithm::Ed25519 => "1.3.101.112",
        };
        self.verify(oid, message, signature)
    }

    fn bits(&self) -> &[u8] {
        &self.subject_public_key_info[self.bits_at..]
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({} {})",
            self.algorithm,
            hex::encode(&self.fingerprint()[..8])
        )
    }
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.bits()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm.rcgen()
    }
}

/// What a signature comes back as: later, because a token or a remote key service may be slow.
pub type Signature<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignerError>> + Send + 'a>>;

/// Something that signs with one key, in this process or elsewhere.
pub trait Signer: Send + Sync {
    /// The public half; its algorithm is the algorithm of the signatures.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message` with the hash that belongs to the algorithm; ECDSA as DER (RFC 3279 section 2.2.3).
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a>;
}

/// The signer could not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signing key could not sign: {0}")]
pub struct SignerError(pub String);

/// A private key in this process's memory.
pub struct SigningKey {
    pair: rcgen::KeyPair,
    public_key: PublicKey,
}

impl SigningKey {
    /// Makes a new key with the provider's randomness.
    ///
    /// # Errors
    /// [`KeyError::Provider`] when the provider fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::generate_for(algorithm.rcgen())
            .map_err(|error| KeyError::Provider(error.to_string()))?;
        Self::from_pair(pair)
    }

    /// Reads PKCS#8 in PEM; encrypted (`ENCRYPTED PRIVATE KEY`) or not.
    ///
    /// # Errors
    /// [`KeyError::PassphraseNeeded`], [`KeyError::WrongPassphrase`], [`KeyError::Malformed`] where the file is
    /// damaged, [`KeyError::NotAllowed`] for keys of other algorithms.
    pub fn from_pkcs8_pem(pem: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(pem)
            .map_err(|_| KeyError::Malformed("it is no PEM block of a private key"))?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8_der(document.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => {
                let sealed = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                    .map_err(|_| KeyError::Malformed("its encryption can't be read"))?;
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                // PBES2 has no integrity check of its own: bad padding, or what isn't PKCS#8 after it, is what a wrong
                // passphrase looks like.
                let opened = sealed
                    .decrypt(passphrase)
                    .map_err(|_| KeyError::WrongPassphrase)?;
                PrivateKeyInfoRef::try_from(opened.as_bytes())
                    .map_err(|_| KeyError::WrongPassphrase)?;
                Self::from_pkcs8_der(opened.as_bytes())
            }
            _ => Err(KeyError::Malformed(
                "it is no PKCS#8 key (PRIVATE KEY or ENCRYPTED PRIVATE KEY)",
            )),
        }
    }

    /// Writes PKCS#8 in PEM, encrypted when there is a passphrase (PBES2: scrypt and AES-256-CBC).
    ///
    /// # Errors
    /// [`KeyError::Provider`] when the encryption fails.
    pub fn to_pkcs8_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, KeyError> {
        let Some(passphrase) = passphrase else {
            return Ok(Zeroizing::new(self.pair.serialize_pem()));
        };
        let der = Zeroizing::new(self.pair.serialize_der());
        let info = PrivateKeyInfoRef::try_from(der.as_slice())
            .map_err(|error| KeyError::Provider(error.to_string()))?;
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        for random in [&mut salt, &mut iv] {
            aws_lc_rs::rand::fill(random)
                .map_err(|_| KeyError::Provider("no randomness".to_owned()))?;
        }
        let parameters = pkcs8::pkcs5::scrypt::Params::new(15, 8, 1)
            .map_err(|error| KeyError::Provider(error.to_string()))?;
        let parameters =
            pkcs8::pkcs5::pbes2::Parameters::generate_scrypt_aes256cbc(parameters, &salt, iv)
                .map_err(|error| KeyError::Provider(error.to_string()))?;
        let sealed = info
            .encrypt_with_params(parameters, passphrase)
            .map_err(|error| KeyError::Provider(error.to_string()))?;
        sealed
            .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
            .map_err(|error| KeyError::Provider(error.to_string()))
    }

    fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::try_from(der)
            .map_err(|_| KeyError::Malformed("the private key in it can't be read"))?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: rcgen::KeyPair) -> Result<Self, KeyError> {
        let info = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let public_key = PublicKey::from_subject_public_key_info(&info)?;
        Ok(Self { pair, public_key })
    }

    /// The key as DER PKCS#8, for a TLS stack or a CSR of our own.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pair.serialize_der())
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a> {
        let signature = rcgen::SigningKey::sign(&self.pair, message)
            .map_err(|error| SignerError(error.to_string()));
        Box::pin(std::future::ready(signature))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public_key)
    }
}

/// Why a key can't be used. No variant carries anything of a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name of an algorithm that we do not have.
    #[error("{0:?} is no key algorithm; one of p256, p384, ed25519")]
    UnknownAlgorithm(String),
    /// The key policy does not allow it.
    #[error("{0} is not accepted; make an EC key on P-256 or P-384, or an Ed25519 key")]
    NotAllowed(&'static str),
    /// It can't be read.
    #[error("the key can't be read: {0}")]
    Malformed(&'static str),
    /// The key is encrypted and no passphrase was given.
    #[error(
        "the key is encrypted, and no passphrase was given (ca.passphrase_file in portcullis.toml)"
    )]
    PassphraseNeeded,
    /// The passphrase does not open it.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// A signature that this key did not make.
    #[error("the signature is not this key's")]
    BadSignature,
    /// The cryptographic provider failed.
    #[error("the cryptographic provider failed: {0}")]
    Provider(String),
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_only() {
        for algorithm in KeyAlgorithm::ALL {
            let key = SigningKey::generate(algorithm).expect("a key");
            let sealed = key.to_pkcs8_pem(Some(b"correct horse")).expect("sealed");
            assert!(sealed.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
            let opened =
                SigningKey::from_pkcs8_pem(&sealed, Some(b"correct horse")).expect("opened");
            assert_eq!(opened.public_key(), key.public_key());
            let error =
                |passphrase: Option<&[u8]>| SigningKey::from_pkcs8_pem(&sealed, passphrase).err();
            assert_eq!(error(Some(b"battery")), Some(KeyError::WrongPassphrase));
            assert_eq!(error(None), Some(KeyError::PassphraseNeeded));
        }
    }

    #[test]
    fn a_plain_key_round_trips() {
        let key = SigningKey::generate(KeyAlgorithm::P384).expect("a key");
        let pem = key.to_pkcs8_pem(None).expect("PEM");
        let read = SigningKey::from_pkcs8_pem(&pem, None).expect("read");
        assert_eq!(read.public_key(), key.public_key());
        assert!(matches!(
            SigningKey::from_pkcs8_pem("no key", None),
            Err(KeyError::Malformed(_))
        ));
    }

    #[test]
    fn keys_outside_the_policy_are_refused_by_name() {
        let p521 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
        assert_eq!(
            PublicKey::from_subject_public_key_info(
                &rcgen::PublicKeyData::subject_public_key_info(&p521)
            ),
            Err(KeyError::NotAllowed("an EC key on another curve"))
        );
        let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        assert_eq!(
            PublicKey::from_subject_public_key_info(
                &rcgen::PublicKeyData::subject_public_key_info(&rsa)
            ),
            Err(KeyError::NotAllowed("an RSA key"))
        );
    }
}
