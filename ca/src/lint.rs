//! The linter: what we never sign. It reads the very octets that are about to be signed, with another parser than the
//! one that wrote them, and compares them with what was meant. Each rule carries its source.

use x509_parser::{
    certificate::TbsCertificate,
    extensions::{DistributionPointName, GeneralName as ParsedName, ParsedExtension},
    prelude::FromDer,
    x509::X509Version,
};

use crate::{
    certificate::{Draft, IssuerCertificate},
    name::GeneralName,
    profile::ExtendedKeyUsage,
    serial::Serial,
};

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, with its source.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

/// The findings of one object.
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn require(
        &mut self,
        holds: bool,
        rule: &'static str,
        seen: impl FnOnce() -> String,
    ) {
        if !holds {
            self.0.push(Finding {
                rule,
                detail: seen(),
            });
        }
    }
}

/// Reads a TBSCertificate and compares it with its draft. No finding means that it may be signed.
#[must_use]
pub fn certificate(
    to_be_signed: &[u8],
    draft: &Draft,
    issuer: Option<&IssuerCertificate>,
) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    match TbsCertificate::from_der(to_be_signed) {
        Ok(([], parsed)) => {
            fields(&mut findings, &parsed, draft, issuer);
            extensions(&mut findings, &parsed, draft, issuer);
        }
        Ok(_) | Err(_) => findings.require(false, "RFC 5280 4.1: it is a TBSCertificate", || {
            "it can't be parsed".to_owned()
        }),
    }
    findings.0
}

/// The first URI of a certificate's CRL distribution points.
pub(crate) fn distribution_point(certificate: &TbsCertificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        points.points.iter().find_map(|point| {
            let Some(DistributionPointName::FullName(names)) = &point.distribution_point else {
                return None;
            };
            names.iter().find_map(|name| {
                if let ParsedName::URI(uri) = name {
                    Some((*uri).to_owned())
                } else {
                    None
                }
            })
        })
    })
}

fn fields(
    findings: &mut Findings,
    parsed: &TbsCertificate<'_>,
    draft: &Draft,
    issuer: Option<&IssuerCertificate>,
) {
    findings.require(
        parsed.version == X509Version::V3,
        "RFC 5280 4.1.2.1: version 3",
        || format!("{:?}", parsed.version),
    );
    let serial = parsed.raw_serial();
    findings.require(
        serial.len() <= Serial::WIDTH && serial.first().is_some_and(|first| first & 0x80 == 0),
        "RFC 5280 4.1.2.2: the serial is positive, of at most 20 octets",
        || hex::encode(serial),
    );
    findings.require(
        Serial::from_der_integer(serial) == Ok(draft.serial),
        "the serial is the one that was drawn",
        || hex::encode(serial),
    );
    findings.require(
        draft.serial.significant_octets().len() >= 12,
        "the serial has 128 random bits",
        || draft.serial.to_string(),
    );
    let signer = issuer.map_or(&draft.public_key, |issuer| issuer.public_key());
    let identifier = signer.algorithm().signature_algorithm_identifier();
    findings.require(
        identifier
            .windows(parsed.signature.algorithm.as_bytes().len())
            .any(|window| window == parsed.signature.algorithm.as_bytes())
            && parsed.signature.parameters.is_none(),
        "RFC 5280 4.1.2.3: the signature algorithm is the issuer's key's",
        || parsed.signature.algorithm.to_id_string(),
    );
    let issuer_name = issuer.map_or(parsed.subject.as_raw(), |issuer| &issuer.subject[..]);
    findings.require(
        parsed.issuer.as_raw() == issuer_name && parsed.issuer.iter().next().is_some(),
        "RFC 5280 4.1.2.4: the issuer is the issuer's subject, to the byte, and not empty",
        || parsed.issuer.to_string(),
    );
    findings.require(
        parsed.subject_pki.raw == draft.public_key.subject_public_key_info(),
        "the key is the one whose possession was proved, to the byte",
        || "another SubjectPublicKeyInfo".to_owned(),
    );
    validity(findings, parsed, draft, issuer);
    let is_ca = draft.profile.kind.is_ca();
    findings.require(
        !is_ca || parsed.subject.iter().next().is_some(),
        "RFC 5280 4.1.2.6: a CA has a subject",
        || "it is empty".to_owned(),
    );
    findings.require(
        parsed.subject.iter_common_name().all(|name| {
            name.as_str()
                .is_ok_and(|name| name.chars().count() <= 64 && !name.chars().any(char::is_control))
        }),
        "RFC 5280 A.1 ub-common-name: a common name has at most 64 characters, none a control",
        || parsed.subject.to_string(),
    );
    findings.require(
        issuer.is_none_or(|issuer| issuer.public_key() != &draft.public_key),
        "a certificate is not about its issuer's key",
        || "the same key".to_owned(),
    );
    findings.require(
        issuer.is_none_or(|issuer| !is_ca || issuer.subject != parsed.subject.as_raw()),
        "PKITS 4.5.5: a new CA key gets a new name",
        || parsed.subject.to_string(),
    );
}

