//! Errors of the admin API: problem documents (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::authority::AuthorityError;

/// A problem document.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, detail: &str) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: detail.to_owned(),
        }
    }

    pub(super) fn bad_request(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(super) fn internal(detail: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    pub(super) fn unavailable(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl From<AuthorityError> for Problem {
    fn from(error: AuthorityError) -> Self {
        let status = match &error {
            AuthorityError::NotFound(_) => StatusCode::NOT_FOUND,
            AuthorityError::Unauthorized(_) => StatusCode::FORBIDDEN,
            AuthorityError::Invalid(_)
            | AuthorityError::RejectedIdentifier { .. }
            | AuthorityError::RejectedIdentifiers(_)
            | AuthorityError::InvalidProfile(_)
            | AuthorityError::BadCsr(_)
            | AuthorityError::BadRequest(_)
            | AuthorityError::KeyBlocked => StatusCode::BAD_REQUEST,
            AuthorityError::Conflict(_)
            | AuthorityError::AwaitingApproval(_)
            | AuthorityError::NotReady(_)
            | AuthorityError::WrongState(_)
            | AuthorityError::AlreadyReplaced(_)
            | AuthorityError::AlreadyRevoked
            | AuthorityError::KeyOffline(_)
            | AuthorityError::NoIssuer(_) => StatusCode::CONFLICT,
            AuthorityError::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            AuthorityError::NotSigned(_) => StatusCode::SERVICE_UNAVAILABLE,
            AuthorityError::Refused(_) | AuthorityError::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, &error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}
