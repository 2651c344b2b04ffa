//! The formats of statements (the registry of WebAuthn, and step-ca's own).

use std::{fmt, str::FromStr};

/// A format that is verified here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttestationFormat {
    /// A TPM 2.0 certifies a key of its own (WebAuthn section 8.3).
    Tpm,
    /// An Android device's keystore certifies a key of its own (WebAuthn section 8.4).
    AndroidKey,
    /// Apple certifies a key of a managed device's Secure Enclave.
    Apple,
    /// A FIDO authenticator's statement, with its certificate (WebAuthn section 8.2).
    Packed,
    /// A YubiKey's PIV application certifies a key of its own, as step-ca's clients send it.
    Step,
}

impl AttestationFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::Tpm,
        Self::AndroidKey,
        Self::Apple,
        Self::Packed,
        Self::Step,
    ];

    /// As `fmt` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tpm => "tpm",
            Self::AndroidKey => "android-key",
            Self::Apple => "apple",
            Self::Packed => "packed",
            Self::Step => "step",
        }
    }
}

impl fmt::Display for AttestationFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AttestationFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat(text.chars().take(64).collect()))
    }
}

/// A word that is no format of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no format of statements; one of tpm, android-key, apple, packed, step")]
pub struct UnknownFormat(String);
