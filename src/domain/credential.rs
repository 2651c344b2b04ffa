//! Credentials that were authenticated: what a decision knows about how the caller proved who it is.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use portcullis_ca::serial::Serial;

use super::{
    Timestamp,
    api_key::{ApiKey, ApiKeyId},
    mapping::AnchorId,
    principal::Principal,
    scope::Scope,
};

/// Everything that came with a request and was found genuine. A credential that is presented and not genuine ends the
/// request before this exists (`Denial`'s constructors).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The certificate of the connection, mapped to its principal.
    pub certificate: Option<CertificateCredential>,
    /// The API key of the request.
    pub api_key: Option<ApiKeyCredential>,
    /// Where the request comes from.
    pub peer: IpAddr,
}

/// A client certificate: verified to its anchor, not revoked, mapped to exactly one principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateCredential {
    /// Whom it proves.
    pub principal: Principal,
    /// The anchor of the verified path.
    pub anchor: AnchorId,
    /// Its serial number.
    pub serial: Serial,
    /// SHA-256 of its DER.
    pub thumbprint: [u8; 32],
    /// The last second of its life, and that of the chain above it if that ends sooner (RFC 5280 section 4.1.2.5:
    /// inclusive).
    pub not_after: Timestamp,
    /// If present, nothing beyond these scopes is allowed: inherited from the key that it was enrolled with.
    pub only: Option<Vec<Scope>>,
}

/// An API key: its secret is right, it is neither revoked nor expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyCredential {
    /// Its public id.
    pub id: ApiKeyId,
    /// Whom it proves.
    pub principal: Principal,
    /// If present, nothing beyond these scopes is allowed.
    pub only: Option<Vec<Scope>>,
    /// If not empty, the networks that it may be used from.
    pub cidrs: Vec<IpNet>,
    /// The first moment at which it is no longer good.
    pub expires_at: Option<Timestamp>,
    /// If present, it is good only together with the certificate with this SHA-256 thumbprint.
    pub bound_certificate: Option<[u8; 32]>,
}

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A client certificate.
    Certificate,
    /// An API key.
    ApiKey,
}

impl CertificateCredential {
    /// Whether its last second is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at()
    }

    /// The first moment at which it is no longer good: the whole second of `not_after` still belongs to it.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.not_after.whole_seconds() + std::time::Duration::from_secs(1)
    }
}

impl From<&ApiKey> for ApiKeyCredential {
    /// Of a key that `ApiKey::verify` found good.
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            principal: key.principal.clone(),
            only: key.only.clone(),
            cidrs: key.cidrs.clone(),
            expires_at: key.expires_at,
            bound_certificate: key.bound_certificate,
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::ApiKey => "API key",
        })
    }
}