fn validity(
    findings: &mut Findings,
    parsed: &TbsCertificate<'_>,
    draft: &Draft,
    issuer: Option<&IssuerCertificate>,
) {
    let (from, to) = (
        parsed.validity.not_before.timestamp(),
        parsed.validity.not_after.timestamp(),
    );
    findings.require(
        (from, to) == (draft.not_before, draft.not_after) && from <= to,
        "RFC 5280 4.1.2.5: the validity is the one that was meant, and not empty",
        || format!("{from} to {to}"),
    );
    let longest = i64::try_from(draft.profile.lifetime.as_secs()).unwrap_or(i64::MAX);
    findings.require(
        to.saturating_sub(from).saturating_add(1) <= longest,
        "RFC 5280 4.1.2.5: both ends count, and the profile's lifetime is not exceeded",
        || {
            format!(
                "{} s of {longest} s",
                to.saturating_sub(from).saturating_add(1)
            )
        },
    );
    if let Some(issuer) = issuer {
        findings.require(
            to <= issuer.not_after(),
            "notAfter does not lie beyond the issuer's",
            || format!("{to}, the issuer's {}", issuer.not_after()),
        );
    }
    const YEAR_2050: i64 = 2_524_608_000;
    for (time, moment) in [
        (&parsed.validity.not_before, from),
        (&parsed.validity.not_after, to),
    ] {
        findings.require(
            time.is_utctime() == (moment < YEAR_2050),
            "RFC 5280 4.1.2.5: UTCTime to 2049, GeneralizedTime after",
            || moment.to_string(),
        );
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, which may grow"
)]
fn extensions(
    findings: &mut Findings,
    parsed: &TbsCertificate<'_>,
    draft: &Draft,
    issuer: Option<&IssuerCertificate>,
) {
    let kind = draft.profile.kind;
    let mut seen = Seen::default();
    for extension in parsed.extensions() {
        let name = extension.oid.to_id_string();
        findings.require(
            !seen.oids.contains(&name),
            "RFC 5280 4.2: an extension stands once",
            || name.clone(),
        );
        let critical = match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                seen.basic_constraints = true;
                findings.require(
                    constraints.ca == kind.is_ca()
                        && constraints.path_len_constraint == kind.path_length().map(u32::from),
                    "RFC 5280 4.2.1.9: basicConstraints are the profile's",
                    || format!("{constraints:?}"),
                );
                true
            }
            ParsedExtension::KeyUsage(usage) => {
                seen.key_usage = true;
                // keyCertSign and cRLSign are bits 5 and 6, digitalSignature is bit 0.
                let wanted = if kind.is_ca() { 0b110_0000 } else { 1 };
                findings.require(
                    usage.flags == wanted,
                    "RFC 5280 4.2.1.3: key usage is the profile's",
                    || usage.to_string(),
                );
                true
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                seen.extended_key_usage = true;
                let wanted = |usage| kind.extended_key_usages().contains(&usage);
                findings.require(
                    usage.client_auth == wanted(ExtendedKeyUsage::ClientAuth)
                        && usage.server_auth == wanted(ExtendedKeyUsage::ServerAuth)
                        && !(usage.any
                            || usage.code_signing
                            || usage.email_protection
                            || usage.time_stamping)
                        && usage.ocsp_signing == wanted(ExtendedKeyUsage::OcspSigning)
                        && usage.other.is_empty(),
                    "RFC 5280 4.2.1.12: the extended key usages are the profile's",
                    || format!("{usage:?}"),
                );
                false
            }
            ParsedExtension::SubjectAlternativeName(san) => {
                seen.names = san
                    .general_names
                    .iter()
                    .map(|name| format!("{name:?}"))
                    .collect();
                names(findings, &san.general_names, draft);
                // RFC 5280 section 4.2.1.6: critical when the subject is empty, and not otherwise.
                parsed.subject.iter().next().is_none()
            }
            ParsedExtension::SubjectKeyIdentifier(identifier) => {
                seen.subject_key_identifier = true;
                findings.require(
                    identifier.0 == draft.public_key.key_identifier(),
                    "RFC 5280 4.2.1.2, RFC 7093 2: the subject key identifier is the key's",
                    || hex::encode(identifier.0),
                );
                false
            }
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                seen.authority_key_identifier = true;
                findings.require(
                    identifier.key_identifier.as_ref().map(|id| id.0)
                        == issuer.map(|issuer| &issuer.key_identifier[..]),
                    "RFC 5280 4.2.1.1: the authority key identifier is the issuer's",
                    || format!("{identifier:?}"),
                );
                false
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                let uris: Vec<&str> = points
                    .points
                    .iter()
                    .flat_map(|point| match &point.distribution_point {
                        Some(DistributionPointName::FullName(names)) => names
                            .iter()
                            .filter_map(|name| match name {
                                ParsedName::URI(uri) => Some(*uri),
                                _ => None,
                            })
                            .collect(),
                        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) | None => {
                            Vec::new()
                        }
                    })
                    .collect();
                seen.revocation_list = uris.first().map(|uri| (*uri).to_owned());
                findings.require(
                    uris.len() == 1 && points.points.iter().all(|point| point.reasons.is_none()),
                    "RFC 5280 4.2.1.13: one distribution point with one URI and no reasons",
                    || format!("{points:?}"),
                );
                false
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                seen.access = access
                    .accessdescs
                    .iter()
                    .map(|description| {
                        let place = match &description.access_location {
                            ParsedName::URI(uri) => (*uri).to_owned(),
                            other => format!("{other:?}"),
                        };
                        (description.access_method.to_id_string(), place)
                    })
                    .collect();
                false
            }
            _ if name == OCSP_NO_CHECK => {
                seen.no_check = true;
                findings.require(
                    extension.value == [0x05, 0x00],
                    "RFC 6960 4.2.2.2.1: the value of ocsp-nocheck is NULL",
                    || hex::encode(extension.value),
                );
                false
            }
            _ => {
                findings.require(false, "no extension that the profile does not know", || {
                    name.clone()
                });
                extension.critical
            }
        };
        findings.require(
            extension.critical == critical,
            "RFC 5280 4.2.1: an extension is critical where it must be, and only there",
            || name.clone(),
        );
        seen.oids.push(name);
    }
    seen.complete(findings, draft, issuer);
}

