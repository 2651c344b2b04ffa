//! The token: what the holder of a key has, `pc_KIND_ID_SECRETCHECK`. Private to API keys.

use std::{fmt, str::FromStr, time::Duration};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    base62::{crc32, digits, number},
    derive,
};
use crate::domain::grammar::{Cursor, GrammarError, serde_as_text};

/// A key as its holder has it, secret and all. It is wiped when dropped, and neither prints nor serialises itself; see
/// [`ApiKeyToken::reveal`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ApiKeyToken {
    #[zeroize(skip)]
    kind: ApiKeyKind,
    #[zeroize(skip)]
    id: ApiKeyId,
    pub(super) secret: [u8; 32],
}

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

impl fmt::Debug for ApiKeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyToken({}_{}_…)", self.kind.prefix(), self.id)
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
