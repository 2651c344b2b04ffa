//! Routes: a host, a path and methods of the gate, with the scope that they need and where they lead.
//!
//! ```text
//! path    = "/" [ seg *( "/" seg ) [ "/" ] ]
//! seg     = LITERAL / "{name}" / "{name...}"   ; one segment / one or more, at most once in a path
//! ```
//!
//! Segment by segment from the left, a literal beats a `{name}`, which beats a `{name...}`; a named host beats `"*"`, a
//! named method beats `"*"`. The most specific path decides alone: if it doesn't allow the method, no laxer route gets
//! the request. A trailing slash counts: `/a/` is not `/a`, and no parameter takes an empty segment.

use std::{fmt, str::FromStr, sync::Arc};

use super::{pattern::is_parameter_name, request_path::NormalisedPath, scope::Scope};

mod table;

pub use table::RouteTable;

/// One route of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it stands in the document: `route[INDEX]`.
    pub index: usize,
    /// The host that it is for; `None` is every host (`"*"`).
    pub host: Option<Host>,
    /// The path.
    pub path: RoutePath,
    /// The methods.
    pub methods: Methods,
    /// The credentials that it accepts, any one of them.
    pub auth: Vec<AuthMethod>,
    /// What it needs, perhaps with parameters of the path; a route without it denies everyone.
    pub(crate) scope: Option<Scope>,
    /// Where its requests go.
    pub upstream: Upstream,
}

/// What a route accepts as proof of who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// A client certificate.
    Certificate,
    /// An API key.
    ApiKey,
}

/// The methods of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// `["*"]`: every method.
    Any,
    /// These, compared byte for byte (RFC 9110 section 9.1). `GET` does not include `HEAD`.
    Named(Vec<Box<str>>),
}

/// A host name or address as requests name it: lower-case, without port and without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(Box<str>);

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

/// Where the requests of a route go: `http://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    authority: Box<str>,
}

/// What a request asks for, as the routes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A route was found.
    Route {
        /// It.
        route: Arc<Route>,
        /// What its scope is for this request.
        need: Need,
    },
    /// No route leads there.
    NoRoute,
    /// Routes lead there, but not with this method.
    MethodNotAllowed {
        /// The methods that do (RFC 9110 section 15.5.6 wants them in `Allow`).
        allow: Vec<Box<str>>,
    },
}

/// The scope that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// This one; `{self}` and labels are still to be filled in from the verified principal.
    Scope(Scope),
    /// The route states none, so it denies everyone.
    NotStated,
    /// The parameter's value can't be a segment of a scope (a pattern character, an encoded one …), so that no scope
    /// can allow it.
    Unnameable {
        /// The parameter.
        parameter: String,
    },
}

/// Why a text is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: a DNS name, an IPv4 address or an IPv6 address in brackets, perhaps with a port"
)]
pub struct HostError(String);

/// Why a text is no path of a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutePathError {
    /// A literal part can't occur in a normalised path.
    #[error("no request can have this path: {0}")]
    Unmatchable(#[from] super::request_path::PathError),
    /// A parameter is written wrongly.
    #[error(
        "{0:?} is no segment: a parameter is a whole segment, {{name}} or {{name...}}, its name lower-case letters, digits, \
         '_' and '-' (but not \"self\")"
    )]
    BadParameter(String),
    /// Two parameters have the same name.
    #[error("the parameter {{{0}}} occurs twice")]
    Twice(String),
    /// More than one `{name...}`.
    #[error("only one {{name...}} may occur in a path")]
    TwoRests,
}

/// Why a text is no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an upstream is http://HOST:PORT, without user, path, query or fragment")]
pub struct UpstreamError;

impl Route {
    /// Whether the route accepts this kind of credential.
    #[must_use]
    pub fn accepts(&self, method: AuthMethod) -> bool {
        self.auth.contains(&method)
    }

    /// The scope as the policy writes it, with its parameters.
    #[must_use]
    pub fn scope_as_written(&self) -> Option<String> {
        self.scope.as_ref().map(Scope::to_string)
    }

    fn need(&self, path: &NormalisedPath) -> Need {
        let Some(scope) = &self.scope else {
            return Need::NotStated;
        };
        match scope.bind_captures(|name| self.path.captured(name, path)) {
            Ok(scope) => Need::Scope(scope),
            Err(parameter) => Need::Unnameable { parameter },
        }
    }
}

impl Target {
    /// The target of a request that was matched to `route`.
    pub(crate) fn of(route: &Arc<Route>, path: &NormalisedPath) -> Self {
        Self::Route {
            route: Arc::clone(route),
            need: route.need(path),
        }
    }
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
    fn captured<'p>(&self, wanted: &str, path: &'p NormalisedPath) -> Option<&'p str> {
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

impl Methods {
    pub(crate) fn names(&self, method: &str) -> bool {
        match self {
            Self::Any => false,
            Self::Named(methods) => methods.iter().any(|named| **named == *method),
        }
    }
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 2] = [Self::Certificate, Self::ApiKey];

    /// The name in a policy: `certificate` or `api-key`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::ApiKey => "api-key",
        }
    }
}

impl Host {
    /// The host as text; an IPv6 address in its brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Upstream {
    /// `HOST:PORT`, to connect to and for the `Host` field.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Host {
    type Err = HostError;

    /// Reads what stands in `Host` or `:authority`, or the name of an SNI: letters in any case, an optional port, an
    /// optional trailing dot. Userinfo is refused.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let error = || HostError(text.chars().take(200).collect());
        let (host, port) = if text.starts_with('[') {
            let end = text.find(']').ok_or_else(error)?;
            text.split_at(end + 1)
        } else {
            text.split_at(text.find(':').unwrap_or(text.len()))
        };
        let port_is_good = port
            .strip_prefix(':')
            .is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'));
        if !port_is_good || !(port.is_empty() || port.starts_with(':')) {
            return Err(error());
        }
        if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            let address: std::net::Ipv6Addr = address.parse().map_err(|_| error())?;
            return Ok(Self(format!("[{address}]").into()));
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let label_is_good = |label: &str| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        if name.len() > 253 || !name.split('.').all(label_is_good) {
            return Err(error());
        }
        Ok(Self(name.into()))
    }
}

impl FromStr for RoutePath {
    type Err = RoutePathError;

    fn from_str(text: &str) -> Result<Self, RoutePathError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(super::request_path::PathError::NotAbsolute.into());
        };
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let mut rests = 0;
        let mut written = rest.split('/').peekable();
        while let Some(segment) = written.next() {
            if segment.is_empty() && written.peek().is_some() {
                return Err(super::request_path::PathError::EmptySegment.into());
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

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let url = url::Url::parse(text).map_err(|_| UpstreamError)?;
        let bare = url.scheme() == "http"
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), bare)
        else {
            return Err(UpstreamError);
        };
        Ok(Self {
            authority: format!("{host}:{port}").into(),
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
