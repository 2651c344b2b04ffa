//! Patterns of paths: what scopes and patterns of principals have in common. Private to this room.
//!
//! A pattern is a list of segments and perhaps `/**` behind it ("the node and all below it"). The language is small
//! enough that covering, overlapping and intersecting are decided segment by segment, without a solver.

use std::fmt;

use super::grammar::{Cursor, GrammarError};

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Segment {
    /// Exactly this text.
    Literal(Box<str>),
    /// `*`: any one segment.
    Any,
    /// `{self}`: the path of the verified principal, one segment or more.
    SelfPath,
    /// `{label.NAME}`: a label of the verified principal, one segment.
    Label(Box<str>),
    /// `{name}`: one segment of the request's path. Only in the scope of a route.
    Capture(Box<str>),
    /// `{name...}`: one or more segments of the request's path. Only in the scope of a route.
    CaptureRest(Box<str>),
}

/// Segments, and whether everything below is meant too. `**` is no segments and all below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
    below: bool,
}

/// Which segments a noun knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// Literals of letters, digits, `.`, `-` and `_`; nothing else.
    Principal,
    /// The same, `*` and `/**`.
    PrincipalPattern,
    /// Literals (with `~` too), `*`, `/**`, `{self}` and `{label.NAME}`.
    Scope,
    /// The same, `{name}` and `{name...}`.
    RouteScope,
}

impl Vocabulary {
    const fn has_patterns(self) -> bool {
        !matches!(self, Self::Principal)
    }

    const fn has_templates(self) -> bool {
        matches!(self, Self::Scope | Self::RouteScope)
    }

    fn is_literal(self, c: char) -> bool {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '.')
            || (c == '~' && self.has_templates())
    }

    const fn wants(self) -> &'static str {
        match self {
            Self::Principal => "letters, digits, '.', '-' or '_'",
            Self::PrincipalPattern => "letters, digits, '.', '-', '_', or '*' alone",
            Self::Scope => {
                "letters, digits, '.', '-', '_', '~', or one of *, {self}, {label.NAME} alone"
            }
            Self::RouteScope => {
                "letters, digits, '.', '-', '_', '~', or one of *, {self}, {label.NAME}, {name}, {name...} alone"
            }
        }
    }
}

/// Whether `text` can stand as a literal segment of a scope: never a pattern, a template or a dot segment.
pub(crate) fn is_literal_segment(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text.chars().all(|c| Vocabulary::Scope.is_literal(c))
}

/// Whether `{name}` and `{name...}` may be called so.
pub(crate) fn is_parameter_name(name: &str) -> bool {
    name != "self"
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_name_character)
}

const fn is_name_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
}

impl Pattern {
    /// `**`: every path.
    pub(crate) const fn everything() -> Self {
        Self {
            segments: Vec::new(),
            below: true,
        }
    }

    /// `*/**` says the same as `**` because every path has a segment; it is written the shorter way, so that two
    /// patterns are equal exactly when they mean the same.
    pub(crate) fn new(mut segments: Vec<Segment>, below: bool) -> Self {
        if below && segments == [Segment::Any] {
            segments.clear();
        }
        debug_assert!(below || !segments.is_empty(), "a pattern matches something");
        Self { segments, below }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) const fn includes_below(&self) -> bool {
        self.below
    }

    pub(crate) fn parse(
        cursor: &mut Cursor<'_>,
        vocabulary: Vocabulary,
    ) -> Result<Self, GrammarError> {
        let mut segments = Vec::new();
        loop {
            if vocabulary.has_patterns() && cursor.take("**") {
                cursor.expect_end("\"**\"", "nothing behind it: it is the last segment, alone")?;
                return Ok(Self::new(segments, true));
            }
            segments.push(segment(cursor, vocabulary)?);
            if cursor.at_end() {
                return Ok(Self::new(segments, false));
            }
            if !cursor.take("/") {
                return Err(cursor.error("a segment", vocabulary.wants()));
            }
        }
    }

