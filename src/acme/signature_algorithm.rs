//! The algorithms that requests are signed with (RFC 8555 section 6.2), by name.

use super::problem::{Problem, ProblemType};

/// The signature algorithms that are accepted (RFC 7518 section 3.1, RFC 8037). `none` and the MACs are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// ECDSA with P-521 and SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl SignatureAlgorithm {
    /// Every algorithm, the best first.
    pub const ALL: [Self; 5] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Rs256,
    ];

    /// As it stands in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// From `alg`.
    ///
    /// # Errors
    /// `badSignatureAlgorithm` with the list of those that would do (RFC 8555 section 6.2).
    pub fn from_name(name: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| {
                Problem::new(
                    ProblemType::BadSignatureAlgorithm,
                    format!(
                        "\"alg\" is {name:?}; a request is signed with {}",
                        Self::names().join(", ")
                    ),
                )
                .with_algorithms(Self::names())
            })
    }

    /// The names of all.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|algorithm| algorithm.name()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_macs_and_whatever_is_not_on_the_list_are_refused_with_the_list() {
        for name in [
            "none", "None", "HS256", "HS512", "RS1", "RS512", "PS256", "ES256K", "es256", "",
        ] {
            let problem = SignatureAlgorithm::from_name(name).unwrap_err();
            assert_eq!(
                (problem.kind, problem.algorithms),
                (
                    ProblemType::BadSignatureAlgorithm,
                    vec!["ES256", "ES384", "ES512", "EdDSA", "RS256"]
                ),
                "{name}"
            );
        }
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(
                SignatureAlgorithm::from_name(algorithm.name()),
                Ok(algorithm)
            );
        }
    }
}
