//! The response to device-attest-01 (draft-ietf-acme-device-attest section 5): a statement, which is judged within the
//! request.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{jws::Payload, problem::Problem};

/// The response; members beside the statement are ignored, as the draft wants it.
#[derive(Deserialize)]
struct AttestationResponse {
    #[serde(rename = "attObj")]
    attestation_object: Option<String>,
}

/// The statement of a response, decoded from base64url and nothing more.
///
/// # Errors
/// `malformed` when there is none, and the challenge stays as it is: nothing was claimed yet.
pub fn statement(payload: &Payload) -> Result<Vec<u8>, Problem> {
    let AttestationResponse { attestation_object } = payload.object()?;
    let text = attestation_object.ok_or_else(|| {
        Problem::malformed(
            "the response to device-attest-01 is {\"attObj\": \"...\"}, the device's attestation object in base64url; this one \
             has no attObj",
        )
    })?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        Problem::malformed(
            "attObj is no base64url without padding (RFC 4648 section 5, RFC 8555 section 6.1)",
        )
    })
}
