//! Devices' statements about their keys (draft-ietf-acme-device-attest, WebAuthn section 8): whether a statement holds, and
//! what it says. Which devices may do what is not decided here.
//!
//! A statement comes as a WebAuthn attestation object. It is read strictly ([`AttestationObject::from_cbor`]), and verified
//! to roots that the caller names ([`verify`]); no root is built in. What a verified statement says is an [`Attested`]: a
//! public key that a device holds and can't give away, and the identities that the device's maker gave it.
//!
//! Revocation of makers' certificates is not looked up: rules name devices, and a device that is not wanted any more is taken
//! out of them.
//!
//! To add a format: a variant of [`AttestationFormat`], a file beside the others, and wherever the compiler then asks.

mod android;
mod apple;
mod cbor;
mod certificate;
mod cose;
mod error;
mod format;
mod identity;
mod object;
mod packed;
mod path;
mod step;
#[cfg(test)]
mod tests;
mod tpm;

pub use error::AttestationError;
pub use format::AttestationFormat;
pub use identity::{DeviceIdentity, InvalidIdentity};
pub use object::{AttestationObject, MAX_OBJECT_OCTETS};
pub use path::{InvalidRoot, Roots};

use rustls_pki_types::UnixTime;

use crate::key::PublicKey;

/// What a statement must be about: the challenge that its device was given.
#[derive(Debug, Clone, Copy)]
pub struct AttestationChallenge<'a> {
    /// The challenge's token (RFC 8555 section 8.1).
    pub token: &'a str,
    /// The token, a dot and the thumbprint of the account's key (RFC 8555 section 8.1).
    pub key_authorization: &'a str,
}

/// What a verified statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Its format.
    pub format: AttestationFormat,
    /// The key that the device holds.
    pub public_key: PublicKey,
    /// What the device's maker calls the device; at least one, each once.
    pub identities: Vec<DeviceIdentity>,
    /// Who made it, in the format's own words: `id:` and eight hexadecimal digits for a TPM, a name for others.
    pub vendor: Option<String>,
    /// Which model it is.
    pub model: Option<String>,
    /// The model's number (FIDO), for `packed`.
    pub aaguid: Option<[u8; 16]>,
    /// Where the key is kept, for `android-key`.
    pub security_level: Option<SecurityLevel>,
    /// Whether the device is locked and started a system that its maker signed, where the statement says anything about it.
    pub verified_boot: Option<bool>,
}

/// Where an Android device keeps a key. Software is none of them: such statements are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityLevel {
    /// In the trusted execution environment of its processor.
    TrustedEnvironment,
    /// In a chip of its own.
    StrongBox,
}

/// Verifies a statement: its path to one of `roots` at the moment `at`, its signature, that it answers `challenge`, and that
/// the key it speaks of can't leave the device.
///
/// # Errors
/// [`AttestationError`] with what is wrong and what would be right; nothing of the statement may be believed then.
pub fn verify(
    object: &AttestationObject<'_>,
    challenge: &AttestationChallenge<'_>,
    roots: &Roots,
    at: UnixTime,
) -> Result<Attested, AttestationError> {
    let context = Context {
        object,
        challenge,
        roots,
        at,
    };
    let attested = match object.format()? {
        AttestationFormat::Tpm => tpm::verify(&context),
        AttestationFormat::AndroidKey => android::verify(&context),
        AttestationFormat::Apple => apple::verify(&context),
        AttestationFormat::Packed => packed::verify(&context),
        AttestationFormat::Step => step::verify(&context),
    }?;
    if attested.identities.is_empty() {
        return Err(AttestationError::NoIdentity {
            format: attested.format,
        });
    }
    Ok(attested)
}

/// What every format is handed.
struct Context<'a> {
    object: &'a AttestationObject<'a>,
    challenge: &'a AttestationChallenge<'a>,
    roots: &'a Roots,
    at: UnixTime,
}
