//! Scopes: one permission, as a role, an API key or an access token carries it.
//!
//! ```text
//! scope    = service ":" action [ "@" resource ]      ; "orders:read" means "orders:read@**"
//! service  = LOWER *( LOWER / DIGIT / "-" )
//! action   = LOWER *( LOWER / DIGIT / "_" )
//! resource = "**" / seg *( "/" seg ) [ "/**" ]         ; "*" is one whole segment; "/**" is the node and all below it
//! seg      = 1*( ALPHA / DIGIT / "-" / "_" / "." / "~" ) / "*" / "{self}" / "{label.NAME}"
//! ```
//!
//! `*` as a service or an action exists only in roles marked `admin = true`. No action implies another.

use std::{borrow::Cow, fmt, str::FromStr};

use super::{
    grammar::{Cursor, GrammarError, serde_as_text},
    labels::Labels,
    pattern::{Pattern, Segment, Vocabulary, is_literal_segment},
    principal::Principal,
    route::ParameterWidth,
};

/// Why a text is no scope: the offset, what was found there, and which part of the grammar wants what.
pub type ScopeError = GrammarError;

/// One permission. Two scopes are equal exactly when they mean the same; `orders:read@**` prints as `orders:read`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    service: Word,
    action: Word,
    resource: Pattern,
}

/// A service or an action; `*` is every one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Word {
    Any,
    Literal(Box<str>),
}

impl Scope {
    /// The most bytes that a written scope may have.
    pub const LONGEST: usize = 1024;

