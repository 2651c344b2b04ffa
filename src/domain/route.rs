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

use super::{request_path::NormalisedPath, scope::Scope};

mod path;
mod table;

pub(crate) use path::{ParameterWidth, PathSegment};
pub use path::{RoutePath, RoutePathError};
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
