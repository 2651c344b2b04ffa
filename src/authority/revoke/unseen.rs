//! Revoking a certificate that the store never saw: one that was issued with a key of ours elsewhere, or before a backup
//! that was restored. Issuer and serial are all that a list needs; with the certificate at hand it goes on the one list
//! that the certificate names, and without it on all lists of the issuer.

use portcullis_ca::{
    chain::is_issued_by, list::list_of, pki_types::CertificateDer, revocation::RevocationReason,
    serial::Serial,
};
use serde_json::json;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{Revoked, Step};
use crate::{
    authority::{Authority, AuthorityError, Issuer},
    domain::{Timestamp, audit::Actor},
    store::UnseenCertificate,
};

/// A certificate that the store may never have seen.
#[derive(Debug, Clone)]
pub enum Unseen {
    /// By the issuer's name or key id, and serial.
    Serial {
        /// The issuer.
        issuer: String,
        /// The serial.
        serial: Serial,
    },
    /// By the certificate itself, DER.
    Certificate(Vec<u8>),
}

impl Authority {
    /// Revokes a certificate that the store never saw. One that it has is revoked like any other.
    ///
    /// # Errors
    /// `NotFound` when there is no such issuer; `Invalid` when no issuer of ours signed the certificate.
    pub async fn revoke_unseen(
        &self,
        actor: &Actor,
        wanted: Unseen,
        reason: RevocationReason,
    ) -> Result<Revoked, AuthorityError> {
        let issuers = self.issuers();
        let (unseen, key) = match wanted {
            Unseen::Serial { issuer, serial } => {
                let issuer = issuers.named(&issuer)?;
                let unseen = UnseenCertificate {
                    issuer: issuer.id(),
                    serial,
                    list_shard: None,
                    not_after: Timestamp::from_unix_seconds(issuer.certificate.not_after()),
                };
                (unseen, None)
            }
            Unseen::Certificate(der) => {
                let certificate = CertificateDer::from(der.as_slice());
                let issuer = issuers
                    .iter()
                    .find(|issuer| {
                        let above = CertificateDer::from(issuer.certificate.der());
                        is_issued_by(&certificate, &above).is_ok()
                    })
                    .ok_or_else(|| {
                        AuthorityError::Invalid(
                            "no issuer of this authority signed this certificate; portcullis ca list shows them"
                                .to_owned(),
                        )
                    })?;
                let (unseen, key) = read(&der, issuer)?;
                (unseen, Some(key))
            }
        };
        if let Some(record) = self.certificate(&unseen.serial).await?
            && record.issuer == unseen.issuer
        {
            return self
                .revoke_certificates(actor, &[record.serial], reason)
                .await;
        }
        let keys = key
            .filter(|_| reason == RevocationReason::KeyCompromise)
            .into_iter()
            .collect();
        let detail = json!({
            "reason": reason.name(),
            "issuer": unseen.issuer.to_string(),
            "unseen": true,
            "list_shard": unseen.list_shard,
            "not_after": unseen.not_after,
        });
        let step = Step {
            serials: Vec::new(),
            unseen: vec![unseen],
            keys,
            reason,
        };
        let revoked = self.revoke_step(actor, step, detail).await;
        self.inner.list_due.notify_one();
        revoked
    }
}

/// What revoking needs of a certificate, and the fingerprint of its key.
fn read(der: &[u8], issuer: &Issuer) -> Result<(UnseenCertificate, [u8; 32]), AuthorityError> {
    use aws_lc_rs::digest;
    let (_, parsed) = X509Certificate::from_der(der)
        .map_err(|_| AuthorityError::Invalid("it is no X.509 certificate".to_owned()))?;
    let serial = Serial::from_der_integer(parsed.raw_serial())
        .map_err(|error| AuthorityError::Invalid(error.to_string()))?;
    let list = list_of(der);
    let mut key = [0; 32];
    key.copy_from_slice(
        digest::digest(&digest::SHA256, parsed.tbs_certificate.subject_pki.raw).as_ref(),
    );
    let unseen = UnseenCertificate {
        issuer: issuer.id(),
        serial,
        list_shard: (0..issuer.shards()).find(|shard| list == Some(issuer.list_url(*shard))),
        not_after: Timestamp::from_unix_seconds(parsed.validity().not_after.timestamp()),
    };
    Ok((unseen, key))
}
