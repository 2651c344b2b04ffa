//! What `authority` refuses, in the words of the wire. Nothing from inside the server goes out.

use std::time::Duration;

use axum::http::StatusCode;

use super::{
    identifier::WireIdentifier,
    problem::{Problem, ProblemType, Subproblem},
};
use crate::{authority::AuthorityError, domain::rate_limit::LimitReached};

/// When to ask again for what a key should have signed that is away.
const KEY_AWAY: Duration = Duration::from_secs(10);

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::NotFound(what) => Self::not_found(what),
            AuthorityError::Unauthorized(detail) => Self::unauthorized(detail),
            AuthorityError::Invalid(detail) => Self::malformed(detail),
            AuthorityError::Conflict(detail) => {
                Self::malformed(detail).with_status(StatusCode::CONFLICT)
            }
            AuthorityError::RejectedIdentifier { identifier, reason } => {
                rejected(&identifier, &reason)
            }
            AuthorityError::RateLimited(reached) => limited(&reached),
            AuthorityError::BadRequest(detail) => Self::new(ProblemType::BadCsr, detail),
            AuthorityError::KeyBlocked => Self::new(ProblemType::BadCsr, error.to_string()),
            AuthorityError::NotReady(error) => {
                Self::new(ProblemType::OrderNotReady, error.to_string())
            }
            AuthorityError::WrongState(error) => Self::malformed(error.to_string()),
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
    let wire = identifier
        .split_once(':')
        .map(|(kind, value)| WireIdentifier {
            kind: kind.to_owned(),
            value: value.to_owned(),
        });
    Problem::new(kind, format!("{identifier} may not be ordered: {reason}")).with_subproblems(vec![
        Subproblem {
            kind,
            detail: reason.to_owned(),
            identifier: wire,
        },
    ])
}
