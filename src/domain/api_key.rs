//! API keys: the token that a caller holds, and the record that we keep of it.
//!
//! `pc_KIND_ID_SECRETCHECK`: a brand, a kind, a public id of 12 base62 characters, a secret of 256 bits as 43, and the
//! CRC-32 of everything before it as 6. The checksum is verified first, so that a typo costs no look-up. Of the secret
//! only an HMAC-SHA-256 under a pepper is kept.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use aws_lc_rs::{constant_time, hkdf, hmac};
use ipnet::IpNet;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    Timestamp,
    grammar::{Cursor, GrammarError, serde_as_text},
    principal::Principal,
    scope::Scope,
};

mod base62;

use base62::{crc32, digits, number};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiKeyKind {
    /// `sk`: calls with all that its principal may do, or what `only` leaves.
    Standard,
    /// `rk`: always narrowed by `only`.
    Restricted,
    /// `tk`: lives at most 24 hours.
    Temporary,
    /// `ek`: enrols a device; it calls nothing.
    Enrolment,
}

/// The public id of a key: 12 base62 characters. It may be shown and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId([u8; ApiKeyId::LENGTH]);

/// A key as its holder has it, secret and all. It is wiped when dropped, and neither prints nor serialises itself; see
/// [`ApiKeyToken::reveal`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ApiKeyToken {
    #[zeroize(skip)]
    kind: ApiKeyKind,
    #[zeroize(skip)]
    id: ApiKeyId,
    secret: [u8; 32],
}

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

/// Why a text is no key. The caller hears one public reason for both; the audit log tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyParseError {
    /// It doesn't look like `pc_KIND_ID_SECRETCHECK` at all.
    #[error("not an API key (pc_KIND_ID_SECRETCHECK)")]
    Malformed,
    /// The checksum is not that of the rest: a typo, or a key cut short.
    #[error("the API key's checksum is wrong")]
    Checksum,
}

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

impl ApiKeyKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Standard,
        Self::Restricted,
        Self::Temporary,
        Self::Enrolment,
    ];

    /// The two letters of the kind in a token.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Standard => "sk",
            Self::Restricted => "rk",
            Self::Temporary => "tk",
            Self::Enrolment => "ek",
        }
    }

    /// The longest that a key of this kind may live, if there is a limit.
    #[must_use]
    pub const fn longest_life(self) -> Option<Duration> {
        match self {
            Self::Temporary => Some(Duration::from_secs(24 * 60 * 60)),
            Self::Standard | Self::Restricted | Self::Enrolment => None,
        }
    }

    fn from_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix() == prefix)
    }
}

impl ApiKeyId {
    /// The characters of an id.
    pub const LENGTH: usize = 12;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl ApiKeyToken {
    /// A new key from 32 random bytes. Id and secret are derived from them independently (HKDF-SHA-256, RFC 5869), so
    /// that the public id tells nothing about the secret.
    #[must_use]
    pub fn mint(kind: ApiKeyKind, randomness: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        derive(randomness, &[b"portcullis api key id"], &mut id);
        let mut secret = [0; 32];
        derive(randomness, &[b"portcullis api key secret"], &mut secret);
        let mut text = [0; ApiKeyId::LENGTH];
        digits(&id, &mut text);
        Self {
            kind,
            id: ApiKeyId(text),
            secret,
        }
    }

    /// What the key is for.
    #[must_use]
    pub const fn kind(&self) -> ApiKeyKind {
        self.kind
    }

    /// Its public id.
    #[must_use]
    pub const fn id(&self) -> ApiKeyId {
        self.id
    }

    /// The token as its holder gets it, once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        digits(&self.secret, secret.as_mut());
        // Room for all of it from the start: a string that grows would leave a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_LENGTH));
        text.push_str("pc_");
        text.push_str(self.kind.prefix());
        text.push('_');
        text.push_str(self.id.as_str());
        text.push('_');
        text.extend(secret.iter().copied().map(char::from));
        let mut check = [0; CHECK_LENGTH];
        digits(&crc32(text.as_bytes()).to_be_bytes(), &mut check);
        text.extend(check.map(char::from));
        text
    }
}

const SECRET_LENGTH: usize = 43;
const CHECK_LENGTH: usize = 6;
const TOKEN_LENGTH: usize = "pc_sk_".len() + ApiKeyId::LENGTH + 1 + SECRET_LENGTH + CHECK_LENGTH;

impl FromStr for ApiKeyToken {
    type Err = ApiKeyParseError;

    /// Reads a token; the checksum comes first.
    fn from_str(text: &str) -> Result<Self, ApiKeyParseError> {
        use ApiKeyParseError::{Checksum, Malformed};
        if text.len() != TOKEN_LENGTH || !text.is_ascii() {
            return Err(Malformed);
        }
        let (body, check) = text.split_at(TOKEN_LENGTH - CHECK_LENGTH);
        let check: [u8; 4] = number(check).ok_or(Malformed)?;
        if u32::from_be_bytes(check) != crc32(body.as_bytes()) {
            return Err(Checksum);
        }
        let mut parts = body.split('_');
        let (brand, kind, id, secret) = (parts.next(), parts.next(), parts.next(), parts.next());
        if brand != Some("pc") || parts.next().is_some() {
            return Err(Malformed);
        }
        Ok(Self {
            kind: kind.and_then(ApiKeyKind::from_prefix).ok_or(Malformed)?,
            id: id.and_then(|id| id.parse().ok()).ok_or(Malformed)?,
            secret: secret
                .filter(|secret| secret.len() == SECRET_LENGTH)
                .and_then(number)
                .ok_or(Malformed)?,
        })
    }
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
        if !same || token.id != self.id || token.kind != self.kind {
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
        let info: [&[u8]; 2] = [b"portcullis acme external account binding ", &id.0];
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

impl fmt::Debug for ApiKeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyToken({}_{}_…)", self.kind.prefix(), self.id)
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

impl fmt::Display for ApiKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())
    }
}

impl FromStr for ApiKeyKind {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        Self::from_prefix(text).ok_or_else(|| {
            Cursor::new("kind of API key", text).error("the kind", "one of sk, rk, tk, ek")
        })
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApiKeyId {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let mut cursor = Cursor::new("id of an API key", text);
        let wants = "12 letters and digits";
        cursor.take_while(|c| c.is_ascii_alphanumeric());
        cursor.expect_end("the id", wants)?;
        let id = text.as_bytes().try_into();
        id.map(Self).map_err(|_| cursor.error("the id", wants))
    }
}

serde_as_text!(ApiKeyKind);
serde_as_text!(ApiKeyId);
