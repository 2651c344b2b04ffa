//! Problem documents (RFC 7807, now RFC 9457) with the types of ACME (RFC 8555 section 6.7).
//!
//! Every `detail` says what was wrong and what to change; it is written for the client and never carries a secret
//! or anything from inside the server.

use std::{fmt, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use url::Url;

use super::identifier::WireIdentifier;

/// What goes back to a client whose request was refused, and what is kept in a failed challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of fault it is.
    pub kind: ProblemType,
    /// The HTTP status that it is answered with.
    pub status: StatusCode,
    /// What was wrong and what to change, in one or two sentences.
    pub detail: String,
    /// With `badSignatureAlgorithm`: what would be accepted (RFC 8555 section 6.2).
    pub algorithms: Vec<&'static str>,
    /// One part for each identifier at fault (RFC 8555 section 6.7.1).
    pub subproblems: Vec<Subproblem>,
    /// With `userActionRequired`: the page that somebody is to visit (RFC 8555 section 7.3.3).
    pub instance: Option<Box<Url>>,
    /// When it makes sense to ask again.
    pub retry_after: Option<Duration>,
    /// More fields of the answer's head, as in `Link` or `Location`.
    pub fields: Box<[(HeaderName, HeaderValue)]>,
}

/// The part of a problem that concerns one identifier (RFC 8555 section 6.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subproblem {
    /// What kind of fault it is.
    pub kind: ProblemType,
    /// What was wrong and what to change.
    pub detail: String,
    /// The identifier at fault.
    pub identifier: Option<WireIdentifier>,
}

