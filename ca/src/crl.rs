//! Making revocation lists: full, version 2 lists with number and issuing distribution point (RFC 5280 section 5).
//!
//! ```text
//! ListDraft --check--> CheckedList --sign--> DER
//! ```
//! Reading and verifying lists, ours or somebody else's, is [`list`](crate::list)'s.

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    KeyIdMethod, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::{extensions::ParsedExtension, prelude::FromDer, revocation_list::TbsCertList};

use crate::{
    certificate::{IssuerCertificate, Refused, seal, to_be_signed},
    der,
    key::{PublicKey, Signer, SignerError},
    lint::Findings,
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
    /// What is revoked.
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
        let mut findings = Findings(Vec::new());
        let octets = match self.to_be_signed(issuer) {
            Ok(octets) => octets,
            Err(error) => {
                findings.require(false, "the list can be encoded", || error);
                return Err(Refused(findings.0));
            }
        };
        self.lint(&octets, issuer, &mut findings);
        if findings.0.is_empty() {
            Ok(CheckedList {
                to_be_signed: octets,
                signer: issuer.public_key().clone(),
            })
        } else {
            Err(Refused(findings.0))
        }
    }

    fn to_be_signed(&self, issuer: &IssuerCertificate) -> Result<Vec<u8>, String> {
        let time = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds)
                .map_err(|_| format!("{seconds} s is no time of a list"))
        };
        let revoked_certs = self
            .entries
            .iter()
            .map(|entry| {
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(entry.serial.significant_octets()),
                    revocation_time: time(entry.revoked_at)?,
                    reason_code: reason_code(entry.reason),
                    invalidity_date: None,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let parameters = CertificateRevocationListParams {
            this_update: time(self.this_update)?,
            next_update: time(self.next_update)?,
            crl_number: self.number.into(),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec![self.distribution_point.clone()],
                },
                scope: Some(match self.scope {
                    ListScope::Leaves => CrlScope::UserCertsOnly,
                    ListScope::Authorities => CrlScope::CaCertsOnly,
                }),
            }),
            revoked_certs,
            key_identifier_method: KeyIdMethod::PreSpecified(issuer.key_identifier.clone()),
        };
        let octets = to_be_signed(issuer.public_key(), |capture| {
            parameters.signed_by(&issuer.for_rcgen(capture)).map(drop)
        })?;
        // version, signature, issuer: the name to the byte as the issuer's certificate has it.
        der::replace_element(&octets, 2, &issuer.subject)
            .ok_or_else(|| "the issuer's name does not fit".to_owned())
    }

    fn lint(&self, octets: &[u8], issuer: &IssuerCertificate, findings: &mut Findings) {
        let parsed = match TbsCertList::from_der(octets) {
            Ok(([], parsed)) => parsed,
            Ok(_) | Err(_) => {
                findings.require(false, "RFC 5280 5.1: it is a TBSCertList", || {
                    "it can't be parsed".to_owned()
                });
                return;
            }
        };
        findings.require(
            parsed.version.is_some_and(|version| version.0 == 1),
            "RFC 5280 5.1.2.1: version 2",
            || format!("{:?}", parsed.version),
        );
        findings.require(
            parsed.issuer.as_raw() == issuer.subject,
            "RFC 5280 5.1.2.3: the issuer is the issuer's subject, to the byte",
            || parsed.issuer.to_string(),
        );
        let next_update = parsed.next_update.map(|time| time.timestamp());
        findings.require(
            parsed.this_update.timestamp() == self.this_update
                && next_update == Some(self.next_update)
                && self.this_update < self.next_update,
            "RFC 5280 5.1.2.4, 5.1.2.5: thisUpdate, then nextUpdate",
            || format!("{} to {next_update:?}", parsed.this_update.timestamp()),
        );
        self.lint_entries(&parsed, findings);
        let mut extensions: Vec<(String, bool)> = Vec::new();
        let mut number = None;
        for extension in parsed.extensions() {
            extensions.push((extension.oid.to_id_string(), extension.critical));
            if let ParsedExtension::CRLNumber(value) = extension.parsed_extension() {
                number = Some(value.to_string());
            }
        }
        let wanted = [
            ("2.5.29.35".to_owned(), false),
            ("2.5.29.20".to_owned(), false),
            ("2.5.29.28".to_owned(), true),
        ];
        findings.require(
            extensions == wanted,
            "RFC 5280 5.2: authority key identifier, number, and the critical issuing distribution point",
            || format!("{extensions:?}"),
        );
        findings.require(
            number == Some(self.number.to_string()) && self.number > 0,
            "RFC 5280 5.2.3: the number is the one that was reserved",
            || format!("{number:?}"),
        );
        findings.require(
            self.distribution_point.starts_with("http://"),
            "RFC 5280 5.2.5: the distribution point is an http URI",
            || self.distribution_point.clone(),
        );
    }

    fn lint_entries(&self, parsed: &TbsCertList<'_>, findings: &mut Findings) {
        let mut serials = std::collections::HashSet::new();
        let mut count = 0;
        for (entry, wanted) in parsed.revoked_certificates.iter().zip(&self.entries) {
            count += 1;
            let serial = Serial::from_der_integer(entry.raw_serial());
            findings.require(
                serial == Ok(wanted.serial) && serials.insert(wanted.serial),
                "RFC 5280 5.1.2.6: each revoked serial stands once, as it was recorded",
                || wanted.serial.to_string(),
            );
            // A missing reason code means `unspecified`, which must not be written (RFC 5280 section 5.3.1).
            let code = entry.reason_code().map(|(_, code)| code.0);
            findings.require(
                code.unwrap_or(0) == wanted.reason.code() && code != Some(0),
                "RFC 5280 5.3.1: the reason is the one that was recorded, and absent when unspecified",
                || format!("{code:?} for {}", wanted.serial),
            );
        }
        findings.require(
            count == self.entries.len() && parsed.revoked_certificates.len() == count,
            "every revoked certificate is on the list",
            || format!("{count} of {}", self.entries.len()),
        );
    }
}

fn reason_code(reason: RevocationReason) -> Option<rcgen::RevocationReason> {
    Some(match reason {
        RevocationReason::Unspecified => return None,
        RevocationReason::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
        RevocationReason::CaCompromise => rcgen::RevocationReason::CaCompromise,
        RevocationReason::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
        RevocationReason::Superseded => rcgen::RevocationReason::Superseded,
        RevocationReason::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
        RevocationReason::CertificateHold => rcgen::RevocationReason::CertificateHold,
        RevocationReason::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
        RevocationReason::AaCompromise => rcgen::RevocationReason::AaCompromise,
    })
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
