//! Why a key can't be used.

/// Why a key can't be used. No variant carries anything of a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name of an algorithm that we do not have.
    #[error(
        "{0:?} is no key algorithm; one of p256, p384, ed25519, rsa2048, rsa3072, rsa4096, mldsa44, mldsa65, mldsa87"
    )]
    UnknownAlgorithm(String),
    /// The key policy does not allow it.
    #[error(
        "{0} is not accepted; make an EC key on P-256 or P-384, an Ed25519 key, or an RSA key of 2048 to 4096 bits"
    )]
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
    /// The key is sealed, and is not what was written.
    #[error("the file is damaged: its checksum is another; restore it from your backup")]
    Damaged,
    /// The passphrase does not open it, and there is no checksum to tell why.
    #[error(
        "the passphrase does not open the key, or the key is damaged (it was sealed by another program, without a checksum)"
    )]
    NotOpened,
    /// A signature that this key did not make.
    #[error("the signature is not this key's")]
    BadSignature,
    /// The cryptographic provider failed.
    #[error("the cryptographic provider failed: {0}")]
    Provider(String),
}
