//! Making revocation lists: full, version 2 lists with number and issuing distribution point (RFC 5280 section 5). No
//! delta lists and no indirect ones: common verifiers refuse them.
//!
//! ```text
//! ListDraft --check (the linter reads the very octets to be signed)--> CheckedList --sign--> DER
//! ```
//! A list may have a million entries, so they are written without any structure in between. Reading and verifying
//! lists, ours or somebody else's, is [`list`](crate::list)'s.

mod lint;
#[cfg(test)]
mod tests;
mod write;

use crate::{
    certificate::{IssuerCertificate, Refused, seal},
    der::{reader::Reader, tag},
    key::{PublicKey, Signer, SignerError},
    lint::Finding,
    revocation::RevocationReason,
    serial::Serial,
};

/// What a list is to say. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListDraft {
    /// The list's number: greater than that of every list of this issuer and distribution point before (RFC 5280
    /// section 5.2.3).
    pub number: u64,
    /// When it is made.
    pub this_update: i64,
    /// When the next one will be there at the latest.
    pub next_update: i64,
    /// Which certificates it is about.
    pub scope: ListScope,
    /// Where it is published: the same URI that its certificates name (RFC 5280 section 5.2.5).
    pub distribution_point: String,
    /// What is revoked, ascending by serial, each once.
    pub entries: Vec<RevokedEntry>,
}

/// Which of an issuer's certificates a list is about (RFC 5280 section 5.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListScope {
    /// Leaves: onlyContainsUserCerts.
    Leaves,
    /// CAs: onlyContainsCACerts.
    Authorities,
}

/// An entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedEntry {
    /// Which certificate.
    pub serial: Serial,
    /// When it was revoked, in seconds since the epoch.
    pub revoked_at: i64,
    /// Why.
    pub reason: RevocationReason,
}

impl ListDraft {
    /// Writes the octets to be signed and lets the linter read them.
    ///
    /// # Errors
    /// [`Refused`] with every finding; nothing was signed.
    pub fn check(&self, issuer: &IssuerCertificate) -> Result<CheckedList, Refused> {
        let octets = write::to_be_signed(self, issuer).map_err(|detail| {
            Refused(vec![Finding {
                rule: "the list can be encoded",
                detail,
            }])
        })?;
        let findings = lint::list(&octets, self, issuer);
        if findings.is_empty() {
            Ok(CheckedList {
                to_be_signed: octets,
                signer: issuer.public_key().clone(),
            })
        } else {
            Err(Refused(findings))
        }
    }

    /// Holds a list that was signed elsewhere, where the issuer's key is, to what it was to say, by the same rules; and
    /// verifies its signature.
    ///
    /// # Errors
    /// [`Refused`] with every finding; it must not be published.
    pub fn check_signed(&self, der: &[u8], issuer: &IssuerCertificate) -> Result<(), Refused> {
        let one = |rule, detail: String| Refused(vec![Finding { rule, detail }]);
        let (to_be_signed, algorithm, signature) = parts(der).ok_or_else(|| {
            one(
                "RFC 5280 5.1: it is a CertificateList in DER",
                "it can't be read".to_owned(),
            )
        })?;
        let key = issuer.public_key();
        if algorithm != key.algorithm().signature_algorithm_identifier() {
            return Err(one(
                "RFC 5280 5.1.1.2: the signature's algorithm is that of the issuer's key",
                hex::encode(algorithm),
            ));
        }
        key.verify_own(to_be_signed, signature).map_err(|error| {
            one(
                "RFC 5280 5.1.1.3: the issuer's key made the signature",
                error.to_string(),
            )
        })?;
        let findings = lint::list(to_be_signed, self, issuer);
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Refused(findings))
        }
    }
}

/// What was signed, the signature's algorithm, and the signature.
fn parts(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut outer = Reader::new(der);
    let mut fields = outer.within(tag::SEQUENCE)?;
    outer.end()?;
    let to_be_signed = fields.expect(tag::SEQUENCE)?.encoded;
    let algorithm = fields.expect(tag::SEQUENCE)?.encoded;
    let [0, signature @ ..] = fields.expect(tag::BIT_STRING)?.contents else {
        return None;
    };
    fields.end()?;
    Some((to_be_signed, algorithm, signature))
}

/// A list that the linter found nothing in: ready to be signed, once.
#[derive(Debug)]
pub struct CheckedList {
    to_be_signed: Vec<u8>,
    signer: PublicKey,
}

impl CheckedList {
    /// Signs it; the result is the list's DER.
    ///
    /// # Errors
    /// [`SignerError`] when the signer fails, is another key, or its signature does not verify.
    pub async fn sign(self, signer: &dyn Signer) -> Result<Vec<u8>, SignerError> {
        seal(&self.to_be_signed, &self.signer, signer).await
    }
}