    /// Reads a scope of a role marked `admin = true`: service and action may be `*`.
    ///
    /// # Errors
    /// [`ScopeError`] when the text does not follow the grammar.
    pub fn parse_admin(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text, Vocabulary::Scope, Wildcards::Allowed)
    }

    /// Reads the scope of a route, which may name parameters of the path.
    pub(crate) fn parse_for_route(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text, Vocabulary::RouteScope, Wildcards::Refused)
    }

    fn parse(text: &str, vocabulary: Vocabulary, wildcards: Wildcards) -> Result<Self, ScopeError> {
        let mut cursor = Cursor::new("scope", text);
        if text.len() > Self::LONGEST {
            return Err(cursor.error_at(Self::LONGEST, "a scope", "at most 1024 bytes"));
        }
        let service = word(&mut cursor, wildcards, "the service", '-')?;
        if !cursor.take(":") {
            return Err(cursor.error(
                "the service",
                "lower-case letters, digits or '-', then ':' and the action",
            ));
        }
        let action = word(&mut cursor, wildcards, "the action", '_')?;
        let resource = if cursor.take("@") {
            Pattern::parse(&mut cursor, vocabulary)?
        } else {
            cursor.expect_end(
                "the action",
                "lower-case letters, digits or '_', then the end or '@' and the resource",
            )?;
            Pattern::everything()
        };
        Ok(Self {
            service,
            action,
            resource,
        })
    }

    /// `*:*@**`: what the built-in role `admin` allows.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            service: Word::Any,
            action: Word::Any,
            resource: Pattern::everything(),
        }
    }

    /// The same service and action on `**`.
    pub(crate) fn on_every_resource(&self) -> Self {
        self.with_resource(Pattern::everything())
    }

    /// The service; `*` is every one.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service.as_str()
    }

    /// The action; `*` is every one.
    #[must_use]
    pub fn action(&self) -> &str {
        self.action.as_str()
    }

    /// Whether service or action is `*`, which only a role marked `admin = true` may say.
    #[must_use]
    pub fn has_wildcard_word(&self) -> bool {
        self.service == Word::Any || self.action == Word::Any
    }

    /// Whether it holds `{self}`, `{label.NAME}` or a parameter that has not been filled in yet.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.resource.segments().iter().any(Segment::is_template)
    }

    /// Whether everything that `other` allows, this scope allows too.
    ///
    /// Exact for scopes without `{self}` and labels. With them, `true` holds for every principal that both are filled
    /// in for, and `false` may be too careful.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.service.covers(&other.service)
            && self.action.covers(&other.action)
            && self.resource.covers(&other.resource)
    }

    /// Whether something is allowed by both. With `{self}` and labels, `true` may be too careful.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.service.overlaps(&other.service)
            && self.action.overlaps(&other.action)
            && self.resource.overlaps(&other.resource)
    }

    /// What both allow, if anything. `None` too where `{self}` or a label has not been filled in, unless one of the
    /// two covers the other.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            return Some(other.clone());
        }
        if other.covers(self) {
            return Some(self.clone());
        }
        if self.is_template() || other.is_template() {
            return None;
        }
        Some(Self {
            service: self.service.intersection(&other.service)?,
            action: self.action.intersection(&other.action)?,
            resource: self.resource.intersection(&other.resource)?,
        })
    }

    /// The scope with `{self}` and `{label.NAME}` filled in from the *verified* principal. `None` when a label is
    /// missing or holds anything but letters, digits, `-`, `_`, `.` and `~`: a value never becomes a pattern, a
    /// template or a second segment, and what can't be filled in gives nothing (OpenBao GHSA-59w7-v8rr-pr4p).
    #[must_use]
    pub fn expand(&self, principal: &Principal, labels: &Labels) -> Option<Cow<'_, Self>> {
        if !self.is_template() {
            return Some(Cow::Borrowed(self));
        }
        let resource = self.resource.fill(|segment, filled| {
            match segment {
                Segment::SelfPath => {
                    for text in principal.path().split('/') {
                        filled.push(literal(text)?);
                    }
                }
                Segment::Label(name) => filled.push(literal(labels.get(name)?.as_str())?),
                Segment::Literal(_) | Segment::Any => filled.push(segment.clone()),
                // Parameters come first, from the route; one that is left is no permission.
                Segment::Capture(_) | Segment::CaptureRest(_) => return None,
            }
            Some(())
        })?;
        Some(Cow::Owned(self.with_resource(resource)))
    }

    /// The scope of a route with its parameters filled in from the normalised path. `Err` names the parameter whose
    /// value can't be a segment of a scope (or that `value` doesn't know).
    pub(crate) fn bind_captures<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Result<Self, String> {
        let mut unbound = String::new();
        let resource = self.resource.fill(|segment, filled| {
            let (name, width) = match segment {
                Segment::Capture(name) => (name, ParameterWidth::One),
                Segment::CaptureRest(name) => (name, ParameterWidth::OneOrMore),
                Segment::Literal(_) | Segment::Any | Segment::SelfPath | Segment::Label(_) => {
                    filled.push(segment.clone());
                    return Some(());
                }
            };
            let bound = value(name).and_then(|text| match width {
                ParameterWidth::One => literal(text).map(|segment| vec![segment]),
                ParameterWidth::OneOrMore => text.split('/').map(literal).collect(),
            });
            match bound {
                Some(segments) => filled.extend(segments),
                None => {
                    unbound = name.to_string();
                    return None;
                }
            }
            Some(())
        });
        resource
            .map(|resource| self.with_resource(resource))
            .ok_or(unbound)
    }

    /// The parameters that the scope of a route names, each with how many segments it takes.
    pub(crate) fn captures(&self) -> impl Iterator<Item = (&str, ParameterWidth)> {
        self.resource
            .segments()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Capture(name) => Some((&**name, ParameterWidth::One)),
                Segment::CaptureRest(name) => Some((&**name, ParameterWidth::OneOrMore)),
                Segment::Literal(_) | Segment::Any | Segment::SelfPath | Segment::Label(_) => None,
            })
    }

    fn with_resource(&self, resource: Pattern) -> Self {
        Self {
            service: self.service.clone(),
            action: self.action.clone(),
            resource,
        }
    }
}

/// Whether everything that `b` allows, `a` allows too.
#[must_use]
pub fn covers(a: &Scope, b: &Scope) -> bool {
    a.covers(b)
}

fn literal(text: &str) -> Option<Segment> {
    is_literal_segment(text).then(|| Segment::literal(text))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Refused,
    Allowed,
}

fn word(
    cursor: &mut Cursor<'_>,
    wildcards: Wildcards,
    part: &'static str,
    extra: char,
) -> Result<Word, ScopeError> {
    if cursor.peek() == Some('*') {
        if wildcards == Wildcards::Refused {
            let wants = "a name; \"*\" is only for roles marked admin = true";
            return Err(cursor.error(part, wants));
        }
        cursor.take("*");
        return Ok(Word::Any);
    }
    let belongs = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == extra;
    Ok(Word::Literal(cursor.word(part, belongs)?.into()))
}

