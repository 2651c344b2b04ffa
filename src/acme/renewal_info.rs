//! Renewal information (RFC 9773 section 4): when a certificate is to be renewed, for anybody who can name it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{problem::Problem, resource_path::ResourcePath, state::AcmeState};
use crate::domain::{
    Timestamp,
    certificate_id::{CertificateId, InvalidCertificateId},
};

/// When to ask again about a certificate that isn't known here: it may be another server's.
const UNKNOWN_RETRY: Duration = Duration::from_secs(6 * 3600);

/// The RenewalInfo object (RFC 9773 section 4.2).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfoObject {
    suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL", skip_serializing_if = "Option::is_none")]
    explanation_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct SuggestedWindow {
    start: Timestamp,
    end: Timestamp,
}

/// GET and HEAD, without a signature. The answer always says when to ask again (RFC 9773 section 4.3).
///
/// # Errors
/// `malformed`, 400 for what names no certificate, 404 for one that no issuer of this server has issued.
pub async fn read(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
) -> Result<Response, Problem> {
    let id: CertificateId = id
        .parse()
        .map_err(|error: InvalidCertificateId| Problem::malformed(error.to_string()))?;
    let info = state.authority.renewal_info(&id).await?.ok_or_else(|| {
        Problem::malformed(
            "this server has issued no such certificate; ask the one that did, and renew by the certificate's own dates meanwhile",
        )
        .with_status(StatusCode::NOT_FOUND)
        .with_retry_after(UNKNOWN_RETRY)
    })?;
    let object = RenewalInfoObject {
        suggested_window: SuggestedWindow {
            start: info.window.start,
            end: info.window.end,
        },
        explanation_url: info.explanation_url,
    };
    let retry_after = HeaderValue::from(info.retry_after.as_secs());
    Ok(([(header::RETRY_AFTER, retry_after)], Json(object)).into_response())
}
