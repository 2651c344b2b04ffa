//! Revoking certificates, and a certificate as it is shown.

use axum::{Extension, Json, extract::State};
use portcullis_ca::{revocation::RevocationReason, serial::Serial};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{
    domain::{
        Principal, Timestamp,
        certificate::{CertificateRecord, CertificateStatus, ends_enrolment},
        text::as_text,
    },
    store::CertificateFilter,
};

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

/// Which certificates to revoke: by serial, or all good ones of a principal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeCertificates {
    /// By serial.
    #[serde(default)]
    pub serials: Vec<String>,
    /// All good ones of a principal.
    pub principal: Option<Principal>,
    /// Why, as RFC 5280 section 5.3.1 spells it.
    pub reason: String,
}

/// What a revocation did.
#[derive(Debug, Serialize, Deserialize)]
pub struct CertificatesRevoked {
    /// What is revoked now.
    pub serials: Vec<String>,
    /// What was revoked before.
    pub already_revoked: Vec<String>,
    /// How many enrolments ended with it.
    pub enrolments_ended: usize,
    /// The epoch from which on nobody gets in with them.
    pub epoch: Option<u64>,
}

pub(super) async fn revoke(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<RevokeCertificates>,
) -> Result<Json<CertificatesRevoked>, Problem> {
    let reason: RevocationReason =
        wanted
            .reason
            .parse()
            .map_err(|error: portcullis_ca::revocation::UnknownReason| {
                Problem::bad_request(&error.to_string())
            })?;
    let mut records = Vec::new();
    let mut actor = None;
    let mut ended = 0;
    for serial in &wanted.serials {
        let record = record(&state, serial).await?;
        actor = Some(match &record.principal {
            Some(principal) => caller.on(principal)?,
            None => caller.on_everything()?,
        });
        records.push(record);
    }
    if let Some(principal) = &wanted.principal {
        let may = caller.on(principal)?;
        if ends_enrolment(reason) {
            // First, so that nothing is issued between looking and revoking.
            ended = state
                .authority
                .end_enrolments(&may, principal, reason)
                .await?;
        }
        let filter = CertificateFilter {
            principal: Some(principal.clone()),
            status: Some((CertificateStatus::Valid, state.authority.now())),
            ..CertificateFilter::default()
        };
        let found = state.authority.certificates(filter).await?;
        if found.is_empty() && ended == 0 {
            return Err(Problem::not_found(&format!(
                "{principal} has no valid certificate and no enrolment: portcullis cert list shows them"
            )));
        }
        records.extend(found);
        actor = Some(may);
    }
    let Some(actor) = actor else {
        return Err(Problem::bad_request(
            "name at least one certificate, by serial or by principal",
        ));
    };
    let serials: Vec<Serial> = records.iter().map(|record| record.serial).collect();
    let revoked = state
        .authority
        .revoke_certificates(&actor, &serials, reason)
        .await?;
    let text = |serials: &[Serial]| serials.iter().map(ToString::to_string).collect();
    Ok(Json(CertificatesRevoked {
        serials: text(&revoked.serials),
        already_revoked: text(&revoked.already),
        enrolments_ended: ended + revoked.enrolments_ended,
        epoch: revoked.epoch,
    }))
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
