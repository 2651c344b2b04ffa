//! Which extensions stand in a certificate, and which of them are critical (RFC 5280 section 4.2).

use super::{Examined, Findings};
use crate::profile::ExtraExtension;

// Object identifiers, the contents of their DER: id-ce is 2.5.29, and id-pe below 1.3.6.1.5.5.7.1.

pub(super) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(super) const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
pub(super) const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
pub(super) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub(super) const NO_REV_AVAIL: &[u8] = &[0x55, 0x1d, 0x38];
pub(super) const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
pub(super) const OCSP_NO_CHECK: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05];

/// An extension that we write: the rule about its being there, whether this certificate has it, and critical.
struct Row {
    oid: &'static [u8],
    rule: &'static str,
    meant: bool,
    critical: bool,
}

fn rows(it: &Examined<'_>) -> [Row; 11] {
    let (profile, draft) = (&it.draft.profile, it.draft);
    let kind = profile.kind;
    let row = |oid, rule, meant, critical| Row {
        oid,
        rule,
        meant,
        critical,
    };
    [
        row(
            BASIC_CONSTRAINTS,
            "RFC 5280 4.2.1.9: basicConstraints are there",
            true,
            true,
        ),
        row(
            KEY_USAGE,
            "RFC 5280 4.2.1.3: key usage is there",
            true,
            true,
        ),
        row(
            SUBJECT_KEY_IDENTIFIER,
            "RFC 5280 4.2.1.2: the subject key identifier is there",
            true,
            false,
        ),
        row(
            AUTHORITY_KEY_IDENTIFIER,
            "RFC 5280 4.2.1.1: the authority key identifier is there, but for what signs itself",
            it.issuer.is_some(),
            false,
        ),
        row(
            EXTENDED_KEY_USAGE,
            "RFC 5280 4.2.1.12: a leaf says what it is for, a CA does not restrict what it issues",
            !kind.is_ca(),
            false,
        ),
        row(
            SUBJECT_ALTERNATIVE_NAME,
            "RFC 5280 4.2.1.6: a leaf has subject alternative names, a CA and a responder have none",
            kind.is_named(),
            // RFC 5280 section 4.2.1.6: critical when the subject is empty, and not otherwise.
            it.parsed.subject.iter().next().is_none(),
        ),
        row(
            NAME_CONSTRAINTS,
            "RFC 5280 4.2.1.10: name constraints are there where the profile has some, in CAs only",
            kind.is_ca() && !profile.name_constraints.is_empty(),
            true,
        ),
        row(
            DISTRIBUTION_POINTS,
            "RFC 5280 4.2.1.13: what can be looked up names its list, and nothing else does",
            !kind.is_never_checked() && !draft.is_without_revocation(),
            false,
        ),
        row(
            AUTHORITY_INFO_ACCESS,
            "RFC 5280 4.2.2.1: the authority's information is there where it was meant",
            draft.issuer_certificate.is_some() || draft.ocsp.is_some(),
            false,
        ),
        row(
            NO_REV_AVAIL,
            "RFC 9608 4: noRevAvail is there below the profile's threshold only, and never in a CA",
            !kind.is_ca() && draft.is_without_revocation(),
            false,
        ),
        row(
            OCSP_NO_CHECK,
            "RFC 6960 4.2.2.2.1: an OCSP responder, and nothing else, says nocheck",
            kind.is_never_checked(),
            false,
        ),
    ]
}

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let rows = rows(it);
    let extras: Vec<(Vec<u8>, &ExtraExtension)> = it
        .draft
        .profile
        .extensions
        .iter()
        .map(|extra| (extra.oid().to_der(), extra))
        .collect();
    let mut seen: Vec<&[u8]> = Vec::new();
    for extension in it.parsed.extensions() {
        let oid = extension.oid.as_bytes();
        let name = || extension.oid.to_id_string();
        findings.require(
            !seen.contains(&oid),
            "RFC 5280 4.2: an extension stands once",
            name,
        );
        let row = rows.iter().find(|row| row.oid == oid);
        // The DER of an identifier is its tag, its length and its contents.
        let extra = extras
            .iter()
            .find(|(der, _)| &der[2..] == oid)
            .map(|(_, extra)| *extra);
        findings.require(
            row.is_some() || extra.is_some(),
            "RFC 5280 4.2: there is no extension that was not meant",
            name,
        );
        let critical = match (row, extra) {
            (Some(row), _) => row.critical,
            (None, Some(extra)) => extra.is_critical(),
            (None, None) => extension.critical,
        };
        findings.require(
            extension.critical == critical,
            "RFC 5280 4.2: an extension is critical where it must be, and only there",
            name,
        );
        findings.require(
            extra.is_none_or(|extra| row.is_none() && extra.value() == extension.value),
            "an extension of the profile has the profile's value, and is none that we write",
            name,
        );
        seen.push(oid);
    }
    for row in rows {
        findings.require(seen.contains(&row.oid) == row.meant, row.rule, || {
            format!("a certificate for what is {}", it.draft.profile.kind)
        });
    }
    for (der, extra) in &extras {
        findings.require(
            seen.contains(&&der[2..]),
            "every extension of the profile is there",
            || extra.oid().to_string(),
        );
    }
}
