//! API keys: the token that a caller holds, and the record that we keep of it.
//!
//! `pc_KIND_ID_SECRETCHECK`: a brand, a kind, a public id of 12 base62 characters, a secret of 256 bits as 43, and the
//! CRC-32 of everything before it as 6. The checksum is verified first, so that a typo costs no look-up. Of the secret
//! only an HMAC-SHA-256 under a pepper is kept.

use std::{fmt, net::IpAddr};

use aws_lc_rs::{constant_time, hkdf, hmac};
use ipnet::IpNet;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Timestamp, principal::Principal, scope::Scope};

mod base62;
mod token;

pub use token::{ApiKeyId, ApiKeyKind, ApiKeyParseError, ApiKeyToken};

/// The record of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public id.
    pub id: ApiKeyId,
    /// What it is for.
    pub kind: ApiKeyKind,
    /// Whom it proves.
    pub principal: Principal,
    /// What its owner calls it.
    pub name: String,
    /// If present, nothing beyond these scopes is allowed; an empty list allows nothing.
    pub only: Option<Vec<Scope>>,
    /// If not empty, the networks that it may be used from.
    pub cidrs: Vec<IpNet>,
    /// The first moment at which it is no longer good.
    pub expires_at: Option<Timestamp>,
    /// If present, it is good only together with the certificate with this SHA-256 thumbprint.
    pub bound_certificate: Option<[u8; 32]>,
    /// HMAC-SHA-256 of the secret under the pepper.
    pub digest: ApiKeyDigest,
    /// When it was minted.
    pub created_at: Timestamp,
    /// Who minted it.
    pub created_by: Principal,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// HMAC-SHA-256 of a key's secret under the server's pepper. It does not print itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ApiKeyDigest([u8; 32]);

/// The server-side secret under which keys are digested. It does not print itself.
pub struct Pepper(hmac::Key);

/// The sealed secret of the server from which the MAC keys of external account bindings are derived. It is wiped when
/// dropped and does not print itself.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ServerRoot([u8; 32]);

/// Why a key that reads well is not good. The caller hears one public reason for all; the audit log tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyFault {
    /// The secret, or the kind, is not the record's.
    #[error("the secret is wrong")]
    WrongSecret,
    /// It was revoked.
    #[error("revoked at {0}")]
    Revoked(Timestamp),
    /// It has expired.
    #[error("expired at {0}")]
    Expired(Timestamp),
    /// It enrols; it does not call.
    #[error("an enrolment key proves nobody to the gate")]
    EnrolmentOnly,
}

/// Why a key must not be minted so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyShapeError {
    /// `rk` without `only`.
    #[error("a restricted key needs `only`, at least one scope")]
    RestrictedWithoutOnly,
    /// `tk` without an expiry, or with one that is more than 24 hours away.
    #[error("a temporary key needs an expiry at most 24 hours after it is minted")]
    TemporaryTooLong,
    /// The expiry is not after the minting.
    #[error("the key would expire before it is minted")]
    ExpiryPast,
}

impl ApiKey {
    /// Whether the key may exist like this.
    ///
    /// # Errors
    /// [`ApiKeyShapeError`] when its kind forbids its life or asks for `only`.
    pub fn check_shape(&self) -> Result<(), ApiKeyShapeError> {
        if self.expires_at.is_some_and(|end| end <= self.created_at) {
            return Err(ApiKeyShapeError::ExpiryPast);
        }
        if self.kind == ApiKeyKind::Restricted && self.only.as_ref().is_none_or(Vec::is_empty) {
            return Err(ApiKeyShapeError::RestrictedWithoutOnly);
        }
        if let Some(longest) = self.kind.longest_life()
            && self
                .expires_at
                .is_none_or(|end| end > self.created_at + longest)
        {
            return Err(ApiKeyShapeError::TemporaryTooLong);
        }
        Ok(())
    }

    /// Whether `token` is this key and the key is good at `now`. The secret is compared in constant time.
    ///
    /// Whether it may be used from where the caller is, and with which certificate, `decide` says.
    ///
    /// # Errors
    /// [`ApiKeyFault`], for the audit log; every one of them is the same `invalid_token` to the caller.
    pub fn verify(
        &self,
        token: &ApiKeyToken,
        pepper: &Pepper,
        now: Timestamp,
    ) -> Result<(), ApiKeyFault> {
        let digest = pepper.digest(token);
        let same = constant_time::verify_slices_are_equal(&digest.0, &self.digest.0).is_ok();
        if !same || token.id() != self.id || token.kind() != self.kind {
            return Err(ApiKeyFault::WrongSecret);
        }
        self.check_standing(now)?;
        match self.kind {
            ApiKeyKind::Enrolment => Err(ApiKeyFault::EnrolmentOnly),
            ApiKeyKind::Standard | ApiKeyKind::Restricted | ApiKeyKind::Temporary => Ok(()),
        }
    }

    /// Whether the key is neither revoked nor expired at `now`.
    ///
    /// # Errors
    /// [`ApiKeyFault::Revoked`] or [`ApiKeyFault::Expired`].
    pub fn check_standing(&self, now: Timestamp) -> Result<(), ApiKeyFault> {
        if let Some(at) = self.revoked_at {
            return Err(ApiKeyFault::Revoked(at));
        }
        match self.expires_at {
            Some(end) if end <= now => Err(ApiKeyFault::Expired(end)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the key may be used from `peer`.
    #[must_use]
    pub fn allows_peer(&self, peer: IpAddr) -> bool {
        networks_allow(&self.cidrs, peer)
    }
}

/// Whether `peer` is in one of the networks, or there are none. An IPv4 address that came mapped into IPv6 is the
/// IPv4 address.
pub(crate) fn networks_allow(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&peer))
}

impl Pepper {
    /// The pepper with these 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// What is kept of a key's secret.
    #[must_use]
    pub fn digest(&self, token: &ApiKeyToken) -> ApiKeyDigest {
        let tag = hmac::sign(&self.0, &token.secret);
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        ApiKeyDigest(digest)
    }
}

impl ServerRoot {
    /// The root with these 32 secret bytes.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The MAC key of an external account binding (RFC 8555 section 7.3.4) with the API key `id`: derived by
    /// HKDF-SHA-256 (RFC 5869), never stored, and apart from the key's own secret.
    #[must_use]
    pub fn external_account_key(&self, id: &ApiKeyId) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let label = b"portcullis acme external account binding ";
        let info: [&[u8]; 2] = [label, id.as_str().as_bytes()];
        derive(&self.0, &info, key.as_mut());
        key
    }
}

/// HKDF-SHA-256 (RFC 5869) without salt, to the length of `out`.
fn derive(secret: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret)
        .expand(info, Length(out.len()))
        .and_then(|derived| derived.fill(out))
        .expect("16 and 32 bytes are far below HKDF's limit of 255 blocks");
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl ApiKeyDigest {
    /// From the 32 bytes that were kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ApiKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyDigest(…)")
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

impl fmt::Debug for ServerRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerRoot(…)")
    }
}
