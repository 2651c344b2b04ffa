//! Which extensions stand in a certificate, and which of them are critical (RFC 5280 section 4.2).

use super::{Examined, Findings};

pub(super) const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
pub(super) const KEY_USAGE: &str = "2.5.29.15";
pub(super) const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
pub(super) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(super) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(super) const DISTRIBUTION_POINTS: &str = "2.5.29.31";
pub(super) const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
pub(super) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(super) const NO_REV_AVAIL: &str = "2.5.29.56";
pub(super) const AUTHORITY_INFO_ACCESS: &str = "1.3.6.1.5.5.7.1.1";
pub(super) const OCSP_NO_CHECK: &str = "1.3.6.1.5.5.7.48.1.5";

/// An extension that we write: the rule about its being there, whether this certificate has it, and critical.
struct Row {
    oid: &'static str,
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
    let extras = &it.draft.profile.extensions;
    let mut seen: Vec<String> = Vec::new();
    for extension in it.parsed.extensions() {
        let oid = extension.oid.to_id_string();
        findings.require(
            !seen.contains(&oid),
            "RFC 5280 4.2: an extension stands once",
            || oid.clone(),
        );
        let row = rows.iter().find(|row| row.oid == oid);
        let extra = extras.iter().find(|extra| extra.oid().to_string() == oid);
        findings.require(
            row.is_some() || extra.is_some(),
            "RFC 5280 4.2: there is no extension that was not meant",
            || oid.clone(),
        );
        let critical = match (row, extra) {
            (Some(row), _) => row.critical,
            (None, Some(extra)) => extra.is_critical(),
            (None, None) => extension.critical,
        };
        findings.require(
            extension.critical == critical,
            "RFC 5280 4.2: an extension is critical where it must be, and only there",
            || oid.clone(),
        );
        findings.require(
            extra.is_none_or(|extra| row.is_none() && extra.value() == extension.value),
            "an extension of the profile has the profile's value, and is none that we write",
            || oid.clone(),
        );
        seen.push(oid);
    }
    for row in rows {
        findings.require(
            seen.iter().any(|oid| oid == row.oid) == row.meant,
            row.rule,
            || format!("{} in a certificate for {}", row.oid, it.draft.profile.kind),
        );
    }
    for extra in extras {
        findings.require(
            seen.contains(&extra.oid().to_string()),
            "every extension of the profile is there",
            || extra.oid().to_string(),
        );
    }
}
