//! How a certificate is revoked, or why it never is: distribution points, access to the authority's information,
//! noRevAvail, nocheck (RFC 5280 sections 4.2.1.13 and 4.2.2.1, RFC 9608, RFC 6960 section 4.2.2.2.1).

use x509_parser::extensions::{DistributionPointName, GeneralName as ParsedName, ParsedExtension};

use super::{
    Examined, Findings,
    extensions::{AUTHORITY_INFO_ACCESS, DISTRIBUTION_POINTS, NO_REV_AVAIL, OCSP_NO_CHECK},
};

const ACCESS_OCSP: &str = "1.3.6.1.5.5.7.48.1";
const ACCESS_CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let draft = it.draft;
    let kind = draft.profile.kind;
    let list = match it.extension(DISTRIBUTION_POINTS) {
        Some(ParsedExtension::CRLDistributionPoints(points)) => {
            let uris: Vec<&str> = points
                .points
                .iter()
                .flat_map(|point| match &point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => names.iter().collect(),
                    Some(DistributionPointName::NameRelativeToCRLIssuer(_)) | None => Vec::new(),
                })
                .filter_map(uri)
                .collect();
            findings.require(
                uris.len() == 1
                    && points
                        .points
                        .iter()
                        .all(|point| point.reasons.is_none() && point.crl_issuer.is_none()),
                "RFC 5280 4.2.1.13: one distribution point with one URI, for all reasons, of the issuer's own",
                || format!("{points:?}"),
            );
            uris.first().map(|uri| (*uri).to_owned())
        }
        _ => None,
    };
    findings.require(
        list == draft.revocation_list && list.as_ref().is_none_or(|uri| uri.starts_with("http://")),
        "RFC 5280 4.2.1.13: the list is where was meant, by http",
        || format!("{list:?}"),
    );
    let access: Vec<(String, String)> = match it.extension(AUTHORITY_INFO_ACCESS) {
        Some(ParsedExtension::AuthorityInfoAccess(access)) => access
            .accessdescs
            .iter()
            .map(|description| {
                let place = uri(&description.access_location).map_or_else(
                    || format!("{:?}", description.access_location),
                    str::to_owned,
                );
                (description.access_method.to_id_string(), place)
            })
            .collect(),
        _ => Vec::new(),
    };
    let wanted: Vec<(String, String)> = [
        (ACCESS_OCSP, &draft.ocsp),
        (ACCESS_CA_ISSUERS, &draft.issuer_certificate),
    ]
    .into_iter()
    .filter_map(|(method, uri)| Some((method.to_owned(), uri.clone()?)))
    .collect();
    findings.require(
        access.is_empty()
            || wanted.is_empty()
            || (access == wanted && access.iter().all(|(_, uri)| uri.starts_with("http://"))),
        "RFC 5280 4.2.2.1: the authority's information is where was meant, by http",
        || format!("{access:?}"),
    );
    let names_responder = access.iter().any(|(method, _)| method == ACCESS_OCSP);
    findings.require(
        !(draft.is_without_revocation() && names_responder),
        "RFC 9608 4: beside noRevAvail stands no OCSP responder",
        || format!("{access:?}"),
    );
    findings.require(
        !(kind.is_never_checked() && names_responder),
        "RFC 6960 4.2.2.2.1: what says nocheck names no responder for itself",
        || format!("{access:?}"),
    );
    for (oid, rule) in [
        (NO_REV_AVAIL, "RFC 9608 2: the value of noRevAvail is NULL"),
        (
            OCSP_NO_CHECK,
            "RFC 6960 4.2.2.2.1: the value of nocheck is NULL",
        ),
    ] {
        let value = it
            .parsed
            .extensions()
            .iter()
            .find(|extension| extension.oid.as_bytes() == oid)
            .map(|extension| extension.value);
        findings.require(
            value.is_none_or(|value| value == [0x05, 0x00]),
            rule,
            || value.map(hex::encode).unwrap_or_default(),
        );
    }
}

fn uri<'a>(name: &ParsedName<'a>) -> Option<&'a str> {
    if let ParsedName::URI(uri) = name {
        Some(uri)
    } else {
        None
    }
}
