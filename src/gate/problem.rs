//! Answers of the gate's own: problem documents (RFC 9457), with the reason in public words.
//!
//! The full reason is in the access log under the same request id. A caller that speaks gRPC gets a trailers-only answer
//! with the gRPC status instead (gRPC over HTTP/2, "Responses").

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header, request::Parts};
use serde::Serialize;

use super::{body::ResponseBody, forward::UpstreamFailure, identity_headers::REQUEST_ID};
use crate::domain::denial::{Denial, DenialReason};

/// What the `type` of every problem begins with.
pub const TYPE_PREFIX: &str = "urn:portcullis:problem:";

#[derive(Serialize)]
struct Problem<'p> {
    r#type: String,
    title: &'p str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    request_id: &'p str,
}

/// The answer to a request that was denied.
pub(super) fn denied(
    denial: &Denial,
    realm: &str,
    request_id: &HeaderValue,
    request: &Parts,
) -> Response<ResponseBody> {
    let reason = denial.reason();
    if speaks_grpc(&request.headers) {
        return grpc(reason, request_id);
    }
    let problem = Problem {
        r#type: format!("{TYPE_PREFIX}{}", reason.type_name()),
        title: reason.public_words(),
        status: reason.http_status(),
        scope: denial.missing_scope().map(ToString::to_string),
        request_id: request_id.to_str().unwrap_or_default(),
    };
    let mut response = document(&problem, request_id);
    let headers = response.headers_mut();
    let fields = [
        (header::WWW_AUTHENTICATE, denial.www_authenticate(realm)),
        (header::ALLOW, denial.allow()),
        (
            header::RETRY_AFTER,
            denial
                .retry_after()
                .map(|wait| wait.as_secs().max(1).to_string()),
        ),
    ];
    for (name, value) in fields {
        // Scopes, methods and realms are printable ASCII; a field that could not be written would be left out.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    // HTTP/2 says it with GOAWAY (RFC 9113 section 8.2.2).
    if reason.closes_connection() && request.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a request that was permitted and that its upstream did not answer.
pub(super) fn upstream_failed(
    failure: &UpstreamFailure,
    request_id: &HeaderValue,
) -> Response<ResponseBody> {
    let (name, title, status) = match failure {
        UpstreamFailure::Unreachable(_) => (
            "upstream-unreachable",
            "The service behind the gate can't be reached.",
            StatusCode::BAD_GATEWAY,
        ),
        UpstreamFailure::Broken(_) => (
            "upstream-failed",
            "The service behind the gate gave no proper answer.",
            StatusCode::BAD_GATEWAY,
        ),
        UpstreamFailure::TimedOut => (
            "upstream-timeout",
            "The service behind the gate did not answer in time.",
            StatusCode::GATEWAY_TIMEOUT,
        ),
    };
    let problem = Problem {
        r#type: format!("{TYPE_PREFIX}{name}"),
        title,
        status: status.as_u16(),
        scope: None,
        request_id: request_id.to_str().unwrap_or_default(),
    };
    document(&problem, request_id)
}

fn document(problem: &Problem<'_>, request_id: &HeaderValue) -> Response<ResponseBody> {
    let octets = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(ResponseBody::Own(Some(Bytes::from(octets))));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    // What one caller may not, another may.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(&REQUEST_ID, request_id.clone());
    response
}

fn speaks_grpc(request: &HeaderMap) -> bool {
    request
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn grpc(reason: DenialReason, request_id: &HeaderValue) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Own(None));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        "grpc-status",
        HeaderValue::from(u16::from(reason.grpc_status())),
    );
    headers.insert(
        "grpc-message",
        HeaderValue::from_static(reason.public_words()),
    );
    headers.insert(&REQUEST_ID, request_id.clone());
    response
}
