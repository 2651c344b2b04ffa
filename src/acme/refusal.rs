//! What `authority` refuses, in the words of the wire. Nothing from inside the server goes out.

use super::{
    external_account_binding::ExternalAccountBinding,
    problem::{Problem, ProblemType},
};
use crate::authority::AuthorityError;

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::NotReady(error) => {
                Self::new(ProblemType::OrderNotReady, error.to_string())
            }
            AuthorityError::WrongState(error) => Self::malformed(error.to_string()),
            AuthorityError::NamesDiffer(error) => Self::new(ProblemType::BadCsr, error.to_string()),
            AuthorityError::AlreadyRevoked => Self::new(
                ProblemType::AlreadyRevoked,
                "the certificate is revoked already; there is nothing left to do",
            ),
            AuthorityError::NotYours => Self::unauthorized(
                "neither the account that ordered the certificate nor its key signed this",
            ),
            AuthorityError::NotFound(what) => Self::not_found(what),
            AuthorityError::Rejected(detail) => Self::new(ProblemType::RejectedIdentifier, detail),
            AuthorityError::NotRedeemable => ExternalAccountBinding::refused(),
            AuthorityError::Conflict(_) => Self::internal(),
        }
    }
}
