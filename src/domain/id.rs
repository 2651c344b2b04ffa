//! Identifiers of records: 128 random bits as base64url text, a type for each noun.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// 128 bits of randomness, for an identifier or a token that nobody may guess. They are handed in: the domain draws
/// none itself.
pub type RandomBits = [u8; 16];

/// 22 characters of base64url for 128 bits.
#[must_use]
pub fn random_text(bits: RandomBits) -> String {
    URL_SAFE_NO_PAD.encode(bits)
}

macro_rules! identifiers {
    ($($(#[$doc:meta])+ $name:ident)+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new one from 128 random bits.
            #[must_use]
            pub fn from_random(bits: RandomBits) -> Self {
                Self(random_text(bits))
            }

            /// One that was read back; anything that was never given out is simply not found.
            #[must_use]
            pub fn from_text(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

identifiers! {
    /// Names an ACME account.
    AccountId
    /// Names an order.
    OrderId
    /// Names an authorization.
    AuthorizationId
    /// Names an enrolment.
    EnrolmentId
}
