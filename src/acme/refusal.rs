//! What `authority` refuses, in the words of the wire. Nothing from inside the server goes out.

use std::time::Duration;

use axum::http::StatusCode;

use super::{
    identifier::WireIdentifier,
    problem::{Problem, ProblemType, Subproblem},
};
use crate::{
    authority::AuthorityError,
    domain::{enrolment::ASK_AGAIN, identifier::Identifier, rate_limit::LimitReached},
};

/// When to ask again for what a key should have signed that is away.
const KEY_AWAY: Duration = Duration::from_secs(10);

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::NotFound(what) => Self::not_found(what),
            AuthorityError::Unauthorized(detail) => Self::unauthorized(detail),
            AuthorityError::AwaitingApproval(detail) => {
                Self::new(ProblemType::UserActionRequired, detail).with_retry_after(ASK_AGAIN)
            }
            AuthorityError::Invalid(detail) => Self::malformed(detail),
            AuthorityError::Conflict(detail) => {
                Self::malformed(detail).with_status(StatusCode::CONFLICT)
            }
            AuthorityError::RejectedIdentifier { identifier, reason } => {
                rejected(&identifier, &reason)
            }
            AuthorityError::RateLimited(reached) => limited(&reached),
            AuthorityError::RejectedIdentifiers(rejected) => {
                let detail = format!(
                    "{} of the identifiers may not be ordered; see the subproblems",
                    rejected.len()
                );
                let parts = rejected.into_iter().map(|it| {
                    subproblem(ProblemType::RejectedIdentifier, &it.identifier, it.reason)
                });
                Self::new(ProblemType::RejectedIdentifier, detail).with_subproblems(parts.collect())
            }
            AuthorityError::InvalidProfile(detail) => {
                Self::new(ProblemType::InvalidProfile, detail)
            }
            AuthorityError::BadCsr(faults) => {
                let details: Vec<&str> = faults.iter().map(|it| it.detail.as_str()).collect();
                let parts = faults
                    .iter()
                    .flat_map(|fault| &fault.names)
                    .map(|(name, what)| subproblem(ProblemType::BadCsr, name, (*what).to_owned()));
                Self::new(ProblemType::BadCsr, details.join("; ")).with_subproblems(parts.collect())
            }
            AuthorityError::BadRequest(detail) => Self::new(ProblemType::BadCsr, detail),
            AuthorityError::KeyBlocked => Self::new(ProblemType::BadCsr, error.to_string()),
            AuthorityError::NotReady(error) => {
                Self::new(ProblemType::OrderNotReady, error.to_string())
            }
            AuthorityError::WrongState(error) => Self::malformed(error.to_string()),
            AuthorityError::AlreadyReplaced(_) => {
                Self::new(ProblemType::AlreadyReplaced, error.to_string())
            }
            AuthorityError::AlreadyRevoked => Self::new(
                ProblemType::AlreadyRevoked,
                "the certificate is revoked already; there is nothing left to do",
            ),
            // They were logged where they happened.
            AuthorityError::Refused(_) | AuthorityError::Internal(_) => Self::internal(),
            AuthorityError::NotSigned(_) => Self::internal()
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_retry_after(KEY_AWAY),
            AuthorityError::KeyOffline(_) | AuthorityError::NoIssuer(_) => {
                tracing::error!(%error, "nothing could be issued");
                Self::internal()
            }
        }
    }
}

/// RFC 8555 section 6.6.
fn limited(reached: &LimitReached) -> Problem {
    let kind = ProblemType::RateLimited;
    let subproblems = reached
        .identifiers
        .iter()
        .map(|identifier| Subproblem {
            kind,
            detail: format!("{identifier} is one of those that the limit is about"),
            identifier: Some(identifier.into()),
        })
        .collect();
    Problem::new(kind, reached.to_string())
        .with_retry_after(reached.retry_after)
        .with_subproblems(subproblems)
}

fn rejected(identifier: &str, reason: &str) -> Problem {
    let kind = ProblemType::RejectedIdentifier;
    Problem::new(kind, format!("{identifier} may not be ordered: {reason}"))
        .with_subproblems(vec![subproblem(kind, identifier, reason.to_owned())])
}

/// The part of a problem that is about one name, as in `dns:a.example`. What is no identifier is named in the detail.
fn subproblem(kind: ProblemType, name: &str, detail: String) -> Subproblem {
    let identifier = name
        .split_once(':')
        .filter(|(kind, _)| Identifier::KINDS.contains(kind))
        .map(|(kind, value)| WireIdentifier {
            kind: kind.to_owned(),
            value: value.to_owned(),
        });
    Subproblem {
        kind,
        detail: match identifier {
            Some(_) => detail,
            None => format!("{name}: {detail}"),
        },
        identifier,
    }
}
