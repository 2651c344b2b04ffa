//! A certificate as it is shown.

use portcullis_ca::serial::Serial;
use serde::{Deserialize, Serialize};

use super::{SharedState, problem::Problem};
use crate::domain::{Principal, Timestamp, certificate::CertificateRecord, text::as_text};

/// A certificate as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownCertificate {
    /// Its serial.
    #[serde(with = "as_text")]
    pub serial: Serial,
    /// Its profile.
    pub profile: String,
    /// The principal that it proves.
    pub principal: Option<Principal>,
    /// Its subject alternative names.
    pub names: Vec<String>,
    /// The first moment of its validity.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// `valid`, `expired` or `revoked`.
    pub status: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revocation_reason: Option<String>,
    /// The public key of its issuer, SHA-256.
    pub issuer: String,
    /// SHA-256 of the certificate.
    pub sha256: String,
    /// The enrolment that it belongs to.
    pub enrolment: Option<String>,
    /// The account that ordered it.
    pub account: Option<String>,
    /// The certificate as PEM; only where one is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
}

impl ShownCertificate {
    pub(super) fn of(record: &CertificateRecord, now: Timestamp) -> Self {
        use aws_lc_rs::digest;
        Self {
            serial: record.serial,
            profile: record.profile.to_string(),
            principal: record.principal.clone(),
            names: record.names.clone(),
            not_before: record.not_before,
            not_after: record.not_after,
            issued_at: record.issued_at,
            status: record.status_at(now).name().to_owned(),
            revoked_at: record.revocation.map(|revocation| revocation.at),
            revocation_reason: record
                .revocation
                .map(|revocation| revocation.reason.name().to_owned()),
            issuer: record.issuer.to_string(),
            sha256: hex::encode(digest::digest(&digest::SHA256, &record.der)),
            enrolment: record.enrolment.as_ref().map(ToString::to_string),
            account: record.account.as_ref().map(ToString::to_string),
            pem: None,
        }
    }
}

pub(super) async fn record(
    state: &SharedState,
    serial: &str,
) -> Result<CertificateRecord, Problem> {
    let serial: Serial =
        serial
            .parse()
            .map_err(|error: portcullis_ca::serial::InvalidSerial| {
                Problem::bad_request(&error.to_string())
            })?;
    state.authority.certificate(&serial).await?.ok_or_else(|| {
        Problem::not_found(&format!(
            "there is no certificate {serial}: portcullis cert list shows them"
        ))
    })
}
