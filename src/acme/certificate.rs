//! Certificates: downloaded (RFC 8555 section 7.4.2) and revoked (section 7.6).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis_ca::{revocation::RevocationReason, serial::Serial};
use serde::Deserialize;

use super::{
    account::check_owner,
    jws,
    problem::{Problem, ProblemType},
    resource_path::ResourcePath,
    signed_request::{ByAccount, ByEither, SignedRequest},
    state::AcmeState,
};

#[derive(Deserialize)]
struct RevocationRequest {
    certificate: String,
    reason: Option<i64>,
}

/// A certificate and its chain as PEM, the end entity's first (RFC 8555 section 9.1), with links to its other chains
/// (section 7.4.2).
///
/// # Errors
/// 404 when there is none, `unauthorized` when another account ordered it.
pub async fn read(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(serial): ResourcePath<String>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    answer(&state, &serial, 0, request).await
}

/// The same with another chain, from 1 on.
///
/// # Errors
/// Those of [`read`], and 404 when there is no such chain.
pub async fn read_alternate(
    State(state): State<Arc<AcmeState>>,
    ResourcePath((serial, number)): ResourcePath<(String, usize)>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    if number == 0 {
        return Err(Problem::not_found("chain"));
    }
    answer(&state, &serial, number, request).await
}

async fn answer(
    state: &AcmeState,
    serial: &str,
    number: usize,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(state).await?;
    payload.expect_empty()?;
    let missing = || Problem::not_found("certificate");
    let serial: Serial = serial.parse().map_err(|_| missing())?;
    let certificate = state
        .authority
        .certificate(&serial)
        .await?
        .ok_or_else(missing)?;
    let owner = certificate.account.as_ref().ok_or_else(missing)?;
    check_owner(&account, owner.as_str())?;
    let chains = state.authority.chains(&certificate);
    let pem = chains
        .get(number)
        .ok_or_else(|| Problem::not_found("chain"))?;
    let content_type = [(header::CONTENT_TYPE, "application/pem-certificate-chain")];
    let mut response = (content_type, pem.clone()).into_response();
    let others = (0..chains.len())
        .filter(|other| *other != number)
        .map(|other| match other {
            0 => state.urls.certificate(&serial),
            other => state.urls.alternate_certificate(&serial, other),
        });
    // No rel="up": it is for media types without the chain (RFC 8555 section 7.1), and clients that see one, Caddy, go there
    // and fail.
    for url in others {
        if let Ok(link) = HeaderValue::try_from(format!("<{url}>;rel=\"alternate\"")) {
            response.headers_mut().append(header::LINK, link);
        }
    }
    Ok(response)
}

/// revokeCert, signed by the account that ordered the certificate, by one that is authorized for all that it proves, or
/// with the certificate's own key.
///
/// # Errors
/// `alreadyRevoked`, `badRevocationReason`, `unauthorized` for others, 404 for a certificate that isn't of this CA.
pub async fn revoke(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<StatusCode, Problem> {
    match request.by_either(&state).await? {
        ByEither::Account(by) => {
            let (certificate, reason) = read_revocation(by.payload.object()?)?;
            state
                .authority
                .revoke_by_account(&by.account, &certificate, reason)
                .await?;
        }
        ByEither::Key(by) => {
            let (certificate, reason) = read_revocation(by.payload.object()?)?;
            let fingerprint = by.key.fingerprint().ok_or_else(|| {
                Problem::unauthorized(
                    "the request is signed with another key than the certificate's",
                )
            })?;
            state
                .authority
                .revoke_by_key(&fingerprint, &certificate, reason)
                .await?;
        }
    }
    Ok(StatusCode::OK)
}

fn read_revocation(request: RevocationRequest) -> Result<(Vec<u8>, RevocationReason), Problem> {
    let certificate = jws::decode(&request.certificate, "certificate")?;
    Ok((certificate, read_reason(request.reason)?))
}

/// The reasons that the holder of a certificate can know (RFC 5280 section 5.3.1). The others are the CA's to give.
fn read_reason(code: Option<i64>) -> Result<RevocationReason, Problem> {
    let refuse = || {
        Problem::new(
            ProblemType::BadRevocationReason,
            format!(
                "the reason {} can't be given here; use 0 (unspecified), 1 (keyCompromise), 3 (affiliationChanged), 4 (superseded) or 5 (cessationOfOperation), or leave it out",
                code.unwrap_or_default()
            ),
        )
    };
    let reason = u8::try_from(code.unwrap_or_default())
        .ok()
        .and_then(RevocationReason::from_code)
        .ok_or_else(refuse)?;
    match reason {
        RevocationReason::Unspecified
        | RevocationReason::KeyCompromise
        | RevocationReason::AffiliationChanged
        | RevocationReason::Superseded
        | RevocationReason::CessationOfOperation => Ok(reason),
        RevocationReason::CaCompromise
        | RevocationReason::CertificateHold
        | RevocationReason::PrivilegeWithdrawn
        | RevocationReason::AaCompromise => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reasons_that_a_holder_can_know_are_taken() {
        for (code, reason) in [
            (None, Some(RevocationReason::Unspecified)),
            (Some(0), Some(RevocationReason::Unspecified)),
            (Some(1), Some(RevocationReason::KeyCompromise)),
            (Some(2), None),
            (Some(3), Some(RevocationReason::AffiliationChanged)),
            (Some(4), Some(RevocationReason::Superseded)),
            (Some(5), Some(RevocationReason::CessationOfOperation)),
            (Some(6), None),
            (Some(7), None),
            (Some(8), None),
            (Some(9), None),
            (Some(10), None),
            (Some(11), None),
            (Some(-1), None),
            (Some(256), None),
        ] {
            assert_eq!(read_reason(code).ok(), reason, "{code:?}");
        }
    }
}
