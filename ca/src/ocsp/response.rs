//! Answers (RFC 6960 section 4.2): draft, checked draft, signed.

use time::OffsetDateTime;

use super::{CertId, Nonce, OID_BASIC, OID_NONCE, Responder, lint, tag};
use crate::{
    certificate::{Refused, seal},
    der,
    key::{PublicKey, Signer, SignerError},
    lint::{Finding, Findings},
    revocation::RevocationReason,
};

/// What an answer is to say. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseDraft {
    /// When it is signed.
    pub produced_at: i64,
    /// An answer to each CertID of the request, in its order.
    pub responses: Vec<SingleResponse>,
    /// The request's nonce.
    pub nonce: Option<Nonce>,
}

/// What is said about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleResponse {
    /// Which.
    pub cert_id: CertId,
    /// Its status.
    pub status: CertStatus,
    /// When the status was looked up.
    pub this_update: i64,
    /// Until when the answer may be used; always there, as RFC 5019 section 2.2.4 wants it.
    pub next_update: i64,
}

/// A certificate's status (RFC 6960 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// It was issued and is not revoked. Whether it has expired is for the asker to see.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when, in seconds since the epoch.
        at: i64,
        /// Why: what the list says too.
        reason: RevocationReason,
    },
    /// The issuer never issued it.
    Unknown,
}

impl ResponseDraft {
    /// Writes the octets to be signed and lets the linter read them.
    ///
    /// # Errors
    /// [`Refused`] with every finding; nothing was signed.
    pub fn check(&self, responder: &Responder) -> Result<CheckedResponse, Refused> {
        let to_be_signed = self.to_be_signed(responder).map_err(|error| {
            Refused(vec![Finding {
                rule: "the answer can be encoded",
                detail: error,
            }])
        })?;
        let mut findings = Findings(Vec::new());
        lint::response(&mut findings, &to_be_signed, self, responder);
        if !findings.0.is_empty() {
            return Err(Refused(findings.0));
        }
        Ok(CheckedResponse {
            to_be_signed,
            signer: responder.public_key().clone(),
            certificate: responder.der().to_vec(),
        })
    }

    /// ResponseData.
    pub(super) fn to_be_signed(&self, responder: &Responder) -> Result<Vec<u8>, String> {
        let by_key = der::encode(
            tag::EXPLICIT_2,
            &[&der::encode(tag::OCTET_STRING, &[responder.key_hash()])],
        );
        let mut responses = Vec::new();
        for response in &self.responses {
            responses.extend(response.encode()?);
        }
        let mut extensions = Vec::new();
        if let Some(nonce) = &self.nonce {
            let value = der::encode(tag::OCTET_STRING, &[nonce.octets()]);
            let extension = der::encode(
                tag::SEQUENCE,
                &[
                    &der::encode(tag::OBJECT_IDENTIFIER, &[OID_NONCE]),
                    &der::encode(tag::OCTET_STRING, &[&value]),
                ],
            );
            extensions = der::encode(
                tag::EXPLICIT_1,
                &[&der::encode(tag::SEQUENCE, &[&extension])],
            );
        }
        Ok(der::encode(
            tag::SEQUENCE,
            &[
                &by_key,
                &generalized_time(self.produced_at)?,
                &der::encode(tag::SEQUENCE, &[&responses]),
                &extensions,
            ],
        ))
    }
}

impl SingleResponse {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let status = match self.status {
            CertStatus::Good => der::encode(tag::GOOD, &[]),
            CertStatus::Unknown => der::encode(tag::UNKNOWN, &[]),
            CertStatus::Revoked { at, reason } => {
                // As in a list: `unspecified` is said by leaving the reason out (RFC 5280 section 5.3.1).
                let reason = match reason.code() {
                    0 => Vec::new(),
                    code => der::encode(tag::EXPLICIT_0, &[&[tag::ENUMERATED, 1, code]]),
                };
                der::encode(tag::REVOKED, &[&generalized_time(at)?, &reason])
            }
        };
        let next_update = der::encode(tag::EXPLICIT_0, &[&generalized_time(self.next_update)?]);
        Ok(der::encode(
            tag::SEQUENCE,
            &[
                self.cert_id.to_der(),
                &status,
                &generalized_time(self.this_update)?,
                &next_update,
            ],
        ))
    }
}

/// `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5.2).
fn generalized_time(seconds: i64) -> Result<Vec<u8>, String> {
    let time = OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .filter(|time| (0..=9999).contains(&time.year()))
        .ok_or_else(|| format!("{seconds} s is no time of an answer"))?;
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    Ok(der::encode(tag::GENERALIZED_TIME, &[text.as_bytes()]))
}

/// An answer that the linter found nothing in: ready to be signed, once.
#[derive(Debug)]
pub struct CheckedResponse {
    to_be_signed: Vec<u8>,
    signer: PublicKey,
    certificate: Vec<u8>,
}

impl CheckedResponse {
    /// Signs it; the result is the OCSPResponse's DER, with the responder's certificate in it.
    ///
    /// # Errors
    /// [`SignerError`] when the signer fails, is another key, or its signature does not verify.
    pub async fn sign(self, signer: &dyn Signer) -> Result<Vec<u8>, SignerError> {
        let signed = seal(&self.to_be_signed, &self.signer, signer).await?;
        let (_, contents, _) = der::split(&signed)
            .ok_or_else(|| SignerError("what was sealed is no SEQUENCE".to_owned()))?;
        let certificates = der::encode(
            tag::EXPLICIT_0,
            &[&der::encode(tag::SEQUENCE, &[&self.certificate])],
        );
        let basic = der::encode(tag::SEQUENCE, &[contents, &certificates]);
        let bytes = der::encode(
            tag::SEQUENCE,
            &[
                &der::encode(tag::OBJECT_IDENTIFIER, &[OID_BASIC]),
                &der::encode(tag::OCTET_STRING, &[&basic]),
            ],
        );
        Ok(der::encode(
            tag::SEQUENCE,
            &[
                &[tag::ENUMERATED, 1, 0],
                &der::encode(tag::EXPLICIT_0, &[&bytes]),
            ],
        ))
    }
}
