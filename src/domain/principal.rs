//! Principals: who acts. A credential proves one; it holds no permissions itself.

use std::{fmt, str::FromStr, sync::Arc};

use super::{
    grammar::{Cursor, GrammarError, serde_as_text},
    pattern::{Pattern, Segment, Vocabulary},
};

/// Why a text is no principal, pattern of principals or trust domain.
pub type PrincipalError = GrammarError;

/// The kind of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// A machine in the field.
    Device,
    /// A program.
    Service,
    /// A person.
    User,
}

/// Who acts: `device:fra/line-2/sensor-42`. Cheap to clone.
///
/// Its path is segments of letters, digits, `.`, `-`, `_` (the segments of a SPIFFE ID), never `.` or `..`, joined by
/// `/`; at most [`Principal::LONGEST_PATH`] bytes, so that its SPIFFE ID stays within the 2048 that SPIFFE allows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    kind: PrincipalKind,
    path: Arc<str>,
}

/// Which principals are meant: `device:fra/**`. `*` is one whole segment, `/**` the node and all below it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PrincipalPattern {
    kind: PrincipalKind,
    pattern: Pattern,
}

/// The name under which this authority's principals live: `spiffe://TRUST-DOMAIN/…`. Lower-case letters, digits, `.`,
/// `-`, `_`; at most 255 bytes (SPIFFE ID section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl PrincipalKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Device, Self::Service, Self::User];

    /// `device`, `service` or `user`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Service => "service",
            Self::User => "user",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Principal {
    /// The most bytes that a path may have.
    pub const LONGEST_PATH: usize = 1024;

    /// The principal of this kind with this path.
    ///
    /// # Errors
    /// [`PrincipalError`], with offsets into `path`, when the path does not follow the grammar.
    pub fn new(kind: PrincipalKind, path: &str) -> Result<Self, PrincipalError> {
        let mut cursor = Cursor::new("principal path", path);
        Self::read_path(kind, &mut cursor)
    }

    /// The operator with this user id at the Unix socket: `user:local/UID`.
    #[must_use]
    pub fn local_user(uid: u32) -> Self {
        Self {
            kind: PrincipalKind::User,
            path: format!("local/{uid}").into(),
        }
    }

    fn read_path(kind: PrincipalKind, cursor: &mut Cursor<'_>) -> Result<Self, PrincipalError> {
        let start = cursor.offset();
        let path: Arc<str> = cursor.rest().into();
        Pattern::parse(cursor, Vocabulary::Principal)?;
        if path.len() > Self::LONGEST_PATH {
            return Err(cursor.error_at(
                start + Self::LONGEST_PATH,
                "a principal's path",
                "at most 1024 bytes",
            ));
        }
        Ok(Self { kind, path })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// Its path, without the kind.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its SPIFFE ID: `spiffe://TRUST-DOMAIN/KIND/PATH`.
    #[must_use]
    pub fn spiffe_id(&self, trust_domain: &TrustDomain) -> String {
        format!("spiffe://{trust_domain}/{}/{}", self.kind.name(), self.path)
    }

    /// The principal that a SPIFFE ID of `trust_domain` names. Scheme and trust domain compare without regard to
    /// case, the path byte for byte. `None` for every other URI: another trust domain, `%`, a query, a fragment,
    /// userinfo, a port, an empty or dot segment, an unknown kind.
    #[must_use]
    pub fn from_spiffe_id(uri: &str, trust_domain: &TrustDomain) -> Option<Self> {
        let scheme = uri.get(..9)?;
        if !scheme.eq_ignore_ascii_case("spiffe://") {
            return None;
        }
        let (authority, path) = uri.get(9..)?.split_once('/')?;
        if !authority.eq_ignore_ascii_case(trust_domain.as_str()) {
            return None;
        }
        let (kind, path) = path.split_once('/')?;
        Self::new(PrincipalKind::from_name(kind)?, path).ok()
    }
}

impl PrincipalPattern {
    /// Whether the principal is meant.
    #[must_use]
    pub fn matches(&self, principal: &Principal) -> bool {
        self.kind == principal.kind && self.pattern.matches(&principal.path)
    }

    /// Whether every principal that `other` means is meant.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind && self.pattern.covers(&other.pattern)
    }

    /// Whether some principal is meant by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.kind == other.kind && self.pattern.overlaps(&other.pattern)
    }

    /// The kind of all that are meant.
    #[must_use]
    pub const fn kind(&self) -> PrincipalKind {
        self.kind
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        self.pattern.segments()
    }

    pub(crate) const fn includes_below(&self) -> bool {
        self.pattern.includes_below()
    }
}

