//! The trust bundle for account holders: every root that is to be trusted, as PEM. It is no part of RFC 8555; the
//! directory's `meta` names it `trustBundle`, and clients that don't know it pass it by (section 7.1.1).

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    problem::Problem,
    signed_request::{ByAccount, SignedRequest},
    state::AcmeState,
};

/// The roots, the one that issues first. The entity tag is the bundle's id, and is the same for the same roots. That
/// the account's principal has fetched it is remembered: a root is activated when enough have.
///
/// # Errors
/// Those of any signed request.
pub async fn read(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    payload.expect_empty()?;
    let bundle = state.authority.fetch_bundle(&account).await?;
    let headers = [
        (
            header::CONTENT_TYPE,
            "application/pem-certificate-chain".to_owned(),
        ),
        (header::ETAG, format!("\"{}\"", hex::encode(bundle.id()))),
    ];
    Ok((headers, bundle.pem()).into_response())
}
