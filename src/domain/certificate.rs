//! A certificate as the authority remembers it.

use portcullis_ca::{issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial};

use super::{
    Timestamp,
    id::{AccountId, EnrolmentId, OrderId},
    principal::Principal,
    profile::ProfileName,
};

/// The record of an issued certificate. It is durable before the certificate leaves the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Its serial: unique in the store.
    pub serial: Serial,
    /// Who signed it.
    pub issuer: IssuerKeyId,
    /// Which of the issuer's lists would revoke it.
    pub list_shard: u32,
    /// By which profile it was made.
    pub profile: ProfileName,
    /// The principal that it proves, if it proves one.
    pub principal: Option<Principal>,
    /// Its subject alternative names, as `dns:…`, `ip:…`, `uri:…`.
    pub names: Vec<String>,
    /// The first moment of its validity.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_fingerprint: [u8; 32],
    /// The certificate.
    pub der: Vec<u8>,
    /// The enrolment that it belongs to.
    pub enrolment: Option<EnrolmentId>,
    /// The account that ordered it.
    pub account: Option<AccountId>,
    /// The order that it came from.
    pub order: Option<OrderId>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Since when, and why, it is revoked.
    pub revocation: Option<Revocation>,
}

/// That a certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// What a certificate is worth at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    /// It may be used.
    Valid,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl CertificateStatus {
    /// Its name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl CertificateRecord {
    /// What it is worth at a moment.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> CertificateStatus {
        if self.revocation.is_some() {
            CertificateStatus::Revoked
        } else if now.unix_seconds() > self.not_after.unix_seconds() {
            CertificateStatus::Expired
        } else {
            CertificateStatus::Valid
        }
    }
}

/// Whether revoking for this reason ends the enrolment too. A superseded certificate was replaced: its holder goes on.
#[must_use]
pub fn ends_enrolment(reason: RevocationReason) -> bool {
    match reason {
        RevocationReason::Superseded => false,
        RevocationReason::Unspecified
        | RevocationReason::KeyCompromise
        | RevocationReason::CaCompromise
        | RevocationReason::AffiliationChanged
        | RevocationReason::CessationOfOperation
        | RevocationReason::CertificateHold
        | RevocationReason::PrivilegeWithdrawn
        | RevocationReason::AaCompromise => true,
    }
}