impl TrustDomain {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn kind(cursor: &mut Cursor<'_>) -> Result<PrincipalKind, PrincipalError> {
    let word = cursor.take_while(|c| c.is_ascii_lowercase());
    let kind = PrincipalKind::from_name(word)
        .ok_or_else(|| cursor.error_at(0, "the kind", "device, service or user"))?;
    if cursor.take(":") {
        Ok(kind)
    } else {
        Err(cursor.error("the kind", "':' after device, service or user"))
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let mut cursor = Cursor::new("principal", text);
        let kind = kind(&mut cursor)?;
        Self::read_path(kind, &mut cursor)
    }
}

impl FromStr for PrincipalPattern {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let mut cursor = Cursor::new("pattern of principals", text);
        let kind = kind(&mut cursor)?;
        let pattern = Pattern::parse(&mut cursor, Vocabulary::PrincipalPattern)?;
        Ok(Self { kind, pattern })
    }
}

impl FromStr for TrustDomain {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let mut cursor = Cursor::new("trust domain", text);
        let wants = "lower-case letters, digits, '.', '-' or '_'";
        let name = cursor.take_while(|c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_')
        });
        cursor.expect_end("a trust domain", wants)?;
        if name.is_empty() {
            return Err(cursor.error("a trust domain", wants));
        }
        if name.len() > 255 {
            return Err(cursor.error_at(255, "a trust domain", "at most 255 bytes"));
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.path)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PrincipalPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.pattern)
    }
}

impl fmt::Debug for PrincipalPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Principal);
serde_as_text!(PrincipalPattern);
serde_as_text!(TrustDomain);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_reads_and_prints_and_says_where_it_is_wrong() {
        for good in ["device:fra/line-2/sensor-42", "service:a", "user:local/0"] {
            let principal: Principal = good.parse().expect(good);
            assert_eq!(principal.to_string(), good);
        }
        for (bad, offset) in [
            ("", 0),
            ("gadget:a", 0),
            ("Device:a", 0),
            ("device", 6),
            ("device:", 7),
            ("device:a//b", 9),
            ("device:a/", 9),
            ("device:/a", 7),
            ("device:a/../b", 9),
            ("device:.", 7),
            ("device:a/*", 9),
            ("device:a/**", 9),
            ("device:{self}", 7),
            ("device:a~b", 8),
            ("device:a%2fb", 8),
            ("device:ä", 7),
            ("device:a\0", 8),
        ] {
            let error = bad.parse::<Principal>().expect_err(bad);
            assert_eq!(error.offset, offset, "{bad:?}: {error}");
        }
        let long = format!("device:{}", "a".repeat(1025));
        assert_eq!(
            long.parse::<Principal>().expect_err("too long").offset,
            7 + 1024
        );
    }

    #[test]
    fn a_spiffe_id_names_the_principal_it_was_made_from_and_nothing_else_does() {
        let domain: TrustDomain = "factory.example".parse().expect("a trust domain");
        let principal: Principal = "device:fra/sensor-42".parse().expect("a principal");
        let id = principal.spiffe_id(&domain);
        assert_eq!(id, "spiffe://factory.example/device/fra/sensor-42");
        let back = |uri: &str| Principal::from_spiffe_id(uri, &domain);
        assert_eq!(back(&id), Some(principal.clone()));
        assert_eq!(
            back("SPIFFE://Factory.Example/device/fra/sensor-42"),
            Some(principal)
        );
        for other in [
            "",
            "spiffe://factory.example",
            "spiffe://factory.example/",
            "spiffe://factory.example/device",
            "spiffe://factory.example/device/",
            "spiffe://factory.example/Device/fra",
            "spiffe://factory.example/gadget/fra",
            "spiffe://factory.example//device/fra",
            "spiffe://factory.example/device//fra",
            "spiffe://factory.example/device/fra/",
            "spiffe://factory.example/device/fra/..",
            "spiffe://factory.example/device/fra/%2e",
            "spiffe://factory.example/device/fra?x",
            "spiffe://factory.example/device/fra#x",
            "spiffe://factory.example/device/fra\0",
            "spiffe://factory.example/device/*",
            "spiffe://user@factory.example/device/fra",
            "spiffe://factory.example:443/device/fra",
            "spiffe://other.example/device/fra",
            "https://factory.example/device/fra",
            "spiffé://factory.example/device/fra",
        ] {
            assert_eq!(back(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_pattern_means_the_node_and_all_below_it() {
        let matches = |pattern: &str, principal: &str| {
            let pattern: PrincipalPattern = pattern.parse().expect(pattern);
            pattern.matches(&principal.parse().expect(principal))
        };
        assert!(matches("device:**", "device:a/b"));
        assert!(!matches("device:**", "service:a/b"));
        assert!(matches("device:fra/**", "device:fra"));
        assert!(matches("device:fra/**", "device:fra/a/b"));
        assert!(!matches("device:fra/**", "device:fra2"));
        assert!(matches("device:*/b", "device:a/b"));
        assert!(!matches("device:*/b", "device:a/a/b"));
        assert!(!matches("device:a", "device:a/b"));
        assert!("device:a*/b".parse::<PrincipalPattern>().is_err());
        assert!("device:**/b".parse::<PrincipalPattern>().is_err());
        assert!("device:{self}".parse::<PrincipalPattern>().is_err());
    }
}
