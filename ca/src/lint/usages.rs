//! Key usages (RFC 5280 sections 4.2.1.3 and 4.2.1.12).

use x509_parser::extensions::ParsedExtension;

use super::{
    Examined, Findings,
    extensions::{EXTENDED_KEY_USAGE, KEY_USAGE},
};

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let profile = &it.draft.profile;
    let algorithm = it.draft.public_key.algorithm();
    if let Some(ParsedExtension::KeyUsage(usage)) = it.extension(KEY_USAGE) {
        let wanted = profile
            .key_usages_for(algorithm)
            .fold(0_u16, |bits, usage| bits | 1 << usage.bit());
        findings.require(
            usage.flags == wanted,
            "RFC 5280 4.2.1.3, RFC 8813 3, RFC 9295 3, RFC 9881 5: key usage is the profile's that the key can have",
            || usage.to_string(),
        );
        let for_cas = usage.key_cert_sign() || usage.crl_sign();
        findings.require(
            for_cas == profile.kind.is_ca(),
            "RFC 5280 4.2.1.3: CAs, and nothing else, sign certificates and lists",
            || usage.to_string(),
        );
    }
    if let Some(ParsedExtension::ExtendedKeyUsage(usage)) = it.extension(EXTENDED_KEY_USAGE) {
        let mut found: Vec<String> = [
            (usage.any, "2.5.29.37.0"),
            (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
            (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
            (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
            (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
            (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
            (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
        ]
        .into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, oid)| oid.to_owned())
        .chain(usage.other.iter().map(|oid| oid.to_id_string()))
        .collect();
        let mut wanted: Vec<String> = profile
            .extended_key_usages
            .iter()
            .map(ToString::to_string)
            .collect();
        found.sort();
        wanted.sort();
        findings.require(
            found == wanted,
            "RFC 5280 4.2.1.12: the extended key usages are the profile's",
            || found.join(", "),
        );
        findings.require(
            profile
                .kind
                .extended_key_usages()
                .iter()
                .all(|needed| found.contains(&needed.to_string())),
            "RFC 5280 4.2.1.12: a certificate is good for what its kind is for",
            || found.join(", "),
        );
        let forbidden = it.issuer.and_then(|issuer| issuer.forbids(profile));
        findings.require(
            forbidden.is_none(),
            "RFC 5280 4.2.1.12: the issuer's extended key usages allow what the certificate is for",
            || format!("{forbidden:?}"),
        );
        findings.require(
            !usage.any && (usage.ocsp_signing == profile.kind.is_never_checked()),
            "RFC 6960 4.2.2.2: only a responder may sign answers, and nothing is good for everything",
            || found.join(", "),
        );
    }
}
