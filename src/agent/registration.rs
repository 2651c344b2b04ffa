//! Registering the account, with the invitation as its external account binding (RFC 8555 sections 7.3, 7.3.4).
//!
//! The ACME library can register a new account with a binding only by making the key itself, so that the key would
//! exist nowhere but in memory at the moment at which the invitation is used up. Here the key is on disk first.

use http::header::LOCATION;
use serde_json::{Value, json};

use super::{
    account::StoredAccount,
    error::{AgentError, Step},
    signed_request::{Failure, KeyReference, SignedRequests, header, is},
    token::InvitationToken,
    transport::Transport,
};

/// Registers the account, and returns its URL. An account that is registered already is found again by its key, also
/// when the invitation is used up.
///
/// # Errors
/// The server can't be reached, isn't trusted, or refuses the invitation.
pub async fn register(
    transport: &Transport,
    account: &StoredAccount,
    token: &InvitationToken,
) -> Result<String, AgentError> {
    let requests = SignedRequests::new(transport, account).await?;
    let existing = json!({"onlyReturnExisting": true});
    match new_account(&requests, &existing).await {
        Ok(url) => return Ok(url),
        Err(Failure::Problem(problem)) if is(&problem, "accountDoesNotExist") => {}
        Err(failure) => return Err(failure.told(Step::Register, account)),
    }
    let binding = requests.external_account_binding(token);
    let payload = json!({"termsOfServiceAgreed": true, "externalAccountBinding": binding});
    new_account(&requests, &payload)
        .await
        .map_err(|failure| failure.told(Step::Register, account))
}

async fn new_account(requests: &SignedRequests<'_>, payload: &Value) -> Result<String, Failure> {
    let url = &requests.directory().new_account;
    let answer = requests
        .post(Step::Register, url, Some(payload), KeyReference::Jwk)
        .await?;
    Ok(
        header(&answer, LOCATION.as_str()).ok_or_else(|| AgentError::Protocol {
            step: Step::Register,
            detail: "the new account has no Location".to_owned(),
        })?,
    )
}