    /// Whether this pattern matches every path that `other` matches. Where `{self}` and labels have not been filled
    /// in, `true` is certain for every principal, and `false` may be too careful.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if self.segments.is_empty() {
            return true;
        }
        let fits = if self.below {
            self.segments.len() <= other.segments.len()
        } else {
            !other.below && self.segments.len() == other.segments.len()
        };
        fits && self
            .segments
            .iter()
            .zip(&other.segments)
            .all(|(a, b)| a.covers(b))
    }

    /// Whether some path matches both. Where `{self}` and labels have not been filled in, `false` is certain for
    /// every principal, and `true` may be too careful.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        for (a, b) in self.segments.iter().zip(&other.segments) {
            if a.is_of_any_length() || b.is_of_any_length() {
                return true;
            }
            if !a.may_equal(b) {
                return false;
            }
        }
        match self.segments.len().cmp(&other.segments.len()) {
            std::cmp::Ordering::Less => self.below,
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => other.below,
        }
    }

    /// The pattern of the paths that match both, if there are any. Both must be filled in.
    pub(crate) fn intersection(&self, other: &Self) -> Option<Self> {
        if !self.overlaps(other) {
            return None;
        }
        let (long, short) = if self.segments.len() < other.segments.len() {
            (other, self)
        } else {
            (self, other)
        };
        let mut segments = long.segments.clone();
        for (segment, narrower) in segments.iter_mut().zip(&short.segments) {
            if *segment == Segment::Any {
                segment.clone_from(narrower);
            }
        }
        let below = long.below && short.below;
        Some(Self::new(segments, below))
    }

    /// Whether the path, segments joined by `/`, matches. Segments that have not been filled in match nothing.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut found = path.split('/');
        for wanted in &self.segments {
            let fits = match (wanted, found.next()) {
                (Segment::Any, Some(_)) => true,
                (Segment::Literal(literal), Some(segment)) => **literal == *segment,
                (
                    Segment::SelfPath
                    | Segment::Label(_)
                    | Segment::Capture(_)
                    | Segment::CaptureRest(_),
                    _,
                )
                | (_, None) => false,
            };
            if !fits {
                return false;
            }
        }
        self.below || found.next().is_none()
    }

    /// The same pattern with every segment replaced by what `fill` gives for it; `None` when it gives nothing.
    pub(crate) fn fill(
        &self,
        mut fill: impl FnMut(&Segment, &mut Vec<Segment>) -> Option<()>,
    ) -> Option<Self> {
        let mut segments = Vec::with_capacity(self.segments.len() + 4);
        for segment in &self.segments {
            fill(segment, &mut segments)?;
        }
        Some(Self::new(segments, self.below))
    }
}

impl Segment {
    pub(crate) fn literal(text: &str) -> Self {
        Self::Literal(text.into())
    }

    /// Whether it stands for something that is filled in later.
    pub(crate) const fn is_template(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Any => false,
            Self::SelfPath | Self::Label(_) | Self::Capture(_) | Self::CaptureRest(_) => true,
        }
    }

    const fn is_of_any_length(&self) -> bool {
        matches!(self, Self::SelfPath | Self::CaptureRest(_))
    }

    fn covers(&self, other: &Self) -> bool {
        self == other || (*self == Self::Any && !other.is_of_any_length())
    }

    fn may_equal(&self, other: &Self) -> bool {
        if let (Self::Literal(a), Self::Literal(b)) = (self, other) {
            a == b
        } else {
            true
        }
    }
}

fn segment(cursor: &mut Cursor<'_>, vocabulary: Vocabulary) -> Result<Segment, GrammarError> {
    let start = cursor.offset();
    if vocabulary.has_patterns() && cursor.take("*") {
        return Ok(Segment::Any);
    }
    if vocabulary.has_templates() && cursor.take("{") {
        return template(cursor, vocabulary);
    }
    let text = cursor.take_while(|c| vocabulary.is_literal(c));
    if text.is_empty() {
        return Err(cursor.error("a segment", vocabulary.wants()));
    }
    if text == "." || text == ".." {
        return Err(cursor.error_at(
            start,
            "a segment",
            "a name that is neither \".\" nor \"..\"",
        ));
    }
    Ok(Segment::literal(text))
}

fn template(cursor: &mut Cursor<'_>, vocabulary: Vocabulary) -> Result<Segment, GrammarError> {
    let start = cursor.offset();
    let word = cursor.word("a template", is_name_character)?;
    let segment = if word == "self" {
        Segment::SelfPath
    } else if word == "label" && cursor.take(".") {
        Segment::Label(cursor.word("a label's name", is_name_character)?.into())
    } else if vocabulary == Vocabulary::RouteScope {
        if cursor.take("...") {
            Segment::CaptureRest(word.into())
        } else {
            Segment::Capture(word.into())
        }
    } else {
        return Err(cursor.error_at(start, "a template", "{self} or {label.NAME}"));
    };
    if cursor.take("}") {
        Ok(segment)
    } else {
        Err(cursor.error("a template", "'}' after its name"))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for segment in &self.segments {
            write!(f, "{separator}{segment}")?;
            separator = "/";
        }
        if self.below {
            write!(f, "{separator}**")?;
        }
        Ok(())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Any => f.write_str("*"),
            Self::SelfPath => f.write_str("{self}"),
            Self::Label(name) => write!(f, "{{label.{name}}}"),
            Self::Capture(name) => write!(f, "{{{name}}}"),
            Self::CaptureRest(name) => write!(f, "{{{name}...}}"),
        }
    }
}
