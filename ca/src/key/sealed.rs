//! A private key under a passphrase: PBES2 with scrypt and AES-256-CBC (RFC 8018, RFC 7914), in PEM (RFC 7468).
//!
//! Damage is found before any passphrase is asked for, where there is a [`checksum`].

use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::{
    KeyError,
    checksum::{self, Checksum, with_checksum},
};

const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// A PEM block of a private key, read as far as that goes without a passphrase.
pub(super) enum Opened {
    /// PKCS#8 as it is.
    Plain(SecretDocument),
    /// Sealed, and not damaged where that could be seen.
    Sealed(Sealed),
}

/// A sealed key.
pub(super) struct Sealed {
    document: SecretDocument,
    /// What it means when the passphrase does not open it.
    not_opened: KeyError,
}

/// Reads PEM.
pub(super) fn read(pem: &str) -> Result<Opened, KeyError> {
    let (label, document) = SecretDocument::from_pem(pem).map_err(|_| {
        KeyError::Malformed("it is no PEM block of a private key, or a damaged one")
    })?;
    match label {
        "PRIVATE KEY" => Ok(Opened::Plain(document)),
        LABEL => {
            let not_opened = match checksum::check(pem, document.as_bytes()) {
                Checksum::Damaged => return Err(KeyError::Damaged),
                Checksum::Sound => KeyError::WrongPassphrase,
                Checksum::Absent => KeyError::NotOpened,
            };
            EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                .map_err(|_| KeyError::Malformed("its encryption can't be read"))?;
            Ok(Opened::Sealed(Sealed {
                document,
                not_opened,
            }))
        }
        _ => Err(KeyError::Malformed(
            "it is no PKCS#8 key (PRIVATE KEY or ENCRYPTED PRIVATE KEY)",
        )),
    }
}

impl Sealed {
    /// Opens it to PKCS#8.
    pub(super) fn open(&self, passphrase: &[u8]) -> Result<SecretDocument, KeyError> {
        let sealed = EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes())
            .map_err(|_| KeyError::Malformed("its encryption can't be read"))?;
        let opened = match sealed.decrypt(passphrase) {
            Ok(opened) => opened,
            Err(pkcs8::Error::EncryptedPrivateKey(
                pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. }
                | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs8::pkcs5::Error::NoPbes1CryptSupport,
            )) => {
                return Err(KeyError::Malformed(
                    "its encryption is none that is supported (PBES2 with scrypt or PBKDF2, and AES)",
                ));
            }
            Err(_) => return Err(self.not_opened.clone()),
        };
        // Padding fits by chance once in 256 wrong passphrases; PKCS#8 behind it does not.
        if PrivateKeyInfoRef::try_from(opened.as_bytes()).is_err() {
            return Err(self.not_opened.clone());
        }
        Ok(opened)
    }
}

/// Seals PKCS#8.
pub(super) fn seal(pkcs8: &[u8], passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let failed = |error: &dyn std::fmt::Display| KeyError::Provider(error.to_string());
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|error| failed(&error))?;
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    for random in [&mut salt, &mut iv] {
        aws_lc_rs::rand::fill(random)
            .map_err(|_| KeyError::Provider("no randomness".to_owned()))?;
    }
    let parameters = pkcs8::pkcs5::scrypt::Params::new(14, 8, 5).map_err(|error| failed(&error))?;
    let parameters =
        pkcs8::pkcs5::pbes2::Parameters::generate_scrypt_aes256cbc(parameters, &salt, iv)
            .map_err(|error| failed(&error))?;
    let sealed = info
        .encrypt_with_params(parameters, passphrase)
        .map_err(|error| failed(&error))?;
    let pem = sealed
        .to_pem(LABEL, LineEnding::LF)
        .map_err(|error| failed(&error))?;
    Ok(Zeroizing::new(with_checksum(&pem, sealed.as_bytes())))
}