impl Word {
    fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Literal(text) => text,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        *self == Self::Any || self == other
    }

    fn overlaps(&self, other: &Self) -> bool {
        *self == Self::Any || *other == Self::Any || self == other
    }

    fn intersection(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, word) | (word, Self::Any) => Some(word.clone()),
            (Self::Literal(a), Self::Literal(b)) => (a == b).then(|| self.clone()),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Reads a scope as a key, a token or an ordinary role carries it: neither service nor action may be `*`.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text, Vocabulary::Scope, Wildcards::Refused)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.as_str(), self.action.as_str())?;
        if self.resource == Pattern::everything() {
            return Ok(());
        }
        write!(f, "@{}", self.resource)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Scope);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::labels::LabelValue;

    fn scope(text: &str) -> Scope {
        text.parse().expect(text)
    }

    #[test]
    fn a_scope_reads_and_prints() {
        for (written, printed) in [
            ("orders:read", "orders:read"),
            ("orders:read@**", "orders:read"),
            ("orders:read@*/**", "orders:read"),
            ("a-1:b_2@x/*/y", "a-1:b_2@x/*/y"),
            ("a:b@devices/{self}/**", "a:b@devices/{self}/**"),
            ("a:b@{label.site-1}/~x.Y_z-0", "a:b@{label.site-1}/~x.Y_z-0"),
        ] {
            assert_eq!(scope(written).to_string(), printed);
        }
    }

    #[test]
    fn a_bad_scope_names_the_offset_and_the_part_of_the_grammar() {
        for (text, offset, part) in [
            ("", 0, "the service"),
            ("Orders:read", 0, "the service"),
            ("orders", 6, "the service"),
            ("or_ders:read", 2, "the service"),
            ("*:read", 0, "the service"),
            ("orders:*", 7, "the action"),
            ("orders:", 7, "the action"),
            ("orders:re-ad", 9, "the action"),
            ("orders:read ", 11, "the action"),
            ("orders:read@", 12, "a segment"),
            ("orders:read@/a", 12, "a segment"),
            ("orders:read@a//b", 14, "a segment"),
            ("orders:read@a/", 14, "a segment"),
            ("orders:read@a*", 13, "a segment"),
            ("orders:read@*a", 13, "a segment"),
            ("orders:read@a/../b", 14, "a segment"),
            ("orders:read@.", 12, "a segment"),
            ("orders:read@a%2fb", 13, "a segment"),
            ("orders:read@a/**/b", 16, "\"**\""),
            ("orders:read@{name}", 13, "a template"),
            ("orders:read@{label}", 13, "a template"),
            ("orders:read@{label.}", 19, "a label's name"),
            ("orders:read@{self", 17, "a template"),
            ("orders:read@{self}x", 18, "a segment"),
        ] {
            let error = text.parse::<Scope>().expect_err(text);
            assert_eq!((error.offset, error.part), (offset, part), "{error}");
        }
        assert_eq!(
            "orders:Read"
                .parse::<Scope>()
                .expect_err("upper case")
                .to_string(),
            "scope \"orders:Read\": at offset 7 found 'R', but the action wants a lower-case letter"
        );
    }

    #[test]
    fn wildcard_words_are_only_for_admin_roles() {
        let admin = Scope::parse_admin("*:*@**").expect("an admin scope");
        assert_eq!(admin.to_string(), "*:*");
        assert!(admin.covers(&scope("orders:read@a/**")));
        assert!(!scope("orders:read").covers(&admin));
    }

    /// Trap 3: a pattern character inside a templated identity (OpenBao GHSA-59w7-v8rr-pr4p).
    #[test]
    fn a_label_or_path_with_a_pattern_character_never_becomes_a_pattern() {
        let principal: Principal = "device:fra/a".parse().expect("a principal");
        let labels = |value: &str| {
            Labels::default().with(
                "site".parse().expect("a name"),
                value.parse::<LabelValue>().expect(value),
            )
        };
        let template = scope("a:b@sites/{label.site}/{self}");
        assert_eq!(
            template.expand(&principal, &labels("x")).as_deref(),
            Some(&scope("a:b@sites/x/fra/a"))
        );
        for value in [
            "*", "**", "a/b", "{self}", ".", "..", "a b", "a%2fb", "a*", "ä",
        ] {
            assert_eq!(template.expand(&principal, &labels(value)), None, "{value}");
        }
        assert_eq!(template.expand(&principal, &Labels::default()), None);
        let route = Scope::parse_for_route("a:b@devices/{device...}/{part}").expect("a scope");
        let bind = |device, part| {
            route.bind_captures(|name| match name {
                "device" => Some(device),
                "part" => Some(part),
                _ => None,
            })
        };
        assert_eq!(bind("x/y", "z"), Ok(scope("a:b@devices/x/y/z")));
        for bad in [
            "*", "**", "x/*", "x//y", "..", "x/..", "{self}", "x%20y", "",
        ] {
            assert_eq!(bind(bad, "z"), Err("device".to_owned()), "{bad}");
        }
        for bad in ["*", "x/y", "{self}"] {
            assert_eq!(bind("x", bad), Err("part".to_owned()), "{bad}");
        }
    }
}
