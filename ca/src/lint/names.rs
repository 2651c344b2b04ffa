//! Subject alternative names (RFC 5280 section 4.2.1.6): exactly those that were authorized, and within every rule.

use x509_parser::extensions::{GeneralName as ParsedName, ParsedExtension};

use super::{Examined, Findings, extensions::SUBJECT_ALTERNATIVE_NAME};
use crate::name::GeneralName;

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let found = match it.extension(SUBJECT_ALTERNATIVE_NAME) {
        Some(ParsedExtension::SubjectAlternativeName(names)) => {
            read(findings, &names.general_names)
        }
        _ => Vec::new(),
    };
    let mut wanted = it.draft.names.clone();
    wanted.sort();
    findings.require(
        found == wanted,
        "the certificate's names are exactly those that were authorized",
        || format!("{found:?}, not {wanted:?}"),
    );
    findings.require(
        found.windows(2).all(|pair| pair[0] != pair[1]),
        "a name stands once",
        || format!("{found:?}"),
    );
    for name in &found {
        findings.require(
            it.draft.profile.names.check(name).is_ok(),
            "the profile's lists allow the names",
            || name.to_string(),
        );
        findings.require(
            it.issuer
                .is_none_or(|issuer| issuer.name_constraints().allow(name)),
            "RFC 5280 4.2.1.10: the names are within the issuer's constraints",
            || name.to_string(),
        );
    }
    let uris: Vec<&str> = found
        .iter()
        .filter_map(|name| match name {
            GeneralName::Uri(uri) => Some(uri.as_str()),
            GeneralName::Dns(_) | GeneralName::Ip(_) => None,
        })
        .collect();
    let constraints = it.issuer.map(|issuer| &issuer.constraints);
    findings.require(
        constraints.is_none_or(|constraints| !constraints.uris || uris.is_empty()),
        "RFC 5280 4.2.1.10: no URI below constraints on URIs, which verifiers refuse",
        || format!("{uris:?}"),
    );
    findings.require(
        constraints.is_none_or(|constraints| {
            !constraints.directory_names || it.parsed.subject.iter().next().is_none()
        }),
        "RFC 5280 4.2.1.10: no subject below constraints on directory names, which verifiers refuse",
        || it.parsed.subject.to_string(),
    );
    let is_one = uris.len() == usize::from(it.draft.profile.kind.proves_principal());
    findings.require(
        is_one && uris.iter().all(|uri| is_spiffe_id(uri)),
        "SPIFFE X.509-SVID 2: what proves a principal has exactly one URI, a SPIFFE ID; nothing else has one",
        || format!("{uris:?}"),
    );
}

fn is_spiffe_id(uri: &str) -> bool {
    uri.len() <= 2048
        && uri.starts_with("spiffe://")
        && uri
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'-' | b'.' | b'_'))
}

/// The names, sorted; one that can't be read, or is of a kind that we never issue, is a finding.
fn read(findings: &mut Findings, parsed: &[ParsedName<'_>]) -> Vec<GeneralName> {
    let mut found = Vec::new();
    for name in parsed {
        let read = if let ParsedName::DNSName(dns) = name {
            dns.parse().ok().map(GeneralName::Dns)
        } else if let ParsedName::IPAddress(octets) = name {
            <[u8; 4]>::try_from(*octets)
                .map(|v4| GeneralName::Ip(v4.into()))
                .or_else(|_| <[u8; 16]>::try_from(*octets).map(|v6| GeneralName::Ip(v6.into())))
                .ok()
        } else if let ParsedName::URI(uri) = name {
            Some(GeneralName::Uri((*uri).to_owned()))
        } else {
            None
        };
        findings.require(
            read.is_some(),
            "RFC 5280 4.2.1.6: names are of kinds that we issue, and well-formed",
            || format!("{name:?}"),
        );
        found.extend(read);
    }
    found.sort();
    found
}
