//! What a token, or the way to it, says when it can't: whose fault, what, and what would be right. Never a PIN.

use std::path::PathBuf;

use portcullis_ca::key::KeyAlgorithm;

use super::pin::TriesLeft;

/// Why a token did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The module's file isn't there.
    #[error(
        "the PKCS#11 module {} is missing: install the package that has it, or mend ca.token.module", module.display()
    )]
    ModuleMissing {
        /// The file.
        module: PathBuf,
    },
    /// The module's file can't be used.
    #[error("{} can't be used as a PKCS#11 module: {message}", module.display())]
    ModuleUnusable {
        /// The file.
        module: PathBuf,
        /// What the system or the module says.
        message: String,
    },
    /// The module has no such token.
    #[error(
        "{token} is not there (the module has {present}): plug it in, or start what is behind the module, or mend \
         ca.token.label"
    )]
    TokenMissing {
        /// Which token.
        token: String,
        /// The tokens that there are.
        present: String,
    },
    /// More than one token has the label.
    #[error("{token} is there {count} times: say which one by ca.token.slot (slots {slots})")]
    SeveralTokens {
        /// Which token.
        token: String,
        /// How many.
        count: usize,
        /// Their slots.
        slots: String,
    },
    /// The token wants a PIN, and none is configured.
    #[error(
        "{token} wants a PIN: say where it is by ca.token.pin_file, pin_credential, pin_env or pin_prompt"
    )]
    PinNeeded {
        /// Which token.
        token: String,
    },
    /// The PIN can't be had.
    #[error("the PIN of {token}: {message}")]
    PinUnavailable {
        /// Which token.
        token: String,
        /// What its source says.
        message: String,
    },
    /// The PIN is wrong.
    #[error(
        "{token} refuses the PIN; {tries}. It will not be tried again: mend what ca.token.pin_… names"
    )]
    PinRefused {
        /// Which token.
        token: String,
        /// How many tries are left.
        tries: TriesLeft,
    },
    /// The PIN is the one that was refused before.
    #[error(
        "{token} refused this PIN before, and it was not tried again, so that no try is lost: mend what \
         ca.token.pin_… names"
    )]
    PinRefusedBefore {
        /// Which token.
        token: String,
    },
    /// A wrong PIN would lock the token now.
    #[error(
        "{token} has one try left, and locks if the PIN is wrong, so it was not tried: log in with the token's own \
         tool first (pkcs11-tool --login --list-objects), which gives the tries back"
    )]
    LastTry {
        /// Which token.
        token: String,
    },
    /// The token is locked.
    #[error(
        "{token} is locked: no tries are left. Its security officer can unlock it (pkcs11-tool --init-pin)"
    )]
    PinLocked {
        /// Which token.
        token: String,
    },
    /// The token has no such key.
    #[error(
        "{token} has no private key labelled {label:?}: restore it, or use the token that has it"
    )]
    NoKey {
        /// Which token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// Several keys have the label.
    #[error(
        "{token} has {count} private keys labelled {label:?}; a key must be the only one with its label"
    )]
    SeveralKeys {
        /// Which token.
        token: String,
        /// The keys' label.
        label: String,
        /// How many.
        count: usize,
    },
    /// There is a key with the label of the one that was to be made.
    #[error("{token} has a key labelled {label:?} already; it stays as it is")]
    KeyExists {
        /// Which token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The key with the label is not the one that it should be.
    #[error(
        "{token} has another key labelled {label:?} than the one of the certificate; restore the right one"
    )]
    OtherKey {
        /// Which token.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The key can't be read or is of a kind that we don't use.
    #[error("{token}, key {label:?}: {message}")]
    KeyUnusable {
        /// Which token.
        token: String,
        /// The key's label.
        label: String,
        /// What is wrong.
        message: String,
    },
    /// The token has no such keys or signatures.
    #[error("{token} can't do {algorithm}: {message}")]
    Unsupported {
        /// Which token.
        token: String,
        /// What was asked for.
        algorithm: KeyAlgorithm,
        /// What the module says.
        message: String,
    },
    /// The token is away: unplugged, logged out, or the process behind the module is dead.
    #[error(
        "{token} is away ({message}); plug it in, or start what is behind the module: it is tried again at the next \
         signature"
    )]
    Away {
        /// Which token.
        token: String,
        /// What the module says.
        message: String,
    },
    /// The token did not answer in time.
    #[error(
        "{token} did not answer within {seconds} s (ca.token.timeout); look after it, it is asked again at the next \
         signature"
    )]
    Slow {
        /// Which token.
        token: String,
        /// The time that it had, in seconds.
        seconds: u64,
    },
    /// Too many signatures wait.
    #[error(
        "{token} is behind: {waiting} signatures wait already; it needs more ca.token.sessions, or less work"
    )]
    Busy {
        /// Which token.
        token: String,
        /// How many wait.
        waiting: usize,
    },
    /// Something else.
    #[error("{token}: {message}")]
    Failed {
        /// Which token.
        token: String,
        /// What.
        message: String,
    },
}

impl TokenError {
    /// Whether somebody has to mend the configuration, rather than the token.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::ModuleMissing { .. }
            | Self::ModuleUnusable { .. }
            | Self::SeveralTokens { .. }
            | Self::PinNeeded { .. }
            | Self::PinUnavailable { .. }
            | Self::PinRefused { .. }
            | Self::PinRefusedBefore { .. } => true,
            Self::TokenMissing { .. }
            | Self::LastTry { .. }
            | Self::PinLocked { .. }
            | Self::NoKey { .. }
            | Self::SeveralKeys { .. }
            | Self::KeyExists { .. }
            | Self::OtherKey { .. }
            | Self::KeyUnusable { .. }
            | Self::Unsupported { .. }
            | Self::Away { .. }
            | Self::Slow { .. }
            | Self::Busy { .. }
            | Self::Failed { .. } => false,
        }
    }
}
