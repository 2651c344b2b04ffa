//! From a verified certificate to exactly one principal.
//!
//! What a certificate of the built-in authority proves was decided when it was issued: its only URI SAN is
//! `spiffe://TRUST-DOMAIN/KIND/PATH`, which is `KIND:PATH`, with no rule to write. The common name never counts, nor does
//! a name of any other type.

use std::fmt;

use super::principal::{Principal, TrustDomain};

/// The id of a CA that the gate trusts. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnchorId(std::sync::Arc<str>);

impl AnchorId {
    /// The built-in authority, which needs no entry in the policy.
    #[must_use]
    pub fn internal() -> Self {
        Self("internal".into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AnchorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a verified certificate proves no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// No URI SAN, or one that is no SPIFFE ID of this trust domain (the text is it, for the audit log).
    #[error("the certificate names no principal of this trust domain (URI SAN {0:?})")]
    Unmapped(Option<String>),
    /// More than one URI SAN (SPIFFE X.509-SVID section 2 allows exactly one).
    #[error("the certificate has {0} URI SANs, a principal's has exactly one")]
    Ambiguous(usize),
}

/// The principal that a certificate of the built-in authority proves, given every URI SAN of it.
///
/// The certificate must have been verified to the built-in authority's key before, with clientAuth among its key
/// purposes.
///
/// # Errors
/// [`MappingError`] when the URI SANs do not name exactly one principal; the certificate then proves nobody.
pub fn map_internal<'u>(
    uris: impl IntoIterator<Item = &'u str>,
    trust_domain: &TrustDomain,
) -> Result<Principal, MappingError> {
    let mut uris = uris.into_iter();
    let Some(first) = uris.next() else {
        return Err(MappingError::Unmapped(None));
    };
    let others = uris.count();
    if others > 0 {
        return Err(MappingError::Ambiguous(others + 1));
    }
    Principal::from_spiffe_id(first, trust_domain)
        .ok_or_else(|| MappingError::Unmapped(Some(first.chars().take(200).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_uri_of_this_trust_domain_proves_a_principal() {
        let domain: TrustDomain = "home.example".parse().expect("a trust domain");
        let map = |uris: &[&str]| map_internal(uris.iter().copied(), &domain);
        let good = "spiffe://home.example/device/fra/a";
        assert_eq!(map(&[good]), Ok("device:fra/a".parse().expect("valid")));
        assert_eq!(map(&[]), Err(MappingError::Unmapped(None)));
        assert_eq!(map(&[good, good]), Err(MappingError::Ambiguous(2)));
        assert_eq!(
            map(&[good, "https://x.example/"]),
            Err(MappingError::Ambiguous(2))
        );
        for other in ["spiffe://other.example/device/a", "https://x/", ""] {
            assert_eq!(
                map(&[other]),
                Err(MappingError::Unmapped(Some(other.to_owned())))
            );
        }
    }
}