const OCSP_NO_CHECK: &str = "1.3.6.1.5.5.7.48.1.5";
const ACCESS_OCSP: &str = "1.3.6.1.5.5.7.48.1";
const ACCESS_CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// What was seen of the extensions.
#[derive(Default)]
struct Seen {
    oids: Vec<String>,
    basic_constraints: bool,
    key_usage: bool,
    extended_key_usage: bool,
    subject_key_identifier: bool,
    authority_key_identifier: bool,
    names: Vec<String>,
    revocation_list: Option<String>,
    /// Access methods and where they lead.
    access: Vec<(String, String)>,
    no_check: bool,
}

impl Seen {
    fn complete(&self, findings: &mut Findings, draft: &Draft, issuer: Option<&IssuerCertificate>) {
        let kind = draft.profile.kind;
        for (there, rule) in [
            (
                self.basic_constraints,
                "RFC 5280 4.2.1.9: basicConstraints are there",
            ),
            (self.key_usage, "RFC 5280 4.2.1.3: key usage is there"),
            (
                self.subject_key_identifier,
                "RFC 5280 4.2.1.2: the subject key identifier is there",
            ),
            (
                self.authority_key_identifier == issuer.is_some(),
                "RFC 5280 4.2.1.1: the authority key identifier is there, but for a root",
            ),
            (
                self.extended_key_usage != kind.is_ca(),
                "RFC 5280 4.2.1.12: a leaf says what it is for",
            ),
            (
                self.names.is_empty() == draft.names.is_empty()
                    && kind.is_named() != self.names.is_empty(),
                "RFC 5280 4.2.1.6: a leaf has subject alternative names, a CA and a responder have none",
            ),
            (
                self.no_check == kind.is_never_checked(),
                "RFC 6960 4.2.2.2.1: an OCSP responder, and nothing else, says nocheck",
            ),
        ] {
            findings.require(there, rule, || format!("profile {kind}"));
        }
        findings.require(
            self.revocation_list == draft.revocation_list
                && if kind.is_never_checked() {
                    self.revocation_list.is_none()
                } else {
                    self.revocation_list
                        .as_ref()
                        .is_some_and(|uri| uri.starts_with("http://"))
                },
            "RFC 5280 4.2.1.13: every certificate that is ever checked names, by http, the list that would revoke it",
            || format!("{:?}", self.revocation_list),
        );
        let wanted: Vec<(String, String)> = [
            (ACCESS_OCSP, &draft.ocsp),
            (ACCESS_CA_ISSUERS, &draft.issuer_certificate),
        ]
        .into_iter()
        .filter_map(|(method, uri)| Some((method.to_owned(), uri.clone()?)))
        .collect();
        findings.require(
            self.access == wanted
                && self
                    .access
                    .iter()
                    .all(|(_, uri)| uri.starts_with("http://"))
                && !(kind.is_never_checked() && draft.ocsp.is_some()),
            "RFC 5280 4.2.2.1: the authority's information is where was meant, by http",
            || format!("{:?}", self.access),
        );
    }
}

