//! Revoking certificates.

use std::collections::BTreeMap;

use portcullis_ca::{issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial};
use serde_json::json;

use super::{Authority, AuthorityError};
use crate::{
    domain::{
        audit::Actor, certificate::CertificateRecord, event::TrustEvent, id::AccountId,
        principal::Principal,
    },
    store::{RevokeCertificates, RevokedCertificates},
};

/// What a revocation did.
#[derive(Debug, Clone, Default)]
pub struct Revoked {
    /// The epoch from which on nobody is let in with them; nothing when all were revoked before.
    pub epoch: Option<u64>,
    /// What is revoked now and was not before.
    pub serials: Vec<Serial>,
    /// What was revoked already.
    pub already: Vec<Serial>,
    /// How many enrolments ended with it.
    pub enrolments_ended: usize,
}

impl Authority {
    /// Revokes certificates by serial. When the call returns, it is durable and the gate refuses them; the list follows.
    ///
    /// # Errors
    /// `NotFound` when the store knows one of them not; then none is revoked.
    pub async fn revoke_certificates(
        &self,
        actor: &Actor,
        serials: &[Serial],
        reason: RevocationReason,
    ) -> Result<Revoked, AuthorityError> {
        let mut by_issuer: BTreeMap<IssuerKeyId, Vec<Serial>> = BTreeMap::new();
        for serial in serials {
            let record = self
                .certificate(serial)
                .await?
                .ok_or(AuthorityError::NotFound("certificate"))?;
            by_issuer.entry(record.issuer).or_default().push(*serial);
        }
        let mut revoked = Revoked::default();
        for (issuer, serials) in by_issuer {
            let outcome = self
                .revoke_of_issuer(actor, issuer, serials, reason)
                .await?;
            revoked.epoch = outcome.epoch.or(revoked.epoch);
            revoked
                .serials
                .extend(outcome.revoked.into_iter().map(|(_, serial)| serial));
            revoked.already.extend(outcome.already);
            revoked.enrolments_ended += outcome.enrolments_ended;
        }
        self.inner.list_due.notify_one();
        Ok(revoked)
    }

    /// Ends every enrolment of a principal, so that nothing can be issued to it while its certificates are revoked.
    ///
    /// # Errors
    /// What the store says.
    pub async fn end_enrolments(
        &self,
        actor: &Actor,
        principal: &Principal,
        reason: RevocationReason,
    ) -> Result<usize, AuthorityError> {
        let audit = self.audit(
            actor,
            "enrolment.end",
            principal,
            json!({ "reason": reason.name() }),
        );
        Ok(self
            .store()
            .end_enrolments(principal.clone(), reason, audit)
            .await?)
    }

    async fn revoke_of_issuer(
        &self,
        actor: &Actor,
        issuer: IssuerKeyId,
        serials: Vec<Serial>,
        reason: RevocationReason,
    ) -> Result<RevokedCertificates, AuthorityError> {
        let subject = match &serials[..] {
            [one] => one.to_string(),
            many => format!("{} certificates", many.len()),
        };
        let names: Vec<String> = serials.iter().map(ToString::to_string).collect();
        let audit = self.audit(
            actor,
            "certificate.revoke",
            subject,
            json!({ "serials": names, "reason": reason.name() }),
        );
        self.change_standing(move |authority| async move {
            let revoke = RevokeCertificates {
                serials,
                reason,
                at: authority.now(),
            };
            let outcome = authority.store().revoke_certificates(revoke, audit).await?;
            let event = outcome.epoch.map(|epoch| {
                let serials = outcome.revoked.iter().map(|(_, serial)| *serial).collect();
                (epoch, TrustEvent::CertificatesRevoked { issuer, serials })
            });
            Ok((outcome, event))
        })
        .await
    }

    /// Revokes the certificate that an account presents, if the account ordered it (RFC 8555 section 7.6).
    ///
    /// # Errors
    /// `NotFound`, `Unauthorized`, `AlreadyRevoked`.
    pub async fn revoke_by_account(
        &self,
        account: &AccountId,
        certificate: &[u8],
        reason: RevocationReason,
    ) -> Result<(), AuthorityError> {
        let record = self.presented(certificate).await?;
        if record.account.as_ref() != Some(account) {
            return Err(AuthorityError::Unauthorized(
                "another account ordered this certificate; sign with that account, or with the certificate's own key"
                    .to_owned(),
            ));
        }
        self.revoke_presented(&Actor::Account(account.to_string()), &record, reason)
            .await
    }

    /// Revokes the certificate that the holder of its key presents (RFC 8555 section 7.6). The fingerprint is that of
    /// the key which signed the request.
    ///
    /// # Errors
    /// `NotFound`, `Unauthorized`, `AlreadyRevoked`.
    pub async fn revoke_by_key(
        &self,
        fingerprint: &[u8; 32],
        certificate: &[u8],
        reason: RevocationReason,
    ) -> Result<(), AuthorityError> {
        let record = self.presented(certificate).await?;
        if record.key_fingerprint != *fingerprint {
            return Err(AuthorityError::Unauthorized(
                "the request is signed with another key than the certificate's".to_owned(),
            ));
        }
        self.revoke_presented(
            &Actor::KeyHolder(record.serial.to_string()),
            &record,
            reason,
        )
        .await
    }

    async fn revoke_presented(
        &self,
        actor: &Actor,
        record: &CertificateRecord,
        reason: RevocationReason,
    ) -> Result<(), AuthorityError> {
        let revoked = self
            .revoke_certificates(actor, &[record.serial], reason)
            .await?;
        if revoked.serials.is_empty() {
            return Err(AuthorityError::AlreadyRevoked);
        }
        Ok(())
    }

    /// The record of a certificate that somebody presents: ours to the byte, not just one with the same serial.
    async fn presented(&self, der: &[u8]) -> Result<CertificateRecord, AuthorityError> {
        use x509_parser::prelude::FromDer as _;
        let (_, parsed) =
            x509_parser::certificate::X509Certificate::from_der(der).map_err(|_| {
                AuthorityError::Invalid(
                    "\"certificate\" is no DER-encoded X.509 certificate".to_owned(),
                )
            })?;
        let serial = Serial::from_der_integer(parsed.raw_serial())
            .map_err(|error| AuthorityError::Invalid(error.to_string()))?;
        self.certificate(&serial)
            .await?
            .filter(|record| record.der == der)
            .ok_or(AuthorityError::NotFound("certificate"))
    }
}
