//! Why an attempt failed, by ACME's error types (RFC 8555 section 6.7).

use crate::domain::{
    challenge::{ChallengeKind, ValidationFailure, ValidationFailureKind},
    identifier::Identifier,
};

/// The longest text that is kept of a failure: URLs, records and names in it are the other side's.
const MAX_DETAIL_CHARACTERS: usize = 1000;

/// The server could not connect, or the connection broke off.
pub fn connection(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::Connection, detail)
}

/// The name did not resolve.
pub fn dns(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::Dns, detail)
}

/// What came back isn't what the challenge asks for.
pub fn incorrect(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::IncorrectResponse, detail)
}

/// There was no TLS handshake to be had.
pub fn tls(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::Tls, detail)
}

/// The server's rules forbid to look there. It isn't tried again: what they forbid stays forbidden.
pub fn forbidden(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::Unauthorized, detail)
}

/// The challenge is none for such an identifier. None of those is offered, so this only keeps what can't be shown from
/// being believed.
pub fn unfit(kind: ChallengeKind, identifier: &Identifier) -> ValidationFailure {
    failure(
        ValidationFailureKind::RejectedIdentifier,
        format!("{identifier} can't be proved by {}", kind.name()),
    )
}

fn failure(kind: ValidationFailureKind, detail: impl Into<String>) -> ValidationFailure {
    let mut detail: String = detail.into();
    if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL_CHARACTERS) {
        detail.truncate(end);
        detail.push('…');
    }
    ValidationFailure { kind, detail }
}