macro_rules! problem_types {
    ($( $(#[$doc:meta])* $name:ident = $text:literal, $status:ident; )*) => {
        /// The error types of RFC 8555 section 6.7, and those of its extensions that this server uses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemType { $( $(#[$doc])* $name, )* }

        impl ProblemType {
            /// Every type.
            pub const ALL: &[Self] = &[ $( Self::$name, )* ];

            /// The last part of the URN, as in `badNonce`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }

            /// The status that it is answered with unless the handler has a better one.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status, )* }
            }
        }
    };
}

problem_types! {
    /// The account does not exist.
    AccountDoesNotExist = "accountDoesNotExist", BAD_REQUEST;
    /// Another order replaces the certificate already (RFC 9773 section 7.4).
    AlreadyReplaced = "alreadyReplaced", CONFLICT;
    /// The certificate is revoked already.
    AlreadyRevoked = "alreadyRevoked", BAD_REQUEST;
    /// A device's statement is not acceptable (draft-ietf-acme-device-attest).
    BadAttestationStatement = "badAttestationStatement", BAD_REQUEST;
    /// The CSR can't be used.
    BadCsr = "badCSR", BAD_REQUEST;
    /// The nonce is not one of ours, too old, or used.
    BadNonce = "badNonce", BAD_REQUEST;
    /// The key of the JWS is of a kind that is not supported.
    BadPublicKey = "badPublicKey", BAD_REQUEST;
    /// The reason is not one that a client may give.
    BadRevocationReason = "badRevocationReason", BAD_REQUEST;
    /// The algorithm of the JWS is not supported.
    BadSignatureAlgorithm = "badSignatureAlgorithm", BAD_REQUEST;
    /// CAA records forbid issuing.
    Caa = "caa", FORBIDDEN;
    /// Several faults; the subproblems name them.
    Compound = "compound", BAD_REQUEST;
    /// The server could not connect to the place that a challenge names.
    Connection = "connection", BAD_REQUEST;
    /// Looking the name up failed.
    Dns = "dns", BAD_REQUEST;
    /// A new account needs an external account binding here.
    ExternalAccountRequired = "externalAccountRequired", FORBIDDEN;
    /// The answer to a challenge was another than expected.
    IncorrectResponse = "incorrectResponse", FORBIDDEN;
    /// A contact is malformed.
    InvalidContact = "invalidContact", BAD_REQUEST;
    /// The profile can't be ordered (draft-ietf-acme-profiles).
    InvalidProfile = "invalidProfile", BAD_REQUEST;
    /// The request is malformed.
    Malformed = "malformed", BAD_REQUEST;
    /// The order is not ready to be finalized.
    OrderNotReady = "orderNotReady", FORBIDDEN;
    /// Too many requests.
    RateLimited = "rateLimited", TOO_MANY_REQUESTS;
    /// The server won't issue for this identifier.
    RejectedIdentifier = "rejectedIdentifier", FORBIDDEN;
    /// The server failed.
    ServerInternal = "serverInternal", INTERNAL_SERVER_ERROR;
    /// TLS failed while a challenge was validated.
    Tls = "tls", BAD_REQUEST;
    /// The client may not do this.
    Unauthorized = "unauthorized", FORBIDDEN;
    /// A contact has a scheme that is not supported.
    UnsupportedContact = "unsupportedContact", BAD_REQUEST;
    /// The type of the identifier is not supported.
    UnsupportedIdentifier = "unsupportedIdentifier", BAD_REQUEST;
    /// Someone has to visit a page first.
    UserActionRequired = "userActionRequired", FORBIDDEN;
}

impl ProblemType {
    /// The whole URN, as in `urn:ietf:params:acme:error:badNonce`.
    #[must_use]
    pub fn urn(self) -> String {
        format!("urn:ietf:params:acme:error:{}", self.name())
    }

    /// The type of that name (the last part of the URN).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Problem {
    /// A problem of this type with its usual status.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            status: kind.status(),
            detail: detail.into(),
            algorithms: Vec::new(),
            subproblems: Vec::new(),
            instance: None,
            retry_after: None,
            fields: Box::default(),
        }
    }

    /// `malformed`, 400.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    /// `unauthorized`, 403.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Unauthorized, detail)
    }

    /// `malformed`, 404: there is no such object. Another account's object is answered differently, with
    /// `unauthorized`; both are equally useless to someone who guesses, as identifiers have 122 random bits.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::malformed(format!(
            "there is no such {what}; take its URL from the order or the Location header"
        ))
        .with_status(StatusCode::NOT_FOUND)
    }

    /// `serverInternal`, 500. What happened stays in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            ProblemType::ServerInternal,
            "the server failed; nothing is wrong with the request, so try it again later",
        )
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with the algorithms that would be accepted.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: Vec<&'static str>) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// The same with a part for each identifier at fault.
    #[must_use]
    pub fn with_subproblems(mut self, subproblems: Vec<Subproblem>) -> Self {
        self.subproblems = subproblems;
        self
    }

    /// The same with the page that somebody is to visit.
    #[must_use]
    pub fn with_instance(mut self, page: Url) -> Self {
        self.instance = Some(Box::new(page));
        self
    }

    /// The same, asking the client to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same with one more field in the answer's head.
    #[must_use]
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let mut fields = std::mem::take(&mut self.fields).into_vec();
        fields.push((name, value));
        self.fields = fields.into_boxed_slice();
        self
    }

    /// As JSON, as it stands in an answer's body or in the `error` of an order or a challenge.
    #[must_use]
    pub fn document(&self) -> ProblemDocument {
        ProblemDocument {
            kind: self.kind.urn(),
            detail: self.detail.clone(),
            status: self.status.as_u16(),
            algorithms: self.algorithms.clone(),
            subproblems: self
                .subproblems
                .iter()
                .map(|part| SubproblemDocument {
                    kind: part.kind.urn(),
                    detail: part.detail.clone(),
                    identifier: part.identifier.clone(),
                })
                .collect(),
            instance: self.instance.as_ref().map(ToString::to_string),
        }
    }
}

/// A problem as it is serialised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    status: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    algorithms: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subproblems: Vec<SubproblemDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SubproblemDocument {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<WireIdentifier>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body =
            serde_json::to_vec(&self.document()).expect("strings and numbers always serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(wait.as_secs().max(1)),
            );
        }
        headers.extend(self.fields);
        response.extensions_mut().insert(Told {
            kind: self.kind,
            detail: self.detail,
        });
        response
    }
}

/// What a client was told, beside its answer: for the log.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) kind: ProblemType,
    pub(super) detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_with_its_urn_and_its_parts() {
        let problem = Problem::new(ProblemType::RejectedIdentifier, "two names can't be had")
            .with_subproblems(vec![Subproblem {
                kind: ProblemType::Malformed,
                detail: "a label starts with a hyphen".into(),
                identifier: Some(WireIdentifier::dns("-a.example")),
            }]);
        assert_eq!(
            serde_json::to_value(problem.document()).unwrap(),
            serde_json::json!({
                "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                "detail": "two names can't be had",
                "status": 403,
                "subproblems": [{
                    "type": "urn:ietf:params:acme:error:malformed",
                    "detail": "a label starts with a hyphen",
                    "identifier": {"type": "dns", "value": "-a.example"},
                }],
            })
        );
    }

    #[test]
    fn every_type_is_found_by_its_name() {
        for kind in ProblemType::ALL {
            assert_eq!(ProblemType::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(ProblemType::from_name("nonsense"), None);
    }
}
