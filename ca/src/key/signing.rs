//! A private key in this process's memory.

use std::fmt;

use pkcs8::{LineEnding, SecretDocument};
use zeroize::Zeroizing;

use super::{
    KeyAlgorithm, KeyError, PublicKey, Signature, Signer, SignerError,
    pair::Pair,
    sealed::{self, Opened},
};

/// A private key in this process's memory.
pub struct SigningKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
}

impl SigningKey {
    /// Makes a new key with the provider's randomness.
    ///
    /// # Errors
    /// [`KeyError::Provider`] when the provider fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let (pair, pkcs8) = Pair::generate(algorithm)?;
        Self::from_pair(pair, pkcs8)
    }

    /// Reads PKCS#8 in PEM; encrypted (`ENCRYPTED PRIVATE KEY`) or not.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] and [`KeyError::Damaged`] where the file is damaged, whatever the passphrase;
    /// [`KeyError::PassphraseNeeded`], [`KeyError::WrongPassphrase`]; [`KeyError::NotOpened`] for a file of somebody
    /// else's that can't tell them apart; [`KeyError::NotAllowed`] for keys of other algorithms.
    pub fn from_pkcs8_pem(pem: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let document = match sealed::read(pem)? {
            Opened::Plain(document) => document,
            Opened::Sealed(sealed) => sealed.open(passphrase.ok_or(KeyError::PassphraseNeeded)?)?,
        };
        Self::from_pkcs8_der(document.as_bytes())
    }

    /// Whether a PEM file's key is sealed, so that a passphrase is needed. The file is looked at as far as that goes
    /// without one.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Damaged`] where the file is damaged, or is no key.
    pub fn is_sealed(pem: &str) -> Result<bool, KeyError> {
        Ok(match sealed::read(pem)? {
            Opened::Plain(_) => false,
            Opened::Sealed(_) => true,
        })
    }

    /// Reads DER PKCS#8 (RFC 5958).
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::NotAllowed`] for keys of other algorithms.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_pair(Pair::from_pkcs8(der)?, Zeroizing::new(der.to_vec()))
    }

    /// Writes PKCS#8 in PEM, encrypted when there is a passphrase (PBES2: scrypt and AES-256-CBC).
    ///
    /// # Errors
    /// [`KeyError::Provider`] when the encryption fails.
    pub fn to_pkcs8_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, KeyError> {
        match passphrase {
            Some(passphrase) => sealed::seal(&self.pkcs8, passphrase),
            None => SecretDocument::try_from(self.pkcs8.as_slice())
                .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
                .map_err(|error| KeyError::Provider(error.to_string())),
        }
    }

    /// The key as DER PKCS#8, for a TLS stack or a CSR of our own.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    fn from_pair(pair: Pair, pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let public_key = PublicKey::from_subject_public_key_info(&pair.subject_public_key_info()?)?;
        Ok(Self {
            pair,
            pkcs8,
            public_key,
        })
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a> {
        let signature = self
            .pair
            .sign(message)
            .map_err(|_| SignerError("the cryptographic provider failed".to_owned()));
        Box::pin(std::future::ready(signature))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public_key)
    }
}