/// The names are exactly the draft's; what proves a principal has one URI, which is a SPIFFE ID (SPIFFE X.509-SVID 2).
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, which may grow"
)]
fn names(findings: &mut Findings, parsed: &[ParsedName<'_>], draft: &Draft) {
    let mut found = Vec::new();
    for name in parsed {
        let read = match name {
            ParsedName::DNSName(dns) => dns.parse().ok().map(GeneralName::Dns),
            ParsedName::IPAddress(octets) => <[u8; 4]>::try_from(*octets)
                .map(|v4| GeneralName::Ip(v4.into()))
                .or_else(|_| <[u8; 16]>::try_from(*octets).map(|v6| GeneralName::Ip(v6.into())))
                .ok(),
            ParsedName::URI(uri) => Some(GeneralName::Uri((*uri).to_owned())),
            _ => None,
        };
        match read {
            Some(read) => found.push(read),
            None => findings.require(false, "names are of kinds that we issue", || {
                format!("{name:?}")
            }),
        }
    }
    let mut wanted = draft.names.clone();
    found.sort();
    wanted.sort();
    findings.require(
        found == wanted,
        "the certificate's names are exactly those that were authorized",
        || format!("{found:?}, not {wanted:?}"),
    );
    let uris: Vec<&GeneralName> = found
        .iter()
        .filter(|name| matches!(name, GeneralName::Uri(_)))
        .collect();
    let expected = usize::from(draft.profile.kind.proves_principal());
    findings.require(
        uris.len() == expected
            && uris.iter().all(|name| {
                matches!(name, GeneralName::Uri(uri) if uri.len() <= 2048
                    && uri.starts_with("spiffe://")
                    && uri.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'-' | b'.' | b'_')))
            }),
        "SPIFFE X.509-SVID 2: what proves a principal has exactly one URI, a SPIFFE ID; nothing else has one",
        || format!("{uris:?}"),
    );
}
