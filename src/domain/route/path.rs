//! The path of a route: literals, `{name}` and `{name...}`.

use std::{fmt, str::FromStr};

use crate::domain::{
    pattern::is_parameter_name,
    request_path::{NormalisedPath, PathError},
};

/// The path of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePath {
    text: Box<str>,
    segments: Vec<PathSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathSegment {
    /// This text, normalised; empty at the end of a path that ends in `/`.
    Literal(Box<str>),
    /// `{name}`: one segment.
    Capture(Box<str>),
    /// `{name...}`: one or more.
    CaptureRest(Box<str>),
}

/// Why a text is no path of a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutePathError {
    /// A literal part can't occur in a normalised path.
    #[error("no request can have this path: {0}")]
    Unmatchable(#[from] PathError),
    /// A parameter is written wrongly.
    #[error(
        "{0:?} is no segment: a parameter is a whole segment, {{name}} or {{name...}}, its name lower-case letters, digits, \
         '_' and '-' (but not \"self\")"
    )]
    BadParameter(String),
    /// `*` or `**`, which a path does not have.
    #[error("a path has no {0:?}: write {{name}} for one segment, {{name...}} for one or more")]
    Star(String),
    /// Two parameters have the same name.
    #[error("the parameter {{{0}}} occurs twice")]
    Twice(String),
    /// More than one `{name...}`.
    #[error("only one {{name...}} may occur in a path")]
    TwoRests,
}

impl RoutePath {
    pub(crate) fn segments(&self) -> &[PathSegment] {
        &self.segments
    }

    /// Whether the path has the parameter, and whether it takes one or more segments.
    pub(crate) fn parameter(&self, wanted: &str) -> Option<ParameterWidth> {
        self.segments.iter().find_map(|segment| match segment {
            PathSegment::Capture(name) if **name == *wanted => Some(ParameterWidth::One),
            PathSegment::CaptureRest(name) if **name == *wanted => Some(ParameterWidth::OneOrMore),
            PathSegment::Literal(_) | PathSegment::Capture(_) | PathSegment::CaptureRest(_) => None,
        })
    }

    /// What the parameter is in a path that this one matches: segments still encoded, joined by `/`.
    pub(super) fn captured<'p>(&self, wanted: &str, path: &'p NormalisedPath) -> Option<&'p str> {
        let text = path.as_str();
        let total = path.segments().count();
        // A rest takes what the other segments leave.
        let rest = (total + 1).checked_sub(self.segments.len())?;
        let mut starts = 1; // behind the leading '/'
        for segment in &self.segments {
            let (name, width) = match segment {
                PathSegment::Literal(_) => ("", 1),
                PathSegment::Capture(name) => (&**name, 1),
                PathSegment::CaptureRest(name) => (&**name, rest),
            };
            let remaining = text.get(starts..)?;
            let length = remaining
                .match_indices('/')
                .nth(width.checked_sub(1)?)
                .map_or(remaining.len(), |(at, _)| at);
            if !name.is_empty() && name == wanted {
                return remaining.get(..length);
            }
            starts += length + 1;
        }
        None
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// How many segments a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterWidth {
    One,
    OneOrMore,
}

impl FromStr for RoutePath {
    type Err = RoutePathError;

    fn from_str(text: &str) -> Result<Self, RoutePathError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PathError::NotAbsolute.into());
        };
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let mut rests = 0;
        let mut written = rest.split('/').peekable();
        while let Some(segment) = written.next() {
            if segment.is_empty() && written.peek().is_some() {
                return Err(PathError::EmptySegment.into());
            }
            if segment == "*" || segment == "**" {
                return Err(RoutePathError::Star(segment.to_owned()));
            }
            if !segment.contains(['{', '}']) {
                let literal = NormalisedPath::new(&format!("/{segment}"))?;
                segments.push(PathSegment::Literal(
                    literal.as_str().trim_start_matches('/').into(),
                ));
                continue;
            }
            let name = segment
                .strip_prefix('{')
                .and_then(|segment| segment.strip_suffix('}'))
                .ok_or_else(|| RoutePathError::BadParameter(segment.to_owned()))?;
            let (name, is_rest) = match name.strip_suffix("...") {
                Some(name) => (name, true),
                None => (name, false),
            };
            if !is_parameter_name(name) {
                return Err(RoutePathError::BadParameter(segment.to_owned()));
            }
            if names.contains(&name) {
                return Err(RoutePathError::Twice(name.to_owned()));
            }
            names.push(name);
            if is_rest {
                rests += 1;
                segments.push(PathSegment::CaptureRest(name.into()));
            } else {
                segments.push(PathSegment::Capture(name.into()));
            }
        }
        if rests > 1 {
            return Err(RoutePathError::TwoRests);
        }
        Ok(Self {
            text: text.into(),
            segments,
        })
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
